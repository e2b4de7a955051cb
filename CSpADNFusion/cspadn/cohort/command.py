"""``cspadn cohort``: by the calling convention of BIDS Apps (https://bids-apps.neuroimaging.io)."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from cspadn.cohort.bids import CohortPair, pairs_of_dataset, pairs_of_table, with_labels
from cspadn.cohort.board import Board, board_of
from cspadn.cohort.derivative import check_derivative, forget_failures, make_derivative
from cspadn.cohort.subject import CohortOptions
from cspadn.errors import MissingPackageError, UsageError
from cspadn.io.atomic_output import check_names
from cspadn.settings import FusionSettings

_LIST_SUFFIX = ".csv"
_PACKAGES = ("ancpbids", "cryptography", "dask", "distributed", "jinja2", "matplotlib", "PIL")


def run(options: argparse.Namespace, settings: FusionSettings) -> int:
    """Fuse, make the group page, or both; returns 0, or 1 if any pair failed."""
    check_names([options.input, options.output])
    _check_packages()
    _check_usage(options)
    board = board_of(options.progress)
    if options.level == "group":
        check_derivative(options.output)
    else:
        _participants(options, settings, board)
    if options.level != "participant":
        from cspadn.cohort.group import write_group

        board.page = write_group(options.output)
    board.finish()
    return 1 if board.failed else 0


def _check_usage(options: argparse.Namespace) -> None:
    if {"participant", "group"} & {*options.participant_label, *options.session_label}:
        raise UsageError("The level stands among the labels: put it before them, behind INPUT and OUTPUT.")
    if options.suv and not _is_list(options.input):
        raise UsageError("SUV is computed from DICOM headers, which BIDS has none of: give a list of DICOM folders (.csv).")


def _is_list(source: Path) -> bool:
    return source.name.lower().endswith(_LIST_SUFFIX)


def _check_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingPackageError(f"A cohort needs the Python package '{missing[0]}': pip install '.[cohort]', in a clone.")


def _participants(options: argparse.Namespace, settings: FusionSettings, board: Board) -> None:
    """The folder is made when all else is known to be possible."""
    from cspadn.cohort.cluster import connected, fuse_all

    pairs = _pairs(options)
    settings, model = _checked(options, settings)
    with board.fusing(len(pairs)), connected(options.scheduler, options.workers, settings.device) as client:
        output = make_derivative(options.input, options.output)
        if not (options.participant_label or options.session_label):
            forget_failures(output, pairs)
        for outcome in fuse_all(client, pairs, _cohort(options, output, settings, model)):
            board.tell(outcome)


def _checked(options: argparse.Namespace, settings: FusionSettings) -> tuple[FusionSettings, str]:
    """As workers can use them, and the SHA-256 of the weights."""
    from cspadn.fusion import check_settings
    from cspadn.models.weights import WEIGHTS_SUFFIX

    if settings.model.endswith(WEIGHTS_SUFFIX):  # workers elsewhere have other working folders
        settings = replace(settings, model=str(Path(settings.model).resolve()))
    here = replace(settings, device="cpu") if options.scheduler else settings  # its workers may have other devices
    return settings, check_settings(here).card.sha256


def _cohort(options: argparse.Namespace, output: Path, settings: FusionSettings, model: str) -> CohortOptions:
    source = options.input.resolve()
    folder = source if source.is_dir() else source.parent
    return CohortOptions(folder, output, settings, model, uuid4().hex, suv=options.suv, force=options.force)


def _pairs(options: argparse.Namespace) -> list[CohortPair]:
    table = _is_list(options.input)
    pairs = pairs_of_table(options.input, options.output) if table else pairs_of_dataset(options.input.resolve())
    return with_labels(pairs, options.participant_label, options.session_label)
