"""Refuse DICOM files whose deflated data set is far larger than an image: pydicom and GDCM unpack it at once."""

from __future__ import annotations

import zlib
from pathlib import Path

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 4096  # in which the transfer syntax stands
_PREFIX, _GROUP_LENGTH = 132, 12  # bytes before the first tag; of the tag that gives the length of the group
_MOST = 2**26  # bytes of an unpacked data set
_CHUNK = 2**16


def is_deflated_bomb(path: Path) -> bool:
    """Return whether the deflated data set of a DICOM file takes more than 64 MB once it is unpacked; OSError."""
    with path.open("rb") as file:
        start = file.read(_META_BYTES)
        if start[_PREFIX - 4 : _PREFIX] != b"DICM" or _DEFLATED not in start:
            return False
        length = int.from_bytes(start[_PREFIX + _GROUP_LENGTH - 4 : _PREFIX + _GROUP_LENGTH], "little")
        file.seek(_PREFIX + _GROUP_LENGTH + length)
        unpacker, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
        try:
            while packed := unpacker.unconsumed_tail or file.read(_CHUNK):
                count += len(unpacker.decompress(packed, _CHUNK))
                if count > _MOST or unpacker.eof:
                    break
        except zlib.error:
            return False  # damaged: whoever reads it says so
    return count > _MOST
