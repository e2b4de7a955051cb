"""How PET and MRI lie to each other, as a spatial registration object."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cspadn.io.dicom_writer.headers import code, frame_of_reference, item, new_object, number, plain, series_number
from cspadn.io.dicom_writer.references import images, refer_to
from cspadn.io.dicom_writer.sources import Sources

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_IDENTITY = np.eye(4)


def needs_registration(sources: Sources, matrix: Sequence[float] | None) -> bool:
    """Return whether a reader cannot know from the frames of reference where the PET lies."""
    frames = {str(headers[0].get("FrameOfReferenceUID") or "") for headers in sources.series}
    return matrix is not None or len(frames) > 1 or "" in frames


def registration_object(
    sources: Sources, matrix: Sequence[float] | None, made: datetime, provenance: dict[str, Any]
) -> Dataset:
    """Return the spatial registration of the PET to the MRI.

    Args:
        sources: headers of MRI and PET.
        matrix: 16 numbers, row by row, that map a point of the MRI to the point of the PET (mm, LPS); None: the PET was fused
            where its headers place it, although its frame of reference is another one.
        made, provenance: as :func:`cspadn.io.dicom_writer.headers.new_object` takes them.
    """
    from pydicom.uid import SpatialRegistrationStorage, generate_uid

    new = new_object(sources, SpatialRegistrationStorage, "REG", made, provenance)
    new.SOPInstanceUID, new.InstanceNumber = generate_uid(None), 1
    new.SeriesDescription, new.SeriesNumber = "Registration of PET to MRI, not for diagnosis", series_number(sources, 4)
    new.FrameOfReferenceUID, new.PositionReferenceIndicator = frame_of_reference(sources), ""
    new.ContentLabel, new.ContentDescription, new.ContentCreatorName = "PET_TO_MRI", _description(matrix), ""
    to_mri = _IDENTITY if matrix is None else np.linalg.inv(np.reshape(matrix, (4, 4)))
    method = provenance.get("registration") if matrix is not None else None
    new.RegistrationSequence = [
        _registered(sources.mri, _IDENTITY, "The MRI, to which the PET is registered", None),
        _registered(sources.pet, to_mri, f"{_description(matrix)}. Not for diagnosis.", method),
    ]
    refer_to(new, sources.headers)
    return new


def _description(matrix: Sequence[float] | None) -> str:
    return "PET to MRI, rigid" if matrix is not None else "PET and MRI assumed to lie in one space"


def _registered(headers: list[Dataset], matrix: np.ndarray, comment: str, method: object) -> Dataset:
    """Return the item of a series: its images, and the matrix that maps its points to those of the MRI."""
    kinds = [code("125024", "DCM", "Image Content-based Alignment")] if method else []
    transform = item(
        FrameOfReferenceTransformationMatrix=[number(value) for value in np.ravel(matrix)],
        FrameOfReferenceTransformationMatrixType="RIGID",
    )
    registration = item(
        FrameOfReferenceTransformationComment=plain(comment),
        RegistrationTypeCodeSequence=kinds,
        MatrixSequence=[transform],
    )
    registered = item(MatrixRegistrationSequence=[registration], ReferencedImageSequence=images(headers))
    if frame := headers[0].get("FrameOfReferenceUID"):
        registered.FrameOfReferenceUID = frame
    return registered
