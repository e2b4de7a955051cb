"""Read the headers of DICOM images: one dataset for each slice, whether it has a file of its own or is a frame of one."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.errors import InputError
from cspadn.io.deflated_dicom import is_deflated_bomb
from cspadn.io.dicom_frames import is_enhanced, split_into_frames, stored_frames
from cspadn.io.dicom_tags import tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

SLICE, VOLUME = "slice", "volume"
Series = Path | Sequence[Path]  # the folder of a series, or its files
_SUFFIXES, _PREAMBLE, _MAGIC = (".dcm", ".dicom", ".ima"), 128, b"DICM"  # of file names; bytes before the magic
_FIRST_GROUPS, _LAST_FIRST_ELEMENT, _MOST_LENGTH = (2, 8), 0x90, 1024  # of the first tag of a file without a preamble
_DERIVED = {"SEG": "a segmentation", "RTDOSE": "a radiotherapy dose"}  # images that no scanner has made, by Modality
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # tags of pixels: of floating point numbers, and of integers
_MOST_TAGS = 20_000  # of a header, outside of sequences
_IDENTITY = (  # tags, beside the position, in which two images of one SOPInstanceUID differ if the UID is not unique
    *("ImagePositionPatient", "AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "EchoTime"),
    *("TemporalPositionIdentifier", "TriggerTime", "NumberOfFrames"),
)
_PIXELS, _SYNTAX = ("PixelData", "FloatPixelData", "DoubleFloatPixelData"), "TransferSyntaxUID"
_NUMBER = "InstanceNumber"  # in which copies may differ, if their pixels are equal


def read_headers(series: Series, name: str) -> list[Dataset]:
    """Read the headers of all slices of a series. A copy of a file counts once.

    Args:
        series: the folder of the series, or its files; files that are not DICOM images are skipped.
        name: the volume's name in error messages.

    Returns:
        A dataset for each slice. Slices that are frames of one file have the attribute ``frame``, counted from 0.

    Raises:
        InputError: there are no DICOM images, or some that no scanner has made, a file cannot be read, or two files with one
            SOPInstanceUID differ.
    """
    folder = series if isinstance(series, Path) else series[0].parent
    return headers_of(files_in(series, name) if isinstance(series, Path) else series, folder, name)


def headers_of(files: Sequence[Path], folder: Path, name: str) -> list[Dataset]:
    """Read the headers of all slices in some files; as :func:`read_headers`."""
    headers = [header for path in files if (header := read_header(path, name)) is not None]
    if not headers:
        raise InputError(message("dicom-none", volume=name, folder=folder))
    for header in headers:
        if derived := _DERIVED.get(str(tag_value(header, "Modality", name))):
            raise InputError(message("dicom-not-of-a-scanner", volume=name, path=header.filename, kind=derived))
    return [frame for header in _without_copies(headers, folder, name) for frame in split_into_frames(header, name)]


def files_in(folder: Path, name: str) -> list[Path]:
    """Return the files of a folder, sorted; InputError if it cannot be listed."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(message("dicom-folder-unreadable", volume=name, folder=folder, why=error.strerror or error)) from None


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
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_partial
    from pydicom.uid import UID

    if is_deflated_bomb(path):
        raise InputError(message("dicom-file-unreadable", volume=name, path=path))
    try:
        with path.open("rb") as file:
            header = read_partial(file, _stop(), force=_begins_with_a_tag(_start_of(path)))
        header.filename = str(path)
        kind = UID(str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or ""))
    except InvalidDicomError:  # not DICOM
        if _looks_like_dicom(path):
            raise InputError(message("dicom-file-damaged", volume=name, path=path)) from None
        return None
    except OSError:
        raise InputError(message("dicom-file-unreadable", volume=name, path=path)) from None
    except Exception:  # pydicom parses what it is given: damage shows as errors of many kinds
        raise InputError(message("dicom-file-damaged", volume=name, path=path)) from None
    if len(header) == 0:
        raise InputError(message("dicom-header-cut", volume=name, path=path))
    # A DICOMDIR, a report and others are no images.
    return header if "Rows" in header or not kind or "Image Storage" in kind.name else None


def _stop() -> Callable[[BaseTag, str | None, int], bool]:
    """Return a function that ends the reading of tags before the pixels; ValueError for more tags than a header has.

    A file of terabytes of zeros is a file of tags without an end.
    """
    count = 0

    def is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal count
        count += 1
        if count > _MOST_TAGS:
            raise ValueError("The header does not end.")
        return tag in _PIXEL_TAGS

    return is_pixel_data


def kind_of_file(path: Path, name: str) -> str:
    """Return whether a file is a slice of a DICOM series, a whole volume of many frames, or neither (empty).

    Args:
        path: any file.
        name: the volume's name in error messages.

    Raises:
        OSError: the file cannot be read.
    """
    start = _start_of(path)
    with_preamble = start[_PREAMBLE:] == _MAGIC
    if not (with_preamble or _begins_with_a_tag(start)):
        return ""
    try:
        header = read_header(path, name)
    except InputError:  # damaged, or not DICOM after all
        header = None
    if header is None or "SOPClassUID" not in header:
        return SLICE if with_preamble else ""
    return VOLUME if is_enhanced(header) else SLICE


def is_multiframe(path: Path, name: str) -> bool:
    """Return whether a file is a DICOM image whose frames are the slices of a volume."""
    return kind_of_file(path, name) == VOLUME


def begins_like_dicom(path: Path) -> bool:
    """Return whether a file can be a DICOM file, by its first bytes; OSError if it cannot be read."""
    start = _start_of(path)
    return start[_PREAMBLE:] == _MAGIC or _begins_with_a_tag(start)


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_PREAMBLE + len(_MAGIC))


def _begins_with_a_tag(start: bytes) -> bool:
    """Return whether a file without a preamble begins with a tag of group 2 or 8, as the DICOM of some scanners does."""
    if len(start) < _PREAMBLE or start[_PREAMBLE:] == _MAGIC:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    for order in "<>":
        group, element, implicit = struct.unpack(f"{order}HHL", start[:8])
        if group in _FIRST_GROUPS and element <= _LAST_FIRST_ELEMENT:
            return explicit or (implicit % 2 == 0 and implicit <= _MOST_LENGTH)
    return False


def _looks_like_dicom(path: Path) -> bool:
    """Return whether an unreadable file has a DICOM suffix, or ends within the zeros of a DICOM preamble."""
    if path.name.startswith("."):  # macOS writes such files beside the real ones on foreign file systems
        return False
    start = _start_of(path)
    return path.suffix.lower() in _SUFFIXES or (0 < len(start) < _PREAMBLE and not start.strip(b"\0"))


def _without_copies(headers: Sequence[Dataset], folder: Path, name: str) -> list[Dataset]:
    """Leave out copies of files, as "IM (1).dcm". Files that share a UID by mistake, but lie elsewhere, are no copies."""
    found: dict[tuple[str, ...], list[Dataset]] = {}
    for index, header in enumerate(headers):
        uid = _text(header, "SOPInstanceUID")
        key = (uid, *(_text(header, keyword) for keyword in _IDENTITY)) if uid else (str(index),)
        others = found.setdefault(key, [])
        if any(_have_equal_pixels(other, header) for other in others):
            continue
        for other in others:
            if _text(other, _NUMBER) == _text(header, _NUMBER):
                file, copy = (Path(str(each.filename)).name for each in (other, header))
                raise InputError(message("dicom-copies-differ", volume=name, folder=folder, file=file, other=copy))
        others.append(header)
    return [header for same in found.values() for header in same]


def _text(header: Dataset, keyword: str) -> str:
    try:
        return str(header.get(keyword) or "")
    except Exception:  # pydicom converts values on access
        return ""


def _have_equal_pixels(one: Dataset, other: Dataset) -> bool:
    """Return whether two files hold the same pixels; they may be stored in another syntax, such as a compressed one."""
    import numpy as np

    try:
        if _stored_pixels(one) == _stored_pixels(other):
            return True
        if one.file_meta.get(_SYNTAX) == other.file_meta.get(_SYNTAX):
            return False
        first, second = (stored_frames(Path(str(each.filename))) for each in (one, other))
        return np.array_equal(first, second)
    except Exception:  # as in read_header; reading the pixels will say so
        return False


def _stored_pixels(header: Dataset) -> list[Any]:
    import pydicom

    dataset = pydicom.dcmread(str(header.filename), force=True, specific_tags=list(_PIXELS))
    return [dataset.get(keyword) for keyword in _PIXELS]
