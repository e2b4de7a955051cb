"""Pictures for comparing a PET and an MRI: outlines of tissues of one on the other, and checkerboards of both.

All functions take arrays, of planes or of volumes, so that reports and viewers draw the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_FOREGROUND = 0.1  # of the window
_SMOOTHING_MM = 1.5  # standard deviation of the Gaussian before the tissues are told apart: noise makes no outlines


def outline(plane: Floats, level: float = _FOREGROUND) -> NDArray[np.bool_]:
    """Return the pixels (H, W) at which an image of a plane rises above a level: inside, next to a pixel that is outside."""
    inside = np.pad(plane > level, 1)
    surrounded = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    result: NDArray[np.bool_] = inside[1:-1, 1:-1] & ~surrounded
    return result


def tissue_levels(unit: Floats, count: int = 3) -> tuple[float, ...]:
    """Return the intensities that separate the background and some tissues, by Otsu's method (1979).

    Args:
        unit: intensities of an MRI in [0, 1], of any shape.
        count: number of tissues, at least 2: dark and bright ones, for example.

    Returns:
        As many levels as tissues, in order; that of the background alone if there is no foreground.
    """
    foreground = np.asarray(unit[unit > _FOREGROUND], np.float32).ravel()
    if foreground.size < count or foreground.min() == foreground.max():
        return (_FOREGROUND,)
    otsu = sitk.OtsuMultipleThresholdsImageFilter()
    otsu.SetNumberOfThresholds(count - 1)
    otsu.Execute(sitk.GetImageFromArray(foreground[np.newaxis]))
    return (_FOREGROUND, *otsu.GetThresholds())


def tissues(unit: Floats, levels: Sequence[float], voxel_mm: Sequence[float]) -> NDArray[np.uint8]:
    """Return which tissue is where: 0 is the background.

    Args:
        unit: (..., H, W) or (..., D, H, W), intensities of an MRI in [0, 1].
        levels: of :func:`tissue_levels`.
        voxel_mm: sides of a pixel or voxel along the last axes, which are smoothed.
    """
    from scipy import ndimage

    axes = tuple(range(-len(voxel_mm), 0))
    smooth = ndimage.gaussian_filter(unit, [_SMOOTHING_MM / side for side in voxel_mm], axes=axes, mode="nearest", truncate=3)
    labels: NDArray[np.uint8] = np.searchsorted(np.asarray(levels, np.float32), smooth).astype(np.uint8)
    return labels


def edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the pixels (..., H, W) whose label differs from that of the next pixel in the row or in the column."""
    found = np.zeros(labels.shape, bool)
    found[..., :-1, :] = labels[..., :-1, :] != labels[..., 1:, :]
    found[..., :, :-1] |= labels[..., :, :-1] != labels[..., :, 1:]
    return found


def squares(shape: Sequence[int], side: Sequence[int], shift: Sequence[int]) -> NDArray[np.bool_]:
    """Return the pixels or voxels in every other square or cube, as a chessboard has them.

    Args:
        shape: of the result.
        side: of a square along each axis, at least 1.
        shift: by which the squares are moved along each axis.
    """
    axes = [(np.arange(length) - moved) // step for length, step, moved in zip(shape, side, shift, strict=True)]
    total = axes[0].reshape(-1, *[1] * (len(axes) - 1))
    for index, axis in enumerate(axes[1:], start=1):
        total = total + axis.reshape(-1, *[1] * (len(axes) - 1 - index))
    even: NDArray[np.bool_] = total % 2 == 0
    return even


def checkerboard(first: NDArray[Any], second: NDArray[Any], side: int, shift: tuple[int, int] = (0, 0)) -> NDArray[Any]:
    """Return squares of two images of a plane in turns.

    Args:
        first, second: (H, W); the first has the square at the top left if nothing is shifted.
        side: of a square, pixels.
        shift: rows and columns by which the squares are moved.
    """
    return np.where(squares(first.shape, (side, side), shift), first, second)
