"""PNG pictures of 8 or 16 bits."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from cspadn.io.formats.file_format import FileFormat
from cspadn.io.header_checks import DamageError, Voxels
from cspadn.messages import message

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SIGNATURE_BYTES = len(_SIGNATURE)


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


def _is_content(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_SIGNATURE_BYTES) == _SIGNATURE


FORMAT = FileFormat("PNG", (".png",), "PNGImageIO", _is_content, is_picture=True, find_voxels=_find_voxels)
