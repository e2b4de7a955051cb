"""The command line: ``cspadn fuse``, ``cspadn metrics``, ``cspadn cohort``, ``cspadn models``, ``cspadn info``.

Exit codes: 0 done, 1 unexpected error, 2 wrong usage, 3 input cannot be fused, 4 model refused, 5 out of memory, 130
cancelled, 143 terminated. An error is one line on stderr; with ``--progress json`` it is an event on stdout as well.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn import __version__
from cspadn.cohort import arguments as cohort_arguments
from cspadn.errors import CancelledError, FusionError, InputError, TerminatedError, UsageError
from cspadn.runtime.memory import require_memory
from cspadn.runtime.terminal import emit, explained, in_one_line, quiet, silence_libraries, take_all_letters
from cspadn.settings import DEFAULT_PALETTE, GRIDS, PALETTES, FusionSettings

if TYPE_CHECKING:
    from cspadn.fusion import FusionResult
    from cspadn.io.atomic_output import Staged
    from cspadn.metrics import VolumeScores


# Read by torch when it is imported: it would keep the kernels for hundreds of sizes of windows (docs/benchmarks.md, memory).
_KERNELS_KEPT = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32", "LRU_CACHE_CAPACITY": "1"}
_LEAST_MEMORY, _LIBRARIES = 500_000_000, 700_000_000  # bytes that a fusion takes at least; of libraries, mapped
_WATCH_SECONDS = 0.2  # between two looks whether the application that started us is still there


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code; wrong usage leaves through argparse's SystemExit with code 2."""
    take_all_letters()
    options = _parser().parse_args(arguments)
    try:
        with _terminable():
            return int(options.run(options))
    except FusionError as error:
        return _fail(options, error)
    except _Terminated:
        return _fail(options, TerminatedError("Terminated."))
    except KeyboardInterrupt:
        return _fail(options, CancelledError("Cancelled."))
    except BrokenPipeError:  # whoever read our output is gone: a worker ends with its application
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CancelledError.exit_code
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        for_program = getattr(options, "progress", None) == "json"
        if for_program:  # which has a place for it that people open when they want to
            traceback.print_exc()
        return _fail(options, explained(error, "'python -X dev -m cspadn' shows where." if not for_program else ""))


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends as an error does: temporary files go."""
    if threading.current_thread() is not threading.main_thread():  # only there signals can be handled
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(KeyboardInterrupt):
    """Like an interrupt, no Exception: nothing that handles errors takes it for one."""


def _terminated(*_: object) -> None:
    raise _Terminated


def _fail(options: argparse.Namespace, error: FusionError) -> int:
    message = in_one_line(str(error))
    if getattr(options, "progress", None) == "json":
        emit("error", code=error.exit_code, message=message)
    print(f"cspadn: {message}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cspadn", description="Fuse registered PET and MRI with CSpA-DN. Research use only, not for diagnosis."
    )
    parser.add_argument("--version", action="version", version=f"cspadn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_fuse(commands.add_parser("fuse", help="fuse a PET and an MRI"))
    _add_metrics(commands.add_parser("metrics", help="measure how good a fused image is"))
    _add_cohort(commands.add_parser("cohort", help="fuse all pairs of a BIDS dataset, or of a list"))
    for name, run, help_text in (
        ("models", _run_models, "list the models"),
        ("info", _run_info, "show versions and devices"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=run)
    return parser


def _add_fuse(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "pet", type=Path, metavar="PET", help="NIfTI, NRRD or MetaImage volume, folder of one DICOM series, or a PNG"
    )
    command.add_argument("mri", type=Path, metavar="MRI", help="the same; has the grid of the result, unless --grid says pet")
    command.add_argument(
        *("-o", "--output"),
        type=Path,
        required=True,
        metavar="FUSED",
        help=".nii, .nii.gz, .nrrd, .mha; .png for PNGs; beside it, a .json says how it was made. With --dicom: a new folder",
    )
    command.add_argument("--dicom", action="store_true", help="write a derived DICOM series; the MRI must be a series")
    command.add_argument(
        "--color", type=Path, metavar="FILE", help="write a colour volume as well: .nrrd or .mha; .png for PNGs"
    )
    _add_settings(command)
    command.add_argument(
        "--metrics", type=Path, metavar="FILE.csv", help="measure each slice as well: the paper's four metrics, MI and SSIM"
    )
    command.add_argument(
        "--report", type=Path, metavar="FILE.html", help="write a page to look at as well: views, windows, metrics, warnings"
    )
    command.add_argument("--cancel-file", type=Path, metavar="FILE", help="stop as soon as this file exists")
    command.add_argument("--overwrite", action="store_true", help="replace an existing output")
    command.set_defaults(run=_run_fuse)


def _add_settings(command: argparse.ArgumentParser) -> None:
    """How pairs are fused, and what is told meanwhile."""
    command.add_argument("--palette", metavar="NAME", help=f"of its hues: {', '.join(PALETTES)}; default: {DEFAULT_PALETTE}")
    command.add_argument("--grid", choices=GRIDS, default="mri", help="whose voxels the result has; default: mri")
    _add_suv(command)
    command.add_argument("--model", metavar="NAME|FILE", help="a name of 'cspadn models', or a .safetensors file")
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    command.add_argument(
        "--half", action="store_true", help="half precision, on a GPU: faster, at most 0.003 of the range apart"
    )
    _add_windows(command, "in the volume's units; default: by percentiles")
    command.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="default: bar, on a terminal")


def _add_cohort(command: argparse.ArgumentParser) -> None:
    cohort_arguments.add_arguments(command)
    _add_settings(command)
    command.set_defaults(run=_run_cohort, color=True)  # shown on the pages


def _add_windows(command: argparse.ArgumentParser, help_text: str) -> None:
    for kind in ("pet", "mri"):
        command.add_argument(f"--{kind}-window", type=float, nargs=2, metavar=("LO", "HI"), help=help_text)


def _add_suv(command: argparse.ArgumentParser) -> None:
    command.add_argument("--suv", action="store_true", help="scale a DICOM PET to SUV by body weight first")


def _add_metrics(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Measure how good a fused image is. Of coloured PNGs the luma counts, which their colours leave as it was fused, but "
        "for rounding."
    )
    command.add_argument("pet", type=Path, metavar="PET", help="what was fused: volume, folder of one DICOM series, or a PNG")
    command.add_argument("mri", type=Path, metavar="MRI", help="the same")
    command.add_argument("fused", type=Path, metavar="FUSED", help="the result: a volume, or a PNG; better a grey one")
    _add_suv(command)
    _add_windows(command, "of the fusion, in the volume's units; default: as the fused file says, or by percentiles")
    command.add_argument(
        "--fused-window",
        type=float,
        nargs=2,
        metavar=("LO", "HI"),
        help="black and white of FUSED; default: 0 4095, refused where its values show another scale (a PNG: black to white)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=_run_metrics)


def _run_fuse(options: argparse.Namespace) -> int:
    _limit_kernels()
    require_memory(_LEAST_MEMORY, _LIBRARIES)
    with _watching(options.cancel_file):
        return _fuse(options)


def _limit_kernels() -> None:
    for name, count in _KERNELS_KEPT.items():
        os.environ.setdefault(name, count)


def _fuse(options: argparse.Namespace) -> int:
    from cspadn.io.atomic_output import check_different, check_names
    from cspadn.io.images import is_picture

    silence_libraries()
    paths = (options.pet, options.mri, options.output, options.color, options.metrics, options.report)
    check_names(path for path in paths if path)
    check_different(options.pet, options.mri)
    pictures = is_picture(options.pet)
    if pictures != is_picture(options.mri):
        raise InputError("One input is a PNG and the other is not: give two PNGs, or two volumes.")
    settings = _settings(options)
    _check_outputs(options, pictures)
    result, scores, page = _fused(options, settings, pictures)
    _write(options, result, scores, page)
    _report(options, result.warnings)
    return 0


def _fused(
    options: argparse.Namespace, settings: FusionSettings, pictures: bool
) -> tuple[FusionResult, VolumeScores | None, str | None]:
    """The result, and its scores and its page if asked for; PET and MRI are no longer in memory when they are written."""
    from cspadn.io.images import check_storable, read_image

    with quiet():
        pet, mri = read_image(options.pet, "The PET", suv=options.suv), read_image(options.mri, "The MRI")
    check_storable(mri if options.grid == "mri" else pet, options.output, series=options.dicom)

    from cspadn.fusion import fuse, fuse_pictures

    cancelled = _cancelled(options.cancel_file)
    wanted = settings if options.color else replace(settings, palette=None)  # a page shows colours without their volume
    with _progress(options.progress, "Fusing") as progress:
        result = (fuse_pictures if pictures else fuse)(pet, mri, wanted, progress=progress, cancelled=cancelled)
    scores = _measured(options, (pet, mri, result), cancelled) if options.metrics or options.report else None
    if options.report:
        from cspadn.report.pages import subject_page

        palette = settings.palette or DEFAULT_PALETTE
        return result, scores, subject_page(pet, mri, result, scores, title=options.output.name, palette=palette)
    return result, scores, None


def _measured(
    options: argparse.Namespace, fused: tuple[Any, Any, FusionResult], cancelled: Callable[[], bool] | None
) -> VolumeScores:
    from cspadn.metrics import measure_fusion

    with _progress(options.progress, "Measuring") as progress:
        return measure_fusion(*fused, progress=progress, cancelled=cancelled)


def _settings(options: argparse.Namespace) -> FusionSettings:
    names = ("model", "device", "grid", "pet_window", "mri_window", "palette", "half")
    given = {name: getattr(options, name) for name in names}
    if options.color:
        given["palette"] = options.palette or DEFAULT_PALETTE
    elif options.palette and not getattr(options, "report", None):
        raise UsageError("A palette is for a colour volume or a page: name its file with --color or --report.")
    return FusionSettings(**{name: value for name, value in given.items() if value is not None})


def _check_outputs(options: argparse.Namespace, pictures: bool) -> None:
    """Asked before the work starts: whether everything could be written."""
    from cspadn.io.images import COLOR_SUFFIXES, PICTURE_SUFFIX, VOLUME_SUFFIXES, check_output, check_sidecar, sidecar_of

    inputs, overwrite = (options.pet, options.mri), options.overwrite
    if options.dicom:
        from cspadn.io.dicom_writer import check_series_output

        if options.output.name.lower().endswith(VOLUME_SUFFIXES):
            raise UsageError(f"With --dicom the output is a folder, but {options.output} is the name of a file.")
        check_series_output(options.output, options.mri, options.pet)
    else:
        check_output(options.output, (PICTURE_SUFFIX,) if pictures else VOLUME_SUFFIXES, inputs=inputs, overwrite=overwrite)
        check_sidecar(sidecar_of(options.output), overwrite=overwrite)
    _check_accounts(options, pictures)
    if options.color:
        check_output(options.color, (PICTURE_SUFFIX,) if pictures else COLOR_SUFFIXES, inputs=inputs, overwrite=overwrite)
        if options.output.resolve() in (options.color.resolve(), options.color.resolve().parent):
            raise UsageError(f"The colour volume {options.color} would lie where the fused volume does: choose another name.")


def _check_accounts(options: argparse.Namespace, pictures: bool) -> None:
    """Likewise, of what is told about the result: the table and the page."""
    from cspadn.io.images import PAGE_SUFFIX, TABLE_SUFFIX, check_output

    if options.metrics:
        if pictures:
            raise UsageError("--metrics is for volumes: measure pictures with 'cspadn metrics'.")
        check_output(options.metrics, (TABLE_SUFFIX,), inputs=(options.pet, options.mri), overwrite=options.overwrite)
    if options.report:
        from cspadn.report.pages import check_packages

        if pictures:
            raise UsageError("--report is for volumes: look at the pictures themselves.")
        check_output(options.report, (PAGE_SUFFIX,), inputs=(options.pet, options.mri), overwrite=options.overwrite)
        check_packages()


def _write(options: argparse.Namespace, result: FusionResult, scores: VolumeScores | None, page: str | None) -> None:
    """All outputs, or none: an existing one is replaced when all are written."""
    from cspadn.io.atomic_output import commit
    from cspadn.io.images import sidecar_of, stage_image, stage_sidecar, stage_table, stage_text

    stages: list[Callable[[], Staged]] = []
    if page is not None:
        stages.append(lambda: stage_text(options.report, page))
    if scores is not None and options.metrics:
        rows = scores.to_rows()
        stages.append(lambda: stage_table(options.metrics, rows))
    color = result.color
    if color is not None:
        stages.append(lambda: stage_image(color, options.color, result.provenance))
    if options.dicom:
        from cspadn.io.dicom_writer import read_sources, stage_series

        sources = read_sources(options.mri, options.pet)
        stages.append(lambda: stage_series(result.image, options.output, sources, result.provenance))
    else:
        stages.append(lambda: stage_sidecar(sidecar_of(options.output), result.provenance, result.warnings))
        stages.append(lambda: stage_image(result.image, options.output, result.provenance))
    with quiet():
        commit(stages, overwrite=options.overwrite)


def _cancelled(file: Path | None) -> Callable[[], bool] | None:
    """Whether to stop before the next slice: the file has come."""
    return None if file is None else file.exists


@contextmanager
def _watching(file: Path | None) -> Iterator[None]:
    """End the process, whatever it is doing, when the folder of the cancel file has gone: nobody waits for a result then."""
    if file is None:
        yield
        return
    folder, over = file.resolve().parent, threading.Event()
    if not folder.is_dir():
        raise UsageError(f"The folder of the cancel file {file} does not exist: create it first.")

    def watch() -> None:
        while folder.is_dir():
            if over.wait(_WATCH_SECONDS):
                return
        os._exit(CancelledError.exit_code)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _report(options: argparse.Namespace, told: list[str]) -> None:
    for warning in map(in_one_line, told):
        if options.progress == "json":
            emit("warning", message=warning)
        else:
            print(f"cspadn: warning: {warning}", file=sys.stderr)
    if options.progress == "json":
        emit("finished", output=str(options.output))


def _progress(kind: str, title: str) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """What to call after each batch; a bar is drawn on a terminal only."""
    if kind == "json":
        return nullcontext(lambda done, total: emit("progress", step=title, done=done, total=total))
    if kind == "bar" and sys.stderr.isatty():
        return _Bar(title)
    return nullcontext(None)


class _Bar:
    """A progress bar on stderr."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(self._title), BarColumn(), MofNCompleteColumn(), TextColumn("slices"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(self._title, total=None)
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _run_cohort(options: argparse.Namespace) -> int:
    from cspadn.cohort.command import run

    _limit_kernels()
    return run(options, _settings(options))


def _run_metrics(options: argparse.Namespace) -> int:

    from cspadn.io.atomic_output import check_names
    from cspadn.io.images import is_picture, read_image
    from cspadn.metrics import measure_pictures, measure_volumes, without_nan

    silence_libraries()
    files = {"The PET": options.pet, "The MRI": options.mri, "The fused image": options.fused}
    check_names(files.values())
    pictures = {is_picture(file) for file in files.values()}
    if len(pictures) > 1:
        raise InputError("Some inputs are PNGs and others are not: give three PNGs, or three volumes.")
    with quiet():
        images = [read_image(file, name, suv=options.suv and name == "The PET") for name, file in files.items()]
    windows = {name: getattr(options, name) for name in ("pet_window", "mri_window", "fused_window")}
    if pictures == {True}:
        scores = measure_pictures(*images, **windows)
        print(json.dumps(without_nan(scores), indent=2) if options.json else _table([list(scores), _cells(scores)]))
        return 0
    with _progress("bar", "Measuring") as progress:
        result = measure_volumes(*images, **windows, progress=progress)
    print(json.dumps(result.to_dict(), indent=2) if options.json else _slice_table(result))
    return 0


def _slice_table(result: VolumeScores) -> str:
    header = ["slice", "mm", *result.mean]
    rows = [[f"{'' if row.counted else '*'}{row.index}", f"{row.position:.2f}", *_cells(row.scores)] for row in result.slices]
    table = _table([header, *rows, ["mean", "", *_cells(result.mean)]])
    all_count = all(row.counted for row in result.slices)
    return table if all_count else f"{table}\n* empty in PET and MRI: not measured, left out of the mean"


def _cells(scores: dict[str, float]) -> list[str]:
    return ["-" if math.isnan(value) else f"{value:.4f}" for value in scores.values()]


def _table(rows: list[list[str]]) -> str:
    """Columns aligned on the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _run_models(options: argparse.Namespace) -> int:
    from cspadn.models.weights import list_models
    from cspadn.settings import DEFAULT_MODEL

    cards = list_models()
    if options.json:
        print(json.dumps([card.to_dict() for card in cards], indent=2))
        return 0
    for card in cards:
        default = " (default)" if card.name == DEFAULT_MODEL else ""
        print(f"{card.name} {card.version}{default}: {card.description}\n    SHA-256 {card.sha256}, {card.date}")
    return 0


def _run_info(options: argparse.Namespace) -> int:
    info = _info()
    if options.json:
        print(json.dumps(info, indent=2))
        return 0
    for name, value in info["versions"].items():
        print(f"{name:12}{value}")
    for device, name in info["devices"].items():
        print(f"{'device':12}{device} ({name})")
    print(f"{'models':12}{info['models']}")
    return 0


def _info() -> dict[str, Any]:
    import numpy
    import safetensors
    import SimpleITK as sitk
    import torch

    from cspadn.models.weights import models_folder
    from cspadn.runtime.device import available_devices

    versions = {
        "cspadn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "SimpleITK": sitk.Version.VersionString(),
        "safetensors": safetensors.__version__,
    }
    return {"versions": versions, "devices": available_devices(), "models": str(models_folder())}
