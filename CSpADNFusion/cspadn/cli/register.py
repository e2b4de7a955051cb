"""``cspadn register``: register a PET to an MRI of the same head."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.cli.common import (
    add_cancel_file,
    add_frames,
    add_progress,
    cancelled_by,
    pair_reader,
    progress_display,
    read_pair,
    watching,
)
from cspadn.errors import UsageError
from cspadn.messages import message
from cspadn.runtime.terminal import emit, in_one_line, quiet, silence_libraries

if TYPE_CHECKING:
    from collections.abc import Iterable

    import SimpleITK as sitk

    from cspadn.messages import Sentence
    from cspadn.registration import Alignment, Registration


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.description = (
        "Find the rigid transform from an MRI to a PET of the same head. The file maps a point of the MRI to the point of the "
        "PET, as ITK needs it to resample the PET onto the MRI. Slicer loads it as a linear transform for the PET. Research "
        "use only, not for diagnosis."
    )
    command.add_argument(
        "pet", type=Path, metavar="PET", help="NIfTI, NRRD or MetaImage volume, or folder with one DICOM series"
    )
    command.add_argument("mri", type=Path, metavar="MRI", help="as for PET")
    outputs = command.add_mutually_exclusive_group(required=True)
    outputs.add_argument(*("-o", "--output"), type=Path, metavar="TRANSFORM", help="ITK transform: .tfm or .txt")
    outputs.add_argument(
        "--check", action="store_true", help="write no transform; estimate and report how far apart PET and MRI are"
    )
    add_frames(command)
    add_progress(command)
    add_cancel_file(command)
    command.add_argument("--report", type=Path, metavar="FILE.html", help="also write a page with outlines and a checkerboard")
    command.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(options: argparse.Namespace) -> int:
    """Register the PET and write the transform, or check the alignment; returns 0.

    Raises:
        FusionError: as :func:`cspadn.register`, or the output cannot be written. No partial output is left.
    """
    from cspadn.io.atomic_output import check_different, check_names
    from cspadn.io.images import is_picture

    silence_libraries()
    check_names(path for path in (options.pet, options.mri, options.output, options.report) if path)
    if options.check and options.report:
        raise UsageError(message("report-needs-registration"))
    check_different(options.pet, options.mri)
    if is_picture(options.pet) or is_picture(options.mri):
        raise UsageError(message("registration-of-pictures"))
    with watching(options.cancel_file):
        return _check(options) if options.check else _register(options)


def _register(options: argparse.Namespace) -> int:
    """Register the PET and write the transform; returns 0."""
    from cspadn.io.atomic_output import commit
    from cspadn.io.images import PAGE_SUFFIX, check_output, stage_text
    from cspadn.io.input_files import with_voxel_files
    from cspadn.io.transforms import TRANSFORM_SUFFIXES, stage_transform

    inputs = with_voxel_files((options.pet, options.mri))
    check_output(options.output, TRANSFORM_SUFFIXES, inputs=inputs, overwrite=options.overwrite)
    if options.report:
        from cspadn.report.templates import check_packages

        check_output(options.report, (PAGE_SUFFIX,), inputs=inputs, overwrite=options.overwrite)
        check_packages()
    result, page = _registered(options)
    stages = [lambda: stage_transform(options.output, result.transform)]
    if page is not None:
        stages.append(lambda: stage_text(options.report, page))
    with quiet():
        commit(stages, overwrite=options.overwrite)
    _report(options, result)
    return 0


def _check(options: argparse.Namespace) -> int:
    """Check the alignment, and print how far PET and MRI are apart; returns 0."""
    from cspadn.imaging.geometry import check_volume
    from cspadn.imaging.padding import without_padding
    from cspadn.registration import check_alignment

    images = dict(zip(("The PET", "The MRI"), _read(options), strict=True))
    for name, image in images.items():
        check_volume(image, name)
    _report_check(options, check_alignment(*(without_padding(image)[0] for image in images.values())))
    return 0


def _read(options: argparse.Namespace) -> tuple[sitk.Image, sitk.Image]:
    from cspadn.imaging.frames import select_frames
    from cspadn.imaging.metadata import notes_of

    with pair_reader(options) as reader:
        pet, mri = read_pair(options, reader, frames=options.frames)
    images = select_frames(pet, options.frames, "The PET"), mri
    _tell(options, [note for image in images for note in notes_of(image)])
    return images


def _tell(options: argparse.Namespace, notes: Iterable[Sentence]) -> None:
    """Print warnings."""
    for note in notes:
        if options.progress == "json":
            emit("warning", identifier=note.identifier, message=in_one_line(note))
        else:
            print(f"cspadn: warning: {in_one_line(note)}", file=sys.stderr)


def _registered(options: argparse.Namespace) -> tuple[Registration, str | None]:
    """Return the result and, if requested, its page."""
    from cspadn.imaging.patient import check_patient

    pet, mri = _read(options)
    _tell(options, check_patient(pet, mri))

    from cspadn.registration import register

    with progress_display(options.progress, "Registering", "steps") as progress:
        result = register(pet, mri, progress=progress, cancelled=cancelled_by(options.cancel_file))
    if not options.report:
        return result, None

    from cspadn.report.registration_page import registration_page

    return result, registration_page(pet, mri, result, title=options.output.name)


def _report_check(options: argparse.Namespace, alignment: Alignment) -> None:
    """Print the displacement, or why it is not known; or the last event of ``--progress json``."""
    if options.progress == "json":
        emit(
            "finished",
            millimetres=alignment.displacement_mm,
            degrees=alignment.rotation_degrees,
            suspect=alignment.is_suspect,
            reason=alignment.reason,
        )
        return
    print(alignment.sentence())
    for warning in alignment.warnings():
        print(f"cspadn: warning: {warning}", file=sys.stderr)


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
            provenance=result.provenance(),
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
