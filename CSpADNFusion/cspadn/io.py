"""Image files: read with one clear sentence for each thing that can be wrong, written whole or not at all."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk

from .errors import InputError, MemoryExhaustedError, UsageError
from .files import Staged, commit, stage
from .geometry import has_orthogonal_axes
from .memory import free_main_memory, is_out_of_memory
from .metadata import NOTE, PREFIX, SOURCE_NAME

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")
COLOR_SUFFIXES = (".nrrd", ".mha")  # NIfTI would be written as vectors, which few programs show as colours
TABLE_SUFFIX = ".csv"
PICTURE_SUFFIX = ".png"
_SIDECAR = ".json"
_CHUNK = 2**20
_MOST_COMPRESSED, _MOST_EXPANDED = 1040, 32  # times: what deflate can do; of a bit that is a colour of four bytes
_MOST_HEADER = 2**24  # bytes
_GZIP, _GZIP_OR_ZLIB = b"\x1f", 47  # how a member begins; zlib's code for either
_NOT_WHOLE = "it is damaged, its compressed data are not whole. Fetch it again."
_NIFTI = np.dtype(  # what of NIfTI-1's header is looked at
    {
        "names": ["dim", "datatype", "pixdim", "offset", "forms", "quaternion", "affine"],
        "formats": ["8i2", "i2", "8f4", "f4", "2i2", "6f4", "12f4"],
        "offsets": [40, 70, 76, 108, 252, 256, 280],
        "itemsize": 348,
    }
).newbyteorder("<")
_NIFTI_BYTES = {2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4}  # of a voxel, by its type
_NIFTI_BYTES |= {1024: 8, 1280: 8, 1536: 16, 1792: 16, 2048: 32, 2304: 4}
_MOST_AXES = 10  # of MetaImage
_FAR = 1e9  # millimetres; with far larger numbers ITK may never come to an end
_PNG_SIGNATURE = 8  # bytes
_SEVERAL = re.compile(r"LIST( \d+)?|[^%]*%0?\d?d[^%]*", re.IGNORECASE)  # files, in the next lines or by their numbers
_ODD = "it is damaged, its header says what no image has. Fetch it again."
_META_PLACES = ("offset", "position", "origin", "transformmatrix", "rotation", "orientation")
_NOTE = f"Fused by CSpADNFusion. {NOTE}"  # NIfTI keeps 79 characters


def read_image(path: Path, name: str, *, suv: bool = False) -> sitk.Image:
    """Read an image file, or a folder with one DICOM series; InputError, calling the image ``name``, where that fails, and
    MemoryExhaustedError where it does not fit into memory.

    Args:
        suv: scale a DICOM series from Bq/ml to SUV by body weight.
    """
    _check_path(path, name)
    if path.is_dir():
        from .dicom import read_series

        return read_series(path, name, suv=suv)
    if suv:
        raise InputError(f"{name} {path} has no DICOM headers, which SUV is computed from: give the folder of its series.")
    try:
        _check_content(path, name)
        image = sitk.ReadImage(str(path))
    except OSError as error:
        raise _unreadable(path, name, error) from None
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise MemoryExhaustedError(f"There is not enough memory to read {path}: close other programs.") from None
        what = "it is damaged, or no NIfTI, NRRD, MetaImage or PNG file. Fetch it again, or convert it."
        raise InputError(f"{name} {path} cannot be read: {what}") from None
    if not image.HasMetaDataKey(SOURCE_NAME):  # Slicer's files carry the name of their node
        image.SetMetaData(SOURCE_NAME, path.name)
    return image


def _check_path(path: Path, name: str) -> None:
    """What has no bytes to be read, or would give them for ever; and one slice of a DICOM series."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            return
        if not stat.S_ISREG(kind):
            raise InputError(f"{name} {path} is no file: give an image file, or the folder of a DICOM series.")
        with path.open("rb") as file:
            if file.read(132)[128:] == b"DICM":
                raise InputError(f"{name} {path} is one file of a DICOM series: give the folder that holds all of them.")
    except (FileNotFoundError, ValueError):  # ValueError: no file may have such a name
        raise InputError(f"{name} {path} does not exist: check the name.") from None
    except OSError as error:
        raise _unreadable(path, name, error) from None


def _unreadable(path: Path, name: str, error: OSError) -> InputError:
    return InputError(f"{name} {path} cannot be read: {error.strerror or error}. Check the name and the permissions.")


class _DamageError(Exception):
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


def _check_content(path: Path, name: str) -> None:
    """Before a header is believed: the readers of images fill up what is not there, and replace numbers that are none.

    What is not plainly understood is left to ITK.
    """
    kind = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    try:
        voxels = _HEADERS.get(kind, _Voxels.somewhere_in)(path)
        size = _size_by_itk(path)
        free = free_main_memory()
        if free is not None and size > free:
            raise MemoryExhaustedError(
                f"{name} {path} has {size / 1e9:.0f} GB of voxels, more than there is memory: crop it, or repair its header."
            )
        if voxels is not None:
            _check_voxels(voxels, size)
    except _DamageError as error:
        raise InputError(f"{name} {path} cannot be read: {error}") from None


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
        raise _DamageError(f"its header says {' x '.join(map(str, extents)) or 'no'} voxels. Repair it.")


def _check_position(spacing: Iterable[float], others: Iterable[float]) -> None:
    if not (all(abs(value) < _FAR for value in others) and all(1 / _FAR < value < _FAR for value in spacing)):
        raise _DamageError("its header has a spacing that is not positive, or a position that is no usable number. Repair it.")


def _check_voxels(voxels: _Voxels, size: int) -> None:
    """Whether there are as many as the header says."""
    size = voxels.size or size
    held = _unpacked(voxels, size + _MOST_HEADER) if voxels.packed else voxels.stored
    if held < size:
        raise _DamageError("it is damaged, its header says more voxels than it holds. Fetch it again.")
    if voxels.packed and held >= size + _MOST_HEADER:
        raise _DamageError("it holds more than its header says. Fetch it again, or repair its header.")


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
        raise _DamageError(_NOT_WHOLE) from None
    if not unpacker.eof:
        raise _DamageError(_NOT_WHOLE)
    return count


def _chunks(voxels: _Voxels) -> Iterator[bytes]:
    left = voxels.stored
    with voxels.file.open("rb") as file:
        file.seek(voxels.start)
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _nifti(path: Path) -> _Voxels | None:
    """Of NIfTI-1, in one file; None for what else there is, which is left to ITK."""
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(_NIFTI.itemsize)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise _DamageError(_NOT_WHOLE) from None
    if content[344:] != b"n+1\0":
        return None
    little = content.startswith(_NIFTI.itemsize.to_bytes(4, "little"))
    header = np.frombuffer(content, _NIFTI if little else _NIFTI.newbyteorder(">"))[0]
    size = math.prod(_nifti_extents(header)) * _NIFTI_BYTES[int(header["datatype"])]
    start = max(int(header["offset"]), len(content))
    return _Voxels.rest_of(path, 0, packed, start + size) if packed else _Voxels.rest_of(path, start, packed, size)


def _nifti_extents(header: np.void) -> list[int]:
    """How many voxels along each axis, of a header whose numbers can be used."""
    extents = [int(extent) for extent in header["dim"][1 : header["dim"][0] + 1]]
    extents = [*extents[:3], *(extent or 1 for extent in extents[3:])]  # not all programs fill them in
    if not extents or len(extents) != header["dim"][0] or int(header["datatype"]) not in _NIFTI_BYTES:
        raise _DamageError(_ODD)
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
        raise _DamageError(_ODD)
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
                raise _DamageError(f"its header says '{key}' twice. Repair it.")
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
        raise _DamageError(_ODD)
    file = path.parent / value
    if not file.is_file():
        raise _DamageError(f"its header says that its voxels are in {value}, which is no file. Repair it.")
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
                raise _DamageError("it is damaged, its parts are not whole. Fetch it again.")
    return _Voxels.somewhere_in(path)


_HEADERS = {"NiftiImageIO": _nifti, "NrrdImageIO": _nrrd, "MetaImageIO": _meta_image, "PNGImageIO": _png}


def is_picture(path: Path) -> bool:
    """Whether the name is that of a PNG."""
    return path.name.lower().endswith(PICTURE_SUFFIX)


def check_output(path: Path, suffixes: Sequence[str], *, inputs: Sequence[Path], overwrite: bool) -> None:
    """UsageError where ``path`` could not be written later, or is one of ``inputs``: asked before the work starts."""
    if _suffix(path) not in suffixes:
        raise UsageError(f"The output {path} must end in {' or '.join(suffixes)}.")
    folder = _target(path).parent
    if not folder.is_dir():
        raise UsageError(f"The folder of the output {path} does not exist: create it first.")
    if path.is_dir():
        raise UsageError(f"The output {path} is a folder: give the name of a file.")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"The folder of the output {path} cannot be written to: choose another, or check its permissions.")
    if path.exists() and any(file.exists() and path.samefile(file) for file in inputs):
        raise UsageError(f"The output {path} is one of the inputs: choose another name.")
    if path.exists() and not overwrite:
        raise UsageError(f"The output {path} exists: choose another name, or allow it to be replaced with --overwrite.")


def _target(path: Path) -> Path:
    """Where an output goes, through links; UsageError where its name cannot be one."""
    try:
        target = path.resolve()
        target.exists()  # asks the system
        return target
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that lead to themselves
        why = getattr(error, "strerror", None) or "its links lead nowhere"
        raise UsageError(f"The output {path} cannot be written: {why}. Choose another name.") from None


def check_storable(image: sitk.Image, path: Path, *, series: bool = False) -> None:
    """UsageError where the format of ``path``, or a DICOM series, cannot hold the geometry and would silently change it."""
    if image.GetDimension() == 3 and (series or _suffix(path).startswith(".nii")) and not has_orthogonal_axes(image):
        raise UsageError(
            f"The axes of the volume are not at right angles, which {path} cannot store: write .nrrd or .mha instead."
        )


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return next(
        (suffix for suffix in sorted(VOLUME_SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), path.suffix.lower()
    )


def write_image(image: sitk.Image, path: Path, metadata: dict[str, object] | None = None) -> None:
    """As :func:`stage_image`, under its name: a file that exists is whole, and is replaced."""
    commit([lambda: stage_image(image, path, metadata)], overwrite=True)


def stage_image(image: sitk.Image, path: Path, metadata: dict[str, object] | None = None) -> Staged:
    """Write under a temporary name in the folder of ``path``.

    Args:
        metadata: written as key/value pairs where the format has them (NRRD, MetaImage).

    Raises:
        UsageError: the folder cannot be written to, or the disk is full; nothing is left.
        MemoryExhaustedError: there is no memory for it; nothing is left.
    """
    path = path.resolve()  # a link stays a link: its target is replaced
    labelled = sitk.Image(image)
    for key, value in (metadata or {}).items():
        labelled.SetMetaData(PREFIX + key, str(value))
    labelled.SetMetaData("ITK_FileNotes", _NOTE)
    return stage(path, _suffix(path), lambda temporary: _write(labelled, temporary))


def _write(image: sitk.Image, path: Path) -> None:
    """OSError or RuntimeError where not all of it could be written, which the writer of NIfTI does not notice."""
    sitk.WriteImage(image, str(path), useCompression=True)
    if _suffix(path).startswith(".nii"):
        try:
            if (voxels := _nifti(path)) is None:
                raise _DamageError
            _check_voxels(voxels, 0)
        except _DamageError:
            raise OSError(f"{path} is not whole") from None


def sidecar_of(path: Path) -> Path:
    """The JSON file beside an image: of the same name, without ``.nii.gz`` and the like."""
    return path.with_name(path.name[: -len(_suffix(path))] + _SIDECAR)


def check_sidecar(path: Path, *, overwrite: bool) -> None:
    """UsageError where there is such a file already; with ``overwrite``, where it is none of ours, as that of a BIDS image."""
    if not _target(path).exists():
        return
    if not overwrite:
        raise UsageError(f"The output {path} exists: choose another name, or allow it to be replaced with --overwrite.")
    try:
        ours = "CSpADNFusion" in str(json.loads(path.read_text(encoding="utf-8")).get("software", ""))
    except (OSError, ValueError, AttributeError):
        ours = False
    if not ours:
        raise UsageError(f"{path} exists and was not written by cspadn: choose another name for the output beside it.")


def stage_sidecar(path: Path, provenance: dict[str, object], warnings: Sequence[str]) -> Staged:
    """Write provenance and warnings as JSON under a temporary name; UsageError where that fails."""
    text = json.dumps({**provenance, "warnings": list(warnings)}, indent=2, ensure_ascii=False) + "\n"
    return stage(path.resolve(), _SIDECAR, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def stage_table(path: Path, rows: Sequence[Sequence[object]]) -> Staged:
    """Write rows as CSV under a temporary name; UsageError where that fails."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)

    return stage(path.resolve(), TABLE_SUFFIX, write)
