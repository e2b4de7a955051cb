"""Pictures for comparing two images of one plane: the outline of one on the other, and a checkerboard of both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]  # (H, W) in [0, 1]
_FOREGROUND = 0.1  # of the window


def outline(plane: Plane, level: float = _FOREGROUND) -> NDArray[np.bool_]:
    """Return the pixels (H, W) at which an image of a plane rises above a level: inside, next to a pixel that is outside."""
    inside = np.pad(plane > level, 1)
    surrounded = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    result: NDArray[np.bool_] = inside[1:-1, 1:-1] & ~surrounded
    return result


def checkerboard(first: Plane, second: Plane, side: int, shift: tuple[int, int] = (0, 0)) -> Plane:
    """Return squares of two images of a plane in turns.

    Args:
        first, second: (H, W); the first has the square at the top left if nothing is shifted.
        side: of a square, pixels.
        shift: rows and columns by which the squares are moved.
    """
    rows, columns = ((np.arange(length) - moved) // side for length, moved in zip(first.shape, shift, strict=True))
    return np.where((rows[:, np.newaxis] + columns) % 2 == 0, first, second)
