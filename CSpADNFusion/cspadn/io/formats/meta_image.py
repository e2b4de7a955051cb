"""MetaImage (``.mha``); headers beside their voxels (``.mhd``) are read as well."""

from __future__ import annotations

import math
from itertools import chain
from pathlib import Path

from cspadn.io.formats.file_format import FileFormat
from cspadn.io.header_checks import (
    DamageError,
    Voxels,
    check_extents,
    check_position,
    numbers,
    read_fields,
    voxels_beside,
)
from cspadn.messages import message

_MOST_AXES = 10  # ITK crashes on more
_PLACES = ("offset", "position", "origin", "transformmatrix", "rotation", "orientation")


def _find_voxels(path: Path) -> Voxels | None:
    fields, start = read_fields(path, "[=:]", "elementdatafile")
    extents = [int(each) if math.isfinite(each) else 0 for each in numbers(fields.get("dimsize", ""))]
    check_extents(extents)
    if fields.get("ndims") != str(len(extents)) or len(extents) > _MOST_AXES:  # ITK crashes on these
        raise DamageError(message("header-impossible"))
    places = [fields[name] for name in _PLACES if name in fields]
    check_position(numbers(fields.get("elementspacing", "")), chain(*map(numbers, places)))
    packed, binary = (fields.get(name, "")[:1].lower() in ("t", "1") for name in ("compresseddata", "binarydata"))
    elsewhere = fields.get("elementdatafile", "")
    local = elsewhere.lower() == "local"
    voxels = Voxels.rest_of(path, start, packed) if local else voxels_beside(path, elsewhere, packed)
    if not (packed or binary):
        return Voxels.somewhere_in(path) if local else None
    stated = fields.get("compresseddatasize", "")
    if voxels is None or not packed or not (stated or local):
        return voxels
    return voxels._replace(stored=min(voxels.stored, int(stated) if stated.isdecimal() else 0))  # ITK reads no more than that


FORMAT = FileFormat("MetaImage", (".mha",), "MetaImageIO", has_metadata=True, has_oblique_axes=True, find_voxels=_find_voxels)
