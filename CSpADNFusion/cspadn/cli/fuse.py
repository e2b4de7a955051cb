"""``cspadn fuse``: fuse a PET and an MRI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.cli.common import (
    add_cancel_file,
    add_progress,
    add_settings,
    add_suv,
    cancelled_by,
    pair_reader,
    prepare_torch,
    progress_display,
    read_pair,
    settings_of,
    watching,
)
from cspadn.errors import InputError, UsageError
from cspadn.io.formats import COLOR_SUFFIXES, FORMATS, PICTURE_SUFFIXES, VOLUME_SUFFIXES
from cspadn.messages import message
from cspadn.palettes import DEFAULT_PALETTE
from cspadn.runtime.memory import require_memory
from cspadn.runtime.terminal import emit, in_one_line, quiet, silence_libraries
from cspadn.settings import WINDOWS, FusionSettings

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.fusion import FusionResult
    from cspadn.io.atomic_output import Staged
    from cspadn.io.reader import VolumeReader
    from cspadn.metrics import VolumeScores

_LEAST_MEMORY, _LIBRARIES = 500_000_000, 700_000_000  # bytes that a fusion needs at least; bytes of mapped libraries


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    names, pictures = ", ".join(each.name for each in FORMATS if not each.is_picture), ", ".join(PICTURE_SUFFIXES)
    command.add_argument(
        "pet", type=Path, metavar="PET", help=f"volume ({names}), folder with one DICOM series, or picture ({pictures})"
    )
    command.add_argument("mri", type=Path, metavar="MRI", help="as for PET; the result has its grid, except with --grid pet")
    command.add_argument(
        *("-o", "--output"),
        type=Path,
        required=True,
        metavar="FUSED",
        help=f"{', '.join(VOLUME_SUFFIXES)}; {pictures} for pictures; a .json file beside it records how it was made. With "
        "--dicom: a new folder",
    )
    command.add_argument(
        "--dicom", action="store_true", help="write a DICOM study: fused, in colour, PET over MRI; MRI must be a DICOM series"
    )
    command.add_argument(
        "--color",
        type=Path,
        metavar="FILE",
        help=f"also write a colour volume: {' or '.join(COLOR_SUFFIXES)}; {pictures} for pictures",
    )
    add_settings(command)
    add_suv(command)
    add_progress(command)
    command.add_argument(
        "--metrics", type=Path, metavar="FILE.csv", help="also write a table with the fusion metrics of each slice"
    )
    command.add_argument(
        "--report", type=Path, metavar="FILE.html", help="also write a page with views, windows, metrics and warnings"
    )
    add_cancel_file(command)
    command.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(options: argparse.Namespace) -> int:
    """Fuse, measure and write what the options ask for; returns 0.

    Raises:
        FusionError: as :func:`cspadn.fuse`, or an output cannot be written. No partial output is left.
    """
    prepare_torch()
    require_memory(_LEAST_MEMORY, _LIBRARIES)
    with watching(options.cancel_file):
        return _fuse(options)


def _fuse(options: argparse.Namespace) -> int:
    silence_libraries()
    with pair_reader(options) as reader:
        pictures, settings = _checked(options)
        images = _images(options, settings, reader)
    result, scores, page = _fused(options, settings, pictures, images)
    result.provenance.update(_hashes(options))
    _write(options, result, scores, page)
    _report(options, result)
    return 0


def _checked(options: argparse.Namespace) -> tuple[bool, FusionSettings]:
    """Check everything but the inputs themselves; return whether they are pictures, and the settings."""
    from cspadn.io.atomic_output import check_different, check_names
    from cspadn.io.images import is_picture

    paths = (options.pet, options.mri, options.output, options.color, options.metrics, options.report)
    check_names(path for path in paths if path)
    check_different(options.pet, options.mri)
    pictures = is_picture(options.pet)
    if pictures != is_picture(options.mri):
        raise InputError(message("picture-and-volume"))
    settings = settings_of(options)
    _check_outputs(options, pictures)
    return pictures, settings


def _images(options: argparse.Namespace, settings: FusionSettings, reader: VolumeReader | None) -> list[sitk.Image]:
    """Return PET and MRI."""
    from cspadn.io.images import check_storable

    pet, mri = read_pair(options, reader, suv=options.suv, frames=settings.frames)
    check_storable(mri if settings.grid == "mri" else pet, options.output, series=options.dicom)
    return [pet, mri]


def _fused(
    options: argparse.Namespace, settings: FusionSettings, pictures: bool, images: list[sitk.Image]
) -> tuple[FusionResult, VolumeScores | None, str | None]:
    """Return the result, its scores and its page, if requested; takes the images, which go before anything is written."""
    from cspadn.fusion import fuse, fuse_pictures

    mri, pet = images.pop(), images.pop()
    cancelled = cancelled_by(options.cancel_file)
    wanted = settings if options.color or options.dicom else replace(settings, palette=None)  # a page computes its own
    with progress_display(options.progress, "Fusing") as progress:
        result = (fuse_pictures if pictures else fuse)(pet, mri, wanted, progress=progress, cancelled=cancelled)
    scores = _measured(options, (pet, mri, result), cancelled) if options.metrics or options.report else None
    if options.report:
        from cspadn.report.pages import subject_page

        palette = settings.palette or DEFAULT_PALETTE
        return result, scores, subject_page(pet, mri, result, scores, title=options.output.name, palette=palette)
    return result, scores, None


def _hashes(options: argparse.Namespace) -> dict[str, str]:
    """Return the SHA-256 of PET and MRI, for the provenance."""
    from cspadn.io.input_files import files_of_input, sha256_of

    try:
        return {f"{name}_sha256": sha256_of(files_of_input(getattr(options, name))) for name in ("pet", "mri")}
    except OSError as error:  # it was there when it was read
        path = error.filename or options.output
        raise InputError(message("image-not-accessible", volume="An input", path=path, why=error.strerror or error)) from None


def _measured(
    options: argparse.Namespace, fused: tuple[Any, Any, FusionResult], cancelled: Callable[[], bool] | None
) -> VolumeScores:
    from cspadn.metrics import measure_fusion

    with progress_display(options.progress, "Measuring") as progress:
        return measure_fusion(*fused, progress=progress, cancelled=cancelled)


def _check_outputs(options: argparse.Namespace, pictures: bool) -> None:
    """Check, before the fusion starts, that everything could be written."""
    from cspadn.io.images import check_output, check_sidecar
    from cspadn.io.input_files import with_voxel_files
    from cspadn.io.side_files import sidecar_of

    inputs, overwrite = with_voxel_files((options.pet, options.mri)), options.overwrite
    if options.dicom:
        from cspadn.io.dicom_writer import check_study_output

        if options.output.name.lower().endswith(VOLUME_SUFFIXES):
            raise UsageError(message("dicom-output-is-file-name", path=options.output))
        check_study_output(options.output, options.mri, options.pet)
    else:
        check_output(options.output, PICTURE_SUFFIXES if pictures else VOLUME_SUFFIXES, inputs=inputs, overwrite=overwrite)
        check_sidecar(sidecar_of(options.output), overwrite=overwrite)
    _check_table_and_page(options, pictures, inputs)
    if options.color:
        check_output(options.color, PICTURE_SUFFIXES if pictures else COLOR_SUFFIXES, inputs=inputs, overwrite=overwrite)
        if options.output.resolve() in (options.color.resolve(), options.color.resolve().parent):
            raise UsageError(message("colour-output-collides", path=options.color))


def _check_table_and_page(options: argparse.Namespace, pictures: bool, inputs: list[Path]) -> None:
    """Check the same for the table and the page."""
    from cspadn.io.images import PAGE_SUFFIX, TABLE_SUFFIX, check_output

    if options.metrics:
        if pictures:
            raise UsageError(message("metrics-not-for-pictures"))
        check_output(options.metrics, (TABLE_SUFFIX,), inputs=inputs, overwrite=options.overwrite)
    if options.report:
        from cspadn.report.templates import check_packages

        if pictures:
            raise UsageError(message("report-not-for-pictures"))
        check_output(options.report, (PAGE_SUFFIX,), inputs=inputs, overwrite=options.overwrite)
        check_packages()


def _write(options: argparse.Namespace, result: FusionResult, scores: VolumeScores | None, page: str | None) -> None:
    """Write all outputs, or none: existing files are replaced after all are written."""
    from cspadn.io.atomic_output import commit
    from cspadn.io.images import stage_image, stage_sidecar, stage_table, stage_text
    from cspadn.io.side_files import sidecar_of

    stages: list[Callable[[], Staged]] = []
    if page is not None:
        stages.append(lambda: stage_text(options.report, page))
    if scores is not None and options.metrics:
        rows = scores.to_rows()
        stages.append(lambda: stage_table(options.metrics, rows))
    color = result.color
    if color is not None and options.color:
        stages.append(lambda: stage_image(color, options.color, result.provenance))
    if options.dicom:
        from cspadn.io.dicom_writer import missing_objects, read_sources, stage_study

        sources = read_sources(options.mri, options.pet)
        result.warnings.extend(missing_objects(sources))
        stages.append(lambda: stage_study(result.image, color, options.output, sources, result.provenance))
    else:
        stages.append(lambda: stage_sidecar(sidecar_of(options.output), result.provenance, result.warnings))
        stages.append(lambda: stage_image(result.image, options.output, result.provenance))
    with quiet():
        commit(stages, overwrite=options.overwrite)


def _report(options: argparse.Namespace, result: FusionResult) -> None:
    """Print the warnings, what was written, and in a second line windows and alignment; with ``--progress json`` as events."""
    as_events = options.progress == "json"
    for warning in result.warnings:
        if as_events:
            emit("warning", identifier=getattr(warning, "identifier", ""), message=in_one_line(warning))
        else:
            print(f"cspadn: warning: {in_one_line(warning)}", file=sys.stderr)
    if as_events:
        _emit_result(options, result)
        return
    print(in_one_line(message("fused-written", paths=", ".join(map(str, _written(options))))))
    print(in_one_line(message("fused-how", windows=_windows_text(result.provenance), alignment=_alignment_text(result))))


def _emit_result(options: argparse.Namespace, result: FusionResult) -> None:
    alignment = result.alignment
    if alignment.displacement_mm is not None and alignment.rotation_degrees is not None:
        emit("alignment", millimetres=alignment.displacement_mm, degrees=alignment.rotation_degrees)
    emit("finished", output=str(options.output), **{name: result.provenance[name] for name in WINDOWS})


def _written(options: argparse.Namespace) -> list[Path]:
    """Return all outputs, the fused volume first."""
    from cspadn.io.side_files import sidecar_of

    sidecar = None if options.dicom else sidecar_of(options.output)
    return [path for path in (options.output, sidecar, options.color, options.metrics, options.report) if path]


def _alignment_text(result: FusionResult) -> str:
    """Return how PET and MRI lie to each other, in a sentence."""
    if (found := result.registration) is not None:
        return message("fused-registered", millimetres=found.displacement_mm, degrees=found.rotation_degrees)
    return result.alignment.sentence()


def _windows_text(provenance: dict[str, Any]) -> str:
    """Return the windows of a result, such as "PET window 0 to 8 SUVbw, MRI window 0 to 700"."""
    from cspadn.imaging.windowing import end_texts
    from cspadn.units import shown_units

    units = {"pet_window": shown_units(provenance.get("pet_units")), "mri_window": ""}
    texts = []
    for name, unit in units.items():
        texts.append(f"{name[:3].upper()} window {' to '.join(end_texts(provenance[name]))}{f' {unit}' if unit else ''}")
    return ", ".join(texts)
