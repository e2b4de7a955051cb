"""The common interface of all fusion methods that are used for comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating[Any]]  # (H, W) in [0, 1]
Method = Callable[
    [Image, Image], Image
]  # maps PET and MRI to the fused image, which is clipped, but neither rounded nor stretched


def check_pair(pet: Image, mri: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64; ValueError unless they are images of the same size with at least one pixel."""
    if pet.shape != mri.shape or pet.ndim != 2 or not pet.size:
        raise ValueError(f"The PET has the shape {pet.shape}, the MRI {mri.shape}: both must be (H, W) and of the same size.")
    return pet.astype(np.float64), mri.astype(np.float64)
