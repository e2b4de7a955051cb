"""NRRD (``.nrrd``); headers beside their voxels (``.nhdr``) are read as well."""

from __future__ import annotations

import math
import re
from pathlib import Path

from cspadn.io.formats.file_format import FileFormat
from cspadn.io.header_checks import Voxels, check_position, numbers, read_fields, voxels_beside


def _find_voxels(path: Path) -> Voxels | None:
    fields, start = read_fields(path, ":", "")
    spacings, kinds = numbers(fields.get("spacings", "")), fields.get("kinds", "").lower().split()
    if all(kind in ("domain", "space") for kind in kinds):  # an axis of colours may have no spacing
        check_position([each for each in spacings if kinds or not math.isnan(each)], [])
    places = re.sub("[(),]", " ", f"{fields.get('space directions')} {fields.get('space origin')}")
    check_position([], [each for each in numbers(places) if not math.isnan(each)])  # as the word "none" is
    encoding = fields.get("encoding", "").lower()
    packed = encoding in ("gzip", "gz")
    elsewhere = fields.get("data file", fields.get("datafile"))
    known = (packed or encoding == "raw") and not {"line skip", "lineskip", "byte skip", "byteskip"} & set(fields)
    if elsewhere is not None:
        return voxels_beside(path, elsewhere, packed) if known else None
    return Voxels.rest_of(path, start, packed) if known else Voxels.somewhere_in(path)


FORMAT = FileFormat("NRRD", (".nrrd",), "NrrdImageIO", has_metadata=True, has_oblique_axes=True, find_voxels=_find_voxels)
