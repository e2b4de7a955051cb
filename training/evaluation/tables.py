"""Tables as CSV and as Markdown."""

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
    """A part of the report: ``name`` is that of its files, ``body`` is Markdown without the title."""

    name: str
    title: str
    body: str

    def write(self, folder: Path) -> None:
        """Its own page, ``name.md``."""
        (folder / f"{self.name}.md").write_text(f"# {self.title}\n\n{self.body}\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Numbers with six decimals; None and NaN are empty."""
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
    """A number as Markdown shows it; nothing for None and NaN."""
    text = "" if value is None else _fixed(value, decimals)
    return f"**{text}**" if bold and text else text


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers, aligned on the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def best_of(means: Mapping[str, Scores], measure: str, decimals: int) -> set[str]:
    """The rows that show the greatest value of a measure, as it is printed."""
    shown = {name: round(row[measure], decimals) for name, row in means.items()}
    return {name for name, value in shown.items() if value == max(shown.values())}


def counted(count: int, one: str, more: str = "") -> str:
    """Such as ``1 pair`` and ``20 pairs``; ``more`` where it does not just end in s."""
    return f"{count} {one if count == 1 else more or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Such as ``EN, Qabf and VIF``; ``none`` where there are none."""
    if len(names) < 2:
        return names[0] if names else "none"
    return f"{', '.join(names[:-1])} and {names[-1]}"
