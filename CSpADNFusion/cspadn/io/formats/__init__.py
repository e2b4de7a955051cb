"""The list of image file formats. Each format is one file with one record; command line, batch and reader derive from it.

A folder with a DICOM series is no file, so it is read and written elsewhere: :mod:`cspadn.io.dicom_reader` and
:mod:`cspadn.io.dicom_writer`.
"""

from __future__ import annotations

from pathlib import Path

from cspadn.io.formats import meta_image, nifti, nrrd, png
from cspadn.io.formats.file_format import FileFormat
from cspadn.io.header_checks import DamageError
from cspadn.messages import message

FORMATS = (nifti.FORMAT, nrrd.FORMAT, meta_image.FORMAT, png.FORMAT)  # in the order of the help

FORMAT_NAMES = tuple(each.name for each in FORMATS)
VOLUME_SUFFIXES = tuple(suffix for each in FORMATS if not each.is_picture for suffix in each.suffixes)
COLOR_SUFFIXES = tuple(suffix for each in FORMATS if each.has_color and not each.is_picture for suffix in each.suffixes)
PICTURE_SUFFIXES = tuple(suffix for each in FORMATS if each.is_picture for suffix in each.suffixes)
_LONGEST_FIRST = sorted((*VOLUME_SUFFIXES, *PICTURE_SUFFIXES), key=len, reverse=True)


def suffix_of(path: Path) -> str:
    """Return the ending of a file name in lower case, such as ``.nii.gz``; of an unknown format, the last ending."""
    name = path.name.lower()
    return next((suffix for suffix in _LONGEST_FIRST if name.endswith(suffix)), path.suffix.lower())


def format_of_name(path: Path) -> FileFormat | None:
    """Return the format that a file name stands for; None if it is unknown."""
    suffix = suffix_of(path)
    return next((each for each in FORMATS if suffix in each.suffixes), None)


def format_of_content(path: Path) -> FileFormat | None:
    """Return the format of an existing file by its first bytes; by its name if it has a format without such; None if unknown.

    Raises:
        DamageError: the file is cut, or its name is that of another format: readers would not agree which one it is.
        OSError: it cannot be read.
    """
    by_content = next((each for each in FORMATS if each.is_content and each.is_content(path)), None)
    by_name = format_of_name(path)
    if by_content is None:
        return by_name if by_name is not None and by_name.is_content is None else None
    if by_name not in (None, by_content):
        raise DamageError(message("format-of-other-name", found=by_content.name, suffix=suffix_of(path)))
    return by_content
