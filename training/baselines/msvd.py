"""MSVD: fusion by multi-resolution singular value decomposition (V. P. S. Naidu: Image fusion technique using
multi-resolution singular value decomposition. Defence Science Journal 61, 2011, pages 479 to 484).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.baselines.form import Image, check_pair


def msvd(pet: Image, mri: Image) -> Image:
    """Fuse the components of all blocks of 2 x 2 pixels along their four left singular vectors.

    Average the first component; in the other three, take the coefficient with the greater magnitude (the PET's if both are
    equal). Transform back with the mean singular vectors. One level, as published.

    The signs of singular vectors are arbitrary. If PET and MRI have opposite signs, the mean loses that component. The signs
    are those of LAPACK, as in the author's MATLAB code.

    Any size: an odd last row or column is repeated, and removed at the end. The result is clipped.

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
    """Return (4, blocks): the left column of each block from top to bottom, then its right one."""
    height, width = image.shape
    return image.reshape(height // 2, 2, width // 2, 2).transpose(3, 1, 0, 2).reshape(4, -1)


def _from_blocks(blocks: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Reverse :func:`_to_blocks`."""
    height, width = shape
    return blocks.reshape(2, 2, height // 2, width // 2).transpose(2, 1, 3, 0).reshape(height, width)
