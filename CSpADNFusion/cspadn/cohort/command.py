"""``cspadn cohort``: by the calling convention of BIDS Apps (https://bids-apps.neuroimaging.io)."""

from __future__ import annotations

import argparse
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from ..errors import MissingPackageError
from ..files import check_names
from ..settings import FusionSettings
from .bids import CohortPair, pairs_of_dataset, pairs_of_table, with_labels
from .board import Board, board_of
from .derivative import check_derivative, forget_failures, make_derivative
from .subject import CohortOptions

_LIST_SUFFIX = ".csv"
_PACKAGES = ("ancpbids", "cryptography", "dask", "distributed", "jinja2", "matplotlib", "PIL")


def run(options: argparse.Namespace, settings: FusionSettings) -> int:
    """Fuse, make the group page, or both; returns 0, or 1 if any pair failed."""
    check_names([options.input, options.output])
    _check_packages()
    board = board_of(options.progress)
    if options.level == "group":
        check_derivative(options.output)
    else:
        _participants(options, settings, board)
    if options.level != "participant":
        from .group import write_group

        board.page = write_group(options.output)
    board.finish()
    return 1 if board.failed else 0


def _check_packages() -> None:
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingPackageError(f"A cohort needs the Python package '{missing[0]}': pip install 'cspadn[cohort]'.")


def _participants(options: argparse.Namespace, settings: FusionSettings, board: Board) -> None:
    from .cluster import connected, fuse_all

    pairs = _pairs(options)
    cohort = _cohort(options, settings)
    if not (options.participant_label or options.session_label):
        forget_failures(cohort.output, pairs)
    with board.fusing(len(pairs)), connected(options.scheduler, options.workers, settings.device) as client:
        for outcome in fuse_all(client, pairs, cohort):
            board.tell(outcome)


def _cohort(options: argparse.Namespace, settings: FusionSettings) -> CohortOptions:
    """What holds for all pairs; the folder is made when all else is known to be possible."""
    from ..fusion import check_settings  # brings torch
    from ..weights import WEIGHTS_SUFFIX

    if settings.model.endswith(WEIGHTS_SUFFIX):  # workers elsewhere have other working folders
        settings = replace(settings, model=str(Path(settings.model).resolve()))
    here = replace(settings, device="cpu") if options.scheduler else settings  # its workers may have other devices
    model, source = check_settings(here), options.input.resolve()
    return CohortOptions(
        source if source.is_dir() else source.parent,
        make_derivative(options.input, options.output),
        settings,
        model.card.sha256,
        run=uuid4().hex,
        suv=options.suv,
        force=options.force,
    )


def _pairs(options: argparse.Namespace) -> list[CohortPair]:
    is_list = options.input.name.lower().endswith(_LIST_SUFFIX)
    pairs = pairs_of_table(options.input, options.output) if is_list else pairs_of_dataset(options.input.resolve())
    return with_labels(pairs, options.participant_label, options.session_label)
