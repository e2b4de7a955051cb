"""Which pixels of a slice lie on or near the head, row by row, so that layers skip the black background.

A pixel is foreground if PET or MRI is not black there. A layer computes rectangular blocks of pixels; see docs/inference.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ROW_MULTIPLE, _COLUMN_MULTIPLE = 8, 16  # of block sizes: oneDNN compiles a kernel for each size, so few sizes are used

Block = tuple[range, range]  # rows and columns


class HeadRegion:
    """The foreground of a slice, and the pixels within a margin around it.

    Args:
        foreground: (H, W), whether a pixel is not black in PET or MRI, in any slice of the batch.
    """

    def __init__(self, foreground: NDArray[np.bool_]) -> None:
        self.foreground = foreground
        width = foreground.shape[1]
        occupied = foreground.any(axis=1)
        self._first = np.where(occupied, foreground.argmax(axis=1), width)
        self._stop = np.where(occupied, width - foreground[:, ::-1].argmax(axis=1), 0)

    @property
    def transposed(self) -> HeadRegion:
        """The region with rows and columns exchanged."""
        return HeadRegion(self.foreground.T)

    def rows(self, margin: int) -> range:
        """Return the rows from the first to the last within ``margin`` of a foreground pixel; empty without foreground."""
        return _widened(np.flatnonzero(self._stop), margin, len(self.foreground))

    def box(self, margin: int) -> Block:
        """Return the smallest block that contains all pixels within ``margin`` of a foreground pixel."""
        return self.rows(margin), self.transposed.rows(margin)

    def columns(self, rows: range, margin: int) -> range:
        """Return the columns from the first to the last that are, in these rows, within ``margin`` of a foreground pixel."""
        near = slice(max(0, rows.start - margin), rows.stop + margin)
        first, stop = int(self._first[near].min()), int(self._stop[near].max())
        return _widened(np.array([first, stop - 1]), margin, self.foreground.shape[1]) if first < stop else range(0)

    def bands(self, margin: int, step: int) -> list[range]:
        """Return the rows within ``margin`` of the foreground, in bands of at most ``step`` rows.

        Bands begin and end at multiples of 8 rows, or at the border of the slice.
        """
        rows = aligned(self.rows(margin), len(self.foreground), _ROW_MULTIPLE)
        return [range(start, min(start + step, rows.stop)) for start in rows[::step]]

    def blocks(self, margin: int, step: int) -> Iterator[Block]:
        """Yield blocks of at most ``step`` rows that together contain all pixels within ``margin`` of a foreground pixel.

        Blocks begin and end at multiples of 8 rows and 16 columns, or at the border of the slice.
        """
        for rows in self.bands(margin, step):
            columns = self.columns(rows, margin)
            if columns:
                yield rows, aligned(columns, self.foreground.shape[1])


def aligned(pixels: range, length: int, multiple: int = _COLUMN_MULTIPLE) -> range:
    """Widen a range of pixels so that it begins and ends at a multiple, or at the border ``length``.

    If one range contains another, so do the widened ranges.
    """
    return range(pixels.start // multiple * multiple, min(-(-pixels.stop // multiple) * multiple, length))


def _widened(pixels: NDArray[np.intp], margin: int, length: int) -> range:
    """Return the range from the first to the last of some pixels, with a margin, within 0 to ``length``."""
    if not len(pixels):
        return range(0)
    return range(max(0, int(pixels[0]) - margin), min(length, int(pixels[-1]) + 1 + margin))
