"""BIDS side files: JSON files that describe an image. One may describe many, from a folder above them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cspadn.imaging.frames import usable_seconds
from cspadn.imaging.patient import KEYWORDS, fingerprint
from cspadn.io.formats import suffix_of
from cspadn.io.regular_files import read_regular_text

SUFFIX = ".json"
_DESCRIPTION = "dataset_description.json"  # in the root of a dataset
_NAME = re.compile(r"(?P<entities>(?:[a-z]+-[0-9A-Za-z+]+_)*)(?P<suffix>[0-9A-Za-z]+)")
_UNITS = re.compile(r"%?[^\W\d_][\w/*^.-]{0,15}")  # such as Bq/mL, g/mL or %ID/g; no sentences
_MOST_LEVELS = 4  # datatype, session, subject, dataset


def sidecar_of(path: Path) -> Path:
    """Return the JSON file beside an image: of the same name, without ``.nii.gz`` and the like."""
    return path.with_name(path.name[: -len(suffix_of(path))] + SUFFIX)


def frame_seconds(path: Path) -> list[float] | None:
    """Return the durations of frames that the side files of an image give.

    A file beside the image counts before those above it, as BIDS inherits metadata: the names of inherited files have the same
    suffix and no entity that the image does not have, such as ``task-rest_pet.json`` in the root of the dataset.

    Returns:
        Seconds; None if no side file has ``FrameDuration``, or if its values are no durations.
    """
    durations = _value(path, "FrameDuration")
    return usable_seconds(durations, len(durations)) if isinstance(durations, list) else None


def units_of(path: Path) -> str:
    """Return the units of the values, from side files as for :func:`frame_seconds`; empty if they give none."""
    units = _value(path, "Units")
    return units if isinstance(units, str) and _UNITS.fullmatch(units) else ""


def _value(path: Path, key: str) -> object:
    """Return a value of the nearest side file that has it; None if none has."""
    for side in (sidecar_of(path), *_inherited(path)):
        content = _content(side)
        if key in content:
            return content[key]
    return None


def patient_of(path: Path) -> str:
    """Return the fingerprint of the patient that the file beside an image names, as those of dcm2niix do; empty for none."""
    content = _content(sidecar_of(path))
    return fingerprint({keyword: value for keyword in KEYWORDS if isinstance(value := content.get(keyword), str)})


def _content(side: Path) -> dict[str, Any]:
    """Return the content of a side file; empty if there is none, or it is no JSON object."""
    try:
        content = json.loads(read_regular_text(side))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _inherited(path: Path) -> Iterator[Path]:
    """Yield the side files that apply to an image of a BIDS dataset, the nearest and most specific one first."""
    parsed = _parsed(path.name[: -len(suffix_of(path))])
    if parsed is None or not parsed[0]:
        return
    entities, suffix = parsed
    for folder in _levels(path):
        fitting = list[tuple[int, str]]()
        for side in folder.glob(f"*{suffix}{SUFFIX}"):
            other = _parsed(side.stem)
            if other is not None and other[0] < entities and other[1] == suffix:
                fitting.append((-len(other[0]), side.name))
        yield from (folder / name for _, name in sorted(fitting))


def _levels(path: Path) -> list[Path]:
    """Return the folder of an image and those above it, up to the root of its dataset; only its own without a dataset."""
    folders = list(path.absolute().parents)[:_MOST_LEVELS]
    for index, folder in enumerate(folders):
        if (folder / _DESCRIPTION).exists():
            return folders[: index + 1]
    return folders[:1]


def _parsed(stem: str) -> tuple[frozenset[str], str] | None:
    """Return the entities and the suffix of a name without its ending; None if it does not follow BIDS."""
    named = _NAME.fullmatch(stem)
    return (frozenset(named["entities"].split("_")) - {""}, named["suffix"]) if named else None
