"""NRRD (``.nrrd``); headers beside their voxels (``.nhdr``) are read as well."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.io.formats.file_format import FileFormat, read_noting_position
from cspadn.io.header_checks import (
    DamageError,
    Voxels,
    check_position,
    check_words,
    extents_of,
    numbers,
    read_fields,
    voxels_beside,
)
from cspadn.messages import message

if TYPE_CHECKING:
    import SimpleITK as sitk

_MAGIC = re.compile(rb"NRRD000[1-5]\r?\n")
_LONGEST_MAGIC = 10
_TEXT, _RAW, _GZIP = ("ascii", "text", "txt"), ("raw",), ("gzip", "gz")  # encodings
_MOST_AXES = 16
_POSITIONS = ("space directions", "space origin", "axis mins", "axismins")  # fields of which one is enough
_ITK_NAME = "NrrdImageIO"
_AXES_IN_SPACE = ("domain", "space", "time", "none", "???")  # kinds of axes that are not values of one voxel
_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int", "uint32", "uint32_t", "float"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "signed long long int"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "unsigned long long int", "uint64"), 8),
    **dict.fromkeys(("uint64_t", "double"), 8),
}  # of a value, by the names of its type


def _is_content(path: Path) -> bool:
    with path.open("rb") as file:
        return _MAGIC.match(file.read(_LONGEST_MAGIC)) is not None


def _find_voxels(path: Path) -> Voxels:
    fields, start = read_fields(path, ":", "")
    _check_position(fields)
    encoding, size = fields.get("encoding", "").lower(), _size(fields)
    if encoding not in (*_TEXT, *_RAW, *_GZIP) or fields.get("line skip", fields.get("lineskip", "0")) != "0":
        raise DamageError(message("header-impossible"))
    elsewhere, packed = fields.get("data file", fields.get("datafile")), encoding in _GZIP
    voxels = Voxels.rest_of(path, start, packed) if elsewhere is None else voxels_beside(path, elsewhere, packed)
    if encoding in _TEXT:
        check_words(voxels, size // _BYTES[fields["type"].lower()])
        return Voxels.somewhere_in(voxels.file)._replace(exact=size)
    skipped = _skipped(fields, voxels.stored - size)
    # ITK puts values of one voxel first
    in_order = all(kind in _AXES_IN_SPACE for kind in fields.get("kinds", "").lower().split()[1:])
    voxels = voxels._replace(exact=size, comparable=in_order)
    if packed:
        return voxels._replace(size=size + skipped)
    return voxels._replace(start=voxels.start + skipped, stored=voxels.stored - skipped, size=size)


def _skipped(fields: dict[str, str], all_but_voxels: int) -> int:
    """Return how many bytes lie before the voxels.

    Args:
        all_but_voxels: the number if the voxels are the last bytes, as -1 says.
    """
    text = fields.get("byte skip", fields.get("byteskip", "0"))
    if text == "-1" and fields.get("encoding", "").lower() in _RAW:
        return max(0, all_but_voxels)
    if not text.isdecimal():
        raise DamageError(message("header-impossible"))
    return int(text)


def _size(fields: dict[str, str]) -> int:
    """Return the number of bytes of all values; DamageError if the header does not say."""
    extents = extents_of(fields.get("sizes", ""))
    one = _BYTES.get(fields.get("type", "").lower())
    if one is None or fields.get("dimension") != str(len(extents)) or len(extents) > _MOST_AXES:
        raise DamageError(message("header-impossible"))
    return math.prod(extents) * one


def _check_position(fields: dict[str, str]) -> None:
    spacings, kinds = numbers(fields.get("spacings", "")), fields.get("kinds", "").lower().split()
    if all(kind in ("domain", "space") for kind in kinds):  # an axis of colours may have no spacing
        check_position([each for each in spacings if kinds or not math.isnan(each)], [])
    places = re.sub("[(),]", " ", f"{fields.get('space directions')} {fields.get('space origin')}")
    check_position([], [each for each in numbers(places) if not math.isnan(each)])  # as the word "none" is


def _read(path: Path) -> sitk.Image:
    return read_noting_position(path, _ITK_NAME, read_fields(path, ":", "")[0], _POSITIONS)


FORMAT = FileFormat(
    "NRRD",
    (".nrrd",),
    _ITK_NAME,
    _is_content,
    has_metadata=True,
    has_oblique_axes=True,
    find_voxels=_find_voxels,
    read=_read,
)
