"""Intensity windows: one per volume, and the conversion to and from the range of the network.

A volume has one window for all its slices: if each slice were scaled by itself, the fused volume would flicker.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, UsageError
from cspadn.imaging.padding import fill_padding, find_padding
from cspadn.messages import message

# Fused volumes run from 0 to this value: twelve bits survive the integer export of Slicer and DICOM (docs/adr/0004).
FUSED_MAXIMUM = 4095.0
_BACKGROUND_PERCENTILE, _BRIGHT_PERCENTILES = 0.5, (99.9, 99.5, 99, 98)  # of all voxels
_FOREGROUND_SHARE = 0.1  # of the way from background to bright: higher intensities are foreground
_FOREGROUND_PERCENTILE = 99.5  # of the foreground
_OUTLIERS = 0.012  # largest share of voxels that may be outliers: a smaller foreground consists of outliers
_BULK_PERCENTILES = (5, 80)  # of all voxels, and of the foreground: between them lies most tissue
_TRIMMED = 1.4  # times the range of the bulk without the brightest voxels: more than with them, unless these are outliers
_FAR_ABOVE, _FAR_BELOW = 5.0, 1.0  # times the range of the bulk: values farther away are outliers
_SAMPLED_VOXELS = 2**24  # the window of a larger volume is computed on a lattice of about so many voxels

T = TypeVar("T")


class Window(NamedTuple):
    """The intensities, in the volume's own units, that are shown as black and as white."""

    lower: float
    upper: float


def end_texts(window: Sequence[float]) -> tuple[str, str]:
    """Return the ends of a window as text, to six digits of the larger one: beside 8.1, an end of 1.7e-06 reads "0"."""
    largest = max(abs(end) for end in window)
    places = 5 - math.floor(math.log10(largest)) if largest > 0 else 0
    lower, upper = (f"{round(end, places) + 0.0:.6g}" for end in window)
    return lower, upper


def check_window(lower: float, upper: float, name: str) -> Window:
    """Return a window that the user gave.

    Args:
        lower, upper: its ends.
        name: the volume's name in error messages, such as "PET".

    Raises:
        UsageError: the ends are not finite, or not in order.
    """
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise UsageError(message("window-invalid", name=name, lower=lower, upper=upper))
    return Window(float(lower), float(upper))


def automatic_window(values: NDArray[np.generic], name: str) -> Window:
    """Return the robust window of a whole volume.

    It runs from the background, the 0.5th percentile of all finite voxels, to the 99.5th percentile of the foreground. The
    foreground is what lies above a tenth of the way from the background to the bright end, the 99.9th percentile. Padding is
    taken as background (:mod:`cspadn.imaging.padding`). Outliers, at most 1.2 % of all voxels, move nothing: they lie far from
    the bulk of the tissue, or are brighter than all but one of their neighbours. Where the ends coincide, the window runs from
    the lowest to the highest voxel.

    Args:
        values: intensities of any shape; the neighbours of voxels are compared only in three dimensions.
        name: the volume's name in error messages.

    Raises:
        InputError: the volume is empty or constant.
    """
    found = find_padding(values)
    filled = fill_padding(values, found) if found else values
    with np.errstate(over="ignore"):  # values too large for single precision are holes (without_holes)
        holes = ~np.isfinite(filled.astype(np.float32))
    finite: NDArray[Any] = filled[~holes]
    finite.sort(kind="stable" if finite.itemsize < 4 else None)  # once, for all percentiles; short integers by radix sort
    if not finite.size or finite[0] == finite[-1]:
        raise InputError(message("volume-constant", volume=name))
    whole = Window(float(finite[0]), float(finite[-1]))
    lower, bright = (_percentile(finite, percent) for percent in (_BACKGROUND_PERCENTILE, _BRIGHT_PERCENTILES[0]))
    if lower == bright or not math.isfinite(bright - lower):
        return whole
    kept = _without_outliers(finite)
    lower = _percentile(kept, _BACKGROUND_PERCENTILE)
    foreground = _above(kept, _threshold(kept, lower))
    if not foreground.size:
        return whole
    return Window(lower, _bright_end(filled, holes, foreground, float(kept[-1])))


def _percentile(ordered: NDArray[Any], percent: float) -> float:
    """Return a percentile of ascending values, interpolated linearly between neighbours."""
    place, below = math.modf(percent / 100 * (ordered.size - 1))
    low, high = (float(each) for each in ordered[[int(below), min(int(below) + 1, ordered.size - 1)]])
    return low if low == high else low * (1 - place) + high * place


def _above(ordered: NDArray[Any], level: float) -> NDArray[Any]:
    """Return those of ascending values that are greater than a level."""
    return ordered[bisect_right(ordered, level) :]


def _without_outliers(finite: NDArray[Any]) -> NDArray[Any]:
    """Return ascending values without those that lie far from the bulk, unless they are too many to be outliers."""
    low, high = (_percentile(finite, percent) for percent in (_BULK_PERCENTILES[0], 100 * (1 - _OUTLIERS)))
    whole, trimmed = (_reach(values, low) for values in (finite, finite[: bisect_right(finite, high)]))
    reach = min(whole, _TRIMMED * trimmed) if trimmed > 0 else whole  # few outliers may be most of what is above their tenth
    if reach <= 0:
        return finite
    most = _OUTLIERS * finite.size
    first, last = bisect_left(finite, low - _FAR_BELOW * reach), bisect_right(finite, low + _FAR_ABOVE * reach)
    return finite[first if first <= most else 0 : last if finite.size - last <= most else finite.size]


def _reach(ordered: NDArray[Any], low: float) -> float:
    """Return how far the bulk of the foreground of ascending values reaches above a low level; 0 without foreground."""
    foreground = _above(ordered, _threshold(ordered, low))
    return _percentile(foreground, _BULK_PERCENTILES[1]) - low if foreground.size else 0.0


def _threshold(ordered: NDArray[Any], lower: float) -> float:
    """Return the intensity above which foreground lies; a foreground of very few voxels is not one, but outliers."""
    levels = [_percentile(ordered, percent) for percent in _BRIGHT_PERCENTILES]
    thresholds = [lower + _FOREGROUND_SHARE * (bright - lower) for bright in levels if bright > lower]
    for threshold in thresholds:
        if _above(ordered, threshold).size > _OUTLIERS * ordered.size:
            return threshold
    return thresholds[0] if thresholds else lower


def _bright_end(values: NDArray[Any], holes: NDArray[np.bool_], foreground: NDArray[Any], highest: float) -> float:
    """Return the bright percentile of the foreground, after each voxel was cut to the second brightest of its neighbours.

    The foreground is ascending.
    """
    end = _percentile(foreground, _FOREGROUND_PERCENTILE)
    if values.ndim != 3 or min(values.shape) < 2:
        return end
    # No voxel below this one can become the percentile by cutting at most so many above it.
    rank = round((1 - _FOREGROUND_PERCENTILE / 100) * foreground.size + _OUTLIERS * values.size)
    if not 0 < rank < foreground.size:  # 0: of a few voxels, none is cut
        return end
    least = foreground[foreground.size - rank]
    bright = ~holes & (values >= least) & (values <= highest)
    cut = np.concatenate([foreground[: bisect_left(foreground, least)], _cut_to_neighbours(values, bright, highest)])
    return float(np.percentile(cut, _FOREGROUND_PERCENTILE))


def _cut_to_neighbours(values: NDArray[Any], chosen: NDArray[np.bool_], highest: float) -> NDArray[Any]:
    """Return the chosen voxels, none brighter than the second brightest of its six neighbours."""
    places = np.nonzero(chosen)
    neighbours = []
    for axis in range(3):
        for step in (-1, 1):
            moved = list(places)
            moved[axis] = np.abs(places[axis] + step)  # mirrored at the ends of the volume
            last = values.shape[axis] - 1
            moved[axis] = np.where(moved[axis] > last, last - 1, moved[axis])
            neighbours.append(values[tuple(moved)])
    second = np.partition(np.nan_to_num(np.stack(neighbours), nan=-np.inf, posinf=-np.inf), -2, axis=0)[-2]
    cut: NDArray[Any] = np.minimum(values[places], np.minimum(second, highest))
    return cut


def sampled(image: sitk.Image) -> NDArray[np.generic]:
    """The voxels of an image, or of a very large one those on a regular lattice: enough for percentiles."""
    step = max(1, math.ceil((image.GetNumberOfPixels() / _SAMPLED_VOXELS) ** (1 / 3)))
    view = sitk.GetArrayViewFromImage(image)[::step, ::step, ::step]
    copy: NDArray[np.generic] = np.array(view)  # a view dies with its image
    return copy


def without_holes(image: sitk.Image, background: float, *, keep_nan: bool = False) -> tuple[sitk.Image, int]:
    """Set voxels that are not finite in single precision to ``background``; with ``keep_nan``, NaN is kept.

    Returns:
        The image itself, or a float32 copy where something was set; and how many voxels were set.
    """
    if "float" not in image.GetPixelIDTypeAsString():
        return image, 0
    voxels = sitk.GetArrayViewFromImage(image)
    count = sum(int(_holes(each, keep_nan).sum()) for each in voxels)
    if not count:
        return image, 0
    filled = np.stack([np.where(_holes(each, keep_nan), background, each).astype(np.float32) for each in voxels])
    result = sitk.GetImageFromArray(filled)
    result.CopyInformation(image)
    return result, count


def _holes(values: NDArray[np.floating], keep_nan: bool) -> NDArray[np.bool_]:
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)  # values too large for single precision become infinite
    holes: NDArray[np.bool_] = np.isinf(single) if keep_nan else ~np.isfinite(single)
    return holes


def to_unit(values: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
    """Map intensities to float32 in [0, 1], clipped at the ends of the window; NaN and infinities become 0, the background."""
    with np.errstate(over="ignore"):
        single = np.asarray(values, np.float32)
    scaled = np.array(single, np.float64)
    scaled -= window.lower
    scaled /= window.upper - window.lower
    unit: NDArray[np.float32] = np.clip(scaled, 0, 1, out=scaled).astype(np.float32)
    unit[~np.isfinite(single)] = 0
    return unit


def to_network_range(unit: T) -> T:
    """Map [0, 1] to [-1, 1], the range of the network's Tanh; arrays or tensors."""
    return unit * 2 - 1  # type: ignore[operator, return-value]


def from_network_range(value: T) -> T:
    """Map [-1, 1] to [0, 1]; arrays or tensors."""
    return (value + 1) / 2  # type: ignore[operator, return-value]
