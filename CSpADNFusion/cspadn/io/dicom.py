"""DICOM: a folder with one series as a volume, SUV by body weight, and a fused volume as a derived series.

Headers are read and written by pydicom, voxels are decoded by SimpleITK, which knows the compressed transfer syntaxes.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import VR

from cspadn.errors import InputError, MemoryExhaustedError, UsageError
from cspadn.imaging.metadata import FRAME_UID, MODALITY, NOTE, SERIES_UID, SOURCE_NAME, UNITS
from cspadn.io.atomic_output import Staged, stage
from cspadn.runtime.memory import free_main_memory, is_out_of_memory

Series = Path | Sequence[Path]  # the folder of a series, or its files
Sources = list[list[Dataset]]  # headers of the MRI's images and, if that was a series, of the PET's
STEP = 0.125  # of the stored values of a written series: 4095 becomes 32760, and no step is rounded in decimals
SERIES_DESCRIPTION = "CSpA-DN fused PET/MRI, not for diagnosis"
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)  # of the transfer syntaxes, the uncompressed
_KNOWN = (None, "??", *VR)  # types of tags; without one where the transfer syntax has none, or nobody knew
_LARGE, _UNDEFINED = 2**16, 2**32 - 1  # bytes of a tag that are not looked at; a length that is told by an end mark
_SUFFIXES, _PREAMBLE = (".dcm", ".dicom", ".ima"), 128  # of names, if they have any; bytes at the start of a file
_GAP = 0.02  # of the distance of two slices: a step that differs by more is a gap
_SHEAR = 0.5  # of a pixel: first and last slice may be displaced so far against a straight stack
_SAME_PLACE = 0.1  # mm
_UNIT = 1e-3  # by which the length of a direction may differ from 1
_NUMBER = {1: "a usable number", 2: "two positive numbers", 3: "three numbers", 6: "six numbers"}
_PARALLEL = 0.996  # cosine of 5 degrees
_MOMENT = re.compile(r"(\d{10}(?:\d\d){0,2})(?:\.\d+)?")
_DOSE = "RadionuclideTotalDose"
_LEAST_DOSE = 1e-6  # of the injected one, at the scan
_COPIED = (  # from the MRI: patient, study, frame of reference, and what an MR image must say
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("PatientSize", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition"),
    *("BodyPartExamined", "Laterality", "AcquisitionDate", "AcquisitionTime", "ScanningSequence", "SequenceVariant"),
    *("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"),
)
_MAY_BE_EMPTY = (  # of these, that must be there
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


def read_series(folder: Path, name: str, *, suv: bool = False) -> sitk.Image:
    """The one series of a folder as a volume, its slices sorted by their positions, each with its own rescaling.

    Args:
        folder: files that are not DICOM are passed over; folders in it are not entered.
        name: what to call the volume in errors.
        suv: give SUV by body weight in place of Bq/ml.

    Raises:
        InputError: no series, more than one, a gap, or slices that do not form a straight stack; for SUV, a missing tag.
    """
    return read_files(_files(folder, name), folder, name, suv=suv)


def read_files(files: Sequence[Path], folder: Path, name: str, *, suv: bool = False) -> sitk.Image:
    """As :func:`read_series`, of files that need not be alone in their folder, nor all in one.

    Args:
        folder: where they lie, for errors and for the label of the volume.
    """
    headers = _headers_of(files, folder, name)
    _check_one_volume(headers, folder, name)
    headers, distances = _sorted(headers)
    spacing = _spacing(headers, distances, folder, name)
    voxels = np.stack([_pixels(header, name) for header in headers])
    if suv:
        voxels = voxels.astype(np.float32) * np.float32(suv_factor(headers, name))
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin([float(value) for value in headers[0].ImagePositionPatient])
    rows, columns = (float(value) for value in headers[0].PixelSpacing)
    image.SetSpacing((columns, rows, spacing))
    image.SetDirection(np.stack(_axes(headers[0]), axis=1).ravel().tolist())
    _label(image, folder, headers[0], suv)
    return image


def _headers(series: Series, name: str) -> list[Dataset]:
    """Of the files in a folder that are DICOM images; InputError where there are none, or one cannot be read."""
    if isinstance(series, Path):
        return _headers_of(_files(series, name), series, name)
    return _headers_of(series, series[0].parent, name)


def _headers_of(files: Sequence[Path], folder: Path, name: str) -> list[Dataset]:
    headers = [header for path in files if (header := read_header(path, name)) is not None]
    if not headers:
        raise InputError(f"{name} {folder} holds no DICOM images: give the folder that holds the files of one series.")
    return headers


def read_header(path: Path, name: str) -> Dataset | None:
    """Of a DICOM image, without its pixels; None for any other file. InputError, which says ``name``, where it is damaged."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        kind = UID(str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""))
    except InvalidDicomError:  # no DICOM at all
        if _was_dicom(path):
            raise InputError(f"{name}: the DICOM file {path} cannot be read: it is damaged. Fetch it again.") from None
        return None
    except Exception:  # pydicom parses what it is given: damage shows as errors of many kinds
        raise InputError(
            f"{name}: the DICOM file {path} cannot be read: it is damaged, or not permitted. Fetch it again."
        ) from None
    if len(header) == 0:
        raise InputError(
            f"{name}: the DICOM file {path} cannot be read: it is damaged, and ends before its headers do. Fetch it again."
        )
    # A DICOMDIR, a report and others are no images.
    return header if "Rows" in header or not kind or "Image Storage" in kind.name else None


def _was_dicom(path: Path) -> bool:
    """Whether a file that is no DICOM bears the name of one, or ends within the zeros that one begins with."""
    if path.name.startswith("."):  # as what macOS puts beside each file of another system
        return False
    with path.open("rb") as file:
        start = file.read(_PREAMBLE)
    return path.suffix.lower() in _SUFFIXES or (0 < len(start) < _PREAMBLE and not start.strip(b"\0"))


def _files(folder: Path, name: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"{name} {folder} cannot be read: {error.strerror or error}. Check the permissions.") from None


def _check_one_volume(headers: list[Dataset], folder: Path, name: str) -> None:
    """Before anything is sorted: one series, one stack of parallel slices of one size."""
    series = {str(_value(header, "SeriesInstanceUID", name)) for header in headers}
    if len(series) > 1:
        raise InputError(
            f"{name} {folder} holds {len(series)} DICOM series: move the one to be fused into a folder of its own."
        )
    few = f"only {len(headers)} slices of its volume: fetch the missing files"
    for keyword, most, what in (
        ("NumberOfFrames", 1, "multi-frame DICOM, which is not read: convert it to NIfTI first"),
        ("SamplesPerPixel", 1, "colour images: give the series that they were made from"),
        ("NumberOfSlices", len(headers), few),
    ):
        if any(_value(header, keyword, name) and _numbers(header, keyword, 1, name)[0] > most for header in headers):
            raise InputError(f"{name} {folder} holds {what}.")
    for keyword, count in (("Rows", 1), ("Columns", 1), ("PixelSpacing", 2), ("ImageOrientationPatient", 6)):
        values = [_numbers(header, keyword, count, name, positive=count < 6) for header in headers]
        if not np.allclose(values, values[0], atol=1e-4):
            raise InputError(f"{name} {folder} has slices of different {keyword}: they are no one volume.")
    if not all(abs(np.linalg.norm(axis) - 1) < _UNIT for axis in _axes(headers[0])):
        raise InputError(f"{name} {folder} has an ImageOrientationPatient that is no pair of perpendicular directions.")
    for header in headers:
        _numbers(header, "ImagePositionPatient", 3, name)
    _check_size(headers, folder, name)


def _check_size(headers: list[Dataset], folder: Path, name: str) -> None:
    """Before headers that promise too much are believed."""
    sizes = [
        math.prod(_numbers(header, keyword, 1, name)[0] for keyword in ("Rows", "Columns", "BitsAllocated")) / 8
        for header in headers
    ]
    for header, size in zip(headers, sizes, strict=True):
        plain = header.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian) in _PLAIN
        if plain and Path(str(header.filename)).stat().st_size < size:
            raise InputError(f"{name}: the DICOM file {header.filename} cannot be read: it is damaged. Fetch it again.")
    free = free_main_memory()
    if free is not None and sum(sizes) > free:
        raise MemoryExhaustedError(
            f"{name} {folder} has {sum(sizes) / 1e9:.0f} GB of voxels, more than there is memory: convert and crop it first."
        )


def _numbers(dataset: Dataset, keyword: str, count: int, name: str, *, positive: bool = False) -> list[float]:
    """The values of a tag; InputError that names it, but not what stands there, unless they are ``count`` usable numbers."""
    try:
        values = [float(value) for value in np.atleast_1d(dataset[keyword].value)]
    except Exception:
        values = []
    if len(values) != count or not all(math.isfinite(value) and (value > 0 or not positive) for value in values):
        raise InputError(f"{name} cannot be used: {keyword} of its DICOM headers is missing, or not {_NUMBER[count]}.")
    return values


def _axes(header: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Directions of columns, rows and slices."""
    along_row, along_column = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
    return along_row, along_column, np.cross(along_row, along_column)


def _sorted(headers: list[Dataset]) -> tuple[list[Dataset], NDArray[np.float64]]:
    """By the distance of each slice along the normal, which no instance number is needed for."""
    normal = _axes(headers[0])[2]
    distances = np.array([np.dot(np.array(header.ImagePositionPatient, float), normal) for header in headers])
    order = np.argsort(distances, kind="stable")
    return [headers[index] for index in order], distances[order]


def _spacing(headers: list[Dataset], distances: NDArray[np.float64], folder: Path, name: str) -> float:
    """The distance of the slices; InputError where they leave a gap, lie on each other or are displaced."""
    if len(headers) == 1:
        return _thickness(headers[0])
    steps = np.diff(distances)
    spacing = float(np.median(steps))
    if steps.min() < 1e-3:
        raise InputError(f"{name} {folder} has several slices in one place, as time series have: give one volume.")
    wrong = np.abs(steps - spacing) > _GAP * spacing
    if wrong.any():
        first = int(wrong.argmax())
        raise InputError(
            f"{name} {folder} has a gap: {wrong.sum()} of its steps differ from {spacing:.3f} mm, the first after slice"
            f" {first + 1} of {len(headers)} ({steps[first]:.3f} mm). Fetch the missing files."
        )
    ends = [np.array(header.ImagePositionPatient, float) for header in (headers[0], headers[-1])]
    drift = ends[1] - ends[0] - _axes(headers[0])[2] * (distances[-1] - distances[0])
    if np.linalg.norm(drift) > _SHEAR * min(float(value) for value in headers[0].PixelSpacing):
        raise InputError(f"{name} {folder} is a sheared stack, as with a tilted gantry: resample it to straight slices first.")
    return float((distances[-1] - distances[0]) / (len(headers) - 1))


def _thickness(header: Dataset) -> float:
    """Of a slice, in millimetres, as far as its header says it; else 1."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            value = abs(float(header.get(keyword) or 0))
        except (TypeError, ValueError, NotImplementedError):
            continue
        if math.isfinite(value) and value > 0:
            return value
    return 1.0


def _pixels(header: Dataset, name: str) -> NDArray[Any]:
    """One slice, rescaled as its own header says: float32 where that has fractions."""
    try:
        _check_tags(Path(str(header.filename)))
        pixels: NDArray[Any] = np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(header.filename))), axis=0)
    except Exception as error:  # as above
        if is_out_of_memory(error):
            raise MemoryExhaustedError(
                f"There is not enough memory to read {header.filename}: close other programs."
            ) from None
        raise InputError(f"{name}: the DICOM file {header.filename} cannot be read: it is damaged. Fetch it again.") from None
    fractions = pixels.dtype.kind == "f" or _value(header, "RescaleSlope", name) not in (None, 1)
    return pixels.astype(np.float32) if fractions else pixels


def _check_tags(path: Path) -> None:
    """ValueError where a tag has no known type, or is longer than the file goes on: for such ones ITK takes gigabytes."""
    whole, size = pydicom.dcmread(path, defer_size=_LARGE), path.stat().st_size
    if whole.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        size = _UNDEFINED  # its tags are not where the file has them
    for each in (*whole.file_meta.values(), *whole.values()):
        if not isinstance(each, RawDataElement):  # pydicom has made it out already
            continue
        if each.VR not in _KNOWN or (each.length != _UNDEFINED and each.value_tell + each.length > size):
            raise ValueError(f"{each.tag} is damaged.")


def _label(image: sitk.Image, folder: Path, header: Dataset, suv: bool) -> None:
    units = "SUVbw" if suv else header.get("Units")
    known = {
        SOURCE_NAME: folder.name,
        SERIES_UID: header.get("SeriesInstanceUID"),
        FRAME_UID: header.get("FrameOfReferenceUID"),
        MODALITY: header.get("Modality"),
        UNITS: units,
    }
    for key, value in known.items():
        if value:
            image.SetMetaData(key, str(value))


def suv_factor(headers: Sequence[Dataset], name: str) -> float:
    """From Bq/ml to SUV by body weight (g/ml): weight in grams over the dose, decayed to the time that the voxels refer to.

    As the QIBA profile FDG-PET/CT has it. ``headers`` are those of one series.

    Raises:
        InputError: the volume, called ``name``, is not in Bq/ml, not decay corrected, or a tag is missing; names the tag.
    """
    header = headers[0]
    tracer = _needed(header, "RadiopharmaceuticalInformationSequence", name)[0]
    for dataset, keyword in ((header, "PatientWeight"), (tracer, _DOSE), (tracer, "RadionuclideHalfLife")):
        _needed(dataset, keyword, name)
    weight = _numbers(header, "PatientWeight", 1, name, positive=True)[0]
    dose = _numbers(tracer, _DOSE, 1, name, positive=True)[0]
    if (units := _needed(header, "Units", name)) != "BQML":
        raise InputError(f"{name} cannot be scaled to SUV: its Units are {units}, not BQML.")
    correction = _needed(header, "DecayCorrection", name)
    if correction == "ADMIN":  # the voxels refer to the injection
        return weight * 1000 / dose
    if correction != "START":
        raise InputError(f"{name} cannot be scaled to SUV: its DecayCorrection is {correction}, not START or ADMIN.")
    passed = (_scan_start(headers, name) - _injection(header, tracer, name)).total_seconds()
    if not 0 <= passed < timedelta(days=1).total_seconds():
        raise InputError(f"{name} cannot be scaled to SUV: the scan starts {passed:.0f} seconds after the injection.")
    half_life = _numbers(tracer, "RadionuclideHalfLife", 1, name, positive=True)[0]
    remaining = math.pow(2, -passed / half_life)
    if remaining < _LEAST_DOSE:
        raise InputError(f"{name} cannot be scaled to SUV: its RadionuclideHalfLife leaves no dose at the scan.")
    return weight * 1000 / (dose * remaining)


def _value(dataset: Dataset, keyword: str, name: str) -> Any:
    """What a tag says, or None; InputError that names it, but not what stands there, where that cannot be read."""
    try:
        return dataset.get(keyword)
    except Exception:  # pydicom converts when it is asked; its errors quote what stands there
        raise InputError(f"{name} cannot be used: {keyword} of its DICOM headers is damaged.") from None


def _needed(dataset: Dataset, keyword: str, name: str) -> Any:
    value = _value(dataset, keyword, name)
    if value is None or value == "" or value == []:
        raise InputError(f"{name} cannot be scaled to SUV: its DICOM headers have no {keyword}.")
    return value


def _scan_start(headers: Sequence[Dataset], name: str) -> datetime:
    """The series' time; where that is later than an acquisition, as that of images processed again, the first acquisition."""
    series = _moment(headers[0], "SeriesDate", "SeriesTime", name)
    return min(series, *(_moment(header, "AcquisitionDate", "AcquisitionTime", name) for header in headers))


def _injection(header: Dataset, tracer: Dataset, name: str) -> datetime:
    if text := tracer.get("RadiopharmaceuticalStartDateTime"):
        zone = str(header.get("TimezoneOffsetFromUTC") or "")
        return _parsed(str(text).removesuffix(zone) if zone else str(text), "RadiopharmaceuticalStartDateTime", name)
    time = _needed(tracer, "RadiopharmaceuticalStartTime", name)
    return _parsed(f"{_needed(header, 'SeriesDate', name)}{time}", "RadiopharmaceuticalStartTime", name)


def _moment(header: Dataset, date: str, time: str, name: str) -> datetime:
    return _parsed(f"{_needed(header, date, name)}{_needed(header, time, name)}", time, name)


def _parsed(text: str, keyword: str, name: str) -> datetime:
    """YYYYMMDDHH[MM[SS[.FFFFFF]]], without fractions. An offset from UTC that the series does not have as well is refused."""
    match = _MOMENT.fullmatch(text.strip())
    try:
        return datetime.strptime(f"{match[1]:0<14}" if match else "", "%Y%m%d%H%M%S")
    except ValueError:
        raise InputError(
            f"{name} cannot be scaled to SUV: its {keyword} is no date and time of the series' own zone."
        ) from None


def check_series_output(folder: Path, mri: Series, pet: Series | None) -> Sources:
    """Asked before the work starts: whether a derived series could be written later.

    Args:
        mri, pet: as :func:`read_sources` takes them.

    Returns:
        What that function does.

    Raises:
        UsageError: the folder is not new, or cannot be written to, or the MRI is no series.
        InputError: a source lacks what a derived series must say, or they are of two patients.
    """
    if not _is_series(mri):
        raise UsageError("A DICOM output needs the MRI as a DICOM series: patient and study are taken from it.")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"The output {folder} is a file or a link: give the name of a folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"The output folder {folder} is not empty: choose another; what is in it is never replaced.")
    if not folder.parent.is_dir():
        raise UsageError(f"The folder of the output {folder} does not exist: create it first.")
    if not os.access(folder.parent, os.W_OK):
        raise UsageError(f"The folder of the output {folder} cannot be written to: choose another, or check its permissions.")
    return read_sources(mri, pet)


def read_sources(mri: Series, pet: Series | None) -> Sources:
    """The headers of the MRI and, where that is a series, of the PET.

    Args:
        mri, pet: of a series its folder, or its files; anything else is none.

    Raises:
        InputError: a source lacks what a derived series must say, or they are of two patients.
    """
    given = [(name, each) for name, each in (("The MRI", mri), ("The PET", pet)) if _is_series(each)]
    sources = [(name, _headers(each, name)) for name, each in given]
    for (name, each), (_, headers) in zip(given, sources, strict=True):
        _check_one_volume(headers, each if isinstance(each, Path) else each[0].parent, name)
    _check_sources(sources)
    return [headers for _, headers in sources]


def _is_series(series: Series | None) -> TypeGuard[Series]:
    """Whether it is a folder, or a list of files."""
    return series.is_dir() if isinstance(series, Path) else bool(series)


def check_in_series(image: sitk.Image, headers: list[Dataset]) -> None:
    """InputError where a slice of a volume does not lie where one of a DICOM series does, by three of its corners."""
    width, height, slices = image.GetSize()
    corners = [[(0, 0, k), (width - 1, 0, k), (0, height - 1, k)] for k in range(slices)]
    own = np.array([[image.TransformIndexToPhysicalPoint(corner) for corner in each] for each in corners])
    theirs = np.array([_corners(header) for header in headers])
    distance = np.linalg.norm(own[:, None] - theirs[None], axis=3).max(2).min(1).max()
    if distance > _SAME_PLACE:
        raise InputError(
            f"The MRI lies up to {distance:.1f} mm from its DICOM series, as it was moved or cropped, or has gaps: fuse it as"
            " it was loaded."
        )


def _corners(header: Dataset) -> NDArray[np.float64]:
    """Centres of the first pixel of a slice, of the last in its row, and of the last in its column."""
    along_row, along_column, _ = _axes(header)
    rows, columns = (float(value) for value in header.PixelSpacing)
    first = np.array(header.ImagePositionPatient, float)
    return np.array(
        [first, first + along_row * columns * (header.Columns - 1), first + along_column * rows * (header.Rows - 1)]
    )


def _check_sources(sources: list[tuple[str, list[Dataset]]]) -> None:
    for name, headers in sources:
        for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            if not all(_value(header, keyword, name) for header in headers):
                raise InputError(f"{name} has no {keyword} in its DICOM headers, which a derived series must refer to.")
    patients = {str(_value(headers[0], "PatientID", name) or "") for name, headers in sources}
    if len(patients) > 1:
        raise InputError("PET and MRI have different patient IDs: a derived series would be put into the wrong record.")


def stage_series(image: sitk.Image, folder: Path, series: Sources, provenance: dict[str, Any]) -> Staged:
    """Write a fused volume as a derived MR series of the MRI's patient, study and frame of reference.

    Args:
        image: values from 0 to 4095; its axes at right angles. Stored in 16 bits, in steps of :data:`STEP`.
        folder: as :func:`check_series_output` wants it.
        series: from :func:`read_sources`.

    Raises:
        UsageError: the folder cannot be written; nothing is left.
    """
    common = _common(series, provenance)

    def write(temporary: Path) -> None:
        temporary.mkdir()
        for index in range(image.GetSize()[2]):
            instance = _instance(image, index, common, series)
            instance.save_as(temporary / f"{index + 1:04d}.dcm", enforce_file_format=True)

    return stage(folder, "", write)


def _common(series: Sources, provenance: dict[str, Any]) -> Dataset:
    """What all instances of the new series share."""
    mri = series[0][0]
    common = Dataset()
    for keyword in _COPIED:
        if keyword in mri:
            _value(mri, keyword, "The MRI")
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
    """Behind the scanner's own series, which are counted from 1."""
    try:
        return 1000 + int(mri.get("SeriesNumber") or 0) % 1000
    except (TypeError, ValueError):
        return 1000


def _derivation(provenance: dict[str, Any]) -> str:
    told = ("model", "model_version", "model_sha256", "model_origin", "grid", "pet_window", "mri_window")
    facts = "; ".join(f"{name} {provenance[name]}" for name in told if name in provenance)
    return f"PET and MRI fused by CSpA-DN. {NOTE} {facts}"[:1024]


def _instance(image: sitk.Image, index: int, common: Dataset, series: Sources) -> Dataset:
    """One slice as a DICOM file."""
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
    direction = np.reshape(image.GetDirection(), (3, 3))
    columns, rows, slices = image.GetSpacing()
    instance.ImagePositionPatient = [_decimal(v) for v in image.TransformIndexToPhysicalPoint((0, 0, index))]
    instance.ImageOrientationPatient = [_decimal(v) for v in (*direction[:, 0], *direction[:, 1])]
    instance.PixelSpacing = [_decimal(rows), _decimal(columns)]
    instance.SliceThickness = instance.SpacingBetweenSlices = _decimal(slices)


def _decimal(value: float) -> str:
    """As a decimal string of DICOM, which has 16 characters: rounded to a ten-millionth."""
    return f"{round(value, 7) + 0.0:.7f}".rstrip("0").rstrip(".")


def _fill(instance: Dataset, values: NDArray[np.float32]) -> None:
    stored = np.rint(np.clip(values, 0, None) / STEP).astype("<u2")
    instance.Rows, instance.Columns = stored.shape
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = 16, 16, 15, 0
    instance.RescaleSlope, instance.RescaleIntercept, instance.RescaleType = STEP, 0, "US"
    instance.WindowCenter, instance.WindowWidth = 2048, 4096
    instance.PixelData = stored.tobytes()


def _near(headers: list[Dataset], instance: Dataset) -> list[Dataset]:
    """The slices of a source that touch this one; all of them where they are not parallel to it."""
    normal, own = _axes(headers[0])[2], _axes(instance)[2]
    if abs(np.dot(normal, own)) < _PARALLEL:
        return headers
    place = np.dot(np.array(instance.ImagePositionPatient, float), normal)
    distances = [abs(np.dot(np.array(header.ImagePositionPatient, float), normal) - place) for header in headers]
    reach = max(_thickness(headers[0]), min(distances) + 1e-3)
    return [header for header, distance in zip(headers, distances, strict=True) if distance < reach]


def _reference(header: Dataset) -> Dataset:
    purpose, reference = Dataset(), Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
    purpose.CodeMeaning = "Source image for image processing operation"
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    reference.PurposeOfReferenceCodeSequence = [purpose]
    return reference


def _referenced_series(headers: list[Dataset]) -> Dataset:
    referenced = Dataset()
    referenced.SeriesInstanceUID = headers[0].SeriesInstanceUID
    return referenced
