"""Image files: read with one clear sentence for each thing that can be wrong, written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from cspadn.errors import InputError, MemoryExhaustedError, UsageError
from cspadn.imaging.frames import list_as_frames, select_frames, without_trailing_axes
from cspadn.imaging.geometry import has_orthogonal_axes
from cspadn.imaging.metadata import FRAME_SECONDS, NOTE, PREFIX, SOURCE_NAME, UNITS
from cspadn.imaging.patient import PATIENT
from cspadn.io.atomic_output import Staged, commit, is_link, stage
from cspadn.io.dicom_headers import SLICE, is_multiframe, kind_of_file
from cspadn.io.foreign_formats import reason_of
from cspadn.io.formats import PICTURE_SUFFIXES, format_of_content, format_of_name, suffix_of
from cspadn.io.formats.file_format import read_with_itk, write_with_itk
from cspadn.io.header_checks import DamageError, check_content, check_values
from cspadn.io.input_files import is_of_input
from cspadn.io.regular_files import read_regular_text
from cspadn.io.side_files import frame_seconds, patient_of, units_of
from cspadn.messages import message
from cspadn.runtime.limits import exceeded_by_file
from cspadn.runtime.memory import is_out_of_memory
from cspadn.runtime.terminal import in_one_line

if TYPE_CHECKING:
    from cspadn.io.reader import VolumeReader

TABLE_SUFFIX = ".csv"
PAGE_SUFFIX = ".html"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins in spreadsheets
_NOTE = f"Fused by CSpADNFusion. {NOTE}"  # NIfTI keeps 79 characters


def read_image(path: Path, name: str, *, reader: VolumeReader | None = None, **options: Any) -> sitk.Image:
    """Read an image file, or a folder with one DICOM series, in a process of its own.

    Args:
        path: file or folder.
        name: the image's name in error messages, such as "The PET".
        reader: reads several volumes of one pair in one process; None: a process for this one.
        options: as :func:`read_in_process`.

    Raises:
        InputError, MemoryExhaustedError: as :func:`read_in_process`, or reading crashed.
    """
    check_path(path, name)
    if reader is not None:
        return reader.read(path, name, **options)
    from cspadn.io.reader import VolumeReader

    with VolumeReader() as reader:
        return reader.read(path, name, **options)


def read_in_process(
    path: Path, name: str, *, suv: bool = False, frames: str | None = None, files: Sequence[Path] | None = None
) -> sitk.Image:
    """Read an image in this process: for files that this user has made, and for the process that reads those of others.

    Args:
        path: file, or folder of a DICOM series.
        name: the image's name in error messages.
        suv: scale a DICOM series from Bq/ml to SUV by body weight.
        frames: of a dynamic PET, as :class:`cspadn.FusionSettings` describes them; None leaves all frames of an image file.
        files: of the series, if they are not all files of the folder.

    Raises:
        InputError: the file is missing, damaged, or of another format.
        MemoryExhaustedError: it does not fit into memory.
    """
    check_path(path, name)
    if path.is_dir() or is_multiframe(path, name):
        from cspadn.io.dicom_headers import files_in
        from cspadn.io.dicom_reader import read_files

        found = files or (files_in(path, name) if path.is_dir() else [path])
        return read_files(found, path, name, suv=suv, frames=frames)
    if suv:
        raise InputError(message("suv-needs-dicom", volume=name, path=path))
    try:
        image = _read(path, name)
    except DamageError as error:
        raise InputError(message("image-unreadable", volume=name, path=path, why=error.args[0])) from None
    except OSError as error:
        raise _unreadable(path, name, error) from None
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error) and not exceeded_by_file():
            raise MemoryExhaustedError(message("memory-to-read", path=path)) from None
        raise InputError(message("image-unreadable", volume=name, path=path, why=reason_of(path))) from None
    return _described(image, path) if frames is None else select_frames(_described(image, path), frames, name)


def _described(image: sitk.Image, path: Path) -> sitk.Image:
    """Return an image without axes of one voxel beyond the third, with its name, its units and the durations of its frames."""
    if not image.HasMetaDataKey(SOURCE_NAME):  # Slicer's files carry the name of their node
        image.SetMetaData(SOURCE_NAME, path.name)
    image = without_trailing_axes(list_as_frames(image))
    if seconds := frame_seconds(path):
        image.SetMetaData(FRAME_SECONDS, " ".join(map(repr, seconds)))
    if not image.HasMetaDataKey(UNITS) and (units := units_of(path)):
        image.SetMetaData(UNITS, units)
    if patient := patient_of(path):
        image.SetMetaData(PATIENT, patient)
    return image


class _UnknownFormatError(RuntimeError):
    """A file is of no format that this program reads."""


def _read(path: Path, name: str) -> sitk.Image:
    """Check the header of a file, then read it; DamageError, OSError, RuntimeError or MemoryError if that fails."""
    found = format_of_content(path)
    if found is None:
        raise _UnknownFormatError
    checksum = None
    if found.itk_name is not None:
        checksum = check_content(path, name, found.find_voxels, found.itk_name)
    if found.read is not None:
        image = found.read(path)
    else:
        assert found.itk_name is not None
        image = read_with_itk(path, found.itk_name)
    if checksum is not None:
        check_values(image, checksum)
    return image


def check_path(path: Path, name: str) -> None:
    """InputError where an input has no bytes to be read, or would give them for ever; and for one slice of a DICOM series."""
    try:
        kind = path.stat().st_mode
        if stat.S_ISDIR(kind):
            return
        if not stat.S_ISREG(kind):
            raise InputError(message("image-not-a-file", volume=name, path=path))
        if kind_of_file(path, name) == SLICE:
            raise InputError(message("image-is-one-dicom-slice", volume=name, path=path))
    except (FileNotFoundError, ValueError):  # ValueError: no file may have such a name
        raise InputError(message("image-missing", volume=name, path=path)) from None
    except OSError as error:
        raise _unreadable(path, name, error) from None


def _unreadable(path: Path, name: str, error: OSError) -> InputError:
    return InputError(message("image-not-accessible", volume=name, path=path, why=error.strerror or error))


def is_picture(path: Path) -> bool:
    """Return whether the name is that of a picture, such as a PNG."""
    return suffix_of(path) in PICTURE_SUFFIXES


def check_output(path: Path, suffixes: Sequence[str], *, inputs: Sequence[Path], overwrite: bool) -> None:
    """UsageError where ``path`` could not be written later, or is one of ``inputs``: asked before the work starts.

    Args:
        inputs: as :func:`cspadn.io.input_files.with_voxel_files` returns them.
    """
    if suffix_of(path) not in suffixes:
        raise UsageError(message("output-format", path=path, suffixes=" or ".join(suffixes)))
    if is_link(path):
        raise UsageError(message("output-is-link", path=path))
    folder = _target(path).parent
    if not folder.is_dir():
        raise UsageError(message("output-folder-missing", path=path))
    if path.is_dir():
        raise UsageError(message("output-is-folder", path=path))
    if not os.access(folder, os.W_OK):
        raise UsageError(message("output-folder-not-writable", path=path))
    if path.exists() and is_of_input(path, inputs):
        raise UsageError(message("output-is-input", path=path))
    if path.exists() and not overwrite:
        raise UsageError(message("output-exists", path=path))


def _target(path: Path) -> Path:
    """Where an output goes, through links; UsageError where its name cannot be one."""
    try:
        target = path.resolve()
        target.exists()  # asks the system
        return target
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links that lead to themselves
        why = getattr(error, "strerror", None) or "its links lead to themselves"
        raise UsageError(message("output-name-unusable", path=path, why=why)) from None


def check_storable(image: sitk.Image, path: Path, *, series: bool = False) -> None:
    """UsageError where the format of ``path``, or a DICOM series, cannot hold the geometry and would silently change it."""
    found = format_of_name(path)
    oblique = not series and (found is None or found.has_oblique_axes)
    if image.GetDimension() == 3 and not oblique and not has_orthogonal_axes(image):
        raise UsageError(message("axes-not-storable", path=path))


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
    labelled = sitk.Image(image)
    for key, value in (metadata or {}).items():
        labelled.SetMetaData(PREFIX + key, in_one_line(str(value)))  # a line break would begin another field
    labelled.SetMetaData("ITK_FileNotes", _NOTE)
    return stage(path, suffix_of(path), lambda temporary: _write(labelled, temporary))


def _write(image: sitk.Image, path: Path) -> None:
    """Write a whole file in the format of its name; OSError or RuntimeError if that fails."""
    found = format_of_name(path)
    (found.write if found else write_with_itk)(image, path)


def check_sidecar(path: Path, *, overwrite: bool) -> None:
    """UsageError where there is such a file already; with ``overwrite``, where it is none of ours, as that of a BIDS image."""
    if is_link(path):
        raise UsageError(message("output-is-link", path=path))
    if not _target(path).exists():
        return
    if not overwrite:
        raise UsageError(message("output-exists", path=path))
    try:
        ours = "CSpADNFusion" in str(json.loads(read_regular_text(path)).get("software", ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        ours = False
    if not ours:
        raise UsageError(message("sidecar-of-other-program", path=path))


def stage_sidecar(path: Path, provenance: dict[str, object], warnings: Sequence[str]) -> Staged:
    """Write provenance and warnings as JSON under a temporary name; UsageError where that fails."""
    return stage_text(path, json.dumps({**provenance, "warnings": list(warnings)}, indent=2, ensure_ascii=False) + "\n")


def stage_text(path: Path, text: str) -> Staged:
    """Write text in UTF-8 under a temporary name; UsageError where that fails."""
    return stage(path, path.suffix, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def stage_bytes(path: Path, content: bytes) -> Staged:
    """Write a file under a temporary name; UsageError where that fails."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    return stage(path, path.suffix, write)


def _no_formula(cell: object) -> object:
    """Return a cell that spreadsheets do not compute: a text that begins like a formula has an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def stage_table(path: Path, rows: Sequence[Sequence[object]]) -> Staged:
    """Write rows as CSV under a temporary name; UsageError where that fails."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([[_no_formula(cell) for cell in row] for row in rows])

    return stage(path, TABLE_SUFFIX, write)
