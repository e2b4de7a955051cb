"""Colour: the hue of a PET palette on the brightness of a fused slice, in full-range BT.601 YCbCr."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114])
_LEVELS = 256
_WHITE = _LEVELS - 1

# Slicer's palettes by their names in MRML: (level, red, green, blue), between which colours are interpolated linearly.
_POINTS: dict[str, Sequence[tuple[float, float, float, float]]] = {
    "PET-Heat": (
        *((0, 0, 0, 0), (35, 0.36, 0, 0), (38, 0.5, 0, 0), (50, 0.7, 0.1, 0)),
        *((70, 0.7, 0.5, 0), (87, 1, 1, 0), (255, 1, 1, 1)),
    ),
    "PET-Rainbow": (
        *((0, 0, 0, 0), (35, 0, 0, 0.3), (38, 0.2, 0, 0.3), (50, 0.5, 0, 0)),
        *((70, 0.7, 0.5, 0), (87, 1, 1, 0), (255, 1, 1, 1)),
    ),
    "PET-Rainbow2": (
        *((0, 0, 0, 0), (32, 0.25098, 0, 0.501961), (64, 0, 0, 1), (96, 0, 1, 0)),
        *((160, 1, 1, 0), (192, 1, 0.752941, 0), (255, 1, 0.011765, 0)),
    ),
    "PET-DICOM": (
        *((0, 0, 0, 0), (63, 0, 0.501961, 0.490196), (128, 0.501961, 0, 1)),
        *((192, 1, 0.501961, 0), (255, 1, 1, 1)),
    ),
    "PET-HotMetalBlue": (
        *((0, 0, 0, 0), (85, 0, 0, 0.654902), (102, 0.196078, 0, 0.784314), (119, 0.352941, 0, 0.588235)),
        *((136, 0.54902, 0.12549, 0.196078), (153, 0.745098, 0.25098, 0), (170, 1, 0.376471, 0), (255, 1, 1, 1)),
    ),
    "PET-MaximumIntensityProjection": ((0, 1, 1, 1), (255, 0, 0, 0)),  # inverted grey: no hue, so the result is grey
}


def palette_of(name: str) -> NDArray[np.float64]:
    """One of :data:`cspadn.settings.PALETTES`: (256, 3) in [0, 1], from no uptake to the most."""
    level, *channels = np.transpose(_POINTS[name])
    return np.stack([np.interp(np.arange(_LEVELS), level, channel) for channel in channels], axis=-1)


def recolored(palette: NDArray[np.float64], pet: NDArray[np.floating], fused: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The fused brightness in the hue that the palette gives to the PET.

    Args:
        palette: (256, 3) in [0, 1].
        pet, fused: (...) in [0, 1].

    Returns:
        RGB (..., 3).
    """
    colors = palette[np.rint(pet * _WHITE).astype(np.uint8)]
    rgb: NDArray[np.uint8] = np.rint(replace_luma(colors, fused, 1.0) * _WHITE).astype(np.uint8)
    return rgb


def legend(palette: str, size: int = 128) -> NDArray[np.uint8]:
    """Draw the colours of a palette over uptake and brightness.

    Args:
        palette: one of :data:`cspadn.settings.PALETTES`.
        size: pixels along each side.

    Returns:
        RGB (size, size, 3): the PET from 0 to 1 from left to right, the fused brightness from 0 to 1 from bottom to top.
    """
    levels = np.linspace(0, 1, size)
    pet, fused = np.meshgrid(levels, levels[::-1])
    return recolored(palette_of(palette), pet, fused)


def luma(rgb: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Y of BT.601, full range.

    Args:
        rgb: (..., 3), any scale.

    Returns:
        (...), on the scale of the input.
    """
    result: NDArray[np.float64] = rgb @ _LUMA
    return result


def replace_luma(
    rgb: NDArray[np.floating] | NDArray[np.integer], new_luma: NDArray[np.floating], white: float
) -> NDArray[np.float64]:
    """Keep the chroma of ``rgb`` (..., 3) and give it ``new_luma`` (...), both from 0 to ``white``.

    Where that is no displayable colour, the chroma is made smaller until it is: both Cb and Cr by one factor, so that neither
    hue nor luma changes.
    """
    new = np.asarray(new_luma, np.float64)[..., np.newaxis]
    chroma = rgb - luma(rgb)[..., np.newaxis]  # R - Y, G - Y, B - Y: what Cb and Cr say, in all three channels
    room = np.where(chroma > 0, white - new, new)
    most = np.divide(room, np.abs(chroma), out=np.ones_like(chroma), where=np.abs(chroma) > room)
    result: NDArray[np.float64] = np.clip(new + chroma * most.min(axis=-1, keepdims=True), 0, white)
    return result
