"""Intensity: one window per volume, to the network's range and back.

A volume has one window for all its slices: scaling each slice by itself makes the fused volume flicker.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import InputError, UsageError

# Fused volumes run from 0 to this value: twelve bits survive the integer export of Slicer and DICOM (docs/adr/0004).
FUSED_MAXIMUM = 4095.0
_BACKGROUND_PERCENTILE, _BRIGHT_PERCENTILE = 0.5, 99.9  # of all voxels
_FOREGROUND_SHARE = 0.1  # of the way from background to bright: what is above is foreground
_FOREGROUND_PERCENTILE = 99.5  # of the foreground

T = TypeVar("T")


class Window(NamedTuple):
    """The intensities, in the volume's own units, that are shown as black and as white."""

    lower: float
    upper: float


def check_window(lower: float, upper: float, name: str) -> Window:
    """A window given by the user; UsageError, calling its volume ``name``, unless lower < upper and both are finite."""
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise UsageError(f"The {name} window runs from {lower:g} to {upper:g}: its lower end must be below its upper end.")
    return Window(float(lower), float(upper))


def automatic_window(values: NDArray[np.generic], name: str) -> Window:
    """The robust window of a whole volume.

    It runs from the background, the 0.5th percentile of all finite voxels, to the 99.5th percentile of the foreground. The
    foreground is what is above a tenth of the way from the background to the 99.9th percentile: so neither the share of air
    nor a few hot voxels move the window. Where the ends coincide, it runs from the lowest to the highest voxel.

    Raises:
        InputError: the volume, called ``name``, is empty or constant.
    """
    finite = values[np.isfinite(values)]
    if not finite.size or finite.min() == finite.max():
        raise InputError(f"{name} is empty: it holds no two different intensities.")
    lower, bright = (float(level) for level in np.percentile(finite, (_BACKGROUND_PERCENTILE, _BRIGHT_PERCENTILE)))
    if lower == bright:
        return Window(float(finite.min()), float(finite.max()))
    foreground = finite[finite > lower + _FOREGROUND_SHARE * (bright - lower)]
    return Window(lower, float(np.percentile(foreground, _FOREGROUND_PERCENTILE)))


def to_unit(values: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
    """Intensities to float32 in [0, 1], clipped at the ends of the window; what is not a number becomes 0."""
    scaled = (values.astype(np.float32) - window.lower) / (window.upper - window.lower)
    unit: NDArray[np.float32] = np.nan_to_num(np.clip(scaled, 0, 1), nan=0.0).astype(np.float32, copy=False)
    return unit


def to_network_range(unit: T) -> T:
    """[0, 1] to [-1, 1], the range of the network's Tanh; arrays or tensors."""
    return unit * 2 - 1  # type: ignore[operator, return-value]


def from_network_range(value: T) -> T:
    """[-1, 1] to [0, 1]; arrays or tensors."""
    return (value + 1) / 2  # type: ignore[operator, return-value]
