"""Where in a slice there is something to see, line by line: what must be computed there, and what need not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ROWS, _COLUMNS = 8, 16  # are multiples of: of fewer sizes, the kernels are made once and used again

Window = tuple[range, range]  # rows, columns


class Region:
    """The seen places of a slice, and those within a margin of them.

    Args:
        seen: (H, W), bool.
    """

    def __init__(self, seen: NDArray[np.bool_]) -> None:
        self.seen = seen
        width = seen.shape[1]
        some = seen.any(axis=1)
        self._first = np.where(some, seen.argmax(axis=1), width)
        self._stop = np.where(some, width - seen[:, ::-1].argmax(axis=1), 0)

    @property
    def transposed(self) -> Region:
        """The same with rows for columns."""
        return Region(self.seen.T)

    def rows(self, margin: int) -> range:
        """From the first to the last row that has a place within ``margin`` of one seen; empty where nothing is seen."""
        return _widened(np.flatnonzero(self._stop), margin, len(self.seen))

    def box(self, margin: int) -> Window:
        """Rows and columns from first to last."""
        return self.rows(margin), self.transposed.rows(margin)

    def columns(self, rows: range, margin: int) -> range:
        """From the first to the last column that has, in these rows, a place within ``margin`` of one seen."""
        near = slice(max(0, rows.start - margin), rows.stop + margin)
        first, stop = int(self._first[near].min()), int(self._stop[near].max())
        return _widened(np.array([first, stop - 1]), margin, self.seen.shape[1]) if first < stop else range(0)

    def windows(self, margin: int, step: int) -> Iterator[Window]:
        """Some rows at a time, and their columns, of which there are more than needed: a multiple, but for the border's."""
        height, width = self.seen.shape
        rows = aligned(self.rows(margin), height, _ROWS)
        for start in rows[::step]:
            some = range(start, min(start + step, rows.stop))
            columns = self.columns(some, margin)
            if columns:
                yield some, aligned(columns, width)


def aligned(places: range, length: int, multiple: int = _COLUMNS) -> range:
    """A range that holds this one, from a multiple to a multiple, or to the end. What lay in the other lies in it still."""
    return range(places.start // multiple * multiple, min(-(-places.stop // multiple) * multiple, length))


def _widened(places: NDArray[np.intp], margin: int, length: int) -> range:
    if not len(places):
        return range(0)
    return range(max(0, int(places[0]) - margin), min(length, int(places[-1]) + 1 + margin))
