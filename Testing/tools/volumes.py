"""Small synthetic volumes."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk


def volume(values: np.ndarray, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None) -> sitk.Image:
    """Return an image from an array (slices, rows, columns)."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(np.asarray(direction, float).ravel().tolist())
    return image


def blobs(size=(8, 20, 24), seed=0) -> np.ndarray:
    """Return a smooth, asymmetric float32 array from 0 to about 100 with a dark border, as heads have."""
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).random(size).astype(np.float32))
    smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 2.0))
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    inside = (0.5 * z) ** 2 + y**2 + (x / 0.9) ** 2 < 0.8
    return (inside * (smooth - smooth.min()) / np.ptp(smooth) * (80 + 20 * x)).astype(np.float32)


def small_pair() -> tuple[sitk.Image, sitk.Image]:
    """Return a small PET, on a coarser grid of its own, and an MRI in the same space."""
    mri = volume(blobs(seed=1), spacing=(2, 2, 3), origin=(-24, -20, 5))
    pet = volume(blobs((7, 12, 14), seed=2), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3))
    return pet, mri
