"""The Laplacian pyramid (P. J. Burt, E. H. Adelson: The Laplacian pyramid as a compact image code. IEEE Transactions on
Communications 31, 1983, pages 532 to 540), fused level by level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.baselines.form import Image, check_pair

LEVELS = 4
_KERNEL = np.array([1, 4, 6, 4, 1]) / 16  # kernel of Burt and Adelson with a = 3/8; borders are mirrored at the last pixel


def laplacian(pet: Image, mri: Image) -> Image:
    """Fuse two pyramids with four levels of detail and a base.

    In the levels of detail, take the coefficient with the greater magnitude (the PET's if both are equal); in the base, take
    the maximum. Any size; the result is clipped.
    """
    pet, mri = check_pair(pet, mri)
    details = []
    for _ in range(LEVELS):
        (pet, pet_detail), (mri, mri_detail) = _split(pet), _split(mri)
        details.append(np.where(abs(pet_detail) >= abs(mri_detail), pet_detail, mri_detail))
    fused = np.maximum(pet, mri)
    for detail in reversed(details):
        fused = _expand(fused, detail.shape) + detail
    return fused.clip(0, 1)


def _split(image: Image) -> tuple[Image, Image]:
    """Return the image at half size, and the detail that this loses, (H, W)."""
    half = _smooth(image)[::2, ::2]
    return half, image - _expand(half, image.shape)


def _expand(half: Image, shape: tuple[int, ...]) -> Image:
    """Interpolate to twice the size with the same kernel."""
    sparse = np.zeros(shape)
    sparse[::2, ::2] = half
    return 4 * _smooth(sparse)


def _smooth(image: Image) -> NDArray[np.float64]:
    rows = ndimage.correlate1d(image, _KERNEL, axis=1, mode="mirror")
    smooth: NDArray[np.float64] = ndimage.correlate1d(rows, _KERNEL, axis=0, mode="mirror")
    return smooth
