"""Colour displays of PET and MRI, the responses of the observer's channels, and the PET level read back from the colours.

The displays are arrays of sRGB in [0, 1]; :mod:`training.evaluation.color_reading` compares them with the single sources.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import KDTree

from cspadn.imaging import oklab
from cspadn.imaging.color import brightness, color_table, colored, fine_detail, palette_of
from training.evaluation import observer
from training.evaluation.cases import Case
from training.heads import Volume

Floats = NDArray[np.float64]
OPACITIES = (0.3, 0.4, 0.5, 0.6, 0.7)  # of the slider
FOREGROUND = 0.04  # of a window: a pixel above it in PET or MRI belongs to the head
_WHITE = 255
_SEEN, _NEARBY = 5, 5  # pixels for a combination of levels to count, and levels around it
_GAMMA, _FIRST_CHROMA = 25.0**7, 1e-12


def pet_alone(pet: Volume, palette: str) -> Floats:
    """Show the PET in a palette, as Slicer does.

    Args:
        pet: (...) in [0, 1].

    Returns:
        (..., 3).
    """
    rgb: Floats = palette_of(palette)[np.rint(pet * _WHITE).astype(np.uint8)]
    return rgb


def grey(mri: Volume) -> Floats:
    """Show the MRI (...), in [0, 1], in grey: (..., 3)."""
    return np.repeat(np.asarray(mri, np.float64)[..., np.newaxis], 3, axis=-1)


def slider(pet: Volume, mri: Volume, palette: str, opacity: float) -> Floats:
    """Lay the PET in a palette over the grey MRI, mixed in sRGB, as Slicer's opacity slider does.

    Args:
        pet, mri: (...) in [0, 1].
        opacity: of the PET, 0 to 1.

    Returns:
        (..., 3).
    """
    return opacity * pet_alone(pet, palette) + (1 - opacity) * grey(mri)


def ours(pet: Volume, mri: Volume, palette: str, fused: Volume, detail: Volume) -> Floats:
    """Show the three as the colour volume does, in 8 bits.

    Args:
        pet, mri, fused: (...) in [0, 1].
        detail: (...), fine detail of the MRI.

    Returns:
        (..., 3).
    """
    return colored(palette, pet, mri, fused, detail) / _WHITE


def detail_of(mri: Volume, case: Case) -> Volume:
    """Extract the fine detail of the MRI planes (N, H, W) of a case, as the colour volume shows it."""
    return fine_detail(mri, (case.spacing, case.spacing))


def read_back(palette: str, rgb: NDArray[np.floating]) -> Floats:
    """Read the PET level from colours, by the nearest colour of the palette's table in OKLab.

    Args:
        rgb: (..., 3), sRGB in [0, 1].

    Returns:
        (...) in [0, 1].
    """
    tree, levels = _tree(palette)
    nearest = tree.query(oklab.from_srgb(rgb).reshape(-1, 3))[1]
    found: Floats = (levels[nearest] / _WHITE).reshape(np.shape(rgb)[:-1])
    return found


def read_back_errors(case: Case, palette: str, fused: Volume) -> tuple[float, float]:
    """Return the median and 95th percentile of the error of the read back PET level, as shares of the window.

    Only pixels of the head count: those where PET or MRI is above :data:`FOREGROUND`.
    """
    head = (case.pet > FOREGROUND) | (case.mri > FOREGROUND)
    rgb = ours(case.pet, case.mri, palette, fused, detail_of(case.mri, case))[head]
    errors = np.abs(read_back(palette, rgb) - case.pet[head])
    return float(np.median(errors)), float(np.percentile(errors, 95))


def smallest_step(palette: str, where: NDArray[np.bool_] | None = None, step: float = 0.1) -> float:
    """Return the smallest CIEDE2000 difference between colours of the table that are ``step`` of the PET's window apart.

    Args:
        where: (256, 256) by PET level and brightness: cells that count; both colours of a pair must count. None: all.
    """
    lab, apart = cielab(np.rint(color_table(palette) * _WHITE) / _WHITE), round(step * _WHITE)
    differences = ciede2000(lab[:-apart], lab[apart:])
    if where is not None:
        differences = differences[where[:-apart] & where[apart:]]
    return float(differences.min())


def step_in_head(case: Case, palette: str, fused: Volume) -> float:
    """Return :func:`smallest_step` over the combinations of PET level and brightness that occur in the head of a case."""
    head = (case.pet > FOREGROUND) | (case.mri > FOREGROUND)
    shown = brightness(palette, case.mri, fused, detail_of(case.mri, case))
    pet, bright = (np.rint(each[head] * _WHITE).astype(int) for each in (case.pet, shown))
    counts = np.zeros((_WHITE + 1, _WHITE + 1), int)
    np.add.at(counts, (pet, bright), 1)
    seen = maximum_filter(counts >= _SEEN, size=_NEARBY)
    return smallest_step(palette, seen)


def cielab(rgb: NDArray[np.floating]) -> Floats:
    """Convert sRGB colours in [0, 1] to CIELAB (L 0 to 100), white point D65; both (..., 3)."""
    xyz = oklab.linear_light(rgb) @ _TO_XYZ.T / _TO_XYZ.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])


def ciede2000(first: NDArray[np.floating], second: NDArray[np.floating]) -> Floats:
    """Return the colour difference CIEDE2000 (...) of CIELAB colours (..., 3).

    Source: Sharma, Wu and Dalal, Color Research and Application 30 (2005), with all weights 1.
    """
    (light1, a1, b1), (light2, a2, b2) = np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    factor = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + _GAMMA))
    chroma1, chroma2 = np.hypot(factor * a1, b1), np.hypot(factor * a2, b2)
    hue1, hue2 = (np.degrees(np.arctan2(b, factor * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    grey = chroma1 * chroma2 < _FIRST_CHROMA
    turn = np.where(grey, 0, (hue2 - hue1 + 180) % 360 - 180)
    turn = np.where((turn == -180) & (hue2 > hue1), 180, turn)
    far = np.abs(hue1 - hue2) > 180
    hue = np.where(grey, hue1 + hue2, (hue1 + hue2) / 2 + np.where(far, np.where(hue1 + hue2 < 360, 180, -180), 0))
    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    angles = ((1, -30, -0.17), (2, 0, 0.24), (3, 6, 0.32), (4, -63, -0.20))
    tilt = 1 + sum(weight * np.cos(np.radians(times * hue + shift)) for times, shift, weight in angles)
    delta_light = (light2 - light1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    delta_chroma = (chroma2 - chroma1) / (1 + 0.045 * chroma)
    delta_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * tilt)
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + _GAMMA)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    result: Floats = np.sqrt(delta_light**2 + delta_chroma**2 + delta_hue**2 + rotation * delta_chroma * delta_hue)
    return result


def responses(shown: Floats) -> Floats:
    """Return the outputs of the channels for displayed patches, (places, size, size, 3)."""
    return observer.responses(np.moveaxis(oklab.from_srgb(shown), -1, 1))


@lru_cache(maxsize=2)
def _tree(palette: str) -> tuple[KDTree, NDArray[np.intp]]:
    """Return a search tree of the table's colours in OKLab, and their PET levels."""
    colors = oklab.from_srgb(color_table(palette)).reshape(-1, 3)
    return KDTree(colors), np.arange(len(colors)) // color_table(palette).shape[1]
