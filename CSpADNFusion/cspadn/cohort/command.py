"""``cspadn cohort``: by the calling convention of BIDS Apps (https://bids-apps.neuroimaging.io)."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from cspadn.cohort.bids import named_by_bids, with_labels
from cspadn.cohort.bids_names import filter_of
from cspadn.cohort.derivative import Derivative, check_derivative, forget_failures, make_derivative
from cspadn.cohort.engine import Job
from cspadn.cohort.petprep import NONE
from cspadn.cohort.progress import Progress, progress_of
from cspadn.cohort.sources import BidsDataset, Source, source_of
from cspadn.cohort.windows import WINDOWS_FILE, read_windows, survey_pair, windows_text, with_cohort_windows
from cspadn.errors import MissingPackageError, UsageError
from cspadn.io.atomic_output import check_names
from cspadn.messages import message
from cspadn.runtime.processes import HONOURS_SAFE_PATH
from cspadn.settings import NO_REGISTRATION, FusionSettings

_PACKAGES = ("ancpbids", "cryptography", "dask", "distributed", "jinja2", "matplotlib", "PIL")


def run(options: argparse.Namespace, settings: FusionSettings) -> int:
    """Fuse, make the group page, or both.

    Args:
        options: of the command line.
        settings: of each fusion.

    Returns:
        0, or 1 if any pair failed.

    Raises:
        FusionError: the input cannot be used, the output cannot be written, or the cluster is gone.
    """
    check_names([options.input, options.output])
    _check_packages()
    if not HONOURS_SAFE_PATH:  # the working folder changes
        options.input, options.output = options.input.absolute(), options.output.absolute()
    if options.derivatives not in (None, NONE):
        check_names([Path(options.derivatives)])
        options.derivatives = str(Path(options.derivatives).absolute())
    source = _source_of(options)
    _check_usage(options, source)
    progress = progress_of(options.progress)
    if options.level == "group":
        check_derivative(options.output)
    else:
        _fuse_participants(options, source, settings, progress)
    if options.level != "participant":
        from cspadn.cohort.group import write_group

        progress.overview = write_group(options.output)
    progress.finish()
    return 1 if progress.failed else 0


def _source_of(options: argparse.Namespace) -> Source:
    filters = filter_of(options.pet_filter), filter_of(options.mri_filter)
    source = source_of(options.input, options.output)
    if isinstance(source, BidsDataset):
        chosen = {"derivatives": options.derivatives, "frames": options.frames}
        return replace(source, pet_filter=filters[0], mri_filter=filters[1], **chosen)
    if any(filters) or options.derivatives:
        raise UsageError(message("filter-not-for-list"))
    return source


def _check_usage(options: argparse.Namespace, source: Source) -> None:
    if {"participant", "group"} & {*options.participant_label, *options.session_label}:
        raise UsageError(message("level-among-labels"))
    if options.suv and not source.has_dicom:
        raise UsageError(message("suv-not-for-bids"))
    if options.dicom and not source.has_dicom:
        raise UsageError(message("dicom-not-for-bids"))


def _check_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingPackageError(message("cohort-package-missing", package=missing[0]))


def _fuse_participants(options: argparse.Namespace, source: Source, settings: FusionSettings, progress: Progress) -> None:
    """Fuse the pairs; the folder is made when all else has been checked."""
    from cspadn.cohort.dask_runner import dask_runner

    everyone = named_by_bids(source.pairs())
    progress.prepared = ", ".join(sorted({pair.placement.software for pair in everyone if pair.placement}))
    pairs = with_labels(everyone, options.participant_label, options.session_label)
    settings, model = _checked(options, settings)
    with (
        progress.fusing(len(pairs)),
        dask_runner(options.scheduler, options.workers, settings.device) as runner,
    ):
        output = make_derivative(source, options.output)
        if not (options.participant_label or options.session_label):
            forget_failures(output, pairs)
        layout = Derivative(output, settings.grid, settings.register != NO_REGISTRATION, options.dicom)
        job = Job(source.folder, layout, settings, model, uuid4().hex, suv=options.suv, force=options.force)
        if options.windows == "cohort":
            recorded, proven = read_windows(output / WINDOWS_FILE, job.key)
            if recorded and not proven:
                progress.note(message("windows-not-proven", path=output / WINDOWS_FILE))
            pairs, windows = with_cohort_windows(pairs, everyone, job, lambda these: runner.outcomes(these, job, survey_pair))
            progress.windows = windows_text(windows)
        for outcome in runner.outcomes(pairs, job):
            progress.show(outcome)


def _checked(options: argparse.Namespace, settings: FusionSettings) -> tuple[FusionSettings, str]:
    """Return the settings as workers can use them, and the SHA-256 of the weights."""
    from cspadn.fusion import check_settings
    from cspadn.models.weights import WEIGHTS_SUFFIX

    if settings.model.endswith(WEIGHTS_SUFFIX):  # workers elsewhere have other working folders
        settings = replace(settings, model=str(Path(settings.model).resolve()))
    here = replace(settings, device="cpu") if options.scheduler else settings  # its workers may have other devices
    return settings, check_settings(here).card.sha256
