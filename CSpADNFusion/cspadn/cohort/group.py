"""The group level: a page and a table of all pairs of a derivative."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.cohort.derivative import FUSED_ENDING, INDEX, PAGE_SUFFIX, USUAL_SPACE, Derivative, thumbnail_file
from cspadn.cohort.engine import DONE
from cspadn.cohort.failures import FAILED, LOGS, read_failure
from cspadn.cohort.proof import user_key
from cspadn.cohort.records import is_unmodified, read_record
from cspadn.io.atomic_output import check_no_links, commit
from cspadn.io.images import stage_text
from cspadn.io.regular_files import read_regular
from cspadn.messages import message
from cspadn.metrics import TABLE_NAMES

if TYPE_CHECKING:
    from cspadn.report.group_page import GroupRow

TABLE = "group_metrics.tsv"
_FACTS = {
    "software": "Software",
    "model": "Model",
    "model_sha256": "SHA-256 of its weights",
    "grid": "Grid",
    "registration": "Registration",
}
_NONE = "n/a"  # of BIDS


def write_group(output: Path) -> Path:
    """Write the page and the table of a derivative, from its side files and logs, and return the page.

    Raises:
        UsageError: it cannot be written.
    """
    from cspadn.report.group_page import group_page

    check_no_links(output, [output / name for name in (LOGS, INDEX, TABLE)])
    made = dict(_made(output))
    failures = {file.stem: read_failure(file) for file in sorted((output / LOGS).glob("sub-*.json"))}
    rows = [_with_picture(row, output) if row.status == DONE else row for row in _rows(made, failures)]
    page = group_page(rows, title="PET and MRI fused by CSpA-DN", told=_facts(filter(None, made.values())))
    commit([lambda: stage_text(output / TABLE, _table(rows)), lambda: stage_text(output / INDEX, page)], overwrite=True)
    return output / INDEX


def _made(output: Path) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the name of each pair that is done, and the record of its side file; None if nothing proves that it is ours."""
    layout, key = Derivative(output), user_key()
    for file in sorted(output.glob("sub-*/**/pet/*_desc-fused_brightness.json")):
        name = file.stem.removesuffix(FUSED_ENDING).removesuffix(USUAL_SPACE)
        ours, proven = read_record(file, layout, key)
        if ours is not None:
            yield name, ours if proven and is_unmodified(_shown(output, name), ours) else None


def _shown(output: Path, name: str) -> dict[str, Path]:
    """Return the outputs of a pair that the page shows or links to."""
    return {"page": output / f"{name}{PAGE_SUFFIX}", "thumbnail": thumbnail_file(output, name)}


def _rows(made: dict[str, dict[str, Any] | None], failures: dict[str, tuple[str, tuple[str, ...]]]) -> list[GroupRow]:
    """Return a row for each pair. A pair that has failed after it was done counts as failed."""
    from cspadn.report.group_page import GroupRow

    failed = [GroupRow(name, FAILED, None, text, warnings) for name, (text, warnings) in failures.items()]
    unproven = [GroupRow(name, FAILED, None, message("result-not-proven")) for name, ours in made.items() if ours is None]
    done = [_row(name, ours) for name, ours in made.items() if ours is not None and name not in failures]
    return failed + [row for row in unproven if row.name not in failures] + done


def _row(name: str, ours: dict[str, Any]) -> GroupRow:
    from cspadn.report.group_page import GroupRow

    try:
        means = {str(key): None if value is None else float(value) for key, value in ours["metrics"]["mean"].items()}
        warnings = tuple(map(str, ours["warnings"]))
        page, seconds = f"{name}{PAGE_SUFFIX}", float(ours["seconds"])
        return GroupRow(name, DONE, page, "", warnings, means, seconds, figures=_figures(ours))
    except (ValueError, LookupError, TypeError, AttributeError):
        return GroupRow(name, FAILED, None, message("side-file-damaged"))


def _with_picture(row: GroupRow, output: Path) -> GroupRow:
    """Return a row with its thumbnail, if there is one."""
    from cspadn.report.viewer import url_of

    try:
        return replace(row, picture=url_of(read_regular(thumbnail_file(output, row.name))))
    except OSError:
        return row


def _figures(ours: dict[str, Any]) -> dict[str, float | None]:
    """Return alignment and windows of a pair, by the titles of their columns."""
    found = {"Apart (mm)": ours.get("alignment_mm"), "Moved (mm)": ours.get("registration_mm")}
    for title, name in (("PET up to", "pet_window"), ("MRI up to", "mri_window")):
        found[title] = ours[name][1]
    return {title: None if value is None else float(value) for title, value in found.items()}


def _facts(made: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return software, model and grid; several values if they differ."""
    told = list(made)
    return {
        title: ", ".join(sorted({str(ours.get(key, _NONE)) for ours in told}))
        for key, title in _FACTS.items()
        if any(key in ours for ours in told)
    }


def _table(rows: Sequence[GroupRow]) -> str:
    """Return the table, separated by tabs, as BIDS says."""
    text = io.StringIO()
    table = csv.writer(text, "excel-tab", lineterminator="\n")
    table.writerow(["name", "status", "warnings", *TABLE_NAMES, "seconds"])
    for row in rows:
        means = (row.means.get(name) for name in TABLE_NAMES)
        numbers = [
            _NONE if number is None or not math.isfinite(number) else f"{number:.6g}" for number in (*means, row.seconds)
        ]
        table.writerow([row.name, row.status, len(row.warnings), *numbers])
    return text.getvalue()
