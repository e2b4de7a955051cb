"""Headers of image files, looked at before the voxels are read: whether they can be believed."""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from cspadn.errors import MemoryExhaustedError
from cspadn.runtime.memory import free_main_memory

_CHUNK = 2**20
_MOST_COMPRESSED, _MOST_EXPANDED = 1040, 32  # times: what deflate can do; of a bit that is a colour of four bytes
_MOST_HEADER = 2**24  # bytes
_GZIP, _GZIP_OR_ZLIB = b"\x1f", 47  # how a member begins; zlib's code for either
_NOT_WHOLE = "it is damaged, its compressed data are not whole. Fetch it again."
_NIFTI = np.dtype(  # what of NIfTI-1's header is looked at
    {
        "names": ["size", "dim", "datatype", "pixdim", "offset", "forms", "quaternion", "affine"],
        "formats": ["i4", "8i2", "i2", "8f4", "f4", "2i2", "6f4", "12f4"],
        "offsets": [0, 40, 70, 76, 108, 252, 256, 280],
        "itemsize": 348,
    }
).newbyteorder("<")
_NIFTI_TYPES = 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304
_NIFTI_BYTES = dict(zip(_NIFTI_TYPES, (1, 2, 4, 4, 8, 8, 3, 1, 2, 4, 8, 8, 16, 16, 32, 4), strict=True))  # of a voxel
_MOST_AXES = 10  # of MetaImage
_FAR = 1e9  # millimetres; with far larger numbers ITK may never come to an end
_PNG_SIGNATURE = 8  # bytes
_SEVERAL = re.compile(r"LIST( \d+)?|[^%]*%0?\d?d[^%]*", re.IGNORECASE)  # files, in the next lines or by their numbers
_ODD = "it is damaged, its header says what no image has. Fetch it again."
_META_PLACES = ("offset", "position", "origin", "transformmatrix", "rotation", "orientation")


class DamageError(Exception):
    """What is wrong with a file, and what to do."""


class _Voxels(NamedTuple):
    """Where the voxels of an image are, as its header says.

    Attributes:
        file, start: that holds them, and the byte of it that they start at.
        stored: how many bytes of it are theirs, at most.
        packed: whether they are compressed.
        size: how many there are to be, no longer compressed; None: as many as ITK says.
    """

    file: Path
    start: int
    stored: int
    packed: bool = False
    size: int | None = None

    @classmethod
    def rest_of(cls, file: Path, start: int, packed: bool, size: int | None = None) -> _Voxels:
        """All of a file from ``start`` on."""
        return cls(file, start, file.stat().st_size - start, packed, size)

    @classmethod
    def somewhere_in(cls, file: Path) -> _Voxels:
        """No more than deflate could make of it, and a picture of its bits and palette."""
        return cls(file, 0, file.stat().st_size * _MOST_COMPRESSED * _MOST_EXPANDED)


def check_content(path: Path, name: str) -> None:
    """Before a header is believed: the readers of images fill up what is not there, and replace numbers that are none.

    What is not plainly understood is left to ITK.

    Raises:
        DamageError: what is wrong, as the end of a sentence on the file.
        MemoryExhaustedError: there are more voxels than there is memory; the sentence calls the image ``name``.
    """
    kind = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    voxels = _HEADERS.get(kind, _Voxels.somewhere_in)(path)
    size = _size_by_itk(path)
    free = free_main_memory()
    if free is not None and size > free:
        raise MemoryExhaustedError(
            f"{name} {path} has {size / 1e9:.1f} GB of voxels, more than there is memory: crop it, or repair its header."
        )
    if voxels is not None:
        _check_voxels(voxels, size)


def check_nifti(path: Path) -> None:
    """DamageError unless a NIfTI file is whole that was just written: its writer does not notice a full disk."""
    if (voxels := _nifti(path)) is None:
        raise DamageError("no NIfTI file")
    _check_voxels(voxels, 0)


def _size_by_itk(path: Path) -> int:
    """Bytes of the voxels in memory; nothing of that size is read or taken."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    _check_extents(reader.GetSize())
    one = sitk.Image([1, 1], reader.GetPixelID())
    parts = reader.GetNumberOfComponents() * (2 if "complex" in one.GetPixelIDTypeAsString() else 1)
    return int(math.prod(reader.GetSize()) * parts * one.GetSizeOfPixelComponent())


def _check_extents(extents: Sequence[int]) -> None:
    if min(extents, default=0) < 1:
        told = " x ".join(map(str, extents)) or "no"
        raise DamageError(f"its header says {told} voxels. Repair the sizes in it, or convert the image anew.")


def _check_position(spacing: Iterable[float], others: Iterable[float]) -> None:
    if not (all(abs(value) < _FAR for value in others) and all(1 / _FAR < value < _FAR for value in spacing)):
        raise DamageError(
            "its header has a spacing that is not positive, or a position that is no usable number. Repair these fields, or"
            " convert the image anew."
        )


def _check_voxels(voxels: _Voxels, size: int) -> None:
    """Whether there are as many as the header says."""
    size = voxels.size or size
    held = _unpacked(voxels, size + _MOST_HEADER) if voxels.packed else voxels.stored
    if held < size:
        raise DamageError("it is damaged, its header says more voxels than it holds. Fetch it again.")
    if voxels.packed and held >= size + _MOST_HEADER:
        raise DamageError("it holds more than its header says. Fetch it again, or repair its header.")


def _unpacked(voxels: _Voxels, most: int) -> int:
    """How many bytes compressed voxels are, counted up to ``most``, without holding them."""
    count, unpacker = 0, zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for packed in _chunks(voxels):
            while packed and count < most:
                if unpacker.eof:  # what follows is another member, or nothing of ours
                    if not packed.startswith(_GZIP):
                        return count
                    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
                count += len(unpacker.decompress(packed, _CHUNK))
                packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if count >= most:
                return count
    except zlib.error:
        raise DamageError(_NOT_WHOLE) from None
    if not unpacker.eof:
        raise DamageError(_NOT_WHOLE)
    return count


def _chunks(voxels: _Voxels) -> Iterator[bytes]:
    left = voxels.stored
    with voxels.file.open("rb") as file:
        file.seek(voxels.start)
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _nifti(path: Path) -> _Voxels | None:
    """Of NIfTI-1 and Analyze, in one file or in two (.hdr, .img); None for what else there is, which is left to ITK."""
    content = _nifti_header(_renamed(path, "img", "hdr"))
    if len(content) < _NIFTI.itemsize:
        return None
    headers = (np.frombuffer(content, layout)[0] for layout in (_NIFTI, _NIFTI.newbyteorder(">")))
    if (header := next((each for each in headers if each["size"] == _NIFTI.itemsize), None)) is None:
        return None
    size, start = math.prod(_nifti_extents(header)) * _NIFTI_BYTES[int(header["datatype"])], max(0, int(header["offset"]))
    if content[344:] == b"n+1\0":
        start = max(start, len(content))
    elif not (path := _renamed(path, "hdr", "img")).is_file():
        return None
    packed = path.name.lower().endswith(".gz")
    return _Voxels.rest_of(path, 0, packed, start + size) if packed else _Voxels.rest_of(path, start, packed, size)


def _nifti_header(path: Path) -> bytes:
    try:
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            return file.read(_NIFTI.itemsize)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise DamageError(_NOT_WHOLE) from None


def _renamed(path: Path, old: str, new: str) -> Path:
    """The other file of a pair; the same where it is none."""
    return path.with_name(re.sub(rf"\.{old}(\.gz)?$", rf".{new}\1", path.name, flags=re.IGNORECASE))


def _nifti_extents(header: np.void) -> list[int]:
    """How many voxels along each axis, of a header whose numbers can be used."""
    extents = [int(extent) for extent in header["dim"][1 : header["dim"][0] + 1]]
    extents = [*extents[:3], *(extent or 1 for extent in extents[3:])]  # not all programs fill them in
    if not extents or len(extents) != header["dim"][0] or int(header["datatype"]) not in _NIFTI_BYTES:
        raise DamageError(_ODD)
    _check_extents(extents)
    used = [header[name] for name, code in zip(("quaternion", "affine"), header["forms"], strict=True) if code > 0]
    spacing = [each for each, extent in zip(header["pixdim"][1:4], extents, strict=False) if extent > 1 or each < 0]
    _check_position(spacing, [header["offset"], *chain(*used[-1:])])  # of two forms, ITK takes the affine one
    return extents


def _nrrd(path: Path) -> _Voxels | None:
    fields, start = _fields(path, ":", "")
    spacings, kinds = _numbers(fields.get("spacings", "")), fields.get("kinds", "").lower().split()
    if all(kind in ("domain", "space") for kind in kinds):  # an axis of colours may have no spacing
        _check_position([each for each in spacings if kinds or not math.isnan(each)], [])
    places = re.sub("[(),]", " ", f"{fields.get('space directions')} {fields.get('space origin')}")
    _check_position([], [each for each in _numbers(places) if not math.isnan(each)])  # as the word "none" is
    encoding = fields.get("encoding", "").lower()
    packed = encoding in ("gzip", "gz")
    elsewhere = fields.get("data file", fields.get("datafile"))
    known = (packed or encoding == "raw") and not {"line skip", "lineskip", "byte skip", "byteskip"} & set(fields)
    if elsewhere is not None:
        return _beside(path, elsewhere, packed) if known else None
    return _Voxels.rest_of(path, start, packed) if known else _Voxels.somewhere_in(path)


def _meta_image(path: Path) -> _Voxels | None:
    fields, start = _fields(path, "[=:]", "elementdatafile")
    extents = [int(number) if math.isfinite(number) else 0 for number in _numbers(fields.get("dimsize", ""))]
    _check_extents(extents)
    if fields.get("ndims") != str(len(extents)) or len(extents) > _MOST_AXES:  # ITK crashes
        raise DamageError(_ODD)
    places = [fields[name] for name in _META_PLACES if name in fields]
    _check_position(_numbers(fields.get("elementspacing", "")), chain(*map(_numbers, places)))
    packed, binary = (fields.get(name, "")[:1].lower() in ("t", "1") for name in ("compresseddata", "binarydata"))
    elsewhere = fields.get("elementdatafile", "")
    local = elsewhere.lower() == "local"
    voxels = _Voxels.rest_of(path, start, packed) if local else _beside(path, elsewhere, packed)
    if not (packed or binary):
        return _Voxels.somewhere_in(path) if local else None
    told = fields.get("compresseddatasize", "")
    if voxels is None or not packed or not (told or local):
        return voxels
    return voxels._replace(stored=min(voxels.stored, int(told) if told.isdecimal() else 0))  # ITK reads no more than that


def _fields(path: Path, mark: str, last: str) -> tuple[dict[str, str], int]:
    """Of a header in lines that ends with the field ``last``, or without one with an empty line; and how many bytes it has."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _MOST_HEADER and (read := file.readline(_MOST_HEADER)):
            line = read.decode("latin-1").strip()
            if not line and not last:
                break
            key, *value = (part.strip() for part in re.split(mark, line, maxsplit=1))
            if key.lower() in fields and not key.startswith("#"):  # the readers would not agree which one counts
                raise DamageError(f"its header says '{key}' twice. Remove one of the two.")
            fields[key.lower()] = "".join(value)
            if key.lower() == last:
                break
        return fields, file.tell()


def _numbers(text: str) -> list[float]:
    """NaN for what is none."""
    numbers = []
    for word in text.split():
        try:
            numbers.append(float(word))
        except ValueError:
            numbers.append(math.nan)
    return numbers


def _beside(path: Path, value: str, packed: bool) -> _Voxels | None:
    """In the file that a header names; None where it names several, which are left to ITK."""
    if _SEVERAL.fullmatch(value):
        return None
    if "%" in value:  # ITK would take it for more than a number, and crash
        raise DamageError(_ODD)
    file = path.parent / value
    if not file.is_file():
        raise DamageError(f"its header says that its voxels are in {value}, which is no file. Put it there, or rename it.")
    return _Voxels.rest_of(file, 0, packed)


def _png(path: Path) -> _Voxels:
    """A picture whose parts are all there: its reader takes memory for a part before it sees that it is not."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(_PNG_SIGNATURE)
        kind = b""
        while kind != b"IEND":
            length, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\xff"))
            if file.seek(length + 4, os.SEEK_CUR) > size:
                raise DamageError("it is damaged, its parts are not whole. Fetch it again.")
    return _Voxels.somewhere_in(path)


_HEADERS = {"NiftiImageIO": _nifti, "NrrdImageIO": _nrrd, "MetaImageIO": _meta_image, "PNGImageIO": _png}
