"""Write a fused volume as a derived DICOM series, in the patient's record of the MRI."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, UsageError
from cspadn.imaging.metadata import NOTE
from cspadn.io.atomic_output import Staged, stage
from cspadn.io.dicom_reader import Series, check_one_volume, read_headers
from cspadn.io.dicom_tags import slice_axes, slice_thickness, tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    Sources = list[list[Dataset]]  # headers of the MRI's images and, if it is a series, of the PET's

STEP = 0.125  # between stored values: 4095 is stored as 32760, and the rescale slope has an exact decimal form
SERIES_DESCRIPTION = "CSpA-DN fused PET/MRI, not for diagnosis"
_SAME_PLACE = 0.1  # mm
_PARALLEL = 0.996  # cosine of 5 degrees
_COPIED = (  # from the MRI: patient, study, frame of reference, and tags that an MR image must have
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("PatientSize", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"),
    *("BodyPartExamined", "Laterality", "AcquisitionDate", "AcquisitionTime", "ScanningSequence", "SequenceVariant"),
    *("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"),
)
_MAY_BE_EMPTY = (  # tags of these that must be present, with or without a value
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *(
        "ReferringPhysicianName",
        "PositionReferenceIndicator",
        "ScanOptions",
        "MRAcquisitionType",
        "RepetitionTime",
        "EchoTime",
    ),
    "EchoTrainLength",
)


def check_series_output(folder: Path, mri: Series, pet: Series | None) -> Sources:
    """Check that a derived series could be written, before the fusion starts.

    Args:
        folder: the output; it must be empty or not exist yet, and its parent folder must be writable.
        mri, pet: as :func:`read_sources` takes them.

    Returns:
        The headers, as :func:`read_sources` returns them.

    Raises:
        UsageError: the folder cannot be the output, or the MRI is not a series.
        InputError: as :func:`read_sources`.
    """
    if not _is_series(mri):
        raise UsageError(message("dicom-output-needs-series"))
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
        mri, pet: the folder or the files of a series; an image file or None is skipped.

    Returns:
        The headers of the MRI's images and, if it is a series, of the PET's.

    Raises:
        InputError: a source lacks a tag to which a derived series must refer, or the two have different patient IDs.
    """
    given = [(name, each) for name, each in (("The MRI", mri), ("The PET", pet)) if _is_series(each)]
    sources = [(name, read_headers(each, name)) for name, each in given]
    for (name, each), (_, headers) in zip(given, sources, strict=True):
        check_one_volume(headers, each if isinstance(each, Path) else each[0].parent, name)
    _check_sources(sources)
    return [headers for _, headers in sources]


def _is_series(series: Series | None) -> TypeGuard[Series]:
    """Return whether it is a folder, or a list of files."""
    return series.is_dir() if isinstance(series, Path) else bool(series)


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


def _check_sources(sources: list[tuple[str, list[Dataset]]]) -> None:
    """Check the tags to which a derived series refers, and that all sources belong to one patient."""
    for name, headers in sources:
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            if not all(tag_value(header, keyword, name) for header in headers):
                raise InputError(message("dicom-source-tag-missing", volume=name, tag=keyword))
    patients = {str(tag_value(headers[0], "PatientID", name) or "") for name, headers in sources}
    if len(patients) > 1:
        raise InputError(message("dicom-patients-differ"))


def stage_series(image: sitk.Image, folder: Path, series: Sources, provenance: dict[str, Any]) -> Staged:
    """Write a fused volume as a derived MR series in the patient, study and frame of reference of the MRI.

    Args:
        image: values from 0 to 4095, with axes at right angles. They are stored in 16 bits, in steps of :data:`STEP`.
        folder: the output, as :func:`check_series_output` accepts it.
        series: the headers from :func:`read_sources`.
        provenance: as in :class:`cspadn.FusionResult`; goes into the derivation description.

    Returns:
        The series in a temporary folder, for :func:`cspadn.io.atomic_output.commit`.

    Raises:
        UsageError: the folder cannot be written; no partial output is left.
    """
    common = _common(series, provenance)

    def write(temporary: Path) -> None:
        temporary.mkdir()
        for index in range(image.GetSize()[2]):
            instance = _instance(image, index, common, series)
            instance.save_as(temporary / f"{index + 1:04d}.dcm", enforce_file_format=True)

    return stage(folder, "", write)


def _common(series: Sources, provenance: dict[str, Any]) -> Dataset:
    """Return the tags that all instances of the new series share."""
    from pydicom.dataset import Dataset
    from pydicom.uid import MRImageStorage, generate_uid

    mri = series[0][0]
    common = Dataset()
    for keyword in _COPIED:
        if keyword in mri:
            tag_value(mri, keyword, "The MRI")
            common[keyword] = mri[keyword]
    for keyword in _MAY_BE_EMPTY:
        if keyword not in common:
            setattr(common, keyword, None)
    now = datetime.now()
    common.FrameOfReferenceUID = mri.get("FrameOfReferenceUID") or generate_uid(None)
    common.ScanningSequence, common.SequenceVariant = mri.get("ScanningSequence") or "RM", mri.get("SequenceVariant") or "NONE"
    common.SOPClassUID, common.Modality, common.SeriesInstanceUID = MRImageStorage, "MR", generate_uid(None)
    common.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    common.SeriesDescription, common.SeriesNumber = SERIES_DESCRIPTION, _series_number(mri)
    common.SeriesDate = common.ContentDate = common.InstanceCreationDate = now.strftime("%Y%m%d")
    common.SeriesTime = common.ContentTime = common.InstanceCreationTime = now.strftime("%H%M%S")
    common.Manufacturer, common.ManufacturerModelName = "SlicerCSpADNFusion", "CSpADNFusion"
    common.SoftwareVersions = str(provenance.get("software", "CSpADNFusion"))
    common.DerivationDescription = _derivation(provenance)
    common.ImageComments = NOTE
    for keyword, worst, usual in (("LossyImageCompression", "01", "00"), ("BurnedInAnnotation", "YES", "NO")):
        setattr(common, keyword, worst if any(headers[0].get(keyword) == worst for headers in series) else usual)
    return common


def _series_number(mri: Dataset) -> int:
    """Return a number above those of the scanner's own series, which count from 1."""
    try:
        return 1000 + int(mri.get("SeriesNumber") or 0) % 1000
    except (TypeError, ValueError):
        return 1000


def _derivation(provenance: dict[str, Any]) -> str:
    """Describe model, grid and windows, in at most 1024 characters."""
    keys = ("model", "model_version", "model_sha256", "model_origin", "grid", "pet_window", "mri_window")
    facts = "; ".join(f"{name} {provenance[name]}" for name in keys if name in provenance)
    return f"PET and MRI fused by CSpA-DN. {NOTE} {facts}"[:1024]


def _instance(image: sitk.Image, index: int, common: Dataset, series: Sources) -> Dataset:
    """Return one slice as a DICOM file."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    instance = Dataset()
    instance.update(common)
    instance.SOPInstanceUID, instance.InstanceNumber = generate_uid(None), index + 1
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = MRImageStorage
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    _place(instance, image, index)
    _fill(instance, sitk.GetArrayViewFromImage(image)[index])
    instance.SourceImageSequence = [_reference(each) for headers in series for each in _near(headers, instance)]
    instance.ReferencedSeriesSequence = [_referenced_series(headers) for headers in series]
    return instance


def _place(instance: Dataset, image: sitk.Image, index: int) -> None:
    """Set the position, orientation and spacing of a slice."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    columns, rows, slices = image.GetSpacing()
    instance.ImagePositionPatient = [_decimal(v) for v in image.TransformIndexToPhysicalPoint((0, 0, index))]
    instance.ImageOrientationPatient = [_decimal(v) for v in (*direction[:, 0], *direction[:, 1])]
    instance.PixelSpacing = [_decimal(rows), _decimal(columns)]
    instance.SliceThickness = instance.SpacingBetweenSlices = _decimal(slices)


def _decimal(value: float) -> str:
    """Format a DICOM decimal string, of at most 16 characters: rounded to seven decimals."""
    return f"{round(value, 7) + 0.0:.7f}".rstrip("0").rstrip(".")


def _fill(instance: Dataset, values: NDArray[np.float32]) -> None:
    """Set the pixels of a slice, (H, W), and the tags that describe them."""
    stored = np.rint(np.clip(values, 0, None) / STEP).astype("<u2")
    instance.Rows, instance.Columns = stored.shape
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = 16, 16, 15, 0
    instance.RescaleSlope, instance.RescaleIntercept, instance.RescaleType = STEP, 0, "US"
    instance.WindowCenter, instance.WindowWidth = 2048, 4096
    instance.PixelData = stored.tobytes()


def _near(headers: list[Dataset], instance: Dataset) -> list[Dataset]:
    """Return the slices of a source that touch this one; all of them if they are not parallel to it."""
    normal, own = slice_axes(headers[0])[2], slice_axes(instance)[2]
    if abs(np.dot(normal, own)) < _PARALLEL:
        return headers
    place = np.dot(np.array(instance.ImagePositionPatient, float), normal)
    distances = [abs(np.dot(np.array(header.ImagePositionPatient, float), normal) - place) for header in headers]
    reach = max(slice_thickness(headers[0]), min(distances) + 1e-3)
    return [header for header, distance in zip(headers, distances, strict=True) if distance < reach]


def _reference(header: Dataset) -> Dataset:
    """Return an item of the source image sequence."""
    from pydicom.dataset import Dataset

    purpose, reference = Dataset(), Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def _referenced_series(headers: list[Dataset]) -> Dataset:
    """Return an item of the referenced series sequence."""
    from pydicom.dataset import Dataset

    referenced = Dataset()
    referenced.SeriesInstanceUID = headers[0].SeriesInstanceUID
    return referenced
