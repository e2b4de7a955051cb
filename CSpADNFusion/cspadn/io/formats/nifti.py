"""NIfTI-1 (``.nii``, ``.nii.gz``); Analyze and pairs of ``.hdr`` and ``.img`` are read as well."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.io.formats.file_format import FileFormat, write_with_itk
from cspadn.io.header_checks import (
    DamageError,
    Voxels,
    check_extents,
    check_position,
    check_voxels,
)
from cspadn.messages import message

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

_HEADER_BYTES = 348
_MAGIC = slice(344, 348)  # bytes of the header; "n+1" if header and voxels share a file
_TYPES = 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304
_BYTES = dict(zip(_TYPES, (1, 2, 4, 4, 8, 8, 3, 1, 2, 4, 8, 8, 16, 16, 32, 4), strict=True))  # per voxel


def _find_voxels(path: Path) -> Voxels | None:
    """Locate the voxels of NIfTI-1 or Analyze, in one file or in two; None for other forms."""
    import numpy as np

    content = _read_header(_renamed(path, "img", "hdr"))
    if len(content) < _HEADER_BYTES:
        return None
    headers = (np.frombuffer(content, layout)[0] for layout in (_layout(), _layout().newbyteorder(">")))
    if (header := next((each for each in headers if each["size"] == _HEADER_BYTES), None)) is None:
        return None
    size, start = math.prod(_extents(header)) * _BYTES[int(header["datatype"])], max(0, int(header["offset"]))
    if content[_MAGIC] == b"n+1\0":
        start = max(start, len(content))
    elif not (path := _renamed(path, "hdr", "img")).is_file():
        return None
    packed = path.name.lower().endswith(".gz")
    return Voxels.rest_of(path, 0, packed, start + size) if packed else Voxels.rest_of(path, start, packed, size)


@cache
def _layout() -> np.dtype[np.void]:
    """Return the layout of the fields that are checked, little-endian."""
    import numpy as np

    return np.dtype(
        {
            "names": ["size", "dim", "datatype", "pixdim", "offset", "forms", "quaternion", "affine"],
            "formats": ["i4", "8i2", "i2", "8f4", "f4", "2i2", "6f4", "12f4"],
            "offsets": [0, 40, 70, 76, 108, 252, 256, 280],
            "itemsize": _HEADER_BYTES,
        }
    ).newbyteorder("<")


def _read_header(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DamageError(message("compressed-data-cut")) from None


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
    used = [header[name] for name, code in zip(("quaternion", "affine"), header["forms"], strict=True) if code > 0]
    spacing = [each for each, extent in zip(header["pixdim"][1:4], extents, strict=False) if extent > 1 or each < 0]
    check_position(spacing, [header["offset"], *chain(*used[-1:])])  # ITK prefers the affine form
    return extents


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
    "NiftiImageIO",
    has_color=False,  # colours would be written as vectors, which few programs show as colours
    find_voxels=_find_voxels,
    write=_write,
)
