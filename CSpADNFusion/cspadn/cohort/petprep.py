"""Derivatives of PETPrep: use the references and transforms that it has made, and no registration of this package.

PETPrep (https://petprep.org) writes for each PET a reference of three dimensions (``*_petref``), the ITK transform from there
to the T1w image (``*_from-petref_to-T1w_mode-image_xfm.txt``), and the frames after the correction of motion
(``*_desc-preproc_pet``), as they are or in other spaces (``space-T1w``); and the T1w image of a subject or a session
(``*_desc-preproc_T1w``). Old versions leave out entities of the PET, such as ``trc``. Read from the source of PETPrep 0.0.10.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cspadn.cohort.bids_names import DESCRIPTION_FILE, SUFFIX, BidsFile, Filter
from cspadn.cohort.pairs import Pair, Placement
from cspadn.errors import InputError, UsageError
from cspadn.io.formats.nifti import frame_count
from cspadn.io.regular_files import read_regular_text
from cspadn.io.transforms import read_rigid
from cspadn.messages import message

NONE = "none"  # as the folder of the derivatives: they are not used
RAW, LINK = "raw", "petprep"  # what links of our derivative call the dataset and the folder
_NAME = "PETPrep"
_SCAN = ("sub", "ses", "task", "acq", "ce", "trc", "rec", "run")  # entities that tell the PETs of a dataset apart
_SPACES = (None, "T1w")  # of a reference, and of the T1w image
_TARGETS = ("T1w", "anat")  # of transforms: names of the space of the T1w image
_PATTERNS = tuple(f"sub-*/{session}{kind}/*" for session in ("", "ses-*/") for kind in ("pet", "anat"))


@dataclass(frozen=True)
class Choice:
    """What a user wants of several files.

    Attributes:
        frames: as in the settings; without, the reference of a dynamic PET is taken.
        pet: entities of the PET, of which those that tell scans apart do not matter here.
        mri: entities of the MRI, and its contrasts.
    """

    frames: str | None = None
    pet: Filter = field(default_factory=dict)
    mri: Filter = field(default_factory=dict)

    @property
    def scans(self) -> Filter:
        """Return the part of the PET's filter that chooses among scans."""
        return {key: values for key, values in self.pet.items() if key in _SCAN}

    @property
    def forms(self) -> Filter:
        """Return the part of the PET's filter that chooses among the files of a scan."""
        return {key: values for key, values in self.pet.items() if key not in _SCAN}

    @property
    def contrasts(self) -> frozenset[str]:
        """Return the suffixes that an MRI may have."""
        return self.mri.get(SUFFIX, frozenset({"T1w"}))


def find_petprep(dataset: Path, folder: str | None) -> PetPrep | None:
    """Return the derivatives of PETPrep that belong to a dataset; None if there are none.

    Args:
        dataset: a BIDS dataset, which may be the folder of the derivatives itself.
        folder: what the user says: a folder, :data:`NONE`, or None for the only one in ``derivatives``.

    Raises:
        UsageError: the folder has no derivatives of PETPrep, or there are several folders.
    """
    if folder == NONE:
        return None
    if folder is not None:
        if not (software := _software_of(Path(folder))):
            raise UsageError(message("derivatives-not-petprep", path=folder))
        return PetPrep(Path(folder).resolve(), software, LINK)
    if software := _software_of(dataset):
        return PetPrep(dataset, software, RAW)
    found = [path for path in sorted((dataset / "derivatives").glob("*")) if _software_of(path)]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UsageError(message("derivatives-ambiguous", path=dataset, count=len(found), names=names))
    return PetPrep(found[0].resolve(), _software_of(found[0]), LINK) if found else None


def _software_of(folder: Path) -> str:
    """Return name and version of PETPrep if it has made a folder; otherwise an empty text."""
    try:
        described: Any = json.loads(read_regular_text(folder / DESCRIPTION_FILE))
        generators = [each for each in described["GeneratedBy"] if str(each["Name"]).casefold() == _NAME.casefold()]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f"{_NAME} {generators[0].get('Version', '')}".strip() if generators else ""


class PetPrep:
    """A folder of derivatives.

    Args:
        root: absolute path.
        software: name and version of PETPrep.
        link: what BIDS URIs call the folder.
    """

    def __init__(self, root: Path, software: str, link: str) -> None:
        self.root, self.software, self.link = root, software, link

    @cached_property
    def _files(self) -> dict[str, list[BidsFile]]:
        """Images and transforms by subject."""
        files: defaultdict[str, list[BidsFile]] = defaultdict(list)
        for path in sorted(path for pattern in _PATTERNS for path in self.root.glob(pattern)):
            if (file := BidsFile.of(path.relative_to(self.root).as_posix())) is not None:
                files[file.entities["sub"]].append(file)
        return files

    def scans(self) -> list[BidsFile]:
        """Return a file for each PET that was processed."""
        scans: dict[tuple[tuple[str, str], ...], BidsFile] = {}
        for file in (file for files in self._files.values() for file in files if file.suffix in ("petref", "pet")):
            scans.setdefault(tuple(_scan_of(file).items()), file)
        return list(scans.values())

    def pair(self, scan: BidsFile, scans: Sequence[BidsFile], choice: Choice) -> Pair | None:
        """Return the PET and the MRI that PETPrep has prepared; None if one of them, or the transform, is missing.

        Several possible files, and transforms that cannot be used, are an obstacle.

        Args:
            scan: a PET of the dataset.
            scans: all PETs of the dataset.
            choice: what the user wants.
        """
        try:
            files = list(self._files_of(scan, [each for each in scans if each.entities["sub"] == scan.entities["sub"]]))
            found = self._pet(scan, files, choice)
            mri = None if found is None else self._mri(scan, found[0], choice)
        except InputError as error:
            return Pair(scan.name, obstacle=error.args[0])
        if found is None or mri is None:
            return None
        pet, placement = found
        sources = (self._uri(pet), self._uri(mri))
        return Pair(scan.name, str(self.root / pet.path), str(self.root / mri.path), sources=sources, placement=placement)

    def _uri(self, file: BidsFile) -> str:
        return f"bids:{self.link}:{file.path}"

    def _files_of(self, scan: BidsFile, scans: Sequence[BidsFile]) -> Iterator[BidsFile]:
        """Yield the files in the folder pet that belong to a scan, and to no other one."""
        for file in self._files.get(scan.entities["sub"], []):
            fitting = _fitting(file, scans) if file.path.parent.name == "pet" else []
            if scan in fitting and len(fitting) > 1:
                names = ", ".join(str(each.path) for each in fitting)
                raise InputError(message("petprep-unclear", file=file.path, count=len(fitting), names=names))
            if scan in fitting:
                yield file

    def _pet(self, scan: BidsFile, files: Sequence[BidsFile], choice: Choice) -> tuple[BidsFile, Placement] | None:
        spaces = choice.forms.get("space")
        forms = [file for file in files if file.matches(choice.forms)]
        if spaces is None:
            forms = [file for file in forms if file.entities.get("space") in _SPACES]
        frames = [file for file in forms if file.suffix == "pet" and file.entities.get("desc") == "preproc"]
        references = [file for file in forms if file.suffix == "petref"]
        transforms = [file for file in files if file.suffix == "xfm" and _leads_to_mri(file)]
        is_static = bool(frames) and all(frame_count(self.root / file.path) == 1 for file in frames)
        order = [frames] if choice.frames else [frames, references] if is_static else [references, frames]
        return next(filter(None, (self._placed(scan, group, transforms) for group in order)), None)

    def _placed(
        self, scan: BidsFile, images: Sequence[BidsFile], transforms: Sequence[BidsFile]
    ) -> tuple[BidsFile, Placement] | None:
        """Return the image of a scan before it was resampled, with its transform, or the one in the space of the MRI."""
        native = [image for image in images if "space" not in image.entities]
        moved = [image for image in images if "space" in image.entities]
        if native and transforms:
            image, transform = _one(scan, native), _one(scan, transforms)
            try:
                matrix = tuple(read_rigid(self.root / transform.path))
            except InputError:
                if not moved:
                    raise
            else:
                return image, Placement(self.software, self._uri(transform), matrix)
        return (_one(scan, moved), Placement(self.software)) if moved else None

    def _mri(self, scan: BidsFile, pet: BidsFile, choice: Choice) -> BidsFile | None:
        space = pet.entities.get("space")
        wanted = None if space in _SPACES else space
        fitting = [
            file
            for file in self._files[scan.entities["sub"]]
            if file.suffix in choice.contrasts
            and file.entities.get("desc") == "preproc"
            and file.entities.get("space") == wanted
            and file.matches(choice.mri)
        ]
        here = [file for file in fitting if file.entities.get("ses") == scan.entities.get("ses")]
        return _one(scan, here or fitting) if fitting else None


def _one(scan: BidsFile, files: Sequence[BidsFile]) -> BidsFile:
    if len(files) > 1:
        names = ", ".join(file.path.name for file in files)
        raise InputError(message("petprep-ambiguous", pet=scan.path, count=len(files), names=names))
    return files[0]


def _leads_to_mri(file: BidsFile) -> bool:
    return file.entities.get("from") == "petref" and file.entities.get("to") in _TARGETS


def _fitting(file: BidsFile, scans: Sequence[BidsFile]) -> list[BidsFile]:
    """Return the scans with all entities of a file; if one has no others, that alone."""
    own = _scan_of(file)
    fitting = [scan for scan in scans if own.items() <= _scan_of(scan).items() and own.get("ses") == scan.entities.get("ses")]
    return [scan for scan in fitting if own == _scan_of(scan)] or fitting


def _scan_of(file: BidsFile) -> dict[str, str]:
    return {key: file.entities[key] for key in _SCAN if key in file.entities}
