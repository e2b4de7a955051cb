"""Fusion without a method: what any method must beat, since published measures can be gamed."""

from __future__ import annotations

import numpy as np

from training.baselines.form import Image, check_pair


def average(pet: Image, mri: Image) -> Image:
    """The mean of both, pixel by pixel."""
    pet, mri = check_pair(pet, mri)
    return (pet + mri) / 2


def maximum(pet: Image, mri: Image) -> Image:
    """The brighter of both, pixel by pixel."""
    return np.maximum(*check_pair(pet, mri))


def mri_only(pet: Image, mri: Image) -> Image:
    """The MRI; the PET is left out."""
    return check_pair(pet, mri)[1]


def pet_only(pet: Image, mri: Image) -> Image:
    """The PET; the MRI is left out."""
    return check_pair(pet, mri)[0]
