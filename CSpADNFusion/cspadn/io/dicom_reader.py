"""Read a DICOM series as a volume.

pydicom reads the headers. SimpleITK decodes the voxels, because it supports the compressed transfer syntaxes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, MemoryExhaustedError
from cspadn.imaging.frames import chosen_frames, frame_weights, mark_frames
from cspadn.imaging.metadata import FRAME_UID, MODALITY, PADDING, SERIES_UID, SOURCE_NAME, UNITS, add_note
from cspadn.imaging.patient import KEYWORDS, PATIENT, fingerprint
from cspadn.io.dicom_frames import frame_of, stored_frames, unknown_compression
from cspadn.io.dicom_headers import Series, files_in, headers_of, read_header, read_headers
from cspadn.io.dicom_negative import NEGATIVE, inverted_if_negative
from cspadn.io.dicom_padding import mark_padding
from cspadn.io.dicom_stack import check_one_volume, frame_seconds, missing_slices, stack_of, time_frames
from cspadn.io.dicom_tags import slice_axes, tag_numbers, tag_value
from cspadn.io.encoded_frames import sizes_agree
from cspadn.io.suv import suv_factor
from cspadn.messages import message
from cspadn.runtime.limits import exceeded_by_file, expect
from cspadn.runtime.memory import free_main_memory, is_out_of_memory

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    Voxels = NDArray[Any]

__all__ = ["Series", "check_one_volume", "read_files", "read_header", "read_headers", "read_series"]

_MOST_BESIDE = 2**28  # bytes of a file beside its pixels
_LARGE, _UNDEFINED = 2**16, 2**32 - 1  # bytes from which a tag is not loaded; the length of a tag with an end mark


def read_series(folder: Path, name: str, *, suv: bool = False, frames: str | None = None) -> sitk.Image:
    """Read the only series of a folder as a volume.

    The slices are sorted by position. Each is rescaled by its own slope and intercept.

    Args:
        folder: files that are not DICOM are skipped; subfolders are not searched.
        name: the volume's name in error messages, such as "The PET".
        suv: convert Bq/ml to SUV by body weight.
        frames: of a dynamic PET, as for :func:`cspadn.imaging.frames.chosen_frames`.

    Returns:
        The volume in LPS, in millimetres; float32 where the rescaling is not 1, for SUV and for the mean of frames, else the
        stored integer type. Warnings are in its notes.

    Raises:
        InputError: there is no series or more than one, a slice is missing, the slices do not form a straight stack, a tag
            that SUV needs is missing, or the PET is dynamic and no frames were chosen.
        UsageError: the frames cannot be chosen.
        MemoryExhaustedError: the voxels do not fit into memory.
    """
    return read_files(files_in(folder, name), folder, name, suv=suv, frames=frames)


def read_files(files: Sequence[Path], folder: Path, name: str, *, suv: bool = False, frames: str | None = None) -> sitk.Image:
    """Read the files of one series as a volume; they may lie in several folders, among other files.

    Args:
        files: the files of the series; those that are not DICOM are skipped.
        folder: names the series in error messages and in the metadata of the volume.
        name: the volume's name in error messages.
        suv: convert Bq/ml to SUV by body weight.
        frames: of a dynamic PET, as for :func:`cspadn.imaging.frames.chosen_frames`.

    Returns:
        As :func:`read_series`.

    Raises:
        InputError, UsageError, MemoryExhaustedError: as :func:`read_series`.
    """
    headers = headers_of(files, folder, name)
    check_one_volume(headers, folder, name)
    found = time_frames(headers, folder, name)
    chosen, seconds = chosen_frames(frames, len(found), name), frame_seconds(found, name)
    slices = found[chosen[0]]
    stack = stack_of(slices, folder, name)
    _check_size([found[index] for index in chosen], folder, name)
    voxels, padding = _mean([found[index] for index in chosen], frame_weights(chosen, seconds), name)
    voxels, padding, inverted = inverted_if_negative(voxels, slices[0], padding)
    if suv:
        factor = suv_factor(headers, name)
        voxels = voxels.astype(np.float32) * np.float32(factor)
        padding = padding and (padding[0] * factor, padding[1] * factor)
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin(stack.origin.tolist())
    rows, columns = (float(value) for value in slices[0].PixelSpacing)
    image.SetSpacing((columns, rows, stack.spacing))
    image.SetDirection(np.stack(slice_axes(slices[0]), axis=1).ravel().tolist())
    _label(image, folder, slices[0], suv)
    if padding:
        image.SetMetaData(PADDING, f"{padding[0]!r} {padding[1]!r}")
    mark_frames(image, chosen, len(found), seconds, name)
    if missing := missing_slices(headers, len(slices), name):
        add_note(image, message("dicom-fewer-slices", volume=name, count=len(slices), missing=missing))
    if inverted:
        add_note(image, message("dicom-negative-inverted", volume=name))
    return image


def _check_size(frames: Sequence[Sequence[Dataset]], folder: Path, name: str) -> None:
    """Check that no file is smaller than its headers say, and that all voxels fit into memory."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    uncompressed = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)
    files: dict[str, float] = {}
    for header in (header for frame in frames for header in frame):
        size = math.prod(tag_numbers(header, keyword, 1, name)[0] for keyword in ("Rows", "Columns", "BitsAllocated")) / 8
        files[str(header.filename)] = files.get(str(header.filename), 0) + size
        plain = header.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian) in uncompressed
        stored = Path(str(header.filename)).stat().st_size
        if plain and stored < files[str(header.filename)]:
            raise InputError(message("dicom-file-damaged", volume=name, path=header.filename))
    for file, size in files.items():
        if Path(file).stat().st_size > size + _MOST_BESIDE:  # such as a sparse file of terabytes
            raise InputError(message("dicom-file-damaged", volume=name, path=file))
    total = sum(files.values())
    needed = total if len(frames) == 1 else 3 * 4 * total / len(frames)  # sum, weights and a frame, in single precision
    expect(int(max(total, needed)), len(files))  # before memory is asked for: the limit until now was that of a header
    free = free_main_memory()
    if free is not None and needed > free:
        raise MemoryExhaustedError(message("dicom-too-large", volume=name, folder=folder, gigabytes=needed / 1e9))


def _mean(
    frames: Sequence[Sequence[Dataset]], weights: Sequence[float], name: str
) -> tuple[Voxels, tuple[float, float] | None]:
    """Read frames, (slices, rows, columns), and return their weighted mean with the range of its padding, or None.

    In the mean, voxels are padding that are padding in all frames; in other voxels, the frames count that measured them.
    """
    pixels = _Pixels(name)
    if len(frames) == 1:
        voxels = pixels.of(frames[0])
        return voxels, mark_padding(voxels, frames[0], name)
    total: Any = 0.0
    measured: Any = 0.0
    lowest = math.inf
    for headers, part in zip(frames, weights, strict=True):
        voxels = pixels.of(headers).astype(np.float32)
        padding, weight = mark_padding(voxels, headers, name), np.full(1, part, np.float32)
        if padding:
            lowest = min(lowest, padding[0])
            weight = np.where((voxels >= padding[0]) & (voxels <= padding[1]), np.float32(0), weight)
        total, measured = total + voxels * weight, measured + weight
    if math.isinf(lowest):
        return total, None
    mean = np.where(measured > 0, total / np.maximum(measured, 1e-9), np.float32(lowest)).astype(np.float32)
    return mean, (lowest, lowest) if np.min(measured) == 0 else None


class _Pixels:
    """The pixels of slices; a file with many frames is decoded once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._path = ""
        self._frames: Voxels | None = None

    def of(self, headers: Sequence[Dataset]) -> Voxels:
        """Return the slices, (slices, rows, columns), each rescaled by its headers."""
        return np.stack(list(self._slices(headers)))

    def _slices(self, headers: Sequence[Dataset]) -> Iterator[Voxels]:
        for header in headers:
            index = frame_of(header)
            # ITK would invert negatives, and does not find the byte order of a file without a preamble, or fractions.
            negative = header.get("PhotometricInterpretation") == NEGATIVE
            if index is None and (negative or not header.preamble or "BitsStored" not in header):
                index = 0
            yield _pixels(header, self._name) if index is None else self._frame(header, index)

    def _frame(self, header: Dataset, index: int) -> Voxels:
        path = str(header.filename)
        if path != self._path:
            self._frames = _decoded(Path(path), stored_frames, self._name)
            self._path = path
        if self._frames is None or index >= len(self._frames):
            raise InputError(message("dicom-file-damaged", volume=self._name, path=path))
        slope, intercept = (
            default if tag_value(header, keyword, self._name) is None else tag_numbers(header, keyword, 1, self._name)[0]
            for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
        )
        stored: Voxels = self._frames[index]
        if (slope, intercept) == (1, 0):
            return stored
        rescaled: Voxels = (stored * slope + intercept).astype(np.float32)
        return rescaled


def _pixels(header: Dataset, name: str) -> Voxels:
    """Read the pixels of one slice, (H, W), rescaled by its headers; float32 if the slope is not 1."""
    pixels: Voxels = _decoded(
        Path(str(header.filename)), lambda path: np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), axis=0), name
    )
    fractions = pixels.dtype.kind == "f" or tag_value(header, "RescaleSlope", name) not in (None, 1)
    return pixels.astype(np.float32) if fractions else pixels


def _decoded(path: Path, read: Callable[[Path], Voxels], name: str) -> Voxels:
    """Read the pixels of a file with a function; InputError or MemoryExhaustedError if that fails."""
    try:
        _check_tags(path)
        return read(path)
    except Exception as error:  # as in read_header
        if is_out_of_memory(error) and not exceeded_by_file():
            raise MemoryExhaustedError(message("memory-to-read", path=path)) from None
        if unknown := unknown_compression(path):
            raise InputError(message("dicom-compression-unknown", volume=name, path=path, syntax=unknown)) from None
        raise InputError(message("dicom-file-damaged", volume=name, path=path)) from None


def _check_tags(path: Path) -> None:
    """Raise ValueError if a tag has an unknown type or is longer than the file, or a compressed frame has another size.

    ITK would allocate gigabytes for it.
    """
    import pydicom
    from pydicom.dataelem import RawDataElement
    from pydicom.uid import DeflatedExplicitVRLittleEndian
    from pydicom.valuerep import VR

    known = (None, "??", *VR)  # None where the transfer syntax has no types, "??" where the type is not known
    whole, size = pydicom.dcmread(path, defer_size=_LARGE, force=True), path.stat().st_size
    if whole.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        size = _UNDEFINED  # the positions of its tags are not those in the file
    for each in (*whole.file_meta.values(), *whole.values()):
        if not isinstance(each, RawDataElement):  # pydicom has parsed it already
            continue
        if each.VR not in known or (each.length != _UNDEFINED and each.value_tell + each.length > size):
            raise ValueError(f"{each.tag} is damaged.")
    if not sizes_agree(whole):
        raise ValueError("A compressed frame has another size.")


def _label(image: sitk.Image, folder: Path, header: Dataset, suv: bool) -> None:
    """Store the source, the series, the modality and the units in the metadata of a volume."""
    units = "SUVbw" if suv else header.get("Units")
    known = {
        SOURCE_NAME: folder.name,
        SERIES_UID: header.get("SeriesInstanceUID"),
        FRAME_UID: header.get("FrameOfReferenceUID"),
        MODALITY: header.get("Modality"),
        UNITS: units,
        PATIENT: fingerprint({keyword: header.get(keyword) for keyword in KEYWORDS}),
    }
    for key, value in known.items():
        if value:
            image.SetMetaData(key, str(value))
