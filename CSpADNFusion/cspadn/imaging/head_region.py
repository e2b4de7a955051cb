"""Find the head in the MRI. The automatic window of a PET is computed only there."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.geometry import thinned
from cspadn.imaging.windowing import automatic_window, to_unit

MARGIN_MM = 15.0  # margin around the foreground of the MRI: a skull-stripped MRI lacks the rim of the head's uptake
_FOREGROUND = 0.1  # of the MRI's window


def head_region(axial: sitk.Image) -> sitk.Image:
    """Return a mask of the head, uint8, on the thinned grid of an MRI (:func:`cspadn.imaging.geometry.thinned`).

    The mask is the foreground of the MRI, without specks, and all within :data:`MARGIN_MM` of it. It is full where the MRI has
    no usable foreground.

    Args:
        axial: the MRI, in the order of :func:`cspadn.imaging.geometry.to_axial`, without padding.
    """
    grid = thinned(axial)
    values = sitk.GetArrayFromImage(grid)
    try:
        foreground = to_unit(values, automatic_window(values, "The MRI")) > _FOREGROUND
    except InputError:
        foreground = np.ones(values.shape, bool)
    mask = sitk.GetImageFromArray(foreground.astype(np.uint8))
    mask.CopyInformation(grid)
    if min(mask.GetSize()) > 2:
        opened = sitk.BinaryMorphologicalOpening(mask, [1, 1, 1])
        mask = opened if sitk.GetArrayViewFromImage(opened).any() else mask
    if not sitk.GetArrayViewFromImage(mask).any():
        return mask + 1
    distance = sitk.SignedMaurerDistanceMap(mask, squaredDistance=False, useImageSpacing=True)
    return sitk.Cast(distance <= MARGIN_MM, sitk.sitkUInt8)


def within_region(image: sitk.Image, region: sitk.Image) -> NDArray[np.float32]:
    """Return the voxels of an image that lie in a region, in the box that holds it: (slices, rows, columns), NaN elsewhere.

    Nothing is interpolated. The array is empty if the region does not reach the image.

    Args:
        image: scalar volume of any grid.
        region: mask on any other grid, above 0 inside.
    """
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in region.GetSize()])).reshape(3, -1).T
    places = np.array(
        [
            image.TransformPhysicalPointToContinuousIndex(region.TransformIndexToPhysicalPoint(each.tolist()))
            for each in corners
        ]
    )
    low = np.clip(np.floor(places.min(axis=0)), 0, image.GetSize()).astype(int)
    high = np.clip(np.ceil(places.max(axis=0)) + 1, 0, image.GetSize()).astype(int)
    if (low >= high).any():
        return np.empty((0, 0, 0), np.float32)
    box = image[tuple(slice(int(first), int(last)) for first, last in zip(low, high, strict=True))]
    inside = sitk.Resample(region, box, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    with np.errstate(over="ignore"):
        values: NDArray[np.float32] = sitk.GetArrayFromImage(box).astype(np.float32, copy=False)
    values[sitk.GetArrayViewFromImage(inside) == 0] = np.nan  # in place, to save memory
    return values
