"""MSVD: fusion by multi-resolution singular value decomposition (V. P. S. Naidu: Image fusion technique using
multi-resolution singular value decomposition. Defence Science Journal 61, 2011, pages 479 to 484).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.baselines.form import Image, check_pair


def msvd(pet: Image, mri: Image) -> Image:
    """Fuse what the four left singular vectors of all blocks of 2 x 2 pixels see.

    Of the first component the mean is taken, of the three others the coefficient with the greater magnitude (the PET's where
    they are equal); the mean of both images' singular vectors leads back. One level, as published.

    The signs of singular vectors are arbitrary, and where those of PET and MRI are opposite, their mean loses that component.
    They are taken as LAPACK gives them, as the author's MATLAB code does.

    Any size: an odd row or column at the lower or right border is repeated, and cut off again. The result is clipped.

    Raises:
        ValueError: the sizes differ.
    """
    sources = [_even(image) for image in check_pair(pet, mri)]
    blocks = [_to_blocks(image) for image in sources]
    vectors = [np.linalg.svd(columns, full_matrices=False).U for columns in blocks]
    pet_part, mri_part = (basis.T @ columns for basis, columns in zip(vectors, blocks, strict=True))
    fused = np.where(abs(pet_part) >= abs(mri_part), pet_part, mri_part)
    fused[0] = (pet_part[0] + mri_part[0]) / 2
    image = _from_blocks((vectors[0] + vectors[1]) / 2 @ fused, sources[0].shape)
    return image[: pet.shape[0], : pet.shape[1]].clip(0, 1)


def _even(image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.pad(image, [(0, extent % 2) for extent in image.shape], mode="edge")


def _to_blocks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4, blocks): each block's left column from above, then its right one."""
    height, width = image.shape
    return image.reshape(height // 2, 2, width // 2, 2).transpose(3, 1, 0, 2).reshape(4, -1)


def _from_blocks(blocks: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The reverse of :func:`_to_blocks`."""
    height, width = shape
    return blocks.reshape(2, 2, height // 2, width // 2).transpose(2, 1, 3, 0).reshape(height, width)
