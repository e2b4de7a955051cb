"""Names of files in a BIDS dataset (https://bids-specification.readthedocs.io), and filters that choose among them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from cspadn.errors import UsageError
from cspadn.messages import message

DESCRIPTION_FILE = "dataset_description.json"
LABEL = re.compile(r"[0-9A-Za-z+]+")
SUFFIX = "suffix"  # in filters, beside the entities
SPACE = "space"
GRID = (SPACE, "cohort", "res")  # entities that tell on which grid an image lies, in their order; the cohort is a template's
_KEPT = ("sub", "ses", "task", "trc", "rec", "run")  # entities of a PET that tell its results apart, in their order
_FILE = re.compile(rf"(?P<entities>(?:[a-z]+-{LABEL.pattern}_)+)(?P<suffix>[0-9A-Za-z]+)(?P<extension>\.nii(?:\.gz)?|\.txt)")
_PET_SUFFIXES = ("pet", "petref", "xfm")  # of files in the folder pet

Filter = Mapping[str, frozenset[str]]  # values that an entity may have, by its key; "" if it may be missing


@dataclass(frozen=True)
class BidsFile:
    """An image or a transform of a dataset, by its path in it."""

    path: PurePosixPath
    entities: dict[str, str]
    suffix: str

    @classmethod
    def of(cls, relative: str) -> BidsFile | None:
        """Parse a path; None if it does not follow BIDS, such as in a folder of another subject or in sourcedata."""
        path = PurePosixPath(relative)
        if not (named := _FILE.fullmatch(path.name)) or (named["suffix"] == "xfm") != (named["extension"] == ".txt"):
            return None
        entities = dict(part.split("-", 1) for part in named["entities"].rstrip("_").split("_"))
        where = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
        datatype = "pet" if named["suffix"] in _PET_SUFFIXES else "anat"
        return cls(path, entities, named["suffix"]) if list(path.parent.parts) == [*where, datatype] else None

    def matches(self, wanted: Filter) -> bool:
        """Return whether the entities have values of a filter."""
        return all(self.entities.get(key, "") in values for key, values in wanted.items() if key != SUFFIX)

    @property
    def name(self) -> str:
        """Return the name that the results of this PET have."""
        return "_".join(f"{key}-{self.entities[key]}" for key in _KEPT if key in self.entities)


def labels_of(path: str) -> dict[str, str]:
    """Return the labels in the name of a file by their keys, also if the rest of the name does not follow BIDS."""
    stem = PurePath(path).name.partition(".")[0]
    parts = (part.partition("-") for part in stem.split("_"))
    return {key: label for key, _, label in parts if key.isalpha() and LABEL.fullmatch(label)}


def filter_of(texts: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the filter that a user gives, such as ["run=1", "acq=mprage"]; one key may have several values.

    Raises:
        UsageError: a text has no key and value.
    """
    values: defaultdict[str, set[str]] = defaultdict(set)
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key.isalpha() and equals and (not value or LABEL.fullmatch(value))):
            raise UsageError(message("filter-invalid", text=text))
        values[key].add(value)
    return {key: frozenset(allowed) for key, allowed in values.items()}
