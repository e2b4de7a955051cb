"""The engine: fuse one pair of a cohort, or find that it is finished. It may run on another computer.

Where pairs come from is a matter of :mod:`cspadn.cohort.sources`, where the outputs lie one of a :class:`Layout`, and in which
process pairs are fused one of a :class:`cspadn.cohort.runner.Runner`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cspadn import __version__
from cspadn.cohort.failures import FAILED, record_failure, remove_record
from cspadn.cohort.pairs import Pair, Volume, content_of, read_volumes, sources_of, volumes_of, without_padding_of_cohort
from cspadn.cohort.proof import user_key, with_proof
from cspadn.cohort.records import is_complete, is_unmodified, means_of, place_of, read_record
from cspadn.errors import FusionError, ModelError, UsageError
from cspadn.io.atomic_output import Staged, check_no_links, clear, commit
from cspadn.io.images import check_storable, stage_image, stage_text
from cspadn.io.input_files import sha256_of
from cspadn.io.reader import VolumeReader
from cspadn.io.regular_files import read_regular_text
from cspadn.io.side_files import frame_seconds, units_of
from cspadn.messages import message
from cspadn.palettes import DEFAULT_PALETTE
from cspadn.runtime.terminal import explained, quiet, silence_libraries
from cspadn.settings import NO_REGISTRATION, FusionSettings

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.fusion import FusionResult
    from cspadn.io.dicom_writer import Sources
    from cspadn.metrics import VolumeScores

    Stage = Callable[[], Staged]

DONE, UNCHANGED = "done", "unchanged"


class PairFiles(NamedTuple):
    """The files of a pair.

    Attributes:
        fused: the fused volume.
        sidecar: JSON file that says how it was made, with the record by which the next run finds the pair finished.
        log: says why the pair failed.
        others: further outputs by their names in the record, such as "page" or "metrics".
    """

    fused: Path
    sidecar: Path
    log: Path
    others: dict[str, Path]

    @property
    def outputs(self) -> dict[str, Path]:
        """Outputs by their names in the record, without the side file."""
        return {"fused": self.fused, **self.others}


@dataclass(frozen=True)
class Fused:
    """A fused pair, before its files are written.

    Attributes:
        pet, mri: the volumes.
        scores: None if the layout does not need them.
        sources: headers of the two DICOM series; None if the layout has no DICOM studies.
    """

    pet: sitk.Image
    mri: sitk.Image
    result: FusionResult
    scores: VolumeScores | None
    sources: Sources | None = None

    def study(self, folder: Path) -> dict[str, Stage]:
        """Return the function that writes the pair as a DICOM study into a folder, by the name in the record."""
        if self.sources is None:
            return {}
        from cspadn.io.dicom_writer import stage_study

        result = self.result
        return {"dicom": partial(stage_study, result.image, result.color, folder, self.sources, result.provenance)}


class Layout(Protocol):
    """How outputs are named and described. Layouts are sent to workers."""

    @property
    def measured(self) -> bool:
        """Whether the metrics are computed."""

    @property
    def colored(self) -> bool:
        """Whether a colour volume is computed, if the settings have a palette."""

    @property
    def dicom(self) -> bool:
        """Whether each pair is written as a DICOM study as well, in colour."""

    @property
    def folder(self) -> Path:
        """Absolute path of the folder of all outputs."""

    def files(self, pair: Pair) -> PairFiles:
        """Return the files of a pair."""

    def check(self, files: PairFiles, record: dict[str, Any] | None, replaceable: bool, /) -> bool:
        """Return whether existing outputs may be replaced; UsageError if they must not, before the pair is read.

        Args:
            files: the files of the pair.
            record: record of an earlier run; None if there is none.
            replaceable: the user allows it, or an interrupted run with the same inputs and settings has left the files.
        """

    def record_of(self, description: dict[str, Any], /) -> dict[str, Any]:
        """Return the record in the content of a side file; LookupError or TypeError if it has none."""

    def describe(self, pair: Pair, provenance: dict[str, Any], record: dict[str, Any], /) -> dict[str, Any]:
        """Return the content of the side file."""

    def stages(self, pair: Pair, files: PairFiles, fused: Fused, settings: FusionSettings, /) -> dict[str, Stage]:
        """Return the functions that write the further outputs under temporary names, by their names in the record."""


@dataclass(frozen=True)
class Job:
    """What holds for all pairs of a run.

    Attributes:
        source: absolute path of a folder; messages name files from there on.
        layout: of the outputs.
        settings: of each fusion.
        model_sha256: of the weights that the settings name.
        run: identifies this run.
        version: of this package; workers must have the same.
        suv: scale DICOM PETs to SUV by body weight first.
        force: fuse finished pairs again.
        key: proves who made a result; sent to the workers.
    """

    source: Path
    layout: Layout
    settings: FusionSettings
    model_sha256: str
    run: str = ""
    version: str = __version__
    suv: bool = False
    force: bool = False
    key: bytes = field(default_factory=user_key, repr=False)


@dataclass(frozen=True)
class Outcome:
    """Whether a pair is done, and how long it took.

    Attributes:
        name: of the pair.
        status: :data:`DONE`, :data:`UNCHANGED` (finished by an earlier run) or :data:`cspadn.cohort.failures.FAILED`.
        message: sentence that says why the pair failed.
        identifier: of that message, as in docs/messages.md.
        warnings: sentences for the user.
        seconds: duration.
        means: means of the metrics by name, if computed; None for a metric that is not a number.
        inputs: where PET and MRI lie, as far as known.
        windows: automatic windows of PET and MRI, of :func:`cspadn.cohort.windows.survey_pair`.
        unproven: an earlier result was not believed, because nothing proves that this user made it.
    """

    name: str
    status: str
    message: str = ""
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    means: Mapping[str, float | None] = field(default_factory=dict)
    inputs: tuple[str, str] = ("", "")
    identifier: str = ""
    windows: tuple[tuple[float, float], tuple[float, float]] | None = None
    unproven: bool = False


def failed(pair: Pair, error: FusionError, inputs: tuple[str, str], folders: Sequence[Path] = ()) -> Outcome:
    """Return the outcome of a pair that failed.

    Args:
        pair: the pair.
        error: why it failed.
        inputs: where PET and MRI lie.
        folders: the message names files from there on; one folder may contain another.
    """
    text = str(error)
    for folder in folders:
        text = text.replace(f"{folder}{os.sep}", "")
    return Outcome(pair.name, FAILED, text, pair.warnings, inputs=inputs, identifier=error.identifier)


def fuse_pair(pair: Pair, job: Job, explain: Callable[[Exception], FusionError] = explained) -> Outcome:
    """Fuse a pair, unless it is finished with the same inputs and settings. Every error becomes an outcome.

    Either all files of the pair are new, or none is. A failure is recorded in the folder of logs.

    Args:
        pair: the pair.
        job: the run.
        explain: returns the error that the user reads for an unexpected exception.
    """
    begun, log = time.monotonic(), job.layout.files(pair).log
    inputs = (pair.pet, pair.mri)
    try:
        silence_libraries()
        volumes = _checked_volumes(pair, job)
        inputs = (str(volumes[0]), str(volumes[1]))
        outcome = _fused_or_found(pair, job, volumes)
        remove_record(log)
    except Exception as error:
        shown = error if isinstance(error, FusionError) else explain(error)
        outcome = failed(pair, shown, inputs, (job.layout.folder, job.source))
        record_failure(log, outcome)
    return replace(outcome, seconds=time.monotonic() - begun, inputs=inputs)


def _checked_volumes(pair: Pair, job: Job) -> tuple[Volume, Volume]:
    if job.version != __version__:
        raise UsageError(message("worker-version-differs", other=__version__, own=job.version))
    return volumes_of(pair)


def _fused_or_found(pair: Pair, job: Job, volumes: tuple[Volume, Volume]) -> Outcome:
    job = replace(job, settings=_settings_of(pair, job.settings))
    files, origin = job.layout.files(pair), _origin(volumes, pair, job)
    check_no_links(job.layout.folder, (*files.outputs.values(), files.sidecar, files.log))
    record, proven = read_record(files.sidecar, job.layout, job.key)
    same = record if record is not None and proven and record.get("origin") == origin else None
    if same and not job.force and is_complete(files, same):
        clear(files.fused.parent)  # a killed run may have left its temporary folder
        # A worker may die after its work, before it reports: then this run has made the files.
        status = DONE if same.get("run") == job.run != "" else UNCHANGED
        return Outcome(pair.name, status, "", tuple(same["warnings"]), means=means_of(same))
    interrupted = same is not None and is_unmodified(files.outputs, same)
    overwrite = job.layout.check(files, record, job.force or interrupted)
    outcome = _fuse(pair, job, volumes, origin, overwrite)
    return replace(outcome, unproven=record is not None and not proven)


def _fuse(pair: Pair, job: Job, volumes: tuple[Volume, Volume], origin: dict[str, Any], overwrite: bool) -> Outcome:
    """Fuse a pair and write its files. PET and MRI are released before anything is written."""
    begun, files, layout = time.monotonic(), job.layout.files(pair), job.layout
    fused = _computed(pair, job, volumes, files)
    result, scores = fused.result, fused.scores
    result.provenance.update({name: origin[name] for name in ("pet_sha256", "mri_sha256")})
    stages = layout.stages(pair, files, fused, job.settings)
    del fused
    record: dict[str, Any] = {"warnings": result.warnings, "origin": origin, "run": job.run}
    record |= {"seconds": round(time.monotonic() - begun, 2), "metrics": scores.to_dict() if scores else None}
    for file in files.outputs.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    stages = {"fused": lambda: stage_image(result.image, files.fused, result.provenance), **stages}

    def description() -> str:
        described = layout.describe(pair, result.provenance, record)
        return json.dumps(with_proof(described, place_of(files.sidecar, layout), job.key), indent=2, ensure_ascii=False) + "\n"

    with quiet():
        commit(_stages(stages, record, files.sidecar, description), overwrite=overwrite, last_first=True)
    return Outcome(pair.name, DONE, "", tuple(result.warnings), means=means_of(record))


def _settings_of(pair: Pair, settings: FusionSettings) -> FusionSettings:
    """Return the settings of a pair.

    Windows that the user gives come before those of the cohort. A pair that another program has registered is not registered
    again.
    """
    pet, mri = settings.pet_window or pair.pet_window, settings.mri_window or pair.mri_window
    register = NO_REGISTRATION if pair.placement else settings.register
    return replace(settings, pet_window=pet, mri_window=mri, register=register)


def _computed(pair: Pair, job: Job, volumes: tuple[Volume, Volume], files: PairFiles) -> Fused:
    from cspadn.fusion import fuse

    sources = sources_of(volumes) if job.layout.dicom else None
    with VolumeReader() as reader:
        pet, mri = read_volumes(pair, volumes, reader, suv=job.suv, frames=job.settings.frames)
    check_storable(mri if job.settings.grid == "mri" else pet, files.fused, series=job.layout.dicom)
    pet, mri, padding = without_padding_of_cohort(pet, mri, pair)
    result = fuse(pet, mri, _colored(job))
    if result.provenance["model_sha256"] != job.model_sha256:
        raise ModelError(message("worker-model-differs"))
    provenance = {**result.provenance, **(pair.placement.provenance() if pair.placement else {})}
    result = replace(result, provenance=provenance, warnings=[*pair.warnings, *padding, *result.warnings, *_missing(sources)])
    if not job.layout.measured:
        return Fused(pet, mri, result, None, sources)
    from cspadn.metrics import measure_fusion

    return Fused(pet, mri, result, measure_fusion(pet, mri, result), sources)


def _colored(job: Job) -> FusionSettings:
    """Return the settings, with a palette if colours are needed and without one otherwise."""
    if job.layout.dicom:
        return replace(job.settings, palette=job.settings.palette or DEFAULT_PALETTE)
    return job.settings if job.layout.colored else replace(job.settings, palette=None)


def _missing(sources: Sources | None) -> list[str]:
    """Return sentences on the objects that the DICOM study of a pair cannot have."""
    from cspadn.io.dicom_writer import missing_objects

    return missing_objects(sources) if sources else []


def _stages(
    stages: dict[str, Stage], record: dict[str, Any], sidecar: Path, description: Callable[[], str]
) -> Iterator[Stage]:
    """Yield the stages of all files, the side file last: its record holds the hashes of the others.

    It is named first, so that the next run recognises the files of a run that was killed in between.
    """

    def hashed(name: str, stage: Stage) -> Staged:
        staged = stage()
        record[f"{name}_sha256"] = sha256_of(content_of(staged.temporary))
        return staged

    yield from (partial(hashed, name, stage) for name, stage in stages.items())
    yield lambda: stage_text(sidecar, description())


def _origin(volumes: tuple[Volume, Volume], pair: Pair, job: Job) -> dict[str, Any]:
    """Return everything on which a result depends, as JSON can hold it."""
    pet, mri = volumes
    return {
        "software": __version__,
        "pet_sha256": pet.sha256(),
        "mri_sha256": mri.sha256(),
        "model_sha256": job.model_sha256,
        "skull_stripped": _is_stripped(mri.path),
        "suv": job.suv,
        "frame_seconds": frame_seconds(pet.path) if job.settings.frames else None,
        **({"units": units} if (units := units_of(pet.path)) else {}),
        **job.settings.origin(),
        **({"placed_by": pair.placement.software, "matrix": _plain(pair.placement.matrix)} if pair.placement else {}),
    }


def _plain(matrix: tuple[float, ...] | None) -> list[float] | None:
    return None if matrix is None else list(matrix)


def _is_stripped(mri: Path) -> bool:
    """Return whether the MRI's own side file says that the skull was removed; False without one."""
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        sidecar = mri.with_name(f"{mri.name.removesuffix('.gz').removesuffix('.nii')}.json")
        return json.loads(read_regular_text(sidecar)).get("SkullStripped") is True
    return False
