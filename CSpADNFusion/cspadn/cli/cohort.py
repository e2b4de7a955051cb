"""``cspadn cohort``: fuse many pairs. The large packages are imported when it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from cspadn.cli.common import add_progress, add_settings, add_suv, prepare_torch, settings_of
from cspadn.messages import message

_INPUT_HELP = "BIDS dataset, .csv with the columns pet and mri, or folder with one folder per DICOM study"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.description = (
        "Fuse each PET of a BIDS dataset, a list or a folder of DICOM studies with its MRI. Write a BIDS derivative with a"
        " page for each pair. Pairs that are finished with the same inputs and settings are skipped. Research use only, not"
        " for diagnosis."
    )
    command.add_argument("input", type=Path, metavar="INPUT", help=_INPUT_HELP)
    command.add_argument("output", type=Path, metavar="OUTPUT", help="folder of the derivative; created if necessary")
    command.add_argument(
        "level",
        nargs="?",
        choices=("participant", "group"),
        help="participant: only fuse; group: only write the group page; default: both",
    )
    for name, what in (("participant", "subjects"), ("session", "sessions")):
        flags = (f"--{name}-label", f"--{name}_label")
        command.add_argument(*flags, nargs="+", default=[], metavar="LABEL", help=f"only these {what}")
    for name, what, example in (
        ("pet", "PETs", "trc=FDG run=1"),
        ("mri", "MRIs", "acq=mprage, or suffix=T2w for another contrast"),
    ):
        command.add_argument(
            f"--{name}-filter",
            nargs="+",
            default=[],
            metavar="KEY=VALUE",
            help=f"only {what} of a BIDS dataset with these entities, such as {example}; KEY= if it must be missing",
        )
    command.add_argument(
        "--derivatives",
        metavar="FOLDER|none",
        help="derivatives of PETPrep, whose images and transforms are used; default: the only ones in the folder derivatives "
        "of a BIDS dataset",
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="scheduler of a Dask cluster, such as tcp://host:8786; default: start a local one",
    )
    where.add_argument("--workers", type=_count, metavar="N", help="workers of the local cluster; default: one per processor")
    command.add_argument(
        "--windows",
        choices=("cohort", "pair"),
        default="cohort",
        help="one window per tracer and contrast, kept in windows.json (default), or one for each pair; --pet-window and "
        "--mri-window give them",
    )
    again = command.add_mutually_exclusive_group()
    again.add_argument("--force", action="store_true", help="fuse finished pairs again")
    again.add_argument("--resume", action="store_true", help="skip finished pairs (default)")
    add_settings(command)
    add_suv(command)
    command.add_argument(
        "--dicom",
        action="store_true",
        help="write each pair as a DICOM study as well, into the folder dicom of OUTPUT; the MRIs must be DICOM series",
    )
    add_progress(command)
    command.set_defaults(color=True)  # the pages show colours


def run(options: argparse.Namespace) -> int:
    """Fuse, make the group page, or both; returns 0, or 1 if any pair failed.

    Raises:
        FusionError: as :func:`cspadn.cohort.command.run`.
    """
    from cspadn.cohort import command

    prepare_torch()
    return command.run(options, settings_of(options))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(message("workers-not-a-number", text=text))
    return int(text)
