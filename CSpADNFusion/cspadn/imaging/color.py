"""Colour: a table of colours for each PET palette, and full-range BT.601 luma for pictures.

The colour volume shows two values in each voxel. The PET level gives hue and chroma; a brightness, mixed from the fused value
and the MRI, gives the lightness. :func:`color_table` holds the colour of each pair of values. docs/adr/0018 gives the reasons.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cspadn.imaging import oklab
from cspadn.palettes import BY_NAME, ChromaCurve, HueScale, Palette

TABLE_VERSION = 3  # increase it when a table changes: provenance records it
_DETAIL_SIGMA_MM, _DETAIL_LIMIT = 1.5, 0.11  # fine detail of the MRI; as a share of its window
_DETAIL_TRUNCATE = 3.0  # standard deviations
_LUMA = np.array([0.299, 0.587, 0.114])
_LEVELS = 256
_WHITE = _LEVELS - 1

_WITHIN = 0.98  # of the chroma that can be displayed
_REACH = (10, 6)  # PET levels and brightnesses over which the corners of what can be displayed are rounded
_SOFTNESS = 3  # exponent of the smooth minimum of two chromas
_LEVEL_SMOOTHING = 6.0  # levels, of the way from one of the tenths to the next


def palette_of(name: str) -> NDArray[np.float64]:
    """Return one of :data:`cspadn.palettes.PALETTES`: (256, 3) sRGB in [0, 1], from no uptake to the most."""
    colors = BY_NAME[name].colors
    if isinstance(colors, HueScale):
        return _hue_scale(colors)
    level, *channels = np.transpose(colors)
    return np.stack([np.interp(np.arange(_LEVELS), level, channel) for channel in channels], axis=-1)


@lru_cache(maxsize=8)
def color_table(name: str) -> NDArray[np.float32]:
    """Compute the colours of a palette for all PET levels and brightnesses.

    Hue and chroma depend on the PET level (and the chroma less and less on it near black and white, where sRGB has few
    colours); the lightness is that of a grey level between two ends that depend on the PET level, in OKLab. At PET level 0
    the colour is the grey of the brightness. Lightness rises with the brightness and, in the darker half, with the PET level.

    Args:
        name: one of :data:`cspadn.palettes.PALETTES`.

    Returns:
        (256 PET levels, 256 brightnesses, 3), sRGB in [0, 1], read-only.
    """
    palette, level = BY_NAME[name], _unit_levels()
    design, colors = palette.table, palette.colors
    curve = _hue_scale_curve(colors) if isinstance(colors, HueScale) else _palette_curve(palette)
    white = 1 - (1 - design.white) * np.sin(np.pi / 2 * np.minimum(1, level / design.onset)) + _late(level) * design.hot
    black = design.black * level * (1 + design.early * (1 - level))
    grey = black[:, np.newaxis] + (white - black)[:, np.newaxis] * level
    light = oklab.lightness(grey)
    hue = np.broadcast_to(np.arctan2(curve[:, 1], curve[:, 0])[:, np.newaxis], light.shape)
    chroma = _displayable(np.hypot(curve[:, 0], curve[:, 1])[:, np.newaxis], light, hue, _SOFTNESS, smooth=True)
    table = oklab.to_srgb(np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)).astype(np.float32)
    table.flags.writeable = False
    return table


def weighted_table(name: str, weight: float) -> NDArray[np.float32]:
    """Return the table of a palette with less of the PET in it: 0 leaves the greys of the brightness, 1 the whole table.

    Args:
        name: one of :data:`cspadn.palettes.PALETTES`.
        weight: of the PET, in [0, 1]. The colours between are on the straight line between both in OKLab.

    Returns:
        (256 PET levels, 256 brightnesses, 3), sRGB in [0, 1].
    """
    table = color_table(name)
    if weight >= 1:
        return table
    whole = oklab.from_srgb(table)
    grey = whole[:1]
    mixed: NDArray[np.float32] = oklab.to_srgb(grey + max(weight, 0.0) * (whole - grey)).astype(np.float32)
    return mixed


def fine_detail(mri: NDArray[np.floating], pixel_mm: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.float32]:
    """Extract the fine detail of MRI slices: what a Gaussian mean removes, limited softly so that edges get no strong halo.

    Args:
        mri: (..., H, W) in [0, 1].
        pixel_mm: height and width of a pixel in mm. The Gaussian has a standard deviation of 1.5 mm.

    Returns:
        (..., H, W), within 0.11 of 0.
    """
    from scipy import ndimage

    slices = np.asarray(mri, np.float32)
    sigmas = [_DETAIL_SIGMA_MM / side for side in pixel_mm]
    mean = ndimage.gaussian_filter(slices, sigmas, axes=(-2, -1), mode="nearest", truncate=_DETAIL_TRUNCATE)
    detail: NDArray[np.float32] = np.float32(_DETAIL_LIMIT) * np.tanh((slices - mean) / np.float32(_DETAIL_LIMIT))
    return detail


def brightness(
    name: str, mri: NDArray[np.floating], fused: NDArray[np.floating], detail: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Mix the brightness that the palette's table expects: the MRI, a share of the fused value, and more of the fine detail.

    Args:
        name: one of :data:`cspadn.palettes.PALETTES`.
        mri, fused: (...) in [0, 1].
        detail: (...) of :func:`fine_detail`.

    Returns:
        (...) in [0, 1].
    """
    design = BY_NAME[name].table
    mixed = mri + np.float32(design.share) * (fused - mri) + np.float32(design.detail) * detail
    result: NDArray[np.float32] = np.clip(mixed, 0, 1)
    return result


def brightness_text(name: str) -> str:
    """Say how the brightness is mixed, for the provenance."""
    design = BY_NAME[name].table
    mixed = "fused value" if design.share == 1 else f"{design.share:.2f} fused value + {1 - design.share:.2f} MRI"
    return f"{mixed} + {design.detail:.2f} fine detail of the MRI" if design.detail else mixed


def recolored(
    name: str,
    pet: NDArray[np.floating],
    mri: NDArray[np.floating],
    fused: NDArray[np.floating],
    pixel_mm: tuple[float, float] = (1.0, 1.0),
    weights: NDArray[np.floating] | NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Colour fused slices: hue and chroma from the PET level, lightness from the fused value and the MRI.

    The table is interpolated linearly in both directions and rounded once, so that levels make no bands.

    Args:
        name: one of :data:`cspadn.palettes.PALETTES`.
        pet, mri, fused: (..., H, W) in [0, 1].
        pixel_mm: height and width of a pixel in mm.
        weights: (..., H, W) in [0, 1], of the fusion; 0 where one of the volumes has no field of view, and the other is shown
            as it is. None: 1 everywhere.

    Returns:
        sRGB (..., H, W, 3); black where all three are 0.
    """
    detail = fine_detail(mri, pixel_mm)
    return colored(name, pet, mri, fused, detail if weights is None else detail * np.asarray(weights, np.float32))


def colored(
    name: str,
    pet: NDArray[np.floating],
    mri: NDArray[np.floating],
    fused: NDArray[np.floating],
    detail: NDArray[np.floating],
) -> NDArray[np.uint8]:
    """Colour pixels as :func:`recolored` does, with the fine detail of the MRI given: (..., 3) of four arrays (...)."""
    rgb = np.zeros((*np.shape(fused), 3), np.uint8)
    shown = (pet > 0) | (mri > 0) | (fused > 0)  # most of a head's volume is air, which is black: skip the table
    colors = _looked_up(color_table(name), pet[shown], brightness(name, mri[shown], fused[shown], detail[shown]))
    rgb[shown] = np.rint(colors * _WHITE).astype(np.uint8)
    return rgb


def legend(name: str, width: int = 128, height: int | None = None, weight: float = 1.0) -> NDArray[np.uint8]:
    """Draw the table of a palette: uptake rises to the right, brightness upwards.

    Args:
        name: one of :data:`cspadn.palettes.PALETTES`.
        width, height: pixels, at least 1; without a height, as many as the width.
        weight: of the PET, as in :func:`weighted_table`.

    Returns:
        sRGB (height, width, 3).
    """
    level, bright = np.meshgrid(np.linspace(0, 1, width), np.linspace(1, 0, width if height is None else height))
    return np.rint(_looked_up(weighted_table(name, weight), level, bright) * _WHITE).astype(np.uint8)


def luma(rgb: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the luma Y of BT.601, full range.

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
    """Combine the chroma of ``rgb`` (..., 3) with ``new_luma`` (...), both from 0 to ``white``; used for pictures.

    If a colour cannot be displayed, Cb and Cr are reduced by the same factor until it can, so neither hue nor luma changes.
    """
    new = np.asarray(new_luma, np.float64)[..., np.newaxis]
    chroma = rgb - luma(rgb)[..., np.newaxis]  # R - Y, G - Y, B - Y: the chroma in all three channels
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
    across, up, corner = across - column, up - row, column * _LEVELS + row
    result = np.empty((*np.shape(corner), 3), np.float32)
    for channel in range(3):  # each by itself: gathering single numbers is faster than gathering three at a time
        colors = table[..., channel].ravel()
        first, second = colors[corner], colors[corner + 1]
        dark = first + across * (colors[corner + _LEVELS] - first)
        light = second + across * (colors[corner + _LEVELS + 1] - second)
        result[..., channel] = np.clip(dark + up * (light - dark), 0, 1)
    return result


def _displayable(
    chroma: NDArray[np.float64], light: NDArray[np.float64], hue: NDArray[np.float64], softness: int, smooth: bool = False
) -> NDArray[np.float64]:
    """Return the smaller of a chroma and the greatest displayable one, with a smooth transition."""
    most = _WITHIN * oklab.greatest_chroma(light, hue)
    if smooth:
        most = _rounded(most)
    total = (chroma**softness + most**softness) ** (1 / softness)
    return np.divide(chroma * most, total, out=np.zeros_like(light), where=total > 0)


def _rounded(most: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smooth the greatest chroma of a table, whose corners would show as contours; no value increases.

    Each value becomes a Gaussian mean of the lowest values around it. SciPy's filters would do the same, but take a third of a
    second to import, and the panel shows a table when it opens.
    """
    for axis, reach in enumerate(_REACH):
        most = _windows(most, axis, reach).min(axis=-1)
    for axis, reach in enumerate(_REACH):
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (reach / 2)) ** 2)
        most = _windows(most, axis, reach) @ (weights / weights.sum())
    return most


def _windows(values: NDArray[np.float64], axis: int, reach: int) -> NDArray[np.float64]:
    """Return, for each place in a table, the values up to ``reach`` away along an axis; its ends are repeated."""
    widths = [(reach, reach) if each == axis else (0, 0) for each in range(values.ndim)]
    return np.lib.stride_tricks.sliding_window_view(np.pad(values, widths, mode="edge"), 2 * reach + 1, axis)


def _hue_scale(scale: HueScale) -> NDArray[np.float64]:
    """Compute the colours of a hue scale: (256, 3) sRGB."""
    level = _unit_levels()
    hue, light = _hues(scale, level), scale.lightness * level
    chroma = _displayable(_chroma(scale.chroma, level), light, hue, 6)
    return oklab.to_srgb(np.stack([light, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1))


def _hue_scale_curve(scale: HueScale) -> NDArray[np.float64]:
    """Compute the a and b that the table of a hue scale aims at: (256, 2)."""
    level = _unit_levels()
    hue, chroma = _hues(scale, level), _chroma(scale.table_chroma, level)
    return np.stack([chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)


def _hues(scale: HueScale, level: NDArray[np.float64]) -> NDArray[np.float64]:
    first, last = scale.hues
    return np.radians(first + (last - first) * level**scale.power)


def _chroma(curve: ChromaCurve, level: NDArray[np.float64]) -> NDArray[np.float64]:
    rising = np.sin(np.pi / 2 * np.minimum(1, level / curve.knee))
    return rising * (curve.middle + (curve.end - curve.middle) * _late(level))


def _late(level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a smooth step from 0 at level 0.4 to 1 at level 1."""
    part = np.clip((level - 0.4) / 0.6, 0, 1)
    return part**2 * (3 - 2 * part)


def _palette_curve(palette: Palette) -> NDArray[np.float64]:
    """Compute the a and b that the table of a palette with control points aims at: (256, 2), 0 at the first level."""
    design = palette.table
    level = np.arange(_LEVELS, dtype=np.float64)
    ab = _smoothed(oklab.from_srgb(palette_of(palette.name))[:, 1:], design.smoothing)
    tenths = np.linspace(0, 1, len(design.levels))
    position = np.interp(level / _WHITE, tenths, design.levels)
    position = np.clip(_smoothed(position[:, np.newaxis], _LEVEL_SMOOTHING)[:, 0], 0, design.levels[-1])
    return design.chroma * np.stack([np.interp(position, level, axis) for axis in ab.T], axis=-1)


def _smoothed(curve: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smooth a curve (256, N) with a Gaussian so that it starts at 0; it is continued by point reflection at both ends."""
    reach = int(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    ends = 2 * curve[0] - curve[reach:0:-1], 2 * curve[-1] - curve[-2 : -2 - reach : -1]
    whole = np.concatenate([ends[0], curve, ends[1]])
    smooth = np.stack([np.convolve(axis, kernel / kernel.sum(), mode="valid") for axis in whole.T], axis=-1)
    result: NDArray[np.float64] = smooth - smooth[0]
    return result
