"""``cspadn metrics``: measure a fused image."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.cli.common import add_frames, add_suv, add_window, progress_display
from cspadn.errors import InputError
from cspadn.messages import message
from cspadn.runtime.terminal import silence_libraries
from cspadn.settings import WINDOWS

if TYPE_CHECKING:
    from cspadn.metrics import VolumeScores


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.description = (
        "Compute standard fusion metrics of a fused image. They do not prove that a fusion is good. The luma of coloured PNGs "
        "is measured; it matches the fused luma up to rounding."
    )
    command.add_argument(
        "pet", type=Path, metavar="PET", help="a source of the fusion: volume, folder with one DICOM series, or PNG"
    )
    command.add_argument("mri", type=Path, metavar="MRI", help="as for PET")
    command.add_argument(
        "fused", type=Path, metavar="FUSED", help="the result of the fusion: volume or PNG, if possible the grey one"
    )
    add_suv(command)
    add_frames(command)
    for name in WINDOWS:
        add_window(command, name, "window of the fusion, in the volume's units; default: from the fused file, else automatic")
    add_window(
        command,
        "fused_window",
        "black and white of FUSED; default: 0 4095 (values on another scale are refused); for a PNG, black to white",
    )
    command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the metrics of a volume or a picture, as a table or as JSON; returns 0.

    Raises:
        FusionError: as :func:`cspadn.metrics.measure_volumes`.
    """
    from cspadn.io.atomic_output import check_names
    from cspadn.io.images import is_picture, read_image
    from cspadn.io.reader import VolumeReader
    from cspadn.metrics import measure_pictures, measure_volumes, without_nan

    silence_libraries()
    files = {"The PET": options.pet, "The MRI": options.mri, "The fused image": options.fused}
    check_names(files.values())
    pictures = {is_picture(file) for file in files.values()}
    if len(pictures) > 1:
        raise InputError(message("pictures-and-volumes"))
    with VolumeReader() as reader:
        chosen = {"The PET": {"suv": options.suv, "frames": options.frames}}
        images = [read_image(file, name, reader=reader, **chosen.get(name, {})) for name, file in files.items()]
    windows = {name: getattr(options, name) for name in ("pet_window", "mri_window", "fused_window")}
    if pictures == {True}:
        scores = measure_pictures(*images, **windows)
        print(json.dumps(without_nan(scores), indent=2) if options.json else _table([list(scores), _cells(scores)]))
        return 0
    with progress_display("bar", "Measuring") as progress:
        result = measure_volumes(*images, **windows, progress=progress)
    print(json.dumps(result.to_dict(), indent=2) if options.json else _slice_table(result))
    return 0


def _slice_table(result: VolumeScores) -> str:
    """Return a row for each slice, and the mean."""
    header = ["slice", "mm", *result.mean]
    rows = [[f"{'' if row.counted else '*'}{row.index}", f"{row.position:.2f}", *_cells(row.scores)] for row in result.slices]
    table = _table([header, *rows, ["mean", "", *_cells(result.mean)]])
    all_count = all(row.counted for row in result.slices)
    return table if all_count else f"{table}\n* empty in PET and MRI: not measured, left out of the mean"


def _cells(scores: dict[str, float]) -> list[str]:
    return ["-" if math.isnan(value) else f"{value:.4f}" for value in scores.values()]


def _table(rows: list[list[str]]) -> str:
    """Align columns to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
