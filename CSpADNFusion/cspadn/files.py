"""Files: names, permissions, and outputs of which all are there in the end, or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from .errors import InputError, UsageError

Staged = tuple[Path, Path]  # a file under a temporary name, and the name that it is to have


def check_names(paths: Iterable[Path]) -> None:
    """InputError where a name is no UTF-8: image libraries end the whole program over it."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode(errors="backslashreplace").decode()
            raise InputError(f"The name {shown} is not valid UTF-8: rename the file or folder.") from None


def commit(stages: Iterable[Callable[[], Staged]]) -> None:
    """Write each output under its temporary name, and only when all are written, give them their names.

    Raises:
        UsageError: a name cannot be given. Whatever is raised, no temporary file is left.
    """
    staged: list[Staged] = []
    try:
        for stage in stages:
            staged.append(stage())
        for temporary, path in staged:
            temporary.replace(path)  # an empty folder is replaced as well
    except OSError as error:
        raise UsageError(f"The output cannot be written: {error.strerror or error}.") from None
    finally:
        for temporary, _ in staged:
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            temporary.unlink(missing_ok=True)


def umask() -> int:
    """The permissions that the user's new files do not have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
