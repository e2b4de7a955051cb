"""OKLab: a colour space in which equal distances look about equal (Ottosson, 2020), and the colours that sRGB can display."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_LAB, _FROM_LMS = np.linalg.inv(_TO_LAB), np.linalg.inv(_TO_LMS)
_MOST_CHROMA = 0.4  # no sRGB colour exceeds it
_HALVINGS = 16  # of the interval in which the greatest chroma lies: to 6e-6
_ROUNDING = 1e-6  # how far outside [0, 1] a displayable colour may be


def lightness(grey: NDArray[np.floating]) -> Floats:
    """Return the OKLab lightness in [0, 1] of grey levels in [0, 1] on an sRGB display, of any shape."""
    return np.cbrt(linear_light(grey))


def from_srgb(rgb: NDArray[np.floating]) -> Floats:
    """Convert sRGB colours in [0, 1] to lightness, a and b; both (..., 3)."""
    lab: Floats = np.cbrt(linear_light(rgb) @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def to_srgb(lab: NDArray[np.floating]) -> Floats:
    """Convert lightness, a and b to sRGB in [0, 1], both (..., 3); colours that cannot be displayed are clipped."""
    light = np.clip(_to_light(lab), 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def greatest_chroma(lightness: Floats, hue: Floats) -> Floats:
    """Compute the greatest chroma that sRGB can display, by bisection.

    Args:
        lightness: in [0, 1].
        hue: radians, of the same shape.

    Returns:
        Chroma of the same shape, 0 to 0.33.
    """
    direction = np.stack([np.zeros_like(hue), np.cos(hue), np.sin(hue)], axis=-1)
    grey = np.stack([lightness, np.zeros_like(hue), np.zeros_like(hue)], axis=-1)
    lower, upper = np.zeros_like(lightness), np.full_like(lightness, _MOST_CHROMA)
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        light = _to_light(grey + middle[..., np.newaxis] * direction)
        displayable = ((light >= -_ROUNDING) & (light <= 1 + _ROUNDING)).all(axis=-1)
        lower, upper = np.where(displayable, middle, lower), np.where(displayable, upper, middle)
    return lower


def linear_light(srgb: NDArray[np.floating]) -> Floats:
    """Decode sRGB values in [0, 1] to linear light, of any shape."""
    values = np.clip(np.asarray(srgb, np.float64), 0, 1)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _to_light(lab: NDArray[np.floating]) -> Floats:
    """Decode sRGB values to linear light, also beyond [0, 1]."""
    light: Floats = (np.asarray(lab, np.float64) @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T
    return light
