"""References of derived objects to the images of PET and MRI."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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


def images(headers: Iterable[Dataset]) -> list[Dataset]:
    """Return an item for each image that some slices are, with the numbers of the frames where a file has several."""
    made = []
    for items in _by(headers, "SOPInstanceUID"):
        reference = instance(items[0])
        if frames := [frame + 1 for frame in map(frame_of, items) if frame is not None]:
            reference.ReferencedFrameNumber = frames
        made.append(reference)
    return made


def instance(header: Dataset) -> Dataset:
    """Return an item that refers to an object as a whole."""
    return item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)


def source_images(headers: Iterable[Dataset]) -> list[Dataset]:
    """Return the items of the source image sequence."""
    references = images(headers)
    for reference in references:
        reference.PurposeOfReferenceCodeSequence = [code("121322", "DCM", "Source image for image processing operation")]
    return references


def series_images(headers: Iterable[Dataset]) -> list[Dataset]:
    """Return an item for each series of some slices, which lists their images."""
    return [
        item(SeriesInstanceUID=items[0].SeriesInstanceUID, ReferencedImageSequence=images(items))
        for items in _by(headers, "SeriesInstanceUID")
    ]


def refer_to(new: Dataset, headers: list[Dataset]) -> None:
    """List the series and objects to which an object refers: those of its own study, and those of others."""
    others = []
    for items in _by(headers, "StudyInstanceUID"):
        series = [
            item(
                SeriesInstanceUID=each[0].SeriesInstanceUID,
                ReferencedInstanceSequence=[instance(same[0]) for same in _by(each, "SOPInstanceUID")],
            )
            for each in _by(items, "SeriesInstanceUID")
        ]
        if items[0].StudyInstanceUID == new.StudyInstanceUID:
            new.ReferencedSeriesSequence = series
        else:
            others.append(item(StudyInstanceUID=items[0].StudyInstanceUID, ReferencedSeriesSequence=series))
    if others:
        new.StudiesContainingOtherReferencedInstancesSequence = others


def _by(headers: Iterable[Dataset], keyword: str) -> list[list[Dataset]]:
    """Return the headers in groups of one value, in the order of the first of each."""
    groups: dict[str, list[Dataset]] = defaultdict(list)
    for header in headers:
        groups[str(header[keyword].value)].append(header)
    return list(groups.values())
