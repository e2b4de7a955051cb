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
_ABOVE_NOISE = 1.5  # multiples of the noise that are added to that level
_EDGE = 0.8  # of that level: where a focus may begin
_PEAK = 0.9  # of the hottest mean: where the peak may lie
_MARGIN_MM = 10.0  # around the hot parts


def hottest_focus(
    values: NDArray[np.float32], spacing_mm: tuple[float, ...], bright: float, normal: float, noise: float = 0.0
) -> float | None:
    """Return the level of the hottest focus of a PET, or None if no focus is hotter than normal tissue.

    A focus is a connected part of :data:`FOCUS_ML` or more. It is recognised by the mean over so much of it, weighted by a
    Gaussian: noise moves this mean less than any voxel. Its level is that of its peak, as two such means give it for a peak
    with the profile of a Gaussian, and at most that of the brightest voxel. The second mean is over 2.8 times the volume.

    Args:
        values: (slices, rows, columns); NaN and infinity are ignored.
        spacing_mm: of columns, rows and slices.
        bright: level of the brightest normal tissue, such as the 99.5th percentile of the foreground. The mean of a focus is
            higher than 1.4 times this level,
        normal: level of hot normal tissue, such as the 97th percentile of the foreground: or than 1.85 times this one, since a
            large focus raises the first level.
        noise: standard deviation of a voxel, 0 if it is not known. The mean must be higher by 1.5 times the noise, as the
            hottest of many places with normal uptake is not.
    """
    least = max(_LEAST_VOXELS, math.ceil(FOCUS_ML * 1000 / math.prod(spacing_mm) - 1e-6))
    level = min(_ABOVE_BRIGHT * bright, _ABOVE_NORMAL * normal) + _ABOVE_NOISE * noise
    hot = (values > _EDGE * level) & np.isfinite(values)
    if not hot.any():
        return None
    box = _box(hot)  # the remaining steps are small, even in a large volume
    parts = np.zeros_like(hot)
    parts[box] = _large_parts(hot[box], least)
    if not parts.any():
        return None
    box = _box(parts, [math.ceil(_MARGIN_MM / step) for step in reversed(spacing_mm)])
    parts, values = parts[box], np.where(np.isfinite(values[box]), values[box], 0)
    # Hot specks that are no focus do not count.
    image = sitk.GetImageFromArray(np.where(parts, values, np.minimum(values, _EDGE * level)).astype(np.float32))
    image.SetSpacing(spacing_mm)
    variance = (FOCUS_ML * 1000 * 3 / (4 * math.pi)) ** (2 / 3) / 5  # of a ball along each axis, in mm^2
    near, wide = (_smoothed(image, factor * variance) for factor in (1, 2))
    near = np.where(parts, near, -np.inf)
    if near.max() <= level:
        return None
    place = np.argmax(np.where(near >= _PEAK * near.max(), wide, -np.inf))
    peak = _peak(float(near.flat[place]), float(wide.flat[place]))
    return min(peak, float(values[parts].max()))


def _peak(near: float, wide: float) -> float:
    """Return the peak of a Gaussian of which two means are known, smoothed with one and two times a variance.

    Smoothing by a variance v lowers the peak of a Gaussian of the variance w to the share (w / (w + v)) ** 1.5.
    """
    ratio = (near / wide) ** (2 / 3) if wide > 0 else 1.0  # (w + 2 v) / (w + v), below 2
    return near * (1 / (2 - ratio)) ** 1.5 if 1 < ratio < 2 else near


def _smoothed(image: sitk.Image, variance: float) -> NDArray[np.float32]:
    result: NDArray[np.float32] = sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, variance, 32, 0.01))
    return result


def _large_parts(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return the parts of a mask of at least so many voxels that are connected through their faces."""
    if np.count_nonzero(mask) < least:
        return np.zeros_like(mask)
    labels = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)))
    large: NDArray[np.bool_] = sitk.GetArrayFromImage(sitk.RelabelComponent(labels, minimumObjectSize=least)) > 0
    return large


def _box(mask: NDArray[np.bool_], margins: list[int] | None = None) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask, and margins around it."""
    ends = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(
        slice(max(0, int(each[0]) - margin), int(each[-1]) + 1 + margin)
        for each, margin in zip(ends, margins or [0] * 3, strict=True)
    )
