"""One pair of a cohort: fused, measured and shown, or found done. Runs in a worker, which may be on another computer."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cspadn import __version__
from cspadn.cohort.bids import CohortPair
from cspadn.errors import FusionError, InputError, ModelError, UsageError
from cspadn.imaging.metadata import NOTE
from cspadn.io.atomic_output import Staged, check_different, check_names, clear, commit
from cspadn.io.images import check_path, check_storable, read_image, stage_image, stage_sidecar, stage_text
from cspadn.palettes import DEFAULT_PALETTE
from cspadn.runtime.allocator import keep_freed_memory
from cspadn.runtime.terminal import explained, quiet, silence_libraries
from cspadn.settings import FusionSettings

if TYPE_CHECKING:
    from cspadn.fusion import FusionResult
    from cspadn.metrics import VolumeScores

DONE, UNCHANGED, FAILED = "done", "unchanged", "failed"
PAGE_SUFFIX, LOGS, INDEX = ".html", "logs", "index.html"
OURS = "CSpADNFusion"  # a key of the side file
FUSED_ENDING, USUAL_SPACE = "_desc-fused_pet", "_space-T1w"  # of names; pages and logs do without the latter
_SPACES = {"mri": "T1w", "pet": "pet"}  # by whose grid the result has
_IN_TWO_FILES = (".mhd", ".nhdr", ".hdr", ".img")  # and what has the voxels is called likewise
_CHUNK = 2**20


@dataclass(frozen=True)
class CohortOptions:
    """What holds for all pairs.

    Attributes:
        source: folder of the dataset, or of the list, absolute: messages name files from there on.
        output: folder of the derivative, absolute.
        settings: of each fusion; the palette is that of the page.
        model_sha256: of the weights that the settings name.
        run: tells this run from others.
        version: of this package, which a worker must have as well.
        suv: scale DICOM PETs to SUV by body weight first.
        force: fuse again what is done.
    """

    source: Path
    output: Path
    settings: FusionSettings
    model_sha256: str
    run: str = ""
    version: str = __version__
    suv: bool = False
    force: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a pair.

    Attributes:
        status: :data:`DONE`, :data:`UNCHANGED` or :data:`FAILED`.
        message: why it failed, one sentence.
    """

    name: str
    status: str
    message: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


class Files(NamedTuple):
    """What is made of a pair; ``log`` says why it was not."""

    fused: Path
    sidecar: Path
    page: Path
    log: Path

    @classmethod
    def of(cls, pair: CohortPair, options: CohortOptions) -> Files:
        """By the names that BIDS gives."""
        output = options.output
        folder = output.joinpath(*(f"{key}-{label}" for key, label in pair.entities.items() if key in ("sub", "ses")), "pet")
        space = f"_space-{_SPACES[options.settings.grid]}"
        stem, name = f"{pair.name}{space}{FUSED_ENDING}", f"{pair.name}{space}".removesuffix(USUAL_SPACE)
        page, log = output / f"{name}{PAGE_SUFFIX}", output / LOGS / f"{name}.json"
        return cls(folder / f"{stem}.nii.gz", folder / f"{stem}.json", page, log)


def fuse_pair(pair: CohortPair, options: CohortOptions) -> Outcome:
    """Fuse a pair, unless it was done with the same inputs and settings; whatever goes wrong is an outcome.

    All of its files are there in the end, or none is new. A failure is noted in the folder of logs, for the group page.
    """
    begun, files = time.monotonic(), Files.of(pair, options)
    try:
        silence_libraries()
        keep_freed_memory()  # Dask has its workers give it back at once, which makes computing much slower
        outcome = _fused(pair, options, files, begun)
        files.log.unlink(missing_ok=True)
    except Exception as error:
        message = str(error if isinstance(error, FusionError) else explained(error))
        for folder in (options.output, options.source):  # the one is often in the other
            message = message.replace(f"{folder}{os.sep}", "")
        outcome = Outcome(pair.name, FAILED, message, pair.warnings, time.monotonic() - begun)
        with suppress(FusionError, OSError):  # where nothing can be written, the run itself still tells
            note_failure(outcome, files.log)
    return outcome


def note_failure(outcome: Outcome, log: Path) -> None:
    """For the group page, which may be made later and by another process."""
    told = {"status": FAILED, "message": outcome.message, "date": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    log.parent.mkdir(parents=True, exist_ok=True)
    commit([lambda: stage_sidecar(log, {"software": f"{OURS} {__version__}", **told}, outcome.warnings)], overwrite=True)


def _fused(pair: CohortPair, options: CohortOptions, files: Files, begun: float) -> Outcome:
    if options.version != __version__:
        raise UsageError(f"A worker has cspadn {__version__}, not {options.version}: install the same on all computers.")
    if pair.obstacle:
        raise InputError(pair.obstacle)
    inputs = [Path(pair.pet), Path(pair.mri)]
    check_names(inputs)
    check_different(*inputs)
    origin = _origin(inputs, options)
    told = read_sidecar(files.sidecar)
    if not options.force and told is not None and _is_whole(files, told, origin):
        clear(files.fused.parent)  # a kill may have come after the last name was given
        # A worker may die after its work, but before it could tell.
        ours = told.get("run") == options.run != ""
        return Outcome(pair.name, DONE if ours else UNCHANGED, "", tuple(told["warnings"]), time.monotonic() - begun)
    if told is None and (foreign := next((path for path in files[:3] if path.exists()), None)):
        raise UsageError(
            f"{foreign} exists, and no side file says what it was made of: move it away, or choose another output folder."
        )
    result, scores, page = _made(pair, options, files)
    seconds = time.monotonic() - begun
    ours = {**result.provenance, "warnings": result.warnings, "origin": origin, "run": options.run}
    described = _described(pair, {**ours, "seconds": round(seconds, 2), "metrics": scores.to_dict()})
    files.fused.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        commit(_stages(files, result, described, page), overwrite=True, last_first=True)
    return Outcome(pair.name, DONE, warnings=tuple(result.warnings), seconds=seconds)


def _made(pair: CohortPair, options: CohortOptions, files: Files) -> tuple[FusionResult, VolumeScores, str]:
    """The result, its scores and its page; PET and MRI are no longer in memory when they are written."""
    from cspadn.fusion import fuse
    from cspadn.metrics import measure_fusion
    from cspadn.report.pages import subject_page

    with quiet():
        pet, mri = read_image(Path(pair.pet), "The PET", suv=options.suv), read_image(Path(pair.mri), "The MRI")
    check_storable(mri if options.settings.grid == "mri" else pet, files.fused)
    result = fuse(pet, mri, replace(options.settings, palette=None))  # no colour volume: the page shows its slices
    if result.provenance["model_sha256"] != options.model_sha256:
        raise ModelError("The worker has another model of that name: install the same version of cspadn everywhere.")
    result = replace(result, warnings=[*pair.warnings, *result.warnings])
    scores = measure_fusion(pet, mri, result)
    title, palette = pair.name.replace("_", " "), options.settings.palette or DEFAULT_PALETTE
    return result, scores, subject_page(pet, mri, result, scores, title=title, palette=palette, index=INDEX)


def _described(pair: CohortPair, ours: dict[str, Any]) -> dict[str, Any]:
    """The side file; fields as BIDS has them, and ours."""
    return {
        "Description": f"PET and MRI fused by CSpA-DN: brightness from 0 to 4095, without a unit. {NOTE}",
        "Sources": list(pair.sources),
        "SpatialReference": pair.sources[0 if ours["grid"] == "pet" else 1],
        "SkullStripped": ours["origin"]["skull_stripped"],
        OURS: ours,
    }


def _is_stripped(mri: Path) -> bool:
    """As the MRI's own side file says; false if it does not."""
    with suppress(OSError, ValueError, AttributeError):
        told = json.loads(mri.with_name(f"{mri.name.removesuffix('.gz').removesuffix('.nii')}.json").read_text("utf-8"))
        return told.get("SkullStripped") is True
    return False


def _stages(files: Files, result: FusionResult, described: dict[str, Any], page: str) -> Iterator[Callable[[], Staged]]:
    """The side file comes last, with the hashes of the others, and is named first: what a kill left half is known as ours."""
    staged: dict[str, Staged] = {}

    def stage_fused() -> Staged:
        staged["fused"] = stage_image(result.image, files.fused, result.provenance)
        return staged["fused"]

    def stage_shown() -> Staged:
        staged["page"] = stage_text(files.page, page)
        return staged["page"]

    def stage_description() -> Staged:
        described[OURS] |= {f"{name}_sha256": _hash([each.temporary]) for name, each in staged.items()}
        return stage_text(files.sidecar, json.dumps(described, indent=2, ensure_ascii=False) + "\n")

    yield from (stage_fused, stage_shown, stage_description)


def read_sidecar(file: Path) -> dict[str, Any] | None:
    """What an earlier run has written of itself; None where there is no such file, or it is another's."""
    try:
        ours = json.loads(file.read_text(encoding="utf-8"))[OURS]
        return ours if isinstance(ours, dict) and isinstance(ours["warnings"], list) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _is_whole(files: Files, told: dict[str, Any], origin: dict[str, Any]) -> bool:
    """Whether all is there, as it was written, of these inputs with these settings."""
    made = {"fused": files.fused, "page": files.page}
    if told.get("origin") != origin or not all(file.is_file() for file in made.values()):
        return False
    return all(told.get(f"{name}_sha256") == _hash([file]) for name, file in made.items())


def _origin(inputs: list[Path], options: CohortOptions) -> dict[str, Any]:
    """What a result depends on, as JSON has it."""
    return {
        "software": __version__,
        "pet_sha256": _hash_of_input(inputs[0], "The PET"),
        "mri_sha256": _hash_of_input(inputs[1], "The MRI"),
        "model_sha256": options.model_sha256,
        "skull_stripped": _is_stripped(inputs[1]),
        "suv": options.suv,
        **options.settings.origin(),
    }


def _hash_of_input(path: Path, name: str) -> str:
    """Of a file, or of all files below a folder; InputError where one cannot be read."""
    check_path(path, name)
    try:
        return _hash(_files_of(path))
    except OSError as error:
        raise InputError(f"{name} {path} cannot be read: {error.strerror}. Check the permissions.") from None


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        found: Iterable[Path] = path.rglob("*")
    elif path.name.lower().removesuffix(".gz").endswith(_IN_TWO_FILES):
        found = path.parent.glob(f"{glob.escape(path.name.split('.')[0])}.*")
    else:
        return [path]
    return sorted(file for file in found if file.is_file())


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
