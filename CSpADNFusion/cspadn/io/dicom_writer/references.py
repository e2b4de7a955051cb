"""References of derived objects to the images of PET and MRI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.io.dicom_frames import frame_of
from cspadn.io.dicom_tags import slice_axes, slice_thickness
from cspadn.io.dicom_writer.headers import code, item

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_TOLERANCE = 1e-3  # mm


@dataclass(frozen=True)
class SourceSlices:
    """The slices of a source, to find those that a slice of the result touches.

    Attributes:
        headers: of its images.
        matrix: 16 numbers, row by row: maps a point of the result to the point of the source (mm, LPS); None: they are the
            same.
        exact: whether each slice of the result has the voxels of one of this source.
    """

    headers: list[Dataset]
    matrix: Sequence[float] | None = None
    exact: bool = False

    def touching(self, corners: NDArray[np.float64]) -> list[Dataset]:
        """Return the slices between which a slice of the result lies, given by its corners (4, 3), or which it cuts."""
        if self.matrix is not None:
            matrix = np.reshape(self.matrix, (4, 4))
            corners = corners @ matrix[:3, :3].T + matrix[:3, 3]
        normal = slice_axes(self.headers[0])[2]
        places = np.array([np.dot(np.array(header.ImagePositionPatient, float), normal) for header in self.headers])
        ends = corners @ normal
        distances = np.maximum(0, np.maximum(ends.min() - places, places - ends.max()))
        reach = _TOLERANCE if self.exact else slice_thickness(self.headers[0])
        reach = max(reach, distances.min() + _TOLERANCE)
        return [header for header, distance in zip(self.headers, distances, strict=True) if distance < reach]


def corners_of(image: sitk.Image, index: int) -> NDArray[np.float64]:
    """Return the centres of the pixels in the corners of a slice: (4, 3), mm, LPS."""
    width, height, _ = image.GetSize()
    ends = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    return np.array([image.TransformIndexToPhysicalPoint((x, y, index)) for x, y in ends])


def instance(header: Dataset) -> Dataset:
    """Return an item that refers to an image."""
    return item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def source_image(header: Dataset) -> Dataset:
    """Return an item of the source image sequence."""
    reference = instance(header)
    if (frame := frame_of(header)) is not None:
        reference.ReferencedFrameNumber = frame + 1
    reference.PurposeOfReferenceCodeSequence = [code("121322", "DCM", "Source image for image processing operation")]
    return reference


def series_reference(headers: Iterable[Dataset], images: str = "ReferencedInstanceSequence") -> list[Dataset]:
    """Return an item for each series of some images, which lists these images in the sequence of the given keyword."""
    referred = sorted(headers, key=_series)
    return [
        item(SeriesInstanceUID=uid, **{images: [instance(header) for header in _instances(group)]})
        for uid, group in groupby(referred, key=_series)
    ]


def _instances(headers: Iterable[Dataset]) -> Iterable[Dataset]:
    """Return the headers of an image once, also if they are those of its frames."""
    return {str(header.SOPInstanceUID): header for header in headers}.values()


def refer_to(new: Dataset, headers: list[Dataset]) -> None:
    """List the series and images to which an object refers: those of its own study, and those of another."""
    own = [header for header in headers if header.StudyInstanceUID == new.StudyInstanceUID]
    others = [header for header in headers if header.StudyInstanceUID != new.StudyInstanceUID]
    if own:
        new.ReferencedSeriesSequence = series_reference(own)
    if others:
        uid = others[0].StudyInstanceUID
        new.StudiesContainingOtherReferencedInstancesSequence = [
            item(StudyInstanceUID=uid, ReferencedSeriesSequence=series_reference(others))
        ]


def _series(header: Dataset) -> str:
    return str(header.SeriesInstanceUID)
