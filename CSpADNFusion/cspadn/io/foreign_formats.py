"""Say why a file cannot be read: it has a format that is not read, is empty, or is damaged."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path

from cspadn.io.formats import FORMAT_NAMES
from cspadn.io.regular_files import is_regular
from cspadn.messages import Sentence, message

_START = 512  # bytes
_GZIP = b"\x1f\x8b"
_NIFTI_2 = {(540).to_bytes(4, order) for order in ("little", "big")}  # size of the header
_MAGIC, _NIFTI_1 = 344, (b"n+1\0", b"ni1\0")  # where a NIfTI-1 header names its format, and how
_MGH = (1).to_bytes(4, "big")  # version
_ENDINGS = {  # of names, where the content has no mark
    (".head", ".brik", ".brik.gz"): "an AFNI file",
    (".rec",): "a Philips REC file",
}
_BEGINNINGS = {
    b"\x89HDF\r\n\x1a\n": "a MINC 2 or another HDF5 file",
    b"CDF\x01": "a MINC 1 or another NetCDF file",
    b"MATRIX7": "an ECAT 7 file",
    b"!INTERFILE": "an Interfile header",
    b"# === DATA DESCRIPTION FILE": "a Philips PAR file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x93NUMPY": "a NumPy array",
    b"MATLAB 5.0 MAT-file": "a MATLAB file",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"%PDF": "a PDF",
    b"\xff\xd8\xff": "a JPEG picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
}


def reason_of(path: Path) -> Sentence:
    """Return why the readers refuse a file, as the end of a sentence about it; OSError if it cannot be opened."""
    start = _start_of(path)
    if not start:
        return message("file-empty")
    if found := _format_of(start, path.name.lower()) or _format_of(_start_of_header(path), ""):
        return message("format-foreign", format=found)
    if wrong := _wrong_ending(path):
        return wrong
    return message("format-unknown", formats=" or ".join((", ".join(FORMAT_NAMES[:-1]), FORMAT_NAMES[-1])))


def _start_of_header(path: Path) -> bytes:
    """Return the first bytes of the header beside voxels (``.hdr`` beside ``.img``); empty if there is none."""
    name = re.sub(r"\.img(\.gz)?$", r".hdr\1", path.name, flags=re.IGNORECASE)
    header = path.with_name(name)
    return _start_of(header) if name != path.name and is_regular(header) else b""


def _wrong_ending(path: Path) -> Sentence | None:
    """Return what to do if a NIfTI file is packed by gzip but not named so, or the other way round; else None."""
    with path.open("rb") as file:
        packed = file.read(len(_GZIP)) == _GZIP
    if _start_of(path)[_MAGIC : _MAGIC + 4] not in _NIFTI_1:
        return None
    named = path.name.lower().endswith(".gz")
    if packed == named:
        return None
    return message("gzip-not-named") if packed else message("gzip-named-only")


def _start_of(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked if it is packed by gzip; those of a damaged one as they are."""
    with path.open("rb") as file:
        start = file.read(_START)
    if not start.startswith(_GZIP):
        return start
    try:
        with gzip.open(path) as packed:
            return packed.read(_START)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return start


def _format_of(start: bytes, name: str) -> str:
    """Return the format that the first bytes show, with its article; empty if they show none."""
    if start[:4] in _NIFTI_2 and start[4:7] in (b"n+2", b"ni2"):
        return "a NIfTI-2 file"
    if start[:4] == _MGH and name.endswith((".mgh", ".mgz")):
        return "a FreeSurfer MGH file"
    for suffixes, kind in _ENDINGS.items():
        if name.endswith(suffixes):
            return kind
    beginning = start.lstrip().lower()
    return next((kind for mark, kind in _BEGINNINGS.items() if start.startswith(mark) or beginning.startswith(mark)), "")
