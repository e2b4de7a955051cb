"""The files of an input: those whose bytes become its voxels, and their hash."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from cspadn.io.dicom_headers import begins_like_dicom, kind_of_file
from cspadn.io.formats import format_of_content
from cspadn.io.header_checks import DamageError
from cspadn.io.regular_files import is_regular

_IN_TWO_FILES = (".mhd", ".nhdr", ".hdr", ".img")  # the file with the voxels usually has the same name and another suffix
_CHUNK = 2**20  # bytes


def files_of_input(path: Path) -> list[Path]:
    """Return the files of an input.

    Args:
        path: image file, or folder of a DICOM series.

    Returns:
        The files of the folder that begin as DICOM does; or the image file and, if its header names another one, the file with
        the voxels.

    Raises:
        OSError: the folder cannot be listed.
    """
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.is_file() and begins_like_dicom(file))
    voxels = _file_of_voxels(path)
    if voxels is not None:
        return [path] if voxels == path else [path, voxels]
    if not path.name.lower().removesuffix(".gz").endswith(_IN_TWO_FILES):
        return [path]
    beside = path.parent.glob(f"{glob.escape(path.name.split('.')[0])}.*")  # the header is damaged, or of another format
    return sorted({path, *(file for file in beside if file.is_file())})


def _file_of_voxels(path: Path) -> Path | None:
    """Return the file that a header names; None if the header is damaged, or not understood."""
    with suppress(OSError, DamageError, ValueError):
        if is_regular(path) and (found := format_of_content(path)) and (voxels := found.find_voxels(path)):
            return voxels.file
    return None


def is_of_input(path: Path, inputs: Iterable[Path]) -> bool:
    """Return whether an existing file belongs to an input, so that it must not be replaced.

    Args:
        path: any existing file.
        inputs: image files, with the files of their voxels, and folders of DICOM series.
    """
    for each in inputs:
        with suppress(OSError):
            if each.is_dir():
                if path.resolve().parent == each.resolve() and kind_of_file(path, ""):
                    return True
            elif each.exists() and path.samefile(each):
                return True
    return False


def with_voxel_files(inputs: Iterable[Path]) -> list[Path]:
    """Return inputs, and the files of voxels that their headers name."""
    found = []
    for path in inputs:
        voxels = _file_of_voxels(path)
        found += [path] if voxels in (None, path) else [path, voxels]
    return found


def sha256_of(files: Sequence[Path]) -> str:
    """Return the SHA-256 of the contents of some files, one after the other; OSError if one cannot be read."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
