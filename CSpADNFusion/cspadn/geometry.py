"""Physical space: the patient-axial view of a volume, a common grid, and the way back.

SimpleITK's conventions hold: points are LPS millimetres, sizes are (columns, rows, slices). "Axial" means the patient's axis
that is nearest to the slice axis by direction cosines, whatever the stored order, handedness or obliquity.
"""

from __future__ import annotations

import math

import SimpleITK as sitk

from .errors import InputError

AXIAL_ORIENTATION = "LPS"  # columns run to the left, rows to the back, slices to the head: the radiological view
_COARSE_POINTS = 48  # points along each axis of the grid on which the overlap is estimated


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


def overlap(image: sitk.Image, grid: sitk.Image) -> float:
    """Share (0 to 1) of the extent of ``grid`` that lies within the field of view of ``image``; estimated on a coarse grid."""
    columns, rows, slices = (max(1, extent // _COARSE_POINTS) for extent in grid.GetSize())
    inside = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    inside.CopyInformation(image)
    coarse = sitk.Resample(inside, grid[::columns, ::rows, ::slices], sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return float(sitk.GetArrayViewFromImage(coarse).mean())
