"""Colour: a table of colours for each PET palette, and full-range BT.601 luma for pictures.

The colour volume shows two values in each voxel. The PET level gives hue and chroma; a brightness, mixed from the fused value
and the MRI, gives the lightness. :func:`color_table` holds the colour of each pair of values. docs/adr/0018 gives the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cspadn.imaging import oklab

TABLE_VERSION = 2  # increase it when a table changes: provenance records it
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
    "PET-MaximumIntensityProjection": ((0, 1, 1, 1), (255, 0, 0, 0)),  # inverted grey
}
HEATED = "Heated"
_HEATED_HUES = (6.0, 100.0)  # degrees in OKLab, from no uptake to the most: red, orange, yellow
_HEATED_POWER = 1.1  # of the level, along the hues
_HEATED_LIGHTNESS = 0.87  # at the highest level
_HEATED_ALONE, _HEATED_TABLE = (
    (0.42, 0.128, 0.102),
    (0.275, 0.255, 0.275),
)  # arches of the chroma: of the palette, of the table


@dataclass(frozen=True)
class Design:
    """How the table of a palette is made.

    Attributes:
        black: grey level in [0, 1] that the highest PET level has at brightness 0; lower levels have less.
        white: grey level that uptake has at brightness 1: below 1, so that bright colours can be displayed.
        share: of the fused value in the brightness; the rest is the MRI.
        chroma: factor on the chroma of the palette.
        levels: level of the palette, 0 to 255, that each tenth of the uptake takes, from 0 to 1. Tenths are about equally far
            apart in CIEDE2000; in a palette that ends in white, the last has chroma left.
        smoothing: standard deviation, in levels, of the Gaussian that takes the corners out of the palette.
        hot: by how much the highest PET level exceeds ``white`` at brightness 1: yellow can be displayed brighter than red.
    """

    black: float
    white: float
    share: float
    chroma: float = 1.0
    levels: tuple[float, ...] = ()
    smoothing: float = 9.0
    hot: float = 0.0


_DESIGNS = {
    HEATED: Design(0.315, 0.798, 0.25, hot=0.07),
    "PET-Heat": Design(0.28, 0.84, 0.36, 1.1, (0, 3, 6, 13, 28, 55, 61, 66, 71, 72, 165), 9, hot=0.08),
    "PET-Rainbow": Design(0.28, 0.86, 0.38, 1.1, (0, 4, 25, 36, 41, 46, 51, 58, 65, 67, 170), 10, hot=0.04),
    "PET-Rainbow2": Design(0.16, 0.88, 0.4, 0.73, (0, 6, 33, 75, 79, 85, 107, 162, 192, 213, 255), 13),
    "PET-DICOM": Design(0.28, 0.87, 0.42, 0.8, (0, 16, 74, 80, 106, 143, 155, 164, 173, 181, 215), 12),
    "PET-HotMetalBlue": Design(0.32, 0.84, 0.36, 0.85, (0, 4, 14, 113, 117, 124, 130, 135, 139, 150, 215), 8, hot=0.02),
    "PET-MaximumIntensityProjection": Design(0, 1, 1, 0, (0, 255)),  # no hue: the fused value in grey
}
_ONSET = 0.3  # PET level from which ``white`` holds; at 0 the table is the grey of the brightness, up to white
_EARLY = 0.5  # by how much steeper the grey level at brightness 0 begins: low uptake in dark places has little chroma
_WITHIN = 0.98  # of the chroma that can be displayed
_REACH = (10, 6)  # PET levels and brightnesses over which the corners of what can be displayed are rounded
_SOFTNESS = 3  # exponent of the smooth minimum of two chromas
_LEVEL_SMOOTHING = 6.0  # levels, of the way from one of the tenths to the next


def palette_of(name: str) -> NDArray[np.float64]:
    """Return one of :data:`cspadn.settings.PALETTES`: (256, 3) sRGB in [0, 1], from no uptake to the most."""
    if name == HEATED:
        return _heated()
    level, *channels = np.transpose(_POINTS[name])
    return np.stack([np.interp(np.arange(_LEVELS), level, channel) for channel in channels], axis=-1)


@lru_cache(maxsize=8)
def color_table(name: str) -> NDArray[np.float32]:
    """Compute the colours of a palette for all PET levels and brightnesses.

    Hue and chroma depend on the PET level (and the chroma less and less on it near black and white, where sRGB has few
    colours); the lightness is that of a grey level between two ends that depend on the PET level, in OKLab. At PET level 0
    the colour is the grey of the brightness. Lightness rises with the brightness, and in
    the darker half with the PET level.

    Args:
        name: one of :data:`cspadn.settings.PALETTES`.

    Returns:
        (256 PET levels, 256 brightnesses, 3), sRGB in [0, 1], read-only.
    """
    design, level = _DESIGNS[name], _unit_levels()
    curve = _heated_curve() if name == HEATED else _palette_curve(name, design)
    white = 1 - (1 - design.white) * np.sin(np.pi / 2 * np.minimum(1, level / _ONSET)) + _late(level) * design.hot
    black = design.black * level * (1 + _EARLY * (1 - level))
    grey = black[:, np.newaxis] + (white - black)[:, np.newaxis] * level
    light = oklab.lightness(grey)
    hue = np.broadcast_to(np.arctan2(curve[:, 1], curve[:, 0])[:, np.newaxis], light.shape)
    chroma = _displayable(np.hypot(curve[:, 0], curve[:, 1])[:, np.newaxis], light, hue, _SOFTNESS, smooth=True)
    table = oklab.to_srgb(np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)).astype(np.float32)
    table.flags.writeable = False
    return table


def brightness(name: str, mri: NDArray[np.floating], fused: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mix the brightness from the fused value and the MRI, (...) in [0, 1], as the palette's table expects it."""
    return mri + np.float32(_DESIGNS[name].share) * (fused - mri)


def brightness_text(name: str) -> str:
    """Say how the brightness is mixed, for the provenance."""
    share = _DESIGNS[name].share
    return "fused value" if share == 1 else f"{share:.2f} fused value + {1 - share:.2f} MRI"


def recolored(
    name: str, pet: NDArray[np.floating], mri: NDArray[np.floating], fused: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """Colour fused slices: hue and chroma from the PET level, lightness from the fused value and the MRI.

    The table is interpolated linearly in both directions and rounded once, so that levels make no bands.

    Args:
        name: one of :data:`cspadn.settings.PALETTES`.
        pet, mri, fused: (...) in [0, 1].

    Returns:
        sRGB (..., 3); black where all three are 0.
    """
    rgb = np.zeros((*np.shape(fused), 3), np.uint8)
    shown = (pet > 0) | (mri > 0) | (fused > 0)  # most of a head's volume is air: black without a look at the table
    colors = _looked_up(color_table(name), pet[shown], brightness(name, mri[shown], fused[shown]))
    rgb[shown] = np.rint(colors * _WHITE).astype(np.uint8)
    return rgb


def legend(name: str, width: int = 128, height: int | None = None) -> NDArray[np.uint8]:
    """Draw the table of a palette: uptake rises to the right, brightness upwards.

    Args:
        name: one of :data:`cspadn.settings.PALETTES`.
        width, height: pixels, at least 1; without a height, as many as the width.

    Returns:
        sRGB (height, width, 3).
    """
    level, bright = np.meshgrid(np.linspace(0, 1, width), np.linspace(1, 0, width if height is None else height))
    return np.rint(_looked_up(color_table(name), level, bright) * _WHITE).astype(np.uint8)


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
    """Keep the chroma of ``rgb`` (..., 3) and give it ``new_luma`` (...), both from 0 to ``white``: for pictures.

    Where that is no displayable colour, the chroma is made smaller until it is: both Cb and Cr by one factor, so that neither
    hue nor luma changes.
    """
    new = np.asarray(new_luma, np.float64)[..., np.newaxis]
    chroma = rgb - luma(rgb)[..., np.newaxis]  # R - Y, G - Y, B - Y: what Cb and Cr say, in all three channels
    room = np.where(chroma > 0, white - new, new)
    most = np.divide(room, np.abs(chroma), out=np.ones_like(chroma), where=np.abs(chroma) > room)
    result: NDArray[np.float64] = np.clip(new + chroma * most.min(axis=-1, keepdims=True), 0, white)
    return result


def _unit_levels() -> NDArray[np.float64]:
    return np.linspace(0, 1, _LEVELS)


def _looked_up(table: NDArray[np.float32], level: NDArray[np.floating], bright: NDArray[np.floating]) -> NDArray[np.float32]:
    """Interpolate the table linearly at (...) PET levels and brightnesses in [0, 1]: (..., 3)."""
    across, up = np.float32(_WHITE) * np.asarray(level, np.float32), np.float32(_WHITE) * np.asarray(bright, np.float32)
    column = np.clip(across.astype(np.int32), 0, _WHITE - 1)
    row = np.clip(up.astype(np.int32), 0, _WHITE - 1)
    across, up = (across - column)[..., np.newaxis], (up - row)[..., np.newaxis]
    colors, corner = table.reshape(-1, 3), column * _LEVELS + row
    dark = colors[corner] + across * (colors[corner + _LEVELS] - colors[corner])
    light = colors[corner + 1] + across * (colors[corner + _LEVELS + 1] - colors[corner + 1])
    result: NDArray[np.float32] = np.clip(dark + up * (light - dark), 0, 1)
    return result


def _displayable(
    chroma: NDArray[np.float64], light: NDArray[np.float64], hue: NDArray[np.float64], softness: int, smooth: bool = False
) -> NDArray[np.float64]:
    """The smaller of a chroma and of what can be displayed, without a corner where they meet."""
    most = _WITHIN * oklab.greatest_chroma(light, hue)
    if smooth:
        most = _rounded(most)
    total = (chroma**softness + most**softness) ** (1 / softness)
    return np.divide(chroma * most, total, out=np.zeros_like(light), where=total > 0)


def _rounded(most: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round the corners of sRGB in the greatest chroma of a table, which would show as contours; nothing becomes greater."""
    from scipy import ndimage

    lowest = ndimage.minimum_filter(most, [2 * reach + 1 for reach in _REACH], mode="nearest")
    for axis, reach in enumerate(_REACH):
        lowest = ndimage.gaussian_filter1d(lowest, reach / 2, axis=axis, mode="nearest", radius=reach)
    rounded: NDArray[np.float64] = lowest
    return rounded


def _heated() -> NDArray[np.float64]:
    """A heated-object scale: black, red, orange, yellow; lightness rises evenly with uptake, and the end keeps its hue."""
    level = _unit_levels()
    hue, light = _heated_hue(level), _HEATED_LIGHTNESS * level
    chroma = _displayable(_arch(level, *_HEATED_ALONE), light, hue, 6)
    return oklab.to_srgb(np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1))


def _heated_curve() -> NDArray[np.float64]:
    """The a and b that the table of the same scale aims at: (256, 2)."""
    level = _unit_levels()
    hue, chroma = _heated_hue(level), _arch(level, *_HEATED_TABLE)
    return np.stack([chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)


def _heated_hue(level: NDArray[np.float64]) -> NDArray[np.float64]:
    first, last = _HEATED_HUES
    return np.radians(first + (last - first) * level**_HEATED_POWER)


def _arch(level: NDArray[np.float64], knee: float, middle: float, end: float) -> NDArray[np.float64]:
    """Chroma that rises from 0 to ``middle`` at the level ``knee``, and goes smoothly to ``end`` between 0.4 and 1."""
    rising = np.sin(np.pi / 2 * np.minimum(1, level / knee))
    return rising * (middle + (end - middle) * _late(level))


def _late(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 at the level 0.4 smoothly to 1 at the highest."""
    part = np.clip((level - 0.4) / 0.6, 0, 1)
    return part**2 * (3 - 2 * part)


def _palette_curve(name: str, design: Design) -> NDArray[np.float64]:
    """The a and b that the table of one of Slicer's palettes aims at: (256, 2), 0 at the first level."""
    level = np.arange(_LEVELS, dtype=np.float64)
    ab = _smoothed(oklab.from_srgb(palette_of(name))[:, 1:], design.smoothing)
    tenths = np.linspace(0, 1, len(design.levels))
    position = np.interp(level / _WHITE, tenths, design.levels)
    position = np.clip(_smoothed(position[:, np.newaxis], _LEVEL_SMOOTHING)[:, 0], 0, design.levels[-1])
    return design.chroma * np.stack([np.interp(position, level, axis) for axis in ab.T], axis=-1)


def _smoothed(curve: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """A curve (256, N) that starts at 0, through a Gaussian; beyond both ends it goes on as its point reflection."""
    reach = int(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    ends = 2 * curve[0] - curve[reach:0:-1], 2 * curve[-1] - curve[-2 : -2 - reach : -1]
    whole = np.concatenate([ends[0], curve, ends[1]])
    smooth = np.stack([np.convolve(axis, kernel / kernel.sum(), mode="valid") for axis in whole.T], axis=-1)
    result: NDArray[np.float64] = smooth - smooth[0]
    return result
