"""Open files of others: only regular ones, of a limited size, and without following a name out of its folder."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

MOST_TEXT = 2**24  # bytes of a description, a list or a side file

_NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def read_regular(path: Path, most: int = MOST_TEXT) -> bytes:
    """Return the content of a regular file; a pipe or device is not waited for.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger than ``most`` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | _NOT_WAITING)
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, "too large", str(path))
    return content


def read_regular_text(path: Path, most: int = MOST_TEXT) -> str:
    """Return the text of a regular file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: as :func:`read_regular`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_regular(path, most).decode("utf-8-sig")


def is_regular(path: Path) -> bool:
    """Return whether a path is a regular file, or a link to one."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def beside(path: Path, name: str) -> Path | None:
    """Return the regular file of a plain name in the folder of another file; None if the name leads elsewhere.

    Args:
        path: file of which a header names the other.
        name: as the header has it: not believed, as it may name any file of the user.
    """
    if not name or name in (".", "..") or any(each in name for each in "/\\:\0") or not name.isprintable():
        return None
    other = path.parent / name
    if not is_regular(other) or other.resolve().parent != path.resolve().parent:
        return None
    return other
