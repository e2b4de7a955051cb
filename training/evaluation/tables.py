"""Write tables as CSV and Markdown."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cspadn.metrics import Scores

_CSV_DECIMALS = 6


@dataclass(frozen=True)
class Section:
    """A part of the report: ``name`` is the stem of its files, ``body`` is Markdown without the title."""

    name: str
    title: str
    body: str

    def write(self, folder: Path) -> None:
        """Write the section as a page, ``name.md``."""
        (folder / f"{self.name}.md").write_text(f"# {self.title}\n\n{self.body}\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; numbers have six decimals, None and NaN are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([_csv_cell(cell) for cell in row] for row in rows)


def _csv_cell(cell: object) -> str:
    return _fixed(cell, _CSV_DECIMALS) if isinstance(cell, float) else "" if cell is None else str(cell)


def _fixed(value: float, decimals: int) -> str:
    text = "" if math.isnan(value) else f"{value:.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text  # no -0


def number(value: float | None, decimals: int = 4, *, bold: bool = False) -> str:
    """Format a number for Markdown; None and NaN are empty."""
    text = "" if value is None else _fixed(value, decimals)
    return f"**{text}**" if bold and text else text


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are right-aligned numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def best_of(means: Mapping[str, Scores], measure: str, decimals: int) -> set[str]:
    """Return the rows whose printed value of a measure is the greatest."""
    shown = {name: round(row[measure], decimals) for name, row in means.items()}
    return {name for name, value in shown.items() if value == max(shown.values())}


def counted(count: int, one: str, more: str = "") -> str:
    """Return ``1 pair`` or ``20 pairs``; ``more`` is an irregular plural."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Join words, such as ``EN, Qabf and VIF``; return ``none`` if there are none."""
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"
