"""PNG pictures of 8 or 16 bits."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from cspadn.io.formats.file_format import FileFormat
from cspadn.io.header_checks import DamageError, Voxels
from cspadn.messages import message

_SIGNATURE_BYTES = 8


def _find_voxels(path: Path) -> Voxels:
    """Check that all chunks are there: the reader allocates memory for a chunk before it notices that it is cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(_SIGNATURE_BYTES)
        kind = b""
        while kind != b"IEND":
            length, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\xff"))
            if file.seek(length + 4, os.SEEK_CUR) > size:
                raise DamageError(message("png-cut"))
    return Voxels.somewhere_in(path)


FORMAT = FileFormat("PNG", (".png",), "PNGImageIO", is_picture=True, find_voxels=_find_voxels)
