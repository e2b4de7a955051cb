"""The DICOM series of PET and MRI from which a study is derived, and the checks before it is written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, UsageError
from cspadn.io.dicom_headers import VOLUME, Series, kind_of_file, read_headers
from cspadn.io.dicom_stack import check_one_volume
from cspadn.io.dicom_tags import slice_axes, tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SAME_PLACE = 0.1  # mm
_REFERRED_TO = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True)
class Sources:
    """Headers of the two series.

    Attributes:
        mri: of all images of the MRI.
        pet: of all images of the PET; empty if the PET is not a DICOM series.
    """

    mri: list[Dataset]
    pet: list[Dataset] = field(default_factory=list)

    @property
    def series(self) -> list[list[Dataset]]:
        """Return the headers of each series, the MRI first."""
        return [self.mri, self.pet] if self.pet else [self.mri]

    @property
    def headers(self) -> list[Dataset]:
        """Return the headers of all images."""
        return [header for series in self.series for header in series]


def check_study_output(folder: Path, mri: Series, pet: Series | None) -> Sources:
    """Check that a study could be written, before the fusion starts.

    Args:
        folder: the output; it must be empty or not exist yet, and its parent folder must be writable.
        mri, pet: as :func:`read_sources` takes them.

    Returns:
        The headers, as :func:`read_sources` returns them.

    Raises:
        UsageError: the folder cannot be the output, or the MRI is not a series.
        InputError: as :func:`read_sources`.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(message("dicom-output-not-a-folder", path=folder))
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(message("dicom-output-not-empty", path=folder))
    if not folder.parent.is_dir():
        raise UsageError(message("output-folder-missing", path=folder))
    if not os.access(folder.parent, os.W_OK):
        raise UsageError(message("output-folder-not-writable", path=folder))
    return read_sources(mri, pet)


def read_sources(mri: Series, pet: Series | None) -> Sources:
    """Read the headers of the source series.

    Args:
        mri, pet: the folder or the files of a series. A PET that is an image file, or None, is not a series.

    Raises:
        UsageError: the MRI is not a series.
        InputError: a source lacks a tag to which the new objects must refer, or the two have different patient IDs.
    """
    mri_series, pet_series = _series_at(mri, "The MRI"), _series_at(pet, "The PET")
    if not mri_series:
        raise UsageError(message("dicom-output-needs-series"))
    sources = Sources(_checked_headers(mri_series, "The MRI"), _checked_headers(pet_series, "The PET") if pet_series else [])
    patients = {str(tag_value(header, "PatientID", "It") or "") for header in sources.headers}
    issuers = {str(issuer) for header in sources.headers if (issuer := tag_value(header, "IssuerOfPatientID", "It"))}
    if len(patients) > 1 or len(issuers) > 1:
        raise InputError(message("dicom-patients-differ"))
    return sources


def _series_at(given: Series | None, name: str) -> Series | None:
    """Return the folder or the files of a series; None for an image file of another format."""
    if isinstance(given, Path) and not given.is_dir():
        return [given] if given.is_file() and kind_of_file(given, name) == VOLUME else None
    return given


def _checked_headers(series: Series, name: str) -> list[Dataset]:
    """Read the headers of a series, and check the tags to which the new objects refer."""
    headers = read_headers(series, name)
    check_one_volume(headers, series if isinstance(series, Path) else series[0].parent, name)
    for keyword in _REFERRED_TO:
        if not all(tag_value(header, keyword, name) for header in headers):
            raise InputError(message("dicom-source-tag-missing", volume=name, tag=keyword))
    return headers


def check_in_series(image: sitk.Image, headers: list[Dataset]) -> None:
    """Check that each slice of a volume lies where a slice of a DICOM series does, by three of its corners.

    Args:
        image: the volume, in LPS and millimetres.
        headers: of all files of the series.

    Raises:
        InputError: a corner is more than 0.1 mm away.
    """
    width, height, slices = image.GetSize()
    corners = [[(0, 0, k), (width - 1, 0, k), (0, height - 1, k)] for k in range(slices)]
    own = np.array([[image.TransformIndexToPhysicalPoint(corner) for corner in each] for each in corners])
    theirs = np.array([_corners(header) for header in headers])
    distance = np.linalg.norm(own[:, None] - theirs[None], axis=3).max(2).min(1).max()
    if distance > _SAME_PLACE:
        raise InputError(message("mri-not-in-its-series", distance=distance))


def _corners(header: Dataset) -> NDArray[np.float64]:
    """Return the centres of a slice's first pixel, of the last in its row and of the last in its column: (3, 3), LPS in mm."""
    along_row, along_column, _ = slice_axes(header)
    rows, columns = (float(value) for value in header.PixelSpacing)
    first = np.array(header.ImagePositionPatient, float)
    return np.array(
        [first, first + along_row * columns * (header.Columns - 1), first + along_column * rows * (header.Rows - 1)]
    )
