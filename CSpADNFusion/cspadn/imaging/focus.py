"""The hottest focus of a PET: the level that the upper end of its window must reach."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

FOCUS_ML = 0.3  # the core of the smallest focus that sets the window: of a lesion of 0.5 ml, so much is about as hot
_LEAST_VOXELS = 2  # voxels, if they are large: a single voxel may be noise
# A core that is hotter than these multiples of the two reference levels is not normal tissue (docs/adr/0022).
_ABOVE_BRIGHT, _ABOVE_NORMAL = 1.4, 1.85
_EDGE = 0.8  # of that: where the core may begin
_STEPS = 12  # of the bisection, which halve the range of levels
_CORE = 2.0  # of the distance from the edge of the core to its mean, which lies from the edge to the peak


def hottest_focus(values: NDArray[np.float32], voxel_ml: float, bright: float, normal: float) -> float | None:
    """Return the level of the hottest focus of a PET, or None if no focus is hotter than normal tissue.

    A focus is a connected part of :data:`FOCUS_ML` or more. Its core is the part of that volume that is hottest, and its level
    is that of the core's peak, as if the core had the profile of a parabola: noise moves it less than the hottest voxel.

    Args:
        values: (slices, rows, columns); NaN and infinity are ignored.
        voxel_ml: volume of a voxel in ml.
        bright: level of the brightest normal tissue, such as the 99.5th percentile of the foreground. The core of a focus is
            hotter than 1.4 times this level,
        normal: level of hot normal tissue, such as the 97th percentile of the foreground: or than 1.85 times this one, since a
            large focus raises the first level.
    """
    least = max(_LEAST_VOXELS, math.ceil(FOCUS_ML / voxel_ml - 1e-6))
    level = min(_ABOVE_BRIGHT * bright, _ABOVE_NORMAL * normal)
    hot = (values > _EDGE * level) & np.isfinite(values)
    if not hot.any():
        return None
    box = _box(hot)  # the remaining steps are small, even in a large volume
    finite = np.where(hot[box], values[box], -np.inf)
    parts = _large_parts(finite > _EDGE * level, least)
    if not parts.any():
        return None
    finite = finite[_box(parts)]
    low, high = _EDGE * level, float(finite.max())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _large_parts(finite > middle, least).any() else (low, middle)
    core = np.sort(finite[_large_parts(finite > low, least)])[-least:]
    edge, mean = float(core[0]), float(core.mean())
    return min(edge + _CORE * (mean - edge), float(core[-1])) if mean > level else None


def _large_parts(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return the parts of a mask of at least so many voxels that are connected through their faces."""
    if np.count_nonzero(mask) < least:
        return np.zeros_like(mask)
    labels = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    large: NDArray[np.bool_] = sitk.GetArrayFromImage(sitk.RelabelComponent(labels, minimumObjectSize=least)) > 0
    return large


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask."""
    ends = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(int(each[0]), int(each[-1]) + 1) for each in ends)
