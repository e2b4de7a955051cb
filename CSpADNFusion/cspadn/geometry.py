"""Physical space: the patient-axial view of a volume, a common grid, and the way back.

SimpleITK's conventions hold: points are LPS millimetres, sizes are (columns, rows, slices). "Axial" means the patient's axis
that is nearest to the slice axis by direction cosines, whatever the stored order, handedness or obliquity.
"""

from __future__ import annotations

import math

import numpy as np
import SimpleITK as sitk

from .errors import InputError

AXIAL_ORIENTATION = "LPS"  # columns run to the left, rows to the back, slices to the head: the radiological view
_THINNED_POINTS = 48  # at least, along rows and columns


def check_volume(image: sitk.Image, name: str) -> None:
    """Raise InputError, calling the image ``name``, unless it is a scalar, real-valued volume with a usable geometry."""
    dimension, components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimension == 2:
        raise InputError(f"{name} is a single two-dimensional image: give a volume.")
    if dimension != 3:
        raise InputError(f"{name} has {dimension} dimensions: extract one three-dimensional frame first.")
    if components != 1:
        raise InputError(f"{name} has {components} values per voxel: give a volume with one (not colour, not vectors).")
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(f"{name} holds complex numbers: give their magnitude.")
    if not all(map(math.isfinite, (*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection()))):
        raise InputError(f"The position of {name} in space is not finite: repair its origin, spacing and direction.")


def to_axial(image: sitk.Image) -> sitk.Image:
    """Reorder and flip the axes of a volume, without interpolation, so that its slices are patient-axial."""
    return sitk.DICOMOrient(image, AXIAL_ORIENTATION)


def from_axial(result: sitk.Image, axial: sitk.Image, stored: sitk.Image) -> sitk.Image:
    """Undo :func:`to_axial`.

    Args:
        result: voxels in the order of ``axial``; its own geometry is ignored.
        axial: ``to_axial(stored)``.
        stored: the volume whose order and geometry the returned image has, exactly.
    """
    result.CopyInformation(axial)
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(stored.GetDirection())
    restored = sitk.DICOMOrient(result, code)
    restored.CopyInformation(stored)  # raises if the sizes differ; removes the rounding of two reorientations
    return restored


def resample(image: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Linear interpolation at the voxel centres of ``grid``, in physical space; float32, NaN outside the field of view."""
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, math.nan, sitk.sitkFloat32)


def thinned(grid: sitk.Image) -> sitk.Image:
    """Every slice of ``grid``, with fewer columns and rows: enough points to take statistics of a volume on it."""
    columns, rows = (max(1, extent // _THINNED_POINTS) for extent in grid.GetSize()[:2])
    return grid[::columns, ::rows, :]


def has_orthogonal_axes(image: sitk.Image) -> bool:
    """Whether the directions of the axes are at right angles to each other, which NIfTI requires."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    return bool(np.allclose(direction.T @ direction, np.eye(3), atol=1e-4))
