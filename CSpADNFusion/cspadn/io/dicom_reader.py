"""Read a DICOM series as a volume.

pydicom reads the headers. SimpleITK decodes the voxels, because it supports the compressed transfer syntaxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, MemoryExhaustedError
from cspadn.imaging.metadata import FRAME_UID, MODALITY, PADDING, SERIES_UID, SOURCE_NAME, UNITS
from cspadn.io.dicom_padding import mark_padding
from cspadn.io.dicom_tags import slice_axes, slice_thickness, tag_numbers, tag_value
from cspadn.io.suv import suv_factor
from cspadn.messages import message
from cspadn.runtime.memory import free_main_memory, is_out_of_memory

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Series = Path | Sequence[Path]  # the folder of a series, or its files
_LARGE, _UNDEFINED = 2**16, 2**32 - 1  # bytes from which a tag is not loaded; the length of a tag with an end mark
_SUFFIXES, _PREAMBLE = (".dcm", ".dicom", ".ima"), 128  # of file names; bytes at the start of a file
_GAP = 0.02  # relative difference between two slice steps that counts as a gap
_SHEAR = 0.5  # pixels by which the last slice may be displaced against a straight stack
_UNIT = 1e-3  # by which the length of a direction may differ from 1


def read_series(folder: Path, name: str, *, suv: bool = False) -> sitk.Image:
    """Read the only series of a folder as a volume.

    The slices are sorted by position. Each is rescaled by its own slope and intercept.

    Args:
        folder: files that are not DICOM are skipped; subfolders are not searched.
        name: the volume's name in error messages, such as "The PET".
        suv: convert Bq/ml to SUV by body weight.

    Returns:
        The volume in LPS, in millimetres; float32 where the rescaling is not 1 or for SUV, else the stored integer type.

    Raises:
        InputError: there is no series or more than one, a slice is missing, the slices do not form a straight stack, or a tag
            that SUV needs is missing.
        MemoryExhaustedError: the voxels do not fit into memory.
    """
    return read_files(_files(folder, name), folder, name, suv=suv)


def read_files(files: Sequence[Path], folder: Path, name: str, *, suv: bool = False) -> sitk.Image:
    """Read the files of one series as a volume; they may lie in several folders, among other files.

    Args:
        files: the files of the series; those that are not DICOM are skipped.
        folder: names the series in error messages and in the metadata of the volume.
        name: the volume's name in error messages.
        suv: convert Bq/ml to SUV by body weight.

    Returns:
        As :func:`read_series`.

    Raises:
        InputError, MemoryExhaustedError: as :func:`read_series`.
    """
    headers = _headers_of(files, folder, name)
    check_one_volume(headers, folder, name)
    headers, distances = _sorted(headers)
    spacing = _spacing(headers, distances, folder, name)
    voxels = np.stack([_pixels(header, name) for header in headers])
    padding, factor = mark_padding(voxels, headers, name), 1.0
    if suv:
        factor = suv_factor(headers, name)
        voxels = voxels.astype(np.float32) * np.float32(factor)
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin([float(value) for value in headers[0].ImagePositionPatient])
    rows, columns = (float(value) for value in headers[0].PixelSpacing)
    image.SetSpacing((columns, rows, spacing))
    image.SetDirection(np.stack(slice_axes(headers[0]), axis=1).ravel().tolist())
    _label(image, folder, headers[0], suv)
    if padding:
        image.SetMetaData(PADDING, f"{padding[0] * factor!r} {padding[1] * factor!r}")
    return image


def read_headers(series: Series, name: str) -> list[Dataset]:
    """Read the headers of all DICOM images of a series.

    Args:
        series: the folder of the series, or its files.
        name: the volume's name in error messages.

    Raises:
        InputError: there are no DICOM images, or a file cannot be read.
    """
    if isinstance(series, Path):
        return _headers_of(_files(series, name), series, name)
    return _headers_of(series, series[0].parent, name)


def _headers_of(files: Sequence[Path], folder: Path, name: str) -> list[Dataset]:
    headers = [header for path in files if (header := read_header(path, name)) is not None]
    if not headers:
        raise InputError(message("dicom-none", volume=name, folder=folder))
    return headers


def read_header(path: Path, name: str) -> Dataset | None:
    """Read the headers of a DICOM image, without its pixels.

    Args:
        path: any file.
        name: the volume's name in error messages.

    Returns:
        None if the file is not a DICOM image.

    Raises:
        InputError: the file is a damaged DICOM file.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import UID

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        kind = UID(str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""))
    except InvalidDicomError:  # not DICOM
        if _looks_like_dicom(path):
            raise InputError(message("dicom-file-damaged", volume=name, path=path)) from None
        return None
    except Exception:  # pydicom parses what it is given: damage shows as errors of many kinds
        raise InputError(message("dicom-file-unreadable", volume=name, path=path)) from None
    if len(header) == 0:
        raise InputError(message("dicom-header-cut", volume=name, path=path))
    # A DICOMDIR, a report and others are no images.
    return header if "Rows" in header or not kind or "Image Storage" in kind.name else None


def _looks_like_dicom(path: Path) -> bool:
    """Return whether an unreadable file has a DICOM suffix, or ends within the zeros of a DICOM preamble."""
    if path.name.startswith("."):  # macOS writes such files beside the real ones on foreign file systems
        return False
    with path.open("rb") as file:
        start = file.read(_PREAMBLE)
    return path.suffix.lower() in _SUFFIXES or (0 < len(start) < _PREAMBLE and not start.strip(b"\0"))


def _files(folder: Path, name: str) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(message("dicom-folder-unreadable", volume=name, folder=folder, why=error.strerror or error)) from None


def check_one_volume(headers: list[Dataset], folder: Path, name: str) -> None:
    """Check that headers describe one series: one stack of parallel slices of one size that fits into memory.

    Args:
        headers: of all files of the series.
        folder: names the series in error messages.
        name: the volume's name in error messages.

    Raises:
        InputError: they do not.
        MemoryExhaustedError: the voxels do not fit into memory.
    """
    series = {str(tag_value(header, "SeriesInstanceUID", name)) for header in headers}
    if len(series) > 1:
        raise InputError(message("dicom-several-series", volume=name, folder=folder, count=len(series)))
    for keyword, most, refusal in (
        ("NumberOfFrames", 1, message("dicom-multiframe", volume=name, folder=folder)),
        ("SamplesPerPixel", 1, message("dicom-colour", volume=name, folder=folder)),
        ("NumberOfSlices", len(headers), message("dicom-slices-missing", volume=name, folder=folder, count=len(headers))),
    ):
        if any(tag_value(header, keyword, name) and tag_numbers(header, keyword, 1, name)[0] > most for header in headers):
            raise InputError(refusal)
    for keyword, count in (("Rows", 1), ("Columns", 1), ("PixelSpacing", 2), ("ImageOrientationPatient", 6)):
        values = [tag_numbers(header, keyword, count, name, positive=count < 6) for header in headers]
        if not np.allclose(values, values[0], atol=1e-4):
            raise InputError(message("dicom-slices-differ", volume=name, folder=folder, tag=keyword))
    if not all(abs(np.linalg.norm(axis) - 1) < _UNIT for axis in slice_axes(headers[0])):
        raise InputError(message("dicom-directions-invalid", volume=name, folder=folder))
    for header in headers:
        tag_numbers(header, "ImagePositionPatient", 3, name)
    _check_size(headers, folder, name)


def _check_size(headers: list[Dataset], folder: Path, name: str) -> None:
    """Check that no file is smaller than its headers say, and that all voxels fit into memory."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    uncompressed = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
    sizes = [
        math.prod(tag_numbers(header, keyword, 1, name)[0] for keyword in ("Rows", "Columns", "BitsAllocated")) / 8
        for header in headers
    ]
    for header, size in zip(headers, sizes, strict=True):
        plain = header.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian) in uncompressed
        if plain and Path(str(header.filename)).stat().st_size < size:
            raise InputError(message("dicom-file-damaged", volume=name, path=header.filename))
    free = free_main_memory()
    if free is not None and sum(sizes) > free:
        raise MemoryExhaustedError(message("dicom-too-large", volume=name, folder=folder, gigabytes=sum(sizes) / 1e9))


def _sorted(headers: list[Dataset]) -> tuple[list[Dataset], NDArray[np.float64]]:
    """Sort slices by their distance along the slice normal, in millimetres; instance numbers are not used."""
    normal = slice_axes(headers[0])[2]
    distances = np.array([np.dot(np.array(header.ImagePositionPatient, float), normal) for header in headers])
    order = np.argsort(distances, kind="stable")
    return [headers[index] for index in order], distances[order]


def _spacing(headers: list[Dataset], distances: NDArray[np.float64], folder: Path, name: str) -> float:
    """Return the distance of the slices in millimetres; InputError if slices are missing, coincide or are displaced."""
    if len(headers) == 1:
        return slice_thickness(headers[0])
    steps = np.diff(distances)
    spacing = float(np.median(steps))
    if steps.min() < 1e-3:
        raise InputError(message("dicom-slices-coincide", volume=name, folder=folder))
    wrong = np.abs(steps - spacing) > _GAP * spacing
    if wrong.any():
        first = int(wrong.argmax())
        raise InputError(
            message(
                "dicom-gap",
                volume=name,
                folder=folder,
                count=wrong.sum(),
                spacing=spacing,
                slice=first + 1,
                slices=len(headers),
                step=steps[first],
            )
        )
    ends = [np.array(header.ImagePositionPatient, float) for header in (headers[0], headers[-1])]
    drift = ends[1] - ends[0] - slice_axes(headers[0])[2] * (distances[-1] - distances[0])
    if np.linalg.norm(drift) > _SHEAR * min(float(value) for value in headers[0].PixelSpacing):
        raise InputError(message("dicom-sheared", volume=name, folder=folder))
    return float((distances[-1] - distances[0]) / (len(headers) - 1))


def _pixels(header: Dataset, name: str) -> NDArray[Any]:
    """Read the pixels of one slice, (H, W), rescaled by its headers; float32 if the slope is not 1."""
    try:
        _check_tags(Path(str(header.filename)))
        pixels: NDArray[Any] = np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(header.filename))), axis=0)
    except Exception as error:  # as in read_header
        if is_out_of_memory(error):
            raise MemoryExhaustedError(message("memory-to-read", path=header.filename)) from None
        raise InputError(message("dicom-file-damaged", volume=name, path=header.filename)) from None
    fractions = pixels.dtype.kind == "f" or tag_value(header, "RescaleSlope", name) not in (None, 1)
    return pixels.astype(np.float32) if fractions else pixels


def _check_tags(path: Path) -> None:
    """Raise ValueError if a tag has an unknown type or is longer than the file: ITK would allocate gigabytes for it."""
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.uid import DeflatedExplicitVRLittleEndian
    from pydicom.valuerep import VR

    known = (None, "??", *VR)  # None where the transfer syntax has no types, "??" where the type is not known
    whole, size = pydicom.dcmread(path, defer_size=_LARGE), path.stat().st_size
    if whole.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        size = _UNDEFINED  # the positions of its tags are not those in the file
    for each in (*whole.file_meta.values(), *whole.values()):
        if not isinstance(each, RawDataElement):  # pydicom has parsed it already
            continue
        if each.VR not in known or (each.length != _UNDEFINED and each.value_tell + each.length > size):
            raise ValueError(f"{each.tag} is damaged.")


def _label(image: sitk.Image, folder: Path, header: Dataset, suv: bool) -> None:
    """Store the source, the series, the modality and the units in the metadata of a volume."""
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
