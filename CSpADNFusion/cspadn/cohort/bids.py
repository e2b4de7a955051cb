"""BIDS: find the PET and MRI of a dataset that belong together, and name and describe results and derivative.

BIDS, the Brain Imaging Data Structure, defines the names of files: https://bids-specification.readthedocs.io, version 1.10.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cspadn import __version__
from cspadn.cohort.pairs import Pair
from cspadn.errors import UsageError
from cspadn.io.regular_files import is_regular
from cspadn.messages import message

DESCRIPTION_FILE = "dataset_description.json"
VERSION = "1.10.0"  # of the specification
_KEPT = ("sub", "ses", "task", "trc", "rec", "run")  # entities of a PET that tell its results apart, in their order
_RAW = "raw"  # what links of the derivative call the dataset
_URL = "https://github.com/SlicerCSpADNFusion/SlicerCSpADNFusion"
_LABEL = re.compile(r"[0-9A-Za-z+]+")
_IMAGE = re.compile(rf"(?P<entities>(?:[a-z]+-{_LABEL.pattern}_)+)(?P<suffix>[0-9A-Za-z]+)\.nii(?:\.gz)?")
_NATIVE = (None, "T1w")  # spaces that are those of a T1w image as it was taken
_SUFFIX = "suffix"  # in filters, beside the entities

Filter = Mapping[str, frozenset[str]]  # values that an entity may have, by its key; "" if it may be missing


_ALL: Filter = {}


@dataclass(frozen=True)
class _Image:
    """An image of a dataset, by its path in it."""

    path: PurePosixPath
    entities: dict[str, str]
    suffix: str

    @classmethod
    def of(cls, relative: str) -> _Image | None:
        """Parse a path; None if it does not follow BIDS, such as in a folder of another subject or in sourcedata."""
        path = PurePosixPath(relative)
        if not (named := _IMAGE.fullmatch(path.name)):
            return None
        entities = dict(part.split("-", 1) for part in named["entities"].rstrip("_").split("_"))
        where = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
        datatype = "pet" if named["suffix"] == "pet" else "anat"
        return cls(path, entities, named["suffix"]) if list(path.parent.parts) == [*where, datatype] else None

    def matches(self, wanted: Filter) -> bool:
        """Return whether the entities have values of a filter."""
        return all(self.entities.get(key, "") in values for key, values in wanted.items() if key != _SUFFIX)

    @property
    def name(self) -> str:
        return "_".join(f"{key}-{self.entities[key]}" for key in _KEPT if key in self.entities)


def is_dataset(folder: Path) -> bool:
    """Return whether a folder has a description of a dataset, or a folder of a subject."""
    return (folder / DESCRIPTION_FILE).exists() or any(folder.glob("sub-*"))


def filter_of(texts: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the filter that a user gives, such as ["run=1", "acq=mprage"]; one key may have several values.

    Raises:
        UsageError: a text has no key and value.
    """
    values: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key.isalpha() and equals and (not value or _LABEL.fullmatch(value))):
            raise UsageError(message("filter-invalid", text=text))
        values[key].add(value)
    return {key: frozenset(allowed) for key, allowed in values.items()}


def pairs_of_dataset(root: Path, pet_filter: Filter = _ALL, mri_filter: Filter = _ALL) -> list[Pair]:
    """Return a pair for each PET of a BIDS dataset (``sub-*/[ses-*/]pet/*_pet.nii[.gz]``), in the order of their names.

    The MRI is the only T1w of the same session; if the session has none, the only one of the subject, with a warning. A PET
    in a standard space is paired with a T1w in that space.

    Raises:
        UsageError: there is no such dataset, or none of its images is a PET.
    """
    contrasts = mri_filter.get(_SUFFIX, frozenset({"T1w"}))
    images = _images(root, contrasts)
    anatomies = defaultdict(list)
    for image in images:
        if image.suffix in contrasts and image.matches(mri_filter):
            anatomies[image.entities["sub"]].append(image)
    pets = [image for image in images if image.suffix == "pet" and image.entities.get("desc") != "fused"]
    if not pets:
        raise UsageError(message("dataset-without-pet", path=root))
    pets = [pet for pet in pets if pet.matches(pet_filter)]
    if not pets:
        wanted = " ".join(f"{key}={value}" for key, values in sorted(pet_filter.items()) for value in sorted(values))
        raise UsageError(message("filter-without-pet", path=root, filter=wanted))
    return [_pair(root, pet, anatomies[pet.entities["sub"]]) for pet in _registered(pets)]


def _registered(pets: list[_Image]) -> list[_Image]:
    """Of several forms of one PET, as pipelines leave them, the only one in the space of the T1w image, if there is one."""
    forms = defaultdict(list)
    for pet in pets:
        forms[pet.name].append(pet)
    native = {name: [each for each in group if each.entities.get("space") == "T1w"] for name, group in forms.items()}
    return [pet for name, group in forms.items() for pet in (native[name] if len(native[name]) == 1 else group)]


def _images(root: Path, contrasts: Iterable[str]) -> list[_Image]:
    from ancpbids import DatasetOptions, load_dataset

    if not root.is_dir():
        raise UsageError(message("dataset-not-a-folder", path=root))
    if (root / DESCRIPTION_FILE).exists() and not is_regular(root / DESCRIPTION_FILE):  # a pipe would be waited for
        raise UsageError(message("dataset-file-unreadable", path=root / DESCRIPTION_FILE, why="not a regular file"))
    try:  # a pickle in the dataset would be executed
        dataset = load_dataset(str(root), DatasetOptions(ignore_pickle_file=True))
        found = dataset.query(suffix=["pet", *contrasts], extension=[".nii", ".nii.gz"])
    except OSError as error:
        raise UsageError(message("dataset-file-unreadable", path=error.filename, why=error.strerror)) from None
    except Exception as error:  # the package has no exceptions of its own
        raise UsageError(message("dataset-description-invalid", path=root, kind=type(error).__name__)) from None
    images = (_Image.of(file.get_relative_path()) for file in found)
    return sorted((image for image in images if image), key=lambda image: image.path)


def _pair(root: Path, pet: _Image, anatomies: list[_Image]) -> Pair:
    space = pet.entities.get("space")
    wanted = None if space in _NATIVE else space
    fitting = [each for each in anatomies if each.entities.get("space") == wanted]
    session = pet.entities.get("ses")
    here = [each for each in fitting if each.entities.get("ses") == session]
    chosen = here or fitting
    if len(chosen) != 1:
        return Pair(pet.name, obstacle=_no_choice(pet, chosen, wanted))
    warnings = () if here else (message("t1w-of-other-session", mri=chosen[0].path),)
    sources = (f"bids:{_RAW}:{pet.path}", f"bids:{_RAW}:{chosen[0].path}")
    return Pair(pet.name, str(root / pet.path), str(root / chosen[0].path), sources=sources, warnings=warnings)


def _no_choice(pet: _Image, anatomies: list[_Image], space: str | None) -> str:
    if not anatomies and space:
        return message("t1w-missing-in-space", pet=pet.path, space=space)
    if not anatomies:
        return message("t1w-missing", pet=pet.path)
    names = ", ".join(str(each.path) for each in anatomies)
    return message("t1w-ambiguous", pet=pet.path, count=len(anatomies), names=names)


def named_by_bids(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs with the names that their results have in a BIDS derivative, such as sub-01_ses-2_trc-FDG.

    Pairs without labels are called by their number. Pairs whose results would have one name have an obstacle.
    """
    digits = max(4, len(str(len(pairs))))  # so that names stay as the list grows
    named = (pair if pair.name else _labelled(pair, f"{number:0{digits}}") for number, pair in enumerate(pairs, 1))
    return _unique(named)


def _labelled(pair: Pair, number: str) -> Pair:
    labels = {"sub": pair.participant or number, "ses": pair.session}
    labels = {key: label.removeprefix(f"{key}-") for key, label in labels.items() if label}
    if bad := [label for label in labels.values() if not _LABEL.fullmatch(label)]:
        obstacle = message("list-label-invalid", label=bad[0], line=pair.line)
        return replace(pair, name=f"sub-{number}", obstacle=obstacle)
    return replace(pair, name="_".join(f"{key}-{label}" for key, label in labels.items()))


def _unique(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs; those whose results would have the same name have an obstacle."""
    listed = list(pairs)
    counts = Counter(pair.name.casefold() for pair in listed if not pair.obstacle)
    return [
        replace(pair, obstacle=message("pets-with-one-name", count=counts[pair.name.casefold()], name=pair.name))
        if not pair.obstacle and counts[pair.name.casefold()] > 1
        else pair
        for pair in listed
    ]


def with_labels(pairs: list[Pair], participants: Sequence[str], sessions: Sequence[str]) -> list[Pair]:
    """Return the pairs of some subjects and sessions, with or without "sub-" and "ses-"; all pairs if none is named.

    Raises:
        UsageError: no pair has a label.
    """
    for key, labels in (("sub", participants), ("ses", sessions)):
        wanted = {label.removeprefix(f"{key}-") for label in labels}
        if unknown := wanted - {pair.entities.get(key) for pair in pairs}:
            raise UsageError(message("label-without-pet", key=key, label=min(unknown)))
        pairs = [pair for pair in pairs if not wanted or pair.entities.get(key) in wanted]
    return pairs


def description(source: Path, output: Path, *, is_dataset: bool) -> dict[str, object]:
    """Return the content of ``dataset_description.json`` of the derivative."""
    link = relative_to(source.resolve(), output)
    made: dict[str, object] = {
        "Name": "PET and MRI fused by CSpA-DN",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "CSpADNFusion", "Version": __version__, "CodeURL": _URL}],
        "SourceDatasets": [{"URL": link}],
    }
    return {**made, "DatasetLinks": {_RAW: link}} if is_dataset else made


def relative_to(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, or its URI if it is on another drive of Windows."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:
        return path.as_uri()
