"""BIDS: find the PET and MRI of a dataset that belong together, and name and describe results and derivative.

BIDS, the Brain Imaging Data Structure, defines the names of files: https://bids-specification.readthedocs.io, version 1.10.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cspadn import __version__
from cspadn.cohort.bids_names import DESCRIPTION_FILE, LABEL, SPACE, BidsFile, Filter
from cspadn.cohort.pairs import Pair
from cspadn.cohort.petprep import LINK, RAW, Choice, find_petprep
from cspadn.errors import UsageError
from cspadn.io.regular_files import is_regular
from cspadn.messages import message

VERSION = "1.10.0"  # of the specification
_URL = "https://github.com/SlicerCSpADNFusion/SlicerCSpADNFusion"
_NATIVE = (None, "T1w")  # spaces that are those of a T1w image as it was taken
_ALL: Filter = {}


def is_dataset(folder: Path) -> bool:
    """Return whether a folder has a description of a dataset, or a folder of a subject."""
    return (folder / DESCRIPTION_FILE).exists() or any(folder.glob("sub-*"))


def pairs_of_dataset(
    root: Path,
    pet_filter: Filter = _ALL,
    mri_filter: Filter = _ALL,
    *,
    derivatives: str | None = None,
    frames: str | None = None,
) -> list[Pair]:
    """Return a pair for each PET of a BIDS dataset (``sub-*/[ses-*/]pet/*_pet.nii[.gz]``), in the order of their names.

    Where PETPrep has prepared PET and MRI, those are taken (:mod:`cspadn.cohort.petprep`). Otherwise the MRI is the only T1w
    of the same session; if the session has none, the only one of the subject, with a warning. A PET in a standard space is
    paired with a T1w in that space.

    Args:
        root: the dataset, or the derivatives of PETPrep themselves.
        pet_filter, mri_filter: only images with these entities.
        derivatives: folder of the derivatives of PETPrep, or "none"; None: the only one in ``derivatives``, if there is one.
        frames: as in the settings.

    Raises:
        UsageError: there is no such dataset, none of its images is a PET, or the derivatives cannot be used.
    """
    choice = Choice(frames, pet_filter, mri_filter)
    images = _images(root, choice.contrasts)
    prepared = find_petprep(root, derivatives)
    if prepared is not None and prepared.link == RAW:
        everyone = prepared.scans()
        pets = _filtered(everyone, choice.scans, root)
        return [prepared.pair(pet, everyone, choice) or _incomplete(pet) for pet in pets]
    anatomies = defaultdict(list)
    for image in images:
        if image.suffix in choice.contrasts and image.matches(mri_filter):
            anatomies[image.entities["sub"]].append(image)
    contrast = " or ".join(sorted(choice.contrasts))
    everyone = [image for image in images if image.suffix == "pet" and image.entities.get("desc") != "fused"]
    pets = _registered(_filtered(everyone, choice.scans if prepared else pet_filter, root))
    if prepared is None:
        return [_pair(root, pet, anatomies[pet.entities["sub"]], contrast) for pet in pets]
    return [
        prepared.pair(pet, everyone, choice) or _unprepared(root, pet, anatomies[pet.entities["sub"]], contrast)
        for pet in pets
    ]


def _filtered(pets: list[BidsFile], wanted: Filter, root: Path) -> list[BidsFile]:
    """Return the PETs that match a filter; UsageError if there are none."""
    if not pets:
        raise UsageError(message("dataset-without-pet", path=root))
    found = [pet for pet in pets if pet.matches(wanted)]
    if not found:
        told = " ".join(f"{key}={value}" for key, values in sorted(wanted.items()) for value in sorted(values))
        raise UsageError(message("filter-without-pet", path=root, filter=told))
    return found


def _incomplete(pet: BidsFile) -> Pair:
    return Pair(pet.name, obstacle=message("petprep-incomplete", name=pet.name))


def _unprepared(root: Path, pet: BidsFile, anatomies: list[BidsFile], contrast: str) -> Pair:
    """Return the pair of the dataset's own images, with a warning that PETPrep has prepared others but not these."""
    pair = _pair(root, pet, anatomies, contrast)
    return replace(pair, warnings=(*pair.warnings, message("petprep-not-used", pet=pet.path)))


def _registered(pets: list[BidsFile]) -> list[BidsFile]:
    """Of several forms of one PET, as pipelines leave them, the only one in the space of the T1w image, if there is one."""
    forms = defaultdict(list)
    for pet in pets:
        forms[pet.name].append(pet)
    native = {name: [each for each in group if each.entities.get("space") == "T1w"] for name, group in forms.items()}
    return [pet for name, group in forms.items() for pet in (native[name] if len(native[name]) == 1 else group)]


def _images(root: Path, contrasts: Iterable[str]) -> list[BidsFile]:
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
    images = (BidsFile.of(file.get_relative_path()) for file in found)
    return sorted((image for image in images if image), key=lambda image: image.path)


def _pair(root: Path, pet: BidsFile, anatomies: list[BidsFile], contrast: str) -> Pair:
    space = pet.entities.get(SPACE)
    wanted = None if space in _NATIVE else space
    spaces = [(each, each.entities.get(SPACE)) for each in anatomies]
    moved = [each for each, own in spaces if own == space == "T1w" != each.suffix]  # another contrast, moved to the T1w image
    fitting = moved or [each for each, own in spaces if own == wanted]
    session = pet.entities.get("ses")
    here = [each for each in fitting if each.entities.get("ses") == session]
    chosen = here or fitting
    if len(chosen) != 1:
        return Pair(pet.name, obstacle=_no_choice(pet, chosen, wanted, contrast))
    warnings = () if here else (message("t1w-of-other-session", mri=chosen[0].path),)
    sources = (f"bids:{RAW}:{pet.path}", f"bids:{RAW}:{chosen[0].path}")
    return Pair(pet.name, str(root / pet.path), str(root / chosen[0].path), sources=sources, warnings=warnings)


def _no_choice(pet: BidsFile, anatomies: list[BidsFile], space: str | None, contrast: str) -> str:
    if not anatomies and space:
        return message("t1w-missing-in-space", contrast=contrast, pet=pet.path, space=space)
    if not anatomies:
        return message("t1w-missing", contrast=contrast, pet=pet.path)
    names = ", ".join(str(each.path) for each in anatomies)
    return message("t1w-ambiguous", contrast=contrast, pet=pet.path, count=len(anatomies), names=names)


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
    if bad := [label for label in labels.values() if not LABEL.fullmatch(label)]:
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


def description(source: Path, output: Path, *, is_dataset: bool, petprep: Path | None = None) -> dict[str, object]:
    """Return the content of ``dataset_description.json`` of the derivative.

    Args:
        source: the dataset, list or folder of studies.
        output: folder of the derivative.
        is_dataset: whether the source is a BIDS dataset.
        petprep: another folder, with derivatives of PETPrep.
    """
    link = relative_to(source.resolve(), output)
    links = {RAW: link, **({} if petprep is None else {LINK: relative_to(petprep, output)})}
    made: dict[str, object] = {
        "Name": "PET and MRI fused by CSpA-DN",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "CSpADNFusion", "Version": __version__, "CodeURL": _URL}],
        "SourceDatasets": [{"URL": link}],
    }
    return {**made, "DatasetLinks": links} if is_dataset else made


def relative_to(path: Path, folder: Path) -> str:
    """Return a path relative to a folder, or its URI if it is on another drive of Windows."""
    try:
        return Path(os.path.relpath(path, folder.resolve())).as_posix()
    except ValueError:
        return path.as_uri()
