"""Read PET/MRI slice pairs from a pair of registered volumes in NIfTI files."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
from cspadn.imaging.geometry import check_volume, resample, to_axial
from cspadn.imaging.padding import without_padding
from cspadn.imaging.windowing import Window, to_unit

_FOREGROUND = 0.1  # of the window
_LEAST_SHARE = 0.05  # share of a slice that must be foreground, in both sources


def read_slices(pet_path: Path, mri_path: Path) -> NDArray[np.float32]:
    """Return the patient-axial slices of two registered volumes, as a fusion gives them to the network.

    The PET is resampled to the MRI's grid (0 outside its field of view). Padding is background, and each volume has the
    automatic window of the product for all its slices (:mod:`cspadn.imaging.automatic_windows`). Nearly empty slices are left
    out: those in which less than 5 % of the pixels of PET or MRI are above a tenth of the window.

    Returns:
        (slices, 2, H, W) in [0, 1]: PET, MRI.

    Raises:
        InputError: a file is missing or not a scalar volume, the two do not overlap, or no slice is left.
    """
    pet, mri = (without_padding(read_volume(*each))[0] for each in ((pet_path, "The PET"), (mri_path, "The MRI")))
    axial = to_axial(mri)
    seen = resample(pet, axial)
    pet_values, mri_values = sitk.GetArrayFromImage(seen), sitk.GetArrayFromImage(axial)
    if not np.isfinite(pet_values).any():
        raise InputError(f"The PET {pet_path} and the MRI {mri_path} do not overlap in space: register them first.")
    pet_window = _window(lambda: automatic_pet_window(pet, axial), pet_path)
    mri_window = _window(lambda: automatic_mri_window(axial), mri_path)
    slices = np.stack([to_unit(pet_values, pet_window), to_unit(mri_values, mri_window)], axis=1)
    shares = (slices > _FOREGROUND).mean(axis=(2, 3)).min(axis=1)
    if not (shares >= _LEAST_SHARE).any():
        raise InputError(
            f"The PET {pet_path} and the MRI {mri_path} have no slice in which both show something: check both files."
        )
    kept: NDArray[np.float32] = slices[shares >= _LEAST_SHARE]
    return kept


def _window(find: Callable[[], Window], path: Path) -> Window:
    try:
        return find()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_volume(path: Path, name: str) -> sitk.Image:
    """Read a NIfTI volume as float32; InputError, with ``name``, if it cannot be read or is not a scalar volume."""
    if not path.is_file():
        raise InputError(f"{name} {path} does not exist: check the name.")
    try:
        file = nibabel.load(path)
        values = np.asanyarray(file.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, ValueError, zlib.error):
        raise InputError(f"{name} {path} cannot be read: it is damaged or not a NIfTI file.") from None
    if values.ndim != 3:
        raise InputError(f"{name} {path} has {values.ndim} dimensions: extract one three-dimensional frame first.")
    if values.dtype.kind not in "iuf":
        raise InputError(f"{name} {path} contains colours or complex numbers: give a volume with one real value per voxel.")
    image = to_image(values, file.affine, f"{name} {path}")
    check_volume(image, f"{name} {path}")
    return image


def to_image(values: NDArray[np.generic], affine: NDArray[np.float64], name: str) -> sitk.Image:
    """Convert an image in RAS, as nibabel stores it, to an image in LPS, as SimpleITK stores it.

    Args:
        values: (columns, rows, slices).
        affine: (4, 4), from voxel indices to RAS millimetres.
        name: name of the volume in error messages.

    Raises:
        InputError: the affine is singular or not finite.
    """
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    if not (np.isfinite(lps).all() and abs(np.linalg.det(lps[:3, :3])) > 1e-6 * spacing.prod() > 0):
        raise InputError(f"The position of {name} in space cannot be used: repair the affine in its header.")
    image = sitk.GetImageFromArray(values.astype(np.float32).transpose(2, 1, 0))
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image
