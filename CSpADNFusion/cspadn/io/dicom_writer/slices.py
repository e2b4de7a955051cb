"""The slices of a volume as images of a series: identity, position and references of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.io.dicom_writer.headers import number
from cspadn.io.dicom_writer.references import SourceSlices, corners_of, refer_to, source_images

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def slice_objects(image: sitk.Image, slices: list[SourceSlices], common: Dataset) -> Iterator[tuple[Dataset, NDArray[Any]]]:
    """Yield an object without pixels for each slice of a volume, and the voxels of the slice.

    Args:
        image: the volume; its axes are at right angles and right-handed.
        slices: of MRI and PET, to refer to.
        common: what all objects share.
    """
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    for index, values in enumerate(sitk.GetArrayViewFromImage(image)):
        new = Dataset()
        new.update(common)
        new.SOPInstanceUID, new.InstanceNumber = generate_uid(None), index + 1
        _place(new, image, index)
        touching = [header for each in slices for header in each.touching(corners_of(image, index))]
        new.SourceImageSequence = source_images(touching)
        refer_to(new, touching)
        new.Rows, new.Columns = values.shape[:2]
        yield new, values


def _place(new: Dataset, image: sitk.Image, index: int) -> None:
    """Set the position, orientation and spacing of a slice."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    columns, rows, slices = image.GetSpacing()
    new.ImagePositionPatient = [number(v) for v in image.TransformIndexToPhysicalPoint((0, 0, index))]
    new.ImageOrientationPatient = [number(v) for v in (*direction[:, 0], *direction[:, 1])]
    new.PixelSpacing = [number(rows), number(columns)]
    new.SliceThickness = new.SpacingBetweenSlices = number(slices)
