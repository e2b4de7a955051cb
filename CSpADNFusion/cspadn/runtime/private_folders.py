"""Folders that other users of the computer cannot prepare, enter or exchange."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from cspadn.errors import UsageError
from cspadn.messages import message

_NAME = "cspadn"
_OTHERS = 0o022  # permissions to write of group and others


def user_folder() -> Path | None:
    """Return the folder of this program among the user's files, made if necessary; None if there is no such place."""
    variable, usual = ("LOCALAPPDATA", ("AppData", "Local")) if os.name == "nt" else ("XDG_STATE_HOME", (".local", "state"))
    given = os.environ.get(variable, "")
    with suppress(OSError, RuntimeError):  # RuntimeError: no home
        base = Path(given) if Path(given).is_absolute() else Path.home().joinpath(*usual)
        base.mkdir(parents=True, exist_ok=True)
        return made_private(base / _NAME)
    return None


def lock_folder() -> Path | None:
    """Return the folder of the locks of this user on this computer; None if nothing private can be made."""
    name = _NAME
    if sys.platform != "win32":
        name += f"-{os.getuid()}"
    return made_private(Path(tempfile.gettempdir(), name)) or user_folder()


def made_private(folder: Path) -> Path | None:
    """Make a folder that only its user enters, or find it so; None if it cannot be made, or somebody else has made it."""
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        if stat.S_ISDIR(state.st_mode) and _is_own(state, 0o077):
            return folder
    return None


def temporary_folder(preferred: Path | None = None) -> Path:
    """Return a folder for temporary files in which no other user can rename what this one makes.

    Args:
        preferred: used if it is such a folder; otherwise that of the system, or one among the user's files.

    Raises:
        UsageError: there is none.
    """
    for folder in (preferred, Path(tempfile.gettempdir()), user_folder()):
        with suppress(OSError):
            if folder is not None and _is_safe(folder.stat()):
                return folder
    raise UsageError(message("temporary-folder-unsafe", path=preferred or tempfile.gettempdir()))


def _is_safe(state: os.stat_result) -> bool:
    """Return whether the owner is the user or the administrator, and others cannot rename files in it."""
    if sys.platform == "win32":  # a user's temporary folder is his own
        return True
    trusted = state.st_uid in (0, os.getuid())
    return trusted and (not state.st_mode & _OTHERS or bool(state.st_mode & stat.S_ISVTX))


def _is_own(state: os.stat_result, forbidden: int) -> bool:
    return sys.platform == "win32" or (state.st_uid == os.getuid() and not state.st_mode & forbidden)
