"""Intensity: one window per volume, to the network's range and back.

A volume has one window for all its slices: scaling each slice by itself makes the fused volume flicker.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, UsageError
from cspadn.messages import message

# Fused volumes run from 0 to this value: twelve bits survive the integer export of Slicer and DICOM (docs/adr/0004).
FUSED_MAXIMUM = 4095.0
_BACKGROUND_PERCENTILE, _BRIGHT_PERCENTILE = 0.5, 99.9  # of all voxels
_FOREGROUND_SHARE = 0.1  # of the way from background to bright: what is above is foreground
_FOREGROUND_PERCENTILE = 99.5  # of the foreground
_SAMPLED_VOXELS = 2**24  # a larger volume gives its window on a lattice of about so many voxels

T = TypeVar("T")


class Window(NamedTuple):
    """The intensities, in the volume's own units, that are shown as black and as white."""

    lower: float
    upper: float


def check_window(lower: float, upper: float, name: str) -> Window:
    """A window given by the user; UsageError, calling its volume ``name``, unless lower < upper and both are finite."""
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise UsageError(message("window-invalid", name=name, lower=lower, upper=upper))
    return Window(float(lower), float(upper))


def automatic_window(values: NDArray[np.generic], name: str) -> Window:
    """The robust window of a whole volume.

    It runs from the background, the 0.5th percentile of all finite voxels, to the 99.5th percentile of the foreground. The
    foreground is what is above a tenth of the way from the background to the 99.9th percentile: so neither the share of air
    nor a few hot voxels move the window. Where the ends coincide, it runs from the lowest to the highest voxel.

    Raises:
        InputError: the volume, called ``name``, is empty or constant.
    """
    with np.errstate(over="ignore"):
        finite: NDArray[Any] = values[
            np.isfinite(values.astype(np.float32))
        ]  # what is too large for it is a hole (without_holes)
    if not finite.size or finite.min() == finite.max():
        raise InputError(message("volume-constant", volume=name))
    lower, bright = (float(level) for level in np.percentile(finite, (_BACKGROUND_PERCENTILE, _BRIGHT_PERCENTILE)))
    if lower == bright or not math.isfinite(bright - lower):
        return Window(float(finite.min()), float(finite.max()))
    foreground = finite[finite > lower + _FOREGROUND_SHARE * (bright - lower)]
    return Window(lower, float(np.percentile(foreground, _FOREGROUND_PERCENTILE)))


def sampled(image: sitk.Image) -> NDArray[np.generic]:
    """The voxels of an image, or of a very large one those on a regular lattice: enough for percentiles."""
    step = max(1, math.ceil((image.GetNumberOfPixels() / _SAMPLED_VOXELS) ** (1 / 3)))
    view = sitk.GetArrayViewFromImage(image)[::step, ::step, ::step]
    copy: NDArray[np.generic] = np.array(view)  # a view dies with its image
    return copy


def without_holes(image: sitk.Image, background: float, *, keep_nan: bool = False) -> tuple[sitk.Image, int]:
    """Set what is no finite number in single precision to ``background``; ``keep_nan``: but for NaN.

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
        single = values.astype(np.float32)  # what is too large for it is infinite
    holes: NDArray[np.bool_] = np.isinf(single) if keep_nan else ~np.isfinite(single)
    return holes


def to_unit(values: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
    """Intensities to float32 in [0, 1], clipped at the ends of the window; NaN and infinities become 0, as the background."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    scaled = (single.astype(np.float64) - window.lower) / (window.upper - window.lower)
    unit: NDArray[np.float32] = np.where(np.isfinite(single), np.clip(scaled, 0, 1), 0).astype(np.float32, copy=False)
    return unit


def to_network_range(unit: T) -> T:
    """[0, 1] to [-1, 1], the range of the network's Tanh; arrays or tensors."""
    return unit * 2 - 1  # type: ignore[operator, return-value]


def from_network_range(value: T) -> T:
    """[-1, 1] to [0, 1]; arrays or tensors."""
    return (value + 1) / 2  # type: ignore[operator, return-value]
