"""The page of a group: failures first, and a table of all subjects with thumbnails. Needs jinja2."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cspadn.report.templates import MISSING, explanations, number_text, rendered

DONE, FAILED = "done", "failed"
Z_LIMIT = 3.5  # a robust z-score beyond it is flagged
LEAST_VALUES = 5  # of a metric, for robust z-scores
_EXPLAINED = {  # titles of columns that are no metrics
    "Apart (mm)": "How far PET and MRI are apart, as the check of the alignment found",
    "Moved (mm)": "How far the registration has moved the PET",
    "PET up to": "Upper end of the PET's window, in its units",
    "MRI up to": "Upper end of the MRI's window",
}


@dataclass(frozen=True)
class GroupRow:
    """The result of one subject.

    Attributes:
        name: name of the subject.
        status: "done" or "failed".
        page: the relative path, with "/", from the group's page to that of the subject; None: there is none.
        message: why it failed, in a sentence.
        warnings: of the fusion.
        means: mean of each metric, by name, such as those of :data:`cspadn.metrics.TABLE_NAMES`; None or NaN if there is none.
        seconds: duration of the fusion.
    """

    name: str
    status: str
    page: str | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    means: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float | None = None
    figures: Mapping[str, float | None] = field(default_factory=dict)
    picture: str = ""

    @property
    def numbers(self) -> Mapping[str, float | None]:
        """Return figures and means, by the titles of their columns."""
        return {**self.figures, **self.means}


def group_page(rows: Sequence[GroupRow], *, title: str, told: Mapping[str, str]) -> str:
    """Return the page of a group: failures first, then a sortable table of all subjects with outliers marked.

    Args:
        rows: in the order of the table; on the page, failed ones come first.
        title: name of the group.
        told: facts for the top of the page, such as software, model and date.
    """
    named = dict.fromkeys(name for row in rows for name, value in row.figures.items() if value is not None)
    names = list(named | dict.fromkeys(name for row in rows for name in row.means))
    columns = {name: [_mean(row, name) for row in rows] for name in names}
    flagged = {name: column for name, column in columns.items() if _present(column) >= LEAST_VALUES}
    z_scores = {name: robust_z(column) for name, column in flagged.items()}
    shown = [_row(row, place, columns, z_scores) for place, row in enumerate(rows)]
    failures = [row for row in rows if row.status != DONE]
    return rendered(
        "index.html.j2",
        title=title,
        told=list(told.items()),
        counts=_counts(rows, shown),
        failures=failures,
        names=names,
        explanations=explanations(names) | {name: text for name, text in _EXPLAINED.items() if name in named},
        pictures=any(row.picture for row in rows),
        rows=sorted(shown, key=lambda row: not row["failed"]),
        flagged=bool(flagged),
        unflagged=[name for name in names if name not in flagged],
        limit=Z_LIMIT,
        least=LEAST_VALUES,
        medians=[_cell(name, _median(column)) for name, column in columns.items()],
        median_seconds=number_text(_median(_finite(row.seconds) for row in rows if row.status == DONE), 1),
    )


def _cell(name: str, value: float) -> str:
    """Return the text of a number: figures have units of their own."""
    if name not in _EXPLAINED:
        return number_text(value)
    return MISSING if math.isnan(value) else f"{float(f'{value:.4g}'):.7g}"


def _mean(row: GroupRow, name: str) -> float:
    """Return a mean; NaN if there is none, as for a failed subject."""
    return _finite(row.numbers.get(name)) if row.status == DONE else math.nan


def _finite(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _present(values: Iterable[float]) -> int:
    return sum(math.isfinite(value) for value in values)


def _row(row: GroupRow, place: int, columns: Mapping[str, list[float]], z_scores: Mapping[str, list[float]]) -> dict[str, Any]:
    """Return the template's values for a subject; a cell is its text and, for an outlier, the z-score."""
    cells = []
    for name, column in columns.items():
        z = z_scores[name][place] if name in z_scores else math.nan
        cells.append((_cell(name, column[place]), f"{z:+.1f}" if abs(z) > Z_LIMIT else ""))
    return {
        "name": row.name,
        "status": row.status,
        "failed": row.status != DONE,
        "page": row.page,
        "warnings": row.warnings,
        "cells": cells,
        "outlier": any(z for _, z in cells),
        "picture": row.picture,
        "kinds": " ".join(
            kind
            for kind, fits in (
                ("failed", row.status != DONE),
                ("warned", bool(row.warnings)),
                ("outlying", any(z for _, z in cells)),
            )
            if fits
        ),
        "seconds": number_text(row.seconds, 1),
    }


def _counts(rows: Sequence[GroupRow], shown: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    failed = sum(row["failed"] for row in shown)
    return [
        ("done", len(rows) - failed),
        ("failed", failed),
        ("with warnings", sum(bool(row.warnings) for row in rows)),
        ("with outliers", sum(row["outlier"] for row in shown)),
    ]


def _median(values: Iterable[float]) -> float:
    import statistics

    present = [value for value in values if math.isfinite(value)]
    return statistics.median(present) if present else math.nan


def robust_z(values: Sequence[float]) -> list[float]:
    """Compute robust z-scores: 0.6745 (x - median) / MAD, with the MAD, the median absolute deviation from the median.

    If the MAD is 0: (x - median) / (1.253314 times the mean absolute deviation). If all values are equal: 0. Values that are
    not finite are ignored, and their score is NaN.

    Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
    """
    finite = [_finite(value) for value in values]
    centre = _median(finite)
    deviations = [abs(value - centre) for value in finite if math.isfinite(value)]
    spread = _median(deviations) / 0.6745 if deviations else math.nan
    if spread == 0:
        spread = 1.253314 * sum(deviations) / len(deviations)
    return [(value - centre) / spread if spread else 0 * value for value in finite]
