"""A folder with one DICOM study: its series, wherever their files lie in it, and the one of a modality."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.errors import InputError
from cspadn.io.dicom_headers import read_header
from cspadn.io.dicom_writer.headers import MANUFACTURER
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Series:
    """The files of a series, and what its headers call it.

    Attributes:
        description: empty where it holds the patient's name or ID.
    """

    modality: str
    number: str
    description: str
    files: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        """For sentences: nothing that tells who the patient is."""
        said = f" '{self.description}'" if self.description else ""
        return f"{self.modality} {self.number or 'without a number'}{said} ({len(self.files)} files)"


def series_below(folder: Path) -> list[Series]:
    """The image series of a study, whether they have folders of their own or not; files that are no images are passed over.

    So are the series that :mod:`cspadn.io.dicom_writer` has written: a study that was fused before can be fused again.

    Raises:
        InputError: a folder or file cannot be read, or is damaged: its series could be the one that is wanted.
    """
    found: dict[str, Series] = {}
    for path in _files_below(folder):
        header = read_header(path, f"The study '{folder.name}'")
        if header is None or _text(header, "Manufacturer") == MANUFACTURER:
            continue
        modality, uid = (_needed(header, keyword, path) for keyword in ("Modality", "SeriesInstanceUID"))
        if uid not in found:
            found[uid] = Series(modality, _text(header, "SeriesNumber"), _description(header))
        found[uid].files.append(path)
    return sorted(found.values(), key=_order)


def one_series(series: Sequence[Series], modality: str, study: str) -> Series:
    """The series of a modality; InputError, which names what there is, unless there is exactly one."""
    fitting = [each for each in series if each.modality == modality]
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(map(str, fitting or series)) or "no DICOM images"
    raise InputError(
        message("study-needs-one-series", study=study, count=len(fitting) or "no", modality=modality, found=found)
    )


def _files_below(folder: Path) -> list[Path]:
    """All files, behind links to folders as well, each folder once."""

    def refuse(error: OSError) -> None:
        raise InputError(message("study-unreadable", study=folder.name, why=error.strerror or error))

    files: list[Path] = []
    seen: set[Path] = set()
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if (real := Path(place).resolve()) in seen:
            folders.clear()
            continue
        seen.add(real)
        files += [path for name in names if (path := Path(place, name)).is_file()]
    return sorted(files)


def _needed(header: Dataset, keyword: str, path: Path) -> str:
    """Of a file without it nobody knows where it belongs: a slice could go missing without a word."""
    value = _text(header, keyword)
    if not value:
        raise InputError(message("dicom-file-without-series", path=path, tag=keyword))
    return value


def _description(header: Dataset) -> str:
    """Of a series, unless it tells who the patient is."""
    text = " ".join(_text(header, "SeriesDescription").split())
    names = re.split(r"[\W_]+", f"{_text(header, 'PatientName')} {_text(header, 'PatientID')}")
    return "" if any(len(name) > 1 and name.casefold() in text.casefold() for name in names) else text


def _text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(keyword)
    except Exception:  # pydicom converts when it is asked, and damage shows as errors of many kinds
        return ""
    return "" if value is None else str(value).strip()


def _order(series: Series) -> tuple[str, int, str]:
    return series.modality, int(series.number) if series.number.isdecimal() else 0, str(series.files[0])
