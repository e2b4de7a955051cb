"""NIfTI-1 (``.nii``, ``.nii.gz``); Analyze and pairs of ``.hdr`` and ``.img`` are read as well.

ITK reads the voxels. Their place is that of :mod:`cspadn.io.formats.nifti_forms`.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.io.formats.file_format import FileFormat, read_with_itk, write_with_itk
from cspadn.io.header_checks import (
    DamageError,
    Voxels,
    check_extents,
    check_file_size,
    check_position,
    check_voxels,
)
from cspadn.io.regular_files import beside, is_regular
from cspadn.messages import message

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

    from cspadn.io.formats.nifti_forms import Place

_HEADER_BYTES, _LEAST_OFFSET = 348, 352  # of a file that holds header and voxels, the first voxel lies behind both
_MAGIC = slice(344, 348)  # bytes of the header; "n+1" if header and voxels share a file
_GZIP = b"\x1f\x8b"
_MOST_EXTENSIONS, _MOST_EXTENSIONS_BYTES = 500, 2**24  # of a header
_TYPES = 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304
_BYTES = dict(zip(_TYPES, (1, 2, 4, 4, 8, 8, 3, 1, 2, 4, 8, 8, 16, 16, 32, 4), strict=True))  # per voxel

_ITK_NAME = "NiftiImageIO"
_PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"  # without it, ITK calls a file damaged whose affine is rounded


def _find_voxels(path: Path) -> Voxels | None:
    """Locate the voxels of NIfTI-1 or Analyze, in one file or in two, and check the position; None for other forms."""
    from cspadn.io.formats.nifti_forms import place_of

    os.environ.setdefault(_PERMISSIVE, "1")
    content = _read_header(header_file := _renamed(path, "img", "hdr"))
    if (header := _parsed(content)) is None:
        return None
    size = math.prod(_extents(header)) * _BYTES[int(header["datatype"])]
    start = max(0, int(header["offset"]))
    if content[_MAGIC] == b"n+1\0":
        if start < _LEAST_OFFSET:  # ITK would take bytes of the header for voxels
            raise DamageError(message("header-impossible"))
    elif (voxels := beside(path, _renamed(path, "hdr", "img").name)) is None:
        raise DamageError(message("voxel-file-missing", file=_renamed(path, "hdr", "img").name))
    else:
        path = voxels
    check_file_size(path, start, size)
    _check_extensions(header_file, int(header["offset"]) if content[_MAGIC] == b"n+1\0" else None)
    place_of(header, path.name)
    packed = path.name.lower().endswith(".gz")
    if packed:
        return Voxels.rest_of(path, 0, packed, start + size)._replace(members=True)
    return Voxels.rest_of(path, start, packed, size)


def _parsed(content: bytes) -> np.void | None:
    """Return the fields of a header in either byte order; None if it is too short or not of NIfTI-1 or Analyze."""
    import numpy as np

    if len(content) < _HEADER_BYTES:
        return None
    headers: list[np.void] = [np.frombuffer(content, each)[0] for each in (layout(), layout().newbyteorder(">"))]
    return next((each for each in headers if each["size"] == _HEADER_BYTES), None)


@cache
def layout() -> np.dtype[np.void]:
    """Return the layout of the fields that are read, little-endian; ``magic`` is empty in Analyze files."""
    import numpy as np

    return np.dtype(
        {
            "names": [
                "size",
                "dim",
                "datatype",
                "pixdim",
                "offset",
                "scaling",
                "units",
                "forms",
                "origin",
                "quaternion",
                "affine",
                "magic",
            ],
            "formats": ["i4", "8i2", "i2", "8f4", "f4", "2f4", "u1", "2i2", "3i2", "6f4", "12f4", "S4"],
            "offsets": [0, 40, 70, 76, 108, 112, 123, 252, 253, 256, 280, 344],
            "itemsize": _HEADER_BYTES,
        }
    ).newbyteorder("<")


def _is_content(path: Path) -> bool:
    """Return whether a file, or the header beside it, begins as NIfTI-1 or Analyze does."""
    header = _renamed(path, "img", "hdr")
    if not is_regular(header):
        return False
    with header.open("rb") as file:
        if header.name.lower().endswith(".gz") and file.read(len(_GZIP)) != _GZIP:
            return False
    return _parsed(_read_header(header)) is not None


def _check_extensions(path: Path, end: int | None) -> None:
    """Raise DamageError if there are more header extensions than programs write: ITK takes quadratic time for them.

    Args:
        end: where the voxels start in the same file; None if they are in another one.
    """
    content = _read_header(path, _MOST_EXTENSIONS_BYTES if end is None else min(max(end, 0), _MOST_EXTENSIONS_BYTES))
    place, count = _HEADER_BYTES + 4, 0
    has_extensions = content[_HEADER_BYTES : _HEADER_BYTES + 1].strip(b"\0") != b""
    while has_extensions and place + 8 <= len(content):
        place += max(16, *struct.unpack("<i", content[place : place + 4]))  # of the other byte order: at least as many
        count += 1
        if count > _MOST_EXTENSIONS:
            raise DamageError(message("header-too-long"))
    if has_extensions and len(content) >= _MOST_EXTENSIONS_BYTES:
        raise DamageError(message("header-too-long"))


def _read_header(path: Path, count: int = _HEADER_BYTES) -> bytes:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            return file.read(count)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DamageError(message("compressed-data-cut")) from None


def frame_count(path: Path) -> int:
    """Return the number of frames of a file; 1 if its header cannot be read, which reading the voxels will report."""
    try:
        header = _parsed(_read_header(path)) if is_regular(path) else None
        return 1 if header is None else math.prod(_extents(header)[3:])
    except (OSError, DamageError):
        return 1


def _renamed(path: Path, old: str, new: str) -> Path:
    """Return the other file of a pair of ``.hdr`` and ``.img``; any other path unchanged."""
    return path.with_name(re.sub(rf"\.{old}(\.gz)?$", rf".{new}\1", path.name, flags=re.IGNORECASE))


def _extents(header: np.void) -> list[int]:
    """Return the number of voxels along each axis; DamageError if a number of the header cannot be used."""
    extents = [int(extent) for extent in header["dim"][1 : header["dim"][0] + 1]]
    extents = [*extents[:3], *(extent or 1 for extent in extents[3:])]  # some programs leave these at 0
    if not extents or len(extents) != header["dim"][0] or int(header["datatype"]) not in _BYTES:
        raise DamageError(message("header-impossible"))
    check_extents(extents)
    spacing = [each for each, extent in zip(header["pixdim"][1:4], extents, strict=False) if extent > 1 or each < 0]
    check_position(spacing, [header["offset"]])
    return extents


def _read(path: Path) -> sitk.Image:
    """Read the voxels and put them in their place; RuntimeError if that fails."""
    from cspadn.imaging.metadata import add_note
    from cspadn.io.formats.nifti_forms import place_of, put_in_place

    image = read_with_itk(path, _ITK_NAME)
    header = _parsed(_read_header(_renamed(path, "img", "hdr")))
    if header is not None:
        image = _without_unused_intercept(image, header)
    if header is not None and image.GetDimension() >= 3:
        place = place_of(header, path.name)
        put_in_place(image, place)
        if place.note:
            add_note(image, place.note)
    return image


def _without_unused_intercept(image: sitk.Image, header: np.void) -> sitk.Image:
    """Return an image whose header has no slope as it is stored: the intercept then does not count, but ITK adds it."""
    slope, intercept = (float(value) for value in header["scaling"])
    has_slope = slope != 0 and math.isfinite(slope)
    has_intercept = bool(header["magic"]) and intercept != 0 and math.isfinite(intercept)
    return image if has_slope or not has_intercept or image.GetNumberOfComponentsPerPixel() > 1 else image - intercept


def place_of_file(path: Path) -> Place | None:
    """Return where a NIfTI or Analyze file places its voxels; None if it is neither, or its header cannot be used."""
    from cspadn.io.formats.nifti_forms import place_of

    try:
        header = _parsed(_read_header(_renamed(path, "img", "hdr")))
        return None if header is None else place_of(header, path.name)
    except (DamageError, OSError):
        return None


def _write(image: sitk.Image, path: Path) -> None:
    """Write a file and check that it is whole: ITK's writer does not notice a full disk. OSError if it is not."""
    write_with_itk(image, path)
    try:
        if (voxels := _find_voxels(path)) is None:
            raise DamageError(message("voxels-missing"))
        check_voxels(voxels, 0)
    except DamageError:
        raise OSError(f"{path} is not whole") from None


FORMAT = FileFormat(
    "NIfTI",
    (".nii", ".nii.gz"),
    _ITK_NAME,
    is_content=_is_content,
    has_color=False,  # colours would be written as vectors, which few programs show as colours
    find_voxels=_find_voxels,
    read=_read,
    write=_write,
)
