"""MetaImage (``.mha``); headers beside their voxels (``.mhd``) are read as well."""

from __future__ import annotations

import math
import re
from itertools import chain
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

_FIRST_BYTES = 1000
# Lines of a key and a value, up to a key of every MetaImage. A key, a value and a line end in one way only: no backtracking.
_CONTENT = re.compile(rb"\s*(?:[A-Za-z][^\0\n=:]*[=:][^\0\n]*\n\s*)*?(?:NDims|DimSize) *[=:]")
_ITK_NAME, _LAST_KEY, _MARK = "MetaImageIO", "elementdatafile", "[=:]"
_MOST_AXES = 10  # ITK crashes on more
_NAMES = (  # of the fields that ITK knows, which it takes for others in any other spelling
    *("ObjectType", "ObjectSubType", "NDims", "BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData"),
    *("CompressedDataSize", "CompressionLevel", "TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin"),
    *("CenterOfRotation", "ElementSpacing", "ElementSize", "DimSize", "HeaderSize", "ElementNumberOfChannels", "ElementType"),
    *("ElementDataFile", "ElementMin", "ElementMax", "ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"),
    *("ID", "ParentID", "Color", "Name", "Comment", "AnatomicalOrientation", "DistanceUnits", "AcquisitionDate", "Modality"),
)
_MOST_VALUE = 250  # letters of their values, for which ITK has buffers of 255
_POSITIONS, _MATRICES = ("offset", "position", "origin"), ("transformmatrix", "rotation", "orientation")
_OF_AXES = (*_POSITIONS, "dimsize", "elementspacing", "elementsize", "centerofrotation")  # a number for each axis
_SINGLE = (
    *("elementnumberofchannels", "headersize", "compresseddatasize", "compressionlevel", "elementmin", "elementmax"),
    *("elementtointensityfunctionslope", "elementtointensityfunctionoffset", "id", "parentid"),
)
_FLAGS = ("binarydata", "binarydatabyteordermsb", "elementbyteordermsb", "compresseddata")
_BYTES = {"char": 1, "uchar": 1, "short": 2, "ushort": 2, "int": 4, "uint": 4, "float": 4}
_BYTES |= {"long": 8, "ulong": 8, "long_long": 8, "ulong_long": 8, "double": 8}


def _is_content(path: Path) -> bool:
    with path.open("rb") as file:
        return _CONTENT.match(file.read(_FIRST_BYTES)) is not None


def _find_voxels(path: Path) -> Voxels:
    fields, start = read_fields(path, _MARK, _LAST_KEY, _NAMES)
    if any(len(fields.get(name.lower(), "")) > _MOST_VALUE for name in _NAMES):
        raise DamageError(message("header-too-long"))
    extents = _extents(fields)
    places = [fields[name] for name in (*_POSITIONS, *_MATRICES) if name in fields]
    check_position(numbers(fields.get("elementspacing", "")), chain(*map(numbers, places)))
    packed, binary = (fields.get(name, "")[:1].lower() in ("t", "1") for name in ("compresseddata", "binarydata"))
    elsewhere = fields.get(_LAST_KEY, "")
    local = elsewhere.lower() == "local"
    voxels = Voxels.rest_of(path, start, packed) if local else voxels_beside(path, elsewhere, packed)
    count = math.prod(extents) * int(fields.get("elementnumberofchannels", "1"))
    size = count * _value_bytes(fields)
    if not (packed or binary):
        check_words(voxels, count)
        return Voxels.somewhere_in(voxels.file)._replace(exact=size)
    skipped = int(fields.get("headersize", "0"))
    if skipped and (local or packed or skipped < -1):
        raise DamageError(message("header-impossible"))
    skipped = max(0, voxels.stored - size if skipped == -1 else skipped)  # -1: the voxels are the last bytes
    voxels = voxels._replace(start=voxels.start + skipped, stored=voxels.stored - skipped)
    voxels = voxels._replace(size=size, exact=size, comparable=True)
    stated = fields.get("compresseddatasize", "")
    if not packed or not (stated or local):
        return voxels
    return voxels._replace(stored=min(voxels.stored, int(stated) if stated.isdecimal() else 0))  # ITK reads no more than that


def _extents(fields: dict[str, str]) -> list[int]:
    """Return the number of voxels along each axis; DamageError if numbers are missing, or there are too many.

    ITK takes numbers that a field lacks from the next line, which is then no field any more.
    """
    extents = extents_of(fields.get("dimsize", ""))
    axes = len(extents)
    counts = {
        **dict.fromkeys(_OF_AXES, axes),
        **dict.fromkeys(_MATRICES, axes * axes),
        **dict.fromkeys(_SINGLE, 1),
        "color": 4,
    }
    wrong = (name for name, count in counts.items() if name in fields and len(fields[name].split()) != count)
    if fields.get("ndims") != str(axes) or axes > _MOST_AXES or next(wrong, None):  # ITK crashes on some of these
        raise DamageError(message("header-impossible"))
    for group in (_POSITIONS, _MATRICES):  # names of one field: the readers would not agree which one counts
        if len({fields[name] for name in group if name in fields}) > 1:
            raise DamageError(message("header-impossible"))
    if not all(re.fullmatch(r"-?\d{1,18}", fields.get(name, "1")) for name in ("elementnumberofchannels", "headersize")):
        raise DamageError(message("header-impossible"))
    if int(fields.get("elementnumberofchannels", "1")) < 1:
        raise DamageError(message("header-impossible"))
    if any(fields.get(name, "true").lower() not in ("true", "false", "t", "f", "1", "0") for name in _FLAGS):
        raise DamageError(message("header-impossible"))
    return extents


def _value_bytes(fields: dict[str, str]) -> int:
    kind = fields.get("elementtype", "").lower()
    if not kind.startswith("met_") or (kind.removeprefix("met_").removesuffix("_array")) not in _BYTES:
        raise DamageError(message("header-impossible"))
    return _BYTES[kind.removeprefix("met_").removesuffix("_array")]


def _read(path: Path) -> sitk.Image:
    return read_noting_position(path, _ITK_NAME, read_fields(path, _MARK, _LAST_KEY)[0], (*_POSITIONS, *_MATRICES))


FORMAT = FileFormat(
    "MetaImage",
    (".mha",),
    _ITK_NAME,
    _is_content,
    has_metadata=True,
    has_oblique_axes=True,
    find_voxels=_find_voxels,
    read=_read,
)
