"""Sources of pairs: a BIDS dataset, a list in a CSV file, or a folder of DICOM studies."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cspadn.cohort.bids import is_dataset, pairs_of_dataset
from cspadn.cohort.bids_names import Filter
from cspadn.cohort.pairs import Pair
from cspadn.cohort.petprep import RAW, find_petprep
from cspadn.errors import UsageError
from cspadn.io.pair_list import Row, read_pairs
from cspadn.messages import message

_LIST_SUFFIX = ".csv"
_OPTIONAL = ("participant_id", "session_id", "output")  # columns


class Source(Protocol):
    """Where pairs come from.

    Attributes:
        path: the dataset, the list, or the folder of studies.
        folder: absolute path of the folder from which messages name files.
        has_dicom: whether volumes may be DICOM series, from which SUV can be computed.
        is_bids: whether its files are named as BIDS says.
    """

    has_dicom: bool
    is_bids: bool

    @property
    def path(self) -> Path: ...

    @property
    def folder(self) -> Path: ...

    @property
    def petprep(self) -> Path | None:
        """Another folder, with derivatives of PETPrep that are used."""

    def pairs(self) -> list[Pair]:
        """Return the pairs in their order; UsageError if the source cannot be read or has no pair."""


@dataclass(frozen=True)
class BidsDataset:
    """A BIDS dataset: each of its PETs with the T1w image of the session or the subject.

    Attributes:
        path: the dataset.
        pet_filter, mri_filter: only images with these entities; the MRI's may have the suffix of another contrast.
        derivatives: folder of the derivatives of PETPrep, or "none"; None: the only one in ``derivatives`` of the dataset.
        frames: as in the settings; they decide which image of PETPrep is taken.
    """

    path: Path
    pet_filter: Filter = field(default_factory=dict)
    mri_filter: Filter = field(default_factory=dict)
    derivatives: str | None = None
    frames: str | None = None
    has_dicom = False
    is_bids = True

    @property
    def folder(self) -> Path:
        """Absolute path of the dataset."""
        return self.path.resolve()

    @property
    def petprep(self) -> Path | None:
        """Folder with derivatives of PETPrep, if it is not the dataset itself."""
        found = find_petprep(self.folder, self.derivatives)
        return None if found is None or found.link == RAW else found.root

    def pairs(self) -> list[Pair]:
        """Return the pairs, as :func:`cspadn.cohort.bids.pairs_of_dataset`."""
        filters = self.pet_filter, self.mri_filter
        return pairs_of_dataset(self.folder, *filters, derivatives=self.derivatives, frames=self.frames)


@dataclass(frozen=True)
class PairList:
    """A CSV file with the columns pet and mri, and optionally participant_id, session_id and output; UTF-8.

    PET and MRI are image files, or folders with one DICOM series each. Paths are relative to the file.
    """

    path: Path
    has_dicom = True
    is_bids = False
    petprep = None

    @property
    def folder(self) -> Path:
        """Absolute path of the folder of the file."""
        return self.path.resolve().parent

    def pairs(self) -> list[Pair]:
        """Return a pair for each row; a row that cannot be fused has an obstacle.

        Raises:
            UsageError: the file cannot be read, or is not such a list.
        """
        return [_listed(row, self.folder) for row in read_pairs(self.path, _OPTIONAL)]


def _listed(row: Row, folder: Path) -> Pair:
    cells = row.cells
    pet, mri = (str(folder / cells[column]) if cells[column] else "" for column in ("pet", "mri"))
    obstacle = ""
    if empty := [column for column in ("pet", "mri") if not cells[column]]:
        obstacle = message("list-cell-empty", line=row.line, columns=" and no ".join(empty))
    elif "_T1w." in cells["pet"] or "_pet." in cells["mri"]:
        obstacle = message("list-pair-swapped", line=row.line)
    participant, session, output = (cells[column] for column in _OPTIONAL)
    return Pair(pet=pet, mri=mri, line=row.line, obstacle=obstacle, participant=participant, session=session, output=output)


@dataclass(frozen=True)
class StudyFolder:
    """A folder with one folder for each DICOM study, of which each has one PET and one MR series.

    Attributes:
        output: folder of the outputs; it is not a study if it lies among them.
    """

    path: Path
    output: Path
    has_dicom = True
    is_bids = False
    petprep = None

    @property
    def folder(self) -> Path:
        """Absolute path of the folder."""
        return self.path.resolve()

    def pairs(self) -> list[Pair]:
        """Return a pair for each study; its series are chosen when it is read.

        Raises:
            UsageError: the folder cannot be read, or holds no folders.
        """
        try:
            inside = sorted(path for path in self.path.iterdir() if path.is_dir() and not path.name.startswith("."))
        except OSError as error:
            raise UsageError(message("studies-unreadable", path=self.path, why=error.strerror or error)) from None
        output = self.output.resolve()
        studies = [path for path in inside if path.resolve() not in (output, *output.parents)]
        if not studies:
            raise UsageError(message("studies-empty", path=self.path))
        return [Pair(study=str(path), participant=_label_of(path.name)) for path in studies]


def _label_of(name: str) -> str:
    """Return the characters of a name that a BIDS label may have."""
    return "".join(each for each in name.removeprefix("sub-") if each.isascii() and each.isalnum())


def source_of(path: Path, output: Path) -> Source:
    """Return the source at a path: a list if it ends in .csv, else a BIDS dataset or a folder of DICOM studies.

    A folder is a BIDS dataset if it has a ``dataset_description.json`` or a folder ``sub-*``.

    Args:
        path: what the user has named; it may not exist.
        output: folder of the outputs.
    """
    if path.name.lower().endswith(_LIST_SUFFIX):
        return PairList(path)
    return StudyFolder(path, output) if path.is_dir() and not is_dataset(path) else BidsDataset(path)
