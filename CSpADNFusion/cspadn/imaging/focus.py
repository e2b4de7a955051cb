"""The hottest focus of a PET: the level that the upper end of its window must reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.geometry import block_means

FOCUS_ML = 0.3  # the core of the smallest focus that sets the window: of a lesion of 0.5 ml, so much is about as hot
_VARIANCE = (FOCUS_ML * 1000 * 3 / (4 * math.pi)) ** (2 / 3) / 5  # of a ball of that volume along each axis, in mm^2
_LEAST_VOXELS = 2  # voxels, if they are large: a single voxel may be noise
# A core that is hotter than these multiples of the two reference levels is not normal tissue (docs/adr/0022).
_ABOVE_BRIGHT, _ABOVE_NORMAL = 1.4, 1.85
# Nor is one that is hotter than this multiple of the first level, and of all that lies near its mirror image.
_ABOVE_BRIGHT_ONE_SIDED, _ABOVE_MIRROR = 1.15, 1.28
_CEILING = 1.25  # of the former limit: peak of a small focus whose mean does not reach it
_MIRROR_MM = 10.0  # how far the mirror image of a place may be off: heads are not quite symmetrical, and may be tilted
_HEAD = 0.3  # of the first level: voxels whose middle is that of the head
_AROUND_MM = 4.0  # from such a place to the rest of its focus
_LATTICE_MM = 2.0  # enough to compare the two sides
_ABOVE_NOISE = 1.5  # multiples of the noise that are added to these levels
_EDGE = 0.8  # of the level: where a focus may begin
_PEAK = 0.9  # of the hottest mean: where the peak may lie
_MARGIN_MM = 10.0  # around the hot parts
_BRIGHTENED = 1.03  # the hottest of many means in a noisy image is so much hotter than the focus is


def hottest_focus(
    values: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    bright: float,
    normal: float,
    noise: float = 0.0,
    left: Sequence[float] = (1.0, 0.0, 0.0),
) -> float | None:
    """Return the level of the hottest focus of a PET, or None if no focus is hotter than normal tissue.

    A focus is a connected part of :data:`FOCUS_ML` or more. It is recognised by the mean over so much of it, weighted by a
    Gaussian: noise moves this mean less than any voxel. Its level is that of its peak, as two such means give it for a peak
    with the profile of a Gaussian, less what noise adds to it, and at most that of the brightest voxel. The second mean is
    over 2.8 times the volume.

    Args:
        values: (slices, rows, columns); NaN and infinity are ignored.
        spacing_mm: of columns, rows and slices.
        bright: level of the brightest normal tissue, such as the 99.5th percentile of the foreground. The mean of a focus is
            higher than 1.4 times this level,
        normal: level of hot normal tissue, such as the 97th percentile of the foreground: or than 1.85 times this one, since a
            large focus raises the first level,
        noise: standard deviation of a voxel, 0 if it is not known. The mean must be higher by 1.5 times the noise, as the
            hottest of many places with normal uptake is not.
        left: unit vector to the patient's left, along columns, rows and slices. If no mean is as high as that, 1.15 times
            ``bright`` is enough for one that is 1.28 times as high as all within 10 mm of its mirror image: normal uptake is
            hot on both sides.
    """
    least = max(_LEAST_VOXELS, math.ceil(FOCUS_ML * 1000 / math.prod(spacing_mm) - 1e-6))
    margin = _ABOVE_NOISE * noise
    level = min(_ABOVE_BRIGHT * bright, _ABOVE_NORMAL * normal) + margin
    found = _level_of_hottest(values, spacing_mm, least, level)
    lower = _ABOVE_BRIGHT_ONE_SIDED * bright + margin
    if found is not None or not lower < level or not values.size:
        return found
    ceiling = _CEILING * level  # a focus is not hotter, as it would have been found; hot specks are
    exceeding = _exceeding_mirror(values, spacing_mm, left, bright, margin, ceiling)
    return None if exceeding is None else _level_of_hottest(values, spacing_mm, least, lower, exceeding, ceiling)


def _level_of_hottest(
    values: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    least: int,
    level: float,
    eligible: NDArray[np.bool_] | None = None,
    ceiling: float = math.inf,
) -> float | None:
    """Return the level of the hottest part of so many voxels whose mean, at an eligible place, exceeds a level.

    Voxels above the ceiling are taken as that.
    """
    hot = (values > _EDGE * level) & np.isfinite(values)
    if eligible is not None:
        hot &= eligible
    if not hot.any():
        return None
    box = _box(hot)  # the remaining steps are small, even in a large volume
    parts = np.zeros_like(hot)
    parts[box] = _large_parts(hot[box], least)
    if not parts.any():
        return None
    box = _box(parts, [math.ceil(_MARGIN_MM / step) for step in reversed(spacing_mm)])
    parts, inside = parts[box], np.where(np.isfinite(values[box]), np.minimum(values[box], ceiling), 0)
    # Hot specks that are no focus do not count.
    image = sitk.GetImageFromArray(np.where(parts, inside, np.minimum(inside, _EDGE * level)).astype(np.float32))
    image.SetSpacing(spacing_mm)
    near, wide = (_smoothed(image, factor * _VARIANCE) for factor in (1, 2))
    near = np.where(parts, near, -np.inf)
    if near.max() <= level:
        return None
    place = np.argmax(np.where(near >= _PEAK * near.max(), wide, -np.inf))
    peak = _peak(float(near.flat[place]), float(wide.flat[place])) / _BRIGHTENED
    return min(max(peak, level), float(inside[parts].max()))


def _exceeding_mirror(
    values: NDArray[np.float32],
    spacing_mm: tuple[float, ...],
    left: Sequence[float],
    bright: float,
    margin: float,
    ceiling: float,
) -> NDArray[np.bool_] | None:
    """Return where the mean is 1.28 times as high as all near the mirror image, about the middle of the head; None: nowhere.

    Args:
        values, spacing_mm, left, bright: as for :func:`hottest_focus`.
        margin: by which the mean must be higher in addition, and higher than 1.15 times ``bright``.
        ceiling: what voxels above it are taken as.
    """
    from scipy import ndimage  # takes a third of a second to import

    def shown(first: int, last: int) -> NDArray[np.float32]:
        slab = values[first:last]
        return np.where(np.isfinite(slab), np.minimum(slab, np.float32(ceiling)), 0).astype(np.float32)

    def known_share(first: int, last: int) -> NDArray[np.float32]:
        return np.isfinite(values[first:last]).astype(np.float32)

    size = values.shape[::-1]
    factors = [max(1, min(count, math.floor(_LATTICE_MM / step + 1e-6))) for count, step in zip(size, spacing_mm, strict=True)]
    coarse, inside = (block_means(slab, size, spacing_mm, factors) for slab in (shown, known_share))
    means = _smoothed(coarse, _VARIANCE)
    if means.max() <= _ABOVE_BRIGHT_ONE_SIDED * bright + margin:
        return None
    coarse = _like(means, coarse)
    mirror = sitk.AffineTransform(3)
    mirror.SetMatrix((np.eye(3) - 2 * np.outer(left, left)).ravel().tolist())
    mirror.SetCenter(_middle(coarse, _HEAD * bright))
    other = sitk.Resample(coarse, mirror, sitk.sitkLinear, 0.0)
    sizes_mm = coarse.GetSpacing()[::-1]
    reach, around_reach = ([2 * math.ceil(reach_mm / step) + 1 for step in sizes_mm] for reach_mm in (_MIRROR_MM, _AROUND_MM))
    hottest = ndimage.maximum_filter(sitk.GetArrayViewFromImage(other), reach, mode="nearest")
    level = np.maximum(_ABOVE_MIRROR * hottest, _ABOVE_BRIGHT_ONE_SIDED * bright) + margin
    inside = _like(ndimage.minimum_filter(sitk.GetArrayViewFromImage(inside), around_reach, mode="nearest"), inside)
    known = sitk.GetArrayFromImage(sitk.Resample(inside, coarse, mirror, sitk.sitkNearestNeighbor, 0.0)) > 0
    exceeding = ((means > level) & known).astype(np.uint8)  # of the other side nothing is known outside the head's region
    if not exceeding.any():
        return None
    around = sitk.BinaryDilate(_like(exceeding, coarse), [math.ceil(_AROUND_MM / step) for step in coarse.GetSpacing()])
    result: NDArray[np.bool_] = (
        sitk.GetArrayViewFromImage(
            sitk.Resample(around, values.shape[::-1], sitk.Transform(), sitk.sitkNearestNeighbor, (0.0, 0.0, 0.0), spacing_mm)
        )
        > 0
    )
    return result


def _like(values: NDArray[Any], image: sitk.Image) -> sitk.Image:
    result = sitk.GetImageFromArray(values)
    result.CopyInformation(image)
    return result


def _middle(image: sitk.Image, level: float) -> list[float]:
    """Return the mean position, in mm, of the voxels above a level."""
    places = np.argwhere(sitk.GetArrayViewFromImage(image) > level)[:, ::-1].mean(axis=0)
    return list(image.TransformContinuousIndexToPhysicalPoint(places.tolist()))


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
