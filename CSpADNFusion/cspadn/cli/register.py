"""``cspadn register``: register a PET to an MRI of the same head."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.cli.common import add_cancel_file, add_progress, cancelled_by, progress_display, watching
from cspadn.errors import UsageError
from cspadn.messages import message
from cspadn.runtime.terminal import emit, quiet, silence_libraries

if TYPE_CHECKING:
    from cspadn.registration import Registration


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.description = (
        "Find the rigid transform from an MRI to a PET of the same head. The file maps a point of the MRI to the point of the "
        "PET, as ITK's resampling takes it. Slicer loads it as a linear transform for the PET. Research use only, not for "
        "diagnosis."
    )
    command.add_argument(
        "pet", type=Path, metavar="PET", help="NIfTI, NRRD or MetaImage volume, or folder of one DICOM series"
    )
    command.add_argument("mri", type=Path, metavar="MRI", help="the same")
    command.add_argument(
        *("-o", "--output"), type=Path, required=True, metavar="TRANSFORM", help="ITK transform: .tfm or .txt"
    )
    add_progress(command)
    add_cancel_file(command)
    command.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(options: argparse.Namespace) -> int:
    """Register the PET and write the transform; returns 0.

    Raises:
        FusionError: as :func:`cspadn.register`, or the output cannot be written. No partial output is left.
    """
    from cspadn.io.atomic_output import check_different, check_names, commit
    from cspadn.io.images import check_output, is_picture
    from cspadn.io.transforms import TRANSFORM_SUFFIXES, stage_transform

    silence_libraries()
    check_names((options.pet, options.mri, options.output))
    check_different(options.pet, options.mri)
    if is_picture(options.pet) or is_picture(options.mri):
        raise UsageError(message("registration-of-pictures"))
    inputs = (options.pet, options.mri)
    check_output(options.output, TRANSFORM_SUFFIXES, inputs=inputs, overwrite=options.overwrite)
    with watching(options.cancel_file):
        result = _registered(options)
        with quiet():
            commit([lambda: stage_transform(options.output, result.transform)], overwrite=options.overwrite)
    _report(options, result)
    return 0


def _registered(options: argparse.Namespace) -> Registration:
    from cspadn.io.images import read_image

    with quiet():
        pet, mri = read_image(options.pet, "The PET"), read_image(options.mri, "The MRI")

    from cspadn.registration import register

    with progress_display(options.progress, "Registering", "steps") as progress:
        return register(pet, mri, progress=progress, cancelled=cancelled_by(options.cancel_file))


def _report(options: argparse.Namespace, result: Registration) -> None:
    """Print the displacement, or the last event of ``--progress json``."""
    if options.progress == "json":
        emit(
            "finished",
            output=str(options.output),
            millimetres=result.displacement_mm,
            degrees=result.rotation_degrees,
            similarity=result.similarity,
            overlap=result.overlap,
            agreement=result.agreement,
        )
        return
    print(
        message(
            "registration-written",
            path=options.output,
            millimetres=result.displacement_mm,
            degrees=result.rotation_degrees,
        )
    )
