"""The size of a compressed frame of a DICOM file by its own header, which decoders believe, not Rows and Columns."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_START_OF_FRAME = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}  # markers of JPEG; the last of JPEG-LS
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000: the marker of its size comes first


def sizes_agree(dataset: Dataset) -> bool:
    """Return whether all compressed frames have as many rows and columns as the tags of a file say.

    Args:
        dataset: a file with its pixels. Compressions whose frames have no size of their own, such as RLE, agree.

    Raises:
        ValueError and others: the frames are damaged.
    """
    from pydicom.encaps import generate_frames

    if not dataset.file_meta.get("TransferSyntaxUID", "") or not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return True
    expected = int(dataset.Rows), int(dataset.Columns)
    frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    return all(encoded_size(frame) in (None, expected) for frame in frames)


def encoded_size(frame: bytes) -> tuple[int, int] | None:
    """Return rows and columns by the header of a JPEG, JPEG-LS or JPEG 2000 image; None for other compressions.

    Raises:
        ValueError: the header is damaged.
    """
    try:
        if (start := frame[:4096].find(_CODESTREAM)) >= 0 and not frame.startswith(b"\xff\xd8"):
            right, lower, left, upper = struct.unpack_from(">4L", frame, start + 8)
            return lower - upper, right - left
        return _size_of_jpeg(frame) if frame.startswith(b"\xff\xd8") else None
    except (struct.error, IndexError):
        raise ValueError("The frame has no size.") from None


def _size_of_jpeg(frame: bytes) -> tuple[int, int]:
    place = 2
    while True:
        if frame[place] != 0xFF:
            raise ValueError("A marker is missing.")
        marker = frame[place + 1]
        if marker == 0xFF:  # a filling byte
            place += 1
        elif marker in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">2H", frame, place + 5)
            return rows, columns
        else:
            place += 2 if marker in _ALONE else 2 + struct.unpack_from(">H", frame, place + 2)[0]
