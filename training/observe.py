"""Read the displays with a numerical observer: ``python -m training.observe --data DATA --output DIR``.

Write ``observer.md``, its tables as CSV and its pictures. They show how well the lesions of each source can still be detected
in every fused display (:mod:`training.evaluation.observer`), and list the worst faults, which a mean would hide.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cspadn.errors import FusionError, InputError
from cspadn.models.weights import load_model
from cspadn.settings import DEFAULT_MODEL
from training.baselines.ifcnn import WEIGHTS as IFCNN_WEIGHTS
from training.command import help_text
from training.evaluation import ablation, attention
from training.evaluation.cases import CONTRASTS, TASKS, TEST_HEADS, VALIDATION_HEADS, Case, label_map_cases, real_cases
from training.evaluation.color_reading import ColorReading, color_summary, read_colors
from training.evaluation.inputs import label, model_rows
from training.evaluation.reading import (
    GREY_TASKS,
    HOLE,
    NOISES,
    WHITE,
    Reading,
    fused_planes,
    interval,
    read,
    vanished,
    volume_fuser,
    worst,
)
from training.evaluation.reading_pictures import draw_color, draw_grey, draw_pairs
from training.evaluation.rows import Mapper, Row, trivial_rows, workers
from training.evaluation.tables import Section, markdown, write_csv
from training.synthesis import Synthesis

_DRAWN_HEADS = tuple(range(1, 10))
_WEIGHTS = Path(__file__).resolve().parent / "weights"
Readings = dict[str, list[Reading]]


def rows(data: Path) -> list[Row]:
    """Return every grey display: the sources, methods without and with weights, and our models."""
    trained = [
        Row("IFCNN", "trained", str(data / IFCNN_WEIGHTS)),
        Row("TFNet", "trained", str(_WEIGHTS / "tfnet.safetensors")),
    ]
    methods = ("PET only", "MRI only", "average", "maximum", "Laplacian", "GTF", "MSVD")
    return [*trivial_rows(*methods), *trained, *model_rows()]


def read_all(
    table: Sequence[Row], simulated: Sequence[Case], real: Sequence[Case], mapper: Mapper
) -> tuple[Readings, list[ColorReading]]:
    """Read every case in every row, and the simulated cases with the default model also in colour."""
    cases = [(case, True) for case in simulated] + [(case, False) for case in real]
    tasks = [(row, case, wanted and row.source == DEFAULT_MODEL) for row in table for case, wanted in cases]
    results = list(mapper(_read, tasks))
    grey = [reading for reading, _ in results]
    readings = {row.name: grey[i * len(cases) : (i + 1) * len(cases)] for i, row in enumerate(table)}
    return readings, [reading for _, in_color in results for reading in in_color]


def _read(task: tuple[Row, Case, bool]) -> tuple[Reading, list[ColorReading]]:
    row, case, in_color = task
    planes = fused_planes(row, case)
    return read(row, case, planes), read_colors(case, planes) if in_color else []


def report(
    table: Sequence[Row], simulated: Readings, real: Readings, in_color: Sequence[ColorReading], folder: Path
) -> Section:
    """Return the page, and write ``observer.csv``."""
    _write(folder / "observer.csv", simulated, real)
    parts = [
        _INTRODUCTION,
        "## Grey displays",
        _summary(table, simulated, real),
        _NOTE,
        "## By case",
        _by_case(table, simulated, real),
    ]
    parts += ["## Colour displays", _COLORS, color_summary(in_color), "![Colour displays](observer_color.jpg)"]
    parts += ["## Faults", _faults(table, simulated, real), _FAULTS_NOTE, "![Grey displays](observer_grey.jpg)"]
    return Section("observer", "What an observer can still see", "\n\n".join(parts))


_INTRODUCTION = (
    "Lesions are added to the PET or the MRI before fusion, with the windows fixed. A channelised Hotelling observer (ten "
    f"dense difference-of-Gaussians channels; display noise of {NOISES[0]:g} of the lightness per pixel) detects them in the "
    "display. The efficiency is its detectability index d' in the display, divided by that in the single source. A display is "
    "as good as its worst task: 1 means that nothing of either source is lost, 0 that one source cannot be seen. Tasks: "
    + "; ".join(f"{task.name} ({task.amount:+.0%}, {task.fwhm_mm:g} mm)" for task in TASKS)
    + ". The coarse MRI lesion is reported but is not among the four grey tasks: one grey level cannot show it beside the "
    "PET."
)
_NOTE = (
    "Worst: the mean over cases of the worst of the four tasks, with its 95 % bootstrap interval, for which heads are "
    "resampled. Columns of tasks: means over the simulated cases. Half and double noise: with display noise of "
    f"{NOISES[1]:g} and {NOISES[2]:g}."
)
_COLORS = (
    "All five tasks on the simulated cases, in lightness and in both colour axes of OKLab. The slider lays the PET in the "
    "palette over the MRI, as Slicer does, at opacities from 0.3 to 0.7. Read back: the error of the PET level derived from "
    "the colours of the colour volume, in the worst case. Smallest step: the CIEDE2000 difference between colours whose PET "
    "levels are a tenth of the window apart, at any brightness that occurs with both in the head."
)
_FAULTS_NOTE = (
    "Vanished: lesions with less than a quarter of the contrast that they have in their source. Turned: lesions with the "
    f"opposite sign. Hole: a pixel darker than the darker source by more than {HOLE:g}. White: the largest share of a head "
    f"above {WHITE:g}. Artefacts: N of Petrovic and Xydeas, that is, edges that are stronger in the display than in both "
    "sources, weighted by the edges of the sources; a display that raises the contrast of fine detail has more of them. Hot "
    "tumour: a tumour with three times the uptake and a radius of 12 mm; the mean (least) contrast in the display relative to "
    "that in the PET. In both: the same tumour, also bright in the MRI; the least margin of its darkest pixel above the "
    "darker source."
)


def _summary(table: Sequence[Row], simulated: Readings, real: Readings) -> str:
    header = [
        "display",
        "worst",
        "95 %",
        "lowest case",
        "half noise",
        "double noise",
        *(task.name for task in TASKS),
        "real heads",
    ]
    return markdown(header, [_summary_line(row, simulated[row.name], real[row.name]) for row in table])


def _summary_line(row: Row, simulated: Sequence[Reading], real: Sequence[Reading]) -> list[str]:
    values = worst(simulated, GREY_TASKS)
    low, high = interval(values, [reading.head for reading in simulated])
    noises = [f"{worst(simulated, GREY_TASKS, noise).mean():.2f}" for noise in (1, 2)]
    means = np.mean([reading.efficiency[0] for reading in simulated], axis=0)
    tasks = [f"{value:.2f}" for value in means]
    name = f"**{label(row)}**" if row.kind == "model" else row.name
    return [
        *(name, f"{values.mean():.2f}", f"{low:.2f} to {high:.2f}", f"{values.min():.2f}", *noises, *tasks),
        f"{worst(real, GREY_TASKS).mean():.2f}",
    ]


def _by_case(table: Sequence[Row], simulated: Readings, real: Readings) -> str:
    cases = [reading.case for reading in [*simulated[table[0].name], *real[table[0].name]]]
    lines = []
    for index, case in enumerate(cases):
        each = [[*simulated[row.name], *real[row.name]][index] for row in table]
        lines.append([case, *(f"{worst([reading], GREY_TASKS)[0]:.2f}" for reading in each)])
    return markdown(["worst task", *(row.name for row in table)], lines)


def _faults(table: Sequence[Row], simulated: Readings, real: Readings) -> str:
    lines = []
    for row in table:
        all_readings = [*simulated[row.name], *real[row.name]]
        shares = [vanished(all_readings, task) for task in TASKS]
        cells = [f"{gone:.1%} / {turned:.1%}" for gone, turned, _ in shares]
        lines.append(
            [
                *(row.name, *cells, str(sum(reading.holes for reading in all_readings))),
                f"{max(reading.white for reading in all_readings):.1%}",
                f"{np.mean([reading.artefacts for reading in all_readings]):.3f}",
                *_tumours(all_readings),
            ]
        )
    counts = [vanished([*simulated[table[0].name], *real[table[0].name]], task)[2] for task in TASKS]
    header = [f"{task.name} ({count})" for task, count in zip(TASKS, counts, strict=True)]
    return markdown(["vanished / turned", *header, "holes", "white", "artefacts", "hot tumour", "in both"], lines)


def _tumours(readings: Sequence[Reading]) -> list[str]:
    """Describe the least and mean contrast of hot tumours, and the least margin of tumours in both over the darker source."""
    kept, above = (np.concatenate([getattr(reading, name) for reading in readings]) for name in ("tumours", "in_both"))
    return [f"{kept.mean():.2f} ({kept.min():.2f})" if len(kept) else "", f"{above.min():+.2f}"]


def _write(path: Path, simulated: Readings, real: Readings) -> None:
    lines = [
        [name, reading.case, noise, task.name, reading.indices[i, j], reading.reference[i, j], reading.efficiency[i, j]]
        for name in simulated
        for reading in [*simulated[name], *real[name]]
        for i, noise in enumerate(NOISES)
        for j, task in enumerate(TASKS)
    ]
    write_csv(path, ["display", "case", "noise", "task", "index", "index_of_source", "efficiency"], lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.observe", description=help_text(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="folder with data/ and peers/")
    parser.add_argument("--output", type=Path, required=True, help="folder for the page, its tables and pictures")
    parser.add_argument(
        "--validation", action="store_true", help="evaluate the validation heads 10 and 11 instead of the test heads"
    )
    parser.add_argument(
        "--attention",
        action="store_true",
        help="evaluate the networks of training/weights/attention instead, and write attention.md",
    )
    parser.add_argument("--processes", type=int, default=2, help="number of processes, one thread each (default: 2)")
    options = parser.parse_args(arguments)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    start = time.monotonic()
    try:
        numbers = VALIDATION_HEADS if options.validation else TEST_HEADS
        if options.attention:
            page = _observe_attention(options.data, options.output, numbers, options.processes)
        else:
            page = _observe(options.data, options.output, numbers, options.processes)
    except (OSError, FusionError) as error:
        print(f"observe: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, FusionError) else InputError.exit_code
    print(f"observe: {options.output / page}, in {time.monotonic() - start:.0f} s")
    return 0


def _observe_attention(data: Path, output: Path, numbers: Sequence[int], processes: int) -> str:
    """Write the page on the attention modules; return its name."""
    table = ablation.rows(_WEIGHTS / attention.FOLDER)
    if not table:
        raise InputError(f"There are no weights in {_WEIGHTS / attention.FOLDER}: docs/training.md says how to train them.")
    for row in table:
        load_model(row.source)
    cases = label_map_cases(data / "data", numbers)
    # Slices of 512 pixels take long: one case of each contrast, from all heads.
    sized = [cases[index % len(numbers) * len(CONTRASTS) + index] for index in range(len(CONTRASTS))]
    output.mkdir(parents=True, exist_ok=True)
    with workers(processes) as mapper:
        section = attention.report(table, cases, sized, output, mapper)
    section.write(output)
    return f"{section.name}.md"


def _observe(data: Path, output: Path, numbers: Sequence[int], processes: int) -> str:
    """Write the page on all displays; return its name."""
    table = rows(data)
    for row in table:
        volume_fuser(row)
    print("observe: making the cases", flush=True)
    simulated_cases, real = label_map_cases(data / "data", numbers), real_cases(data / "data")
    count = len(simulated_cases)
    with workers(processes) as mapper:
        print(f"observe: {len(table)} displays of {count + len(real)} cases", flush=True)
        readings, in_color = read_all(table, simulated_cases, real, mapper)
    output.mkdir(parents=True, exist_ok=True)
    simulated = {name: each[:count] for name, each in readings.items()}
    section = report(table, simulated, {name: each[count:] for name, each in readings.items()}, in_color, output)
    chosen = [simulated_cases[0], simulated_cases[1], simulated_cases[6], real[0]]
    draw_grey(table, chosen, output / "observer_grey.jpg")
    draw_color(chosen, output / "observer_color.jpg")
    draw_pairs(Synthesis(data / "data" / "label_maps", _DRAWN_HEADS, seed=1), output / "drawn_pairs.png")
    section.write(output)
    return f"{section.name}.md"


if __name__ == "__main__":
    sys.exit(main())
