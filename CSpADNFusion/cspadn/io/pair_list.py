"""Lists in CSV files: rows by the names of their columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cspadn.errors import UsageError
from cspadn.io.regular_files import read_regular_text
from cspadn.messages import message


class Row(NamedTuple):
    """A line of a list: its number in the file, and its cells by column, without blanks around them; empty where none is."""

    line: int
    cells: dict[str, str]


def read_pairs(file: Path, optional: Sequence[str] = ()) -> list[Row]:
    """The rows of a list of pairs, with the columns pet and mri, in UTF-8; empty lines are passed over.

    Args:
        optional: further columns; others of the file are ignored.

    Raises:
        UsageError: it cannot be read, is no such list, or is empty.
    """
    names, lines = _read(file)
    missing = [name for name in ("pet", "mri") if name not in names]
    if not lines and not (names and missing):
        raise UsageError(message("pair-list-empty", path=file))
    if missing:
        told = " and ".join(f"'{name}'" for name in missing)
        raise UsageError(message("pair-list-column-missing", path=file, columns=told))
    return [Row(line, _cells(names, cells, ("pet", "mri", *optional))) for line, cells in lines]


def _read(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The names of the columns, and the number and the cells of each line that is not empty."""
    try:
        reader = csv.reader(io.StringIO(read_regular_text(file), newline=""), strict=True)
        names = [name.strip().casefold() for name in next(reader, [])]
        return names, [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except OSError as error:
        raise UsageError(message("pair-list-unreadable", path=file, why=error.strerror or error)) from None
    except (UnicodeDecodeError, csv.Error):
        raise UsageError(message("pair-list-not-csv", path=file)) from None


def _cells(names: list[str], cells: list[str], wanted: Sequence[str]) -> dict[str, str]:
    row = dict(zip(names, (cell.strip() for cell in cells), strict=False))
    return {name: row.get(name, "") for name in wanted}
