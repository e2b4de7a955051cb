"""Rigid transforms as matrices, and volumes that are moved by them without interpolation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk

from cspadn.imaging.metadata import with_metadata


def placed(image: sitk.Image, transform: sitk.Transform) -> sitk.Image:
    """Return a volume with another origin and other directions, voxels and metadata unchanged.

    Args:
        image: a volume.
        transform: rigid; maps a point of the result to the point of the image, as ``SimpleITK.Resample`` takes it.
    """
    back, origin = transform.GetInverse(), np.array(image.GetOrigin())
    start = np.array(back.TransformPoint(origin.tolist()))
    directions = np.reshape(image.GetDirection(), (3, 3))
    moved = [np.array(back.TransformPoint((origin + axis).tolist())) - start for axis in directions.T]
    result = sitk.Image(image)
    result.SetOrigin(start.tolist())
    result.SetDirection(np.column_stack(moved).ravel().tolist())
    return with_metadata(result, image)


def matrix_of(transform: sitk.Transform) -> list[float]:
    """Return a linear transform as the 16 numbers of a matrix (4, 4), row by row, mm, LPS."""
    start = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(transform.TransformPoint(axis)) - start for axis in np.eye(3).tolist()]
    return [float(number) for number in np.vstack([np.column_stack([*columns, start]), [0, 0, 0, 1]]).ravel()]


def transform_of(matrix: Sequence[float]) -> sitk.AffineTransform:
    """Return the transform of the 16 numbers of :func:`matrix_of`."""
    rows = np.reshape(matrix, (4, 4))
    return sitk.AffineTransform(rows[:3, :3].ravel().tolist(), rows[:3, 3].tolist())
