"""Check the header of an image file before its voxels are read: what all formats share.

The checks of each format are in its file under :mod:`cspadn.io.formats`.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cspadn.errors import MemoryExhaustedError
from cspadn.io.regular_files import beside
from cspadn.messages import Sentence, message
from cspadn.runtime.limits import expect
from cspadn.runtime.memory import free_main_memory
from cspadn.runtime.terminal import in_one_line

if TYPE_CHECKING:
    import SimpleITK as sitk

_CHUNK = 2**20
_MOST_COMPRESSED, _MOST_EXPANDED = 1040, 32  # times: what deflate can do; of a bit that is a colour of four bytes
_MOST_HEADER = 2**24  # bytes
_MOST_SKIPPED = 2**32  # bytes before voxels in a file of their own, such as those of other frames
_MOST_LETTERS = 64  # of a number that is text
MOST_TEXT_HEADER = 2**20  # bytes
_GZIP, _GZIP_OR_ZLIB = b"\x1f", 47  # how a member begins; zlib's code for either
_FAR = 1e9  # millimetres; with far larger numbers ITK may never come to an end
_SEVERAL = re.compile(r"LIST\b.*|.*%0?\d*d.*|.* \d+ \d+ \d+", re.IGNORECASE)  # files, in the next lines or by their numbers
_CONTROL = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_MOST_FIELD, _MOST_LINE = 1000, 2**16  # letters of a field, and of a line with a value that only programs read
_MOST_LINES, _MOST_NAME = 4000, 80  # of a header; letters of a key
MOST_PATH = 1000  # bytes: some readers copy the path into a buffer of 1024


class DamageError(Exception):
    """A file is damaged.

    Args:
        reason: what is wrong with the file and what to do, as the end of a sentence about the file.
    """

    def __init__(self, reason: Sentence) -> None:
        super().__init__(reason)


class Voxels(NamedTuple):
    """Where the header says that the voxels are.

    Attributes:
        file: the file that holds them.
        start: offset of the first voxel in the file, in bytes.
        stored: largest number of bytes that they take in the file.
        packed: whether they are compressed.
        size: number of bytes once unpacked; None: as many as ITK says.
        members: whether the reader goes on behind the end of the first compressed stream, as gzip itself does.
        exact: number of bytes of the voxels in memory, by which ITK's reading of the header is checked; None: unknown.
        comparable: whether the bytes in the file, but for their order in each value, are those in memory.
    """

    file: Path
    start: int
    stored: int
    packed: bool = False
    size: int | None = None
    members: bool = False
    exact: int | None = None
    comparable: bool = False

    @classmethod
    def rest_of(cls, file: Path, start: int, packed: bool, size: int | None = None) -> Voxels:
        """Locate the voxels in the whole file from ``start`` on."""
        return cls(file, start, file.stat().st_size - start, packed, size)

    @classmethod
    def somewhere_in(cls, file: Path) -> Voxels:
        """Locate the voxels anywhere in a file: at most what deflate can unpack from its bytes, one colour per bit."""
        return cls(file, 0, file.stat().st_size * _MOST_COMPRESSED * _MOST_EXPANDED)


def check_content(path: Path, name: str, find_voxels: Callable[[Path], Voxels | None], itk_name: str) -> int | None:
    """Check that a file holds the voxels that its header promises, and that they fit into memory.

    ITK's readers do not check this: they fill missing voxels, and replace numbers that cannot be parsed.

    Args:
        name: what the messages call the image.
        find_voxels: of the file's format, such as :attr:`cspadn.io.formats.file_format.FileFormat.find_voxels`.
        itk_name: ITK's name of the reader.

    Returns:
        A checksum of the voxels for :func:`check_values`; None if the file's bytes are not those that will be in memory.

    Raises:
        DamageError: the header is wrong, or voxels are missing; the message is the end of a sentence about the file.
        MemoryExhaustedError: there are more voxels than free memory.
    """
    if len(os.fsencode(path)) > MOST_PATH:
        raise DamageError(message("image-path-too-long", limit=MOST_PATH))
    voxels = find_voxels(path)
    size = _size_by_itk(path, itk_name)
    if voxels is not None and voxels.exact not in (None, size):  # the reader understands the header in another way
        raise DamageError(message("header-impossible"))
    if voxels is not None:
        check_file_size(voxels.file, voxels.start, voxels.size or _MOST_LETTERS * size)
    expect(size)  # before memory is asked for: the limit until now was that of a header
    free = free_main_memory()
    if free is not None and size > free:
        raise MemoryExhaustedError(message("volume-exceeds-memory", volume=name, path=path, gigabytes=size / 1e9))
    return None if voxels is None else check_voxels(voxels, size)


def check_values(image: sitk.Image, checksum: int) -> None:
    """Raise DamageError if an image has other voxels than its file: a reader fills memory that it does not read with anything.

    Args:
        image: as a reader of ITK has returned it.
        checksum: of the voxels in the file, by :func:`check_content`.
    """
    import SimpleITK as sitk

    voxels = sitk.GetArrayViewFromImage(image)
    if zlib.crc32(voxels.data) == checksum:
        return
    one = image.GetSizeOfPixelComponent()
    if one == 1 or zlib.crc32(voxels.view(f"u{one}").byteswap().data) != checksum:
        raise DamageError(message("header-impossible"))


def check_file_size(path: Path, start: int, size: int) -> None:
    """Raise DamageError if a file is far larger than its voxels, such as a sparse one of terabytes: it is read for its hash.

    Args:
        start: bytes before the voxels.
        size: bytes of the voxels.
    """
    if start > _MOST_SKIPPED or path.stat().st_size > start + size + _MOST_HEADER:
        raise DamageError(message("too-much-data"))


def _size_by_itk(path: Path, itk_name: str) -> int:
    """Return the size of the voxels in memory, in bytes, by ITK's reading of the header; no voxels are read."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO(itk_name)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    check_extents(reader.GetSize())
    one = sitk.Image([1, 1], reader.GetPixelID())
    parts = reader.GetNumberOfComponents() * (2 if "complex" in one.GetPixelIDTypeAsString() else 1)
    return int(math.prod(reader.GetSize()) * parts * one.GetSizeOfPixelComponent())


def check_extents(extents: Sequence[int]) -> None:
    if min(extents, default=0) < 1:
        told = " x ".join(map(str, extents)) or "no"
        raise DamageError(message("size-not-positive", size=told))


def check_position(spacing: Iterable[float], others: Iterable[float]) -> None:
    if not (all(abs(value) < _FAR for value in others) and all(1 / _FAR < value < _FAR for value in spacing)):
        raise DamageError(message("header-position-invalid"))


def check_voxels(voxels: Voxels, size: int) -> int | None:
    """Raise DamageError unless a file holds as many bytes of voxels as its header says, or ``size`` if it does not say.

    Returns:
        The checksum of the voxels; None if they are not comparable.
    """
    size = voxels.size or size
    exact = voxels.exact if voxels.comparable and voxels.exact else 0
    checksum = _Checksum(size - exact, exact)
    held = _unpacked(voxels, size + _MOST_HEADER, checksum) if voxels.packed else voxels.stored
    if held < size:
        raise DamageError(message("voxels-missing"))
    if voxels.packed and held >= size + _MOST_HEADER:
        raise DamageError(message("too-much-data"))
    if not exact:
        return None
    if not voxels.packed:
        for chunk in _chunks(voxels._replace(stored=size)):
            checksum.add(chunk)
    return checksum.value


class _Checksum:
    """CRC-32 of some bytes of a stream.

    Args:
        skipped: number of bytes before them.
        count: number of bytes.
    """

    def __init__(self, skipped: int, count: int) -> None:
        self.value = 0
        self._skipped, self._left = skipped, count

    def add(self, content: bytes) -> None:
        """Add what comes next in the stream."""
        part = content[self._skipped : self._skipped + self._left]
        self._skipped = max(0, self._skipped - len(content))
        self._left -= len(part)
        self.value = zlib.crc32(part, self.value)


def _unpacked(voxels: Voxels, most: int, checksum: _Checksum) -> int:
    """Count the bytes of compressed voxels once unpacked, up to ``most``, without keeping them."""
    count, unpacker = 0, zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        for packed in _chunks(voxels):
            while packed and count < most:
                if unpacker.eof:  # what follows is another member, or nothing of ours
                    if not _goes_on(voxels, packed, count < most - _MOST_HEADER):
                        return count
                    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
                content = unpacker.decompress(packed, _CHUNK)
                count += len(content)
                checksum.add(content)
                packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            if count >= most:
                return count
    except zlib.error:
        raise DamageError(message("compressed-data-cut")) from None
    if not unpacker.eof:
        raise DamageError(message("compressed-data-cut"))
    return count


def _goes_on(voxels: Voxels, packed: bytes, is_short: bool) -> bool:
    """Return whether another member follows; DamageError if the reader would stop before it."""
    if not packed.startswith(_GZIP):
        return False
    if not voxels.members:
        raise DamageError(message("voxels-missing") if is_short else message("too-much-data"))
    return True


def _chunks(voxels: Voxels) -> Iterator[bytes]:
    left = voxels.stored
    with voxels.file.open("rb") as file:
        file.seek(voxels.start)
        while left > 0 and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def read_fields(path: Path, mark: str, last: str, names: Sequence[str] = ()) -> tuple[dict[str, str], int]:
    """Read a text header of one field per line.

    Args:
        mark: regular expression between the key and the value.
        last: key of the last field; empty: an empty line ends the header.
        names: keys that the reader knows in this spelling only. If there are any, each line has a key and a value.

    Returns:
        The values by their keys in lower case, and the size of the header in bytes.

    Raises:
        DamageError: a key occurs twice or is spelt in another way, a line is none of a header, or it or the header is longer
            than any program writes.
    """
    fields: dict[str, str] = {}
    spelt = {name.lower(): name for name in names}
    with path.open("rb") as file:
        for _ in range(_MOST_LINES):
            if not (read := file.readline(_MOST_LINE)) or file.tell() > MOST_TEXT_HEADER:
                break
            line = read.decode("latin-1").strip()
            if not line and not last:
                return fields, file.tell()
            key, *value = (part.strip() for part in re.split(mark, line, maxsplit=1))
            _check_length(key, line)
            is_field = not names or not line or (bool(value) and spelt.get(key.lower(), key) == key)
            if not is_field or _has_control(line):  # readers would join it with the next line, or end it before
                raise DamageError(message("header-impossible"))
            if key.lower() in fields and not key.startswith("#"):  # the readers would not agree which one counts
                raise DamageError(message("header-field-twice", field=key))
            fields[key.lower()] = "".join(value)
            if key.lower() == last:
                return fields, file.tell()
        if file.read(1):  # not the end of the file: there are more lines, or longer ones
            raise DamageError(message("header-too-long"))
        return fields, file.tell()


def _has_control(line: str) -> bool:
    return _CONTROL.search(line) is not None and not line.startswith("#")


def _check_length(key: str, line: str) -> None:
    """Raise DamageError if a line would not fit into the buffers of the readers, which do not look."""
    is_value = ":=" in line or line.startswith("#")  # of NRRD: kept as it is
    if len(line) > (_MOST_LINE - 1 if is_value else _MOST_FIELD) or (not is_value and len(key) > _MOST_NAME):
        raise DamageError(message("header-too-long"))


def numbers(text: str) -> list[float]:
    """Parse numbers between blanks; words that are no number become NaN."""
    values = []
    for word in text.split():
        try:
            values.append(math.nan if "_" in word else float(word))
        except ValueError:
            values.append(math.nan)
    return values


def extents_of(text: str) -> list[int]:
    """Parse numbers of voxels between blanks, and check them; DamageError."""
    extents = [int(word) if _INTEGER.fullmatch(word) else 0 for word in text.split()]
    check_extents(extents)
    return extents


def check_words(voxels: Voxels, count: int) -> None:
    """Raise DamageError unless a file holds ``count`` words from the first voxel on, as voxels that are text."""
    check_file_size(voxels.file, voxels.start, _MOST_LETTERS * count)
    found, inside = 0, False
    for chunk in _chunks(voxels):
        found += len(chunk.split()) - (inside and not chunk[:1].isspace())
        inside = not chunk[-1:].isspace()
        if found >= count:
            return
    raise DamageError(message("voxels-missing"))


def voxels_beside(path: Path, value: str, packed: bool) -> Voxels:
    """Locate voxels in another file that the header names.

    Raises:
        DamageError: it names several files, one elsewhere, or something that is not a regular file.
    """
    if _SEVERAL.fullmatch(value):
        raise DamageError(message("header-names-several-files"))
    if "%" in value:  # ITK would take it for more than a number, and crash
        raise DamageError(message("header-impossible"))
    if (file := beside(path, value)) is None:
        raise DamageError(message("voxel-file-missing", file=in_one_line(value[:_MOST_NAME])))
    return Voxels.rest_of(file, 0, packed)
