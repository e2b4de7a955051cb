"""Trivial fusions, which every method must beat: published metrics can be gamed."""

from __future__ import annotations

import numpy as np

from training.baselines.form import Image, check_pair


def average(pet: Image, mri: Image) -> Image:
    """Return the mean of both, pixel by pixel."""
    pet, mri = check_pair(pet, mri)
    return (pet + mri) / 2


def maximum(pet: Image, mri: Image) -> Image:
    """Return the brighter of both, pixel by pixel."""
    return np.maximum(*check_pair(pet, mri))


def mri_only(pet: Image, mri: Image) -> Image:
    """Return the MRI; ignore the PET."""
    return check_pair(pet, mri)[1]


def pet_only(pet: Image, mri: Image) -> Image:
    """Return the PET; ignore the MRI."""
    return check_pair(pet, mri)[0]
