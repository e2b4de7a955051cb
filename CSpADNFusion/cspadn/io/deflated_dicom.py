"""Refuse DICOM files whose deflated data set is far larger than an image: pydicom and GDCM unpack it at once."""

from __future__ import annotations

import zlib
from pathlib import Path

_DEFLATED = "1.2.840.10008.1.2.1.99"
_PREFIX, _MAGIC = 132, b"DICM"  # bytes before the first tag, and the last of them
_MOST = 2**26  # bytes of an unpacked data set
_CHUNK = 2**16


def is_deflated_bomb(path: Path) -> bool:
    """Return whether the deflated data set of a DICOM file takes more than 64 MB once it is unpacked; OSError."""
    from pydicom.filereader import _read_file_meta_info, read_preamble

    with path.open("rb") as file:
        if file.read(_PREFIX)[-len(_MAGIC) :] != _MAGIC:
            return False
        file.seek(0)
        read_preamble(file, force=False)
        try:
            meta = _read_file_meta_info(file)  # leaves the file at the data set
            if meta.get("TransferSyntaxUID") != _DEFLATED:
                return False
        except Exception:  # pydicom parses what it is given; reading the whole file says what is wrong
            return False
        unpacker, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
        try:
            while packed := unpacker.unconsumed_tail or file.read(_CHUNK):
                count += len(unpacker.decompress(packed, _CHUNK))
                if count > _MOST or unpacker.eof:
                    break
        except zlib.error:
            return False  # damaged: whoever reads it says so
    return count > _MOST
