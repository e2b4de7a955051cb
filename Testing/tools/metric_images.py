"""Images of which the metrics are known."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from cspadn.imaging.windowing import FUSED_MAXIMUM
from volumes import volume

WINDOW = {"pet_window": (0, 255), "mri_window": (0, 255)}


def pattern_images(rows: int = 44, columns: int = 47) -> dict[str, np.ndarray]:
    """Integer arithmetic, the same everywhere: flat parts, edges, texture; a mean as the fused image."""
    y, x = np.mgrid[:rows, :columns]
    pet = np.where((x - 20) ** 2 + (y - 18) ** 2 < 200, 40 + 5 * x, 0)
    mri = np.where((x > 5) & (x < 40) & (y > 8), (x * x + 3 * y) % 97 + 60, 0)
    return {"pet": pet, "mri": mri, "fused": (pet + mri) // 2}


def pattern_volumes() -> dict[str, sitk.Image]:
    """Three slices on one grid, whose levels are known; the lowest is empty in PET and MRI."""
    images = {}
    for name, levels in pattern_images().items():
        scale = FUSED_MAXIMUM / 255 if name == "fused" else 1
        slices = np.stack([levels * 0 + 3 * (name == "fused"), levels, levels[:, ::-1]]) * scale
        images[name] = volume(slices.astype(np.float32), spacing=(2, 2, 3), origin=(10, -20, 30))
    return images


def rescaled(image: sitk.Image, lower: float, upper: float) -> sitk.Image:
    """The levels of a fused volume between two other ends."""
    return sitk.Cast(image, sitk.sitkFloat64) * ((upper - lower) / FUSED_MAXIMUM) + lower
