"""HTML pages for quality control: one per subject, and one for a group. Needs jinja2, matplotlib and pillow.

A page is one file that asks for no other: it opens from the disk, without a network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.errors import MissingPackageError
from cspadn.messages import message
from cspadn.palettes import DEFAULT_PALETTE

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk
    from numpy.typing import NDArray

    from cspadn.fusion import FusionResult
    from cspadn.metrics import VolumeScores
    from cspadn.report.planes import Views

DONE, FAILED = "done", "failed"
Z_LIMIT = 3.5  # a robust z-score beyond it is flagged
LEAST_VALUES = 5  # of a metric, for robust z-scores
_MISSING = "-"
_PACKAGES = ("jinja2", "matplotlib", "PIL")
_SOURCES = {"mri": ("PET", "MRI"), "pet": ("MRI", "PET")}  # by the grid: the volume that was interpolated, the one kept
_PACKAGE = Path(__file__).resolve().parents[1]


def check_packages() -> None:
    """MissingPackageError where a package that makes pages is not installed."""
    for name in _PACKAGES:
        if find_spec(name) is None:
            package = {"PIL": "pillow"}.get(name, name)
            raise MissingPackageError(message("report-package-missing", package=package))


def templates_folder() -> Path:
    """Where the templates are: beside the package in the extension, inside it in a wheel."""
    beside = _PACKAGE.parent / "Resources" / "Report"
    return beside if beside.is_dir() else _PACKAGE / "Resources" / "Report"


def rendered(template: str, **values: object) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from cspadn.imaging.metadata import NOTE

    loader = FileSystemLoader(templates_folder())
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(note=NOTE, **values)


# One subject


def subject_page(
    pet: sitk.Image,
    mri: sitk.Image,
    result: FusionResult,
    scores: VolumeScores | None,
    *,
    title: str,
    palette: str = DEFAULT_PALETTE,
    index: str | None = None,
) -> str:
    """The page of one fusion: views in three planes, windows, metrics, warnings and provenance.

    Args:
        pet, mri: as given to :func:`cspadn.fuse`.
        result: what it made of them.
        scores: of :func:`cspadn.metrics.measure_fusion`; None: the page says that nothing was measured.
        title: what the subject is called.
        palette: of the PET over the MRI, and of the hues: one of :data:`cspadn.palettes.PALETTES`.
        index: the relative path, with "/", from the page to that of the group; None: there is none.
    """
    from cspadn.report.plane_panels import plane_panels
    from cspadn.report.planes import OPACITY, views_of

    before = None if result.registration is None else pet
    views = views_of(result.placed(pet), mri, result.image, result.provenance, before=before)
    moving, keeper = _SOURCES[result.provenance["grid"]]
    return rendered(
        "subject.html.j2",
        title=title,
        index=index,
        warnings=result.warnings,
        planes=[plane_panels(plane, palette) for plane in views.planes],
        registered=result.registration is not None,
        oblique=any(plane.every is None for plane in views.planes),
        outlined=any(plane.border.any() for plane in views.planes),
        moving=moving,
        keeper=keeper,
        palette=palette,
        gradient=_gradient(palette),
        legend=_legend(palette, result.provenance),
        opacity=f"{OPACITY:.0%}",
        histograms=_histograms(views, result.provenance),
        scores=None if scores is None else _scores(scores),
        provenance=[(name, _shown(value)) for name, value in result.provenance.items()],
    )


def _gradient(palette: str) -> str:
    """The palette's colours, as CSS lists them."""
    import numpy as np

    from cspadn.imaging.color import palette_of

    colors = np.rint(palette_of(palette)[::15] * 255).astype(int)
    return ", ".join(f"rgb({red} {green} {blue})" for red, green, blue in colors)


def _legend(palette: str, provenance: Mapping[str, Any]) -> dict[str, str]:
    """The colours of the colour pictures, and the ends of the PET's window, with its units where they are known."""
    from cspadn.imaging.color import legend
    from cspadn.report.plane_panels import webp_strip

    lower, upper = provenance["pet_window"]
    units = str(provenance.get("pet_units", ""))
    return {
        "source": webp_strip(legend(palette)[None]),
        "lower": f"{lower:.6g}",
        "upper": f"{upper:.6g}",
        "uptake": f"uptake ({units})" if units else "uptake",
    }


def _histograms(views: Views, provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    from cspadn.report.plots import histogram

    shown = []
    for name, values in (("PET", views.pet_values), ("MRI", views.mri_values)):
        kind = name.lower()
        lower, upper = provenance[f"{kind}_window"]
        units = str(provenance.get(f"{kind}_units", ""))
        label = f"{name} ({units})" if units else f"{name}, in the volume's units"
        shown.append(
            {
                "name": name,
                "lower": f"{lower:.6g}",
                "upper": f"{upper:.6g}",
                "units": f" {units}" if units else "",
                "below": _share(values < lower),
                "above": _share(values > upper),
                "plot": histogram(values, (lower, upper), label=label, key=kind),
            }
        )
    return shown


def _share(found: NDArray[np.bool_]) -> str:
    return f"{found.mean() if found.size else 0:.1%}"


def _scores(scores: VolumeScores) -> dict[str, Any]:
    from cspadn.report.plots import curves

    names = list(scores.mean)
    counted = [row for row in scores.slices if row.counted]
    series = {name: [row.scores[name] for row in scores.slices] for name in names}
    positions = [row.position for row in scores.slices]
    label = "mm towards the head"
    return {
        "names": names,
        "explanations": _explanations(names),
        "counted": len(counted),
        "means": [_number(value) for value in scores.mean.values()],
        "plot": curves(positions, series, label=label, key="metrics") if counted else "",
        "rows": [
            [str(row.index), f"{row.position:.1f}", *(_number(row.scores[name]) for name in names)] for row in scores.slices
        ],
    }


def _explanations(names: Iterable[str]) -> dict[str, str]:
    """Return what each metric measures, for tooltips; a metric of another version has only its name."""
    from cspadn.metrics.registry import BY_NAME

    return {name: BY_NAME[name].explanation if name in BY_NAME else name for name in names}


def _number(value: float | None, digits: int = 4) -> str:
    return _MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(each) for each in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# A group


@dataclass(frozen=True)
class GroupRow:
    """What became of one subject.

    Attributes:
        name: what it is called.
        status: "done" or "failed".
        page: the relative path, with "/", from the group's page to that of the subject; None: there is none.
        message: why it failed, in a sentence.
        warnings: of the fusion.
        means: metrics, by the names of :data:`cspadn.metrics.TABLE_NAMES` or others; None or NaN where there is no
            number.
        seconds: that it took.
    """

    name: str
    status: str
    page: str | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    means: Mapping[str, float | None] = field(default_factory=dict)
    seconds: float | None = None


def group_page(rows: Sequence[GroupRow], *, title: str, told: Mapping[str, str]) -> str:
    """The page of a group: failures first, and a table of all subjects that can be sorted, with outliers marked.

    Args:
        rows: in the order of the table, in which those that failed come first.
        title: what the group is called.
        told: facts that stand at the top, such as software, model and date.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.means))
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
        explanations=_explanations(names),
        rows=sorted(shown, key=lambda row: not row["failed"]),
        flagged=bool(flagged),
        unflagged=[name for name in names if name not in flagged],
        limit=Z_LIMIT,
        least=LEAST_VALUES,
        medians=[_number(_median(column)) for column in columns.values()],
        median_seconds=_number(_median(_finite(row.seconds) for row in rows if row.status == DONE), 1),
    )


def _mean(row: GroupRow, name: str) -> float:
    """NaN where there is none, as of a subject that failed."""
    return _finite(row.means.get(name)) if row.status == DONE else math.nan


def _finite(value: float | None) -> float:
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _present(values: Iterable[float]) -> int:
    return sum(math.isfinite(value) for value in values)


def _row(row: GroupRow, place: int, columns: Mapping[str, list[float]], z_scores: Mapping[str, list[float]]) -> dict[str, Any]:
    """What the template shows of a subject; a cell is its text and, of an outlier, the z-score."""
    cells = []
    for name, column in columns.items():
        z = z_scores[name][place] if name in z_scores else math.nan
        cells.append((_number(column[place]), f"{z:+.1f}" if abs(z) > Z_LIMIT else ""))
    return {
        "name": row.name,
        "status": row.status,
        "failed": row.status != DONE,
        "page": row.page,
        "warnings": row.warnings,
        "cells": cells,
        "outlier": any(z for _, z in cells),
        "seconds": _number(row.seconds, 1),
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
    """Robust z-scores: 0.6745 (x - median) / MAD (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).

    Where the MAD, the median of the absolute deviations from the median, is 0: (x - median) / (1.253314 times their mean). 0
    where all values are equal. What is no finite number does not count, and has NaN.
    """
    finite = [_finite(value) for value in values]
    centre = _median(finite)
    deviations = [abs(value - centre) for value in finite if math.isfinite(value)]
    spread = _median(deviations) / 0.6745 if deviations else math.nan
    if spread == 0:
        spread = 1.253314 * sum(deviations) / len(deviations)
    return [(value - centre) / spread if spread else 0 * value for value in finite]
