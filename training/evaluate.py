"""Recompute every table and figure of docs/results: ``python -m training.evaluate --data DATA --output DIR``.

Everything is computed from the given images and the shipped weights; only the published values are copied from the paper.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import SimpleITK as sitk

from cspadn.errors import FusionError, InputError
from cspadn.models.weights import ModelCard, list_models, models_folder
from cspadn.settings import DEFAULT_MODEL
from training.command import help_text
from training.evaluation import ablation, black, curves, paper, sizes, subject2
from training.evaluation.black import Fused
from training.evaluation.folder import INDEX, TITLE, file_list, staged
from training.evaluation.inputs import Inputs
from training.evaluation.rows import Row, check_rows, measure_rows, workers
from training.evaluation.tables import Section, counted, markdown

_HERE = Path(__file__).resolve().parent
_PROGRAM = "python -m training.evaluate"


def evaluate(inputs: Inputs) -> list[Section]:
    """Write all tables and figures to the existing folder ``inputs.output``; return the sections of the index.

    Raises:
        InputError: an image, a table or a curve is missing or damaged; raised before the work starts.
        ModelError: weights are missing or damaged; raised before the work starts.
    """
    _say(f"{len(inputs.same_head)} pairs of the same head, {len(inputs.second_subject)} of the second subject")
    of_paper, of_subject2 = paper.rows(inputs), subject2.rows(inputs)
    of_ablation, runs = ablation.rows(inputs.weights / ablation.FOLDER), curves.find(inputs.curves)
    check_rows([*of_paper, *of_ablation], inputs.same_head)
    check_rows(of_subject2, inputs.second_subject)
    for path in [*runs, *ablation.find_curves(inputs.curves)]:
        curves.read_curve(path)

    _say(f"{len(of_paper)} rows on the {len(inputs.same_head)} test pairs of the same head")
    same_head = measure_rows(of_paper, inputs.same_head, inputs.mapper)
    sections = [paper.report(inputs, of_paper, same_head)]
    sections += _ablation(inputs, of_ablation)
    _say(f"{len(of_subject2)} rows on the {len(inputs.second_subject)} pairs of the second subject")
    second = measure_rows(of_subject2, inputs.second_subject, inputs.mapper)
    sections.append(subject2.report(inputs, of_subject2, second))
    of_same_head = Fused(inputs.same_head, of_paper, same_head)
    of_second = Fused(inputs.second_subject, of_subject2, second)
    sections.append(black.report(inputs, {"same head": of_same_head, "second subject": of_second}))
    _say("three sizes")
    sections.append(sizes.report(inputs))
    sections += _curves(inputs, runs)
    for section in sections:
        section.write(inputs.output)
    return sections


def _ablation(inputs: Inputs, table: list[Row]) -> list[Section]:
    if not table:
        _say(f"no ablation: there are no weights in {inputs.weights / ablation.FOLDER}")
        return []
    _say(f"{len(table)} models of the ablation")
    return [ablation.report(inputs, table, measure_rows(table, inputs.same_head, inputs.mapper))]


def _curves(inputs: Inputs, runs: list[Path]) -> list[Section]:
    if not runs:
        _say(f"no training curves: there are none in {inputs.curves}")
        return []
    return [curves.report(inputs, runs)]


def write_index(folder: Path, sections: list[Section], seconds: float, processes: int) -> None:
    """Write the page with all sections and a list of all files."""
    contents = "\n".join(f"- [{section.title}]({section.name}.md)" for section in sections)
    intro = (
        f"Made by `{_PROGRAM}` in {seconds / 60:.1f} minutes, with {counted(processes, 'process', 'processes')} of one thread "
        "each. The command computes every number and figure from the shipped weights and the given images; only the "
        "published values are quoted. All rows fuse the PET as rounded luma and produce 8-bit images, clipped but never "
        "stretched. Research use only, not for diagnosis.\n\nThese tables report published measures. They are not used to "
        "choose a model or to support a claim. Models are judged by [a numerical observer](observer.md), which `python -m "
        "training.observe` runs; with `--attention` it shows [what each attention module brings](attention.md)."
    )
    parts = [f"## {section.title}\n\n{section.body}" for section in sections]
    text = "\n\n".join([TITLE, intro, contents, "## Models", _models(), *parts, file_list(folder)])
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")


def _models() -> str:
    """Describe the shipped models by their cards."""
    header = ["model", "steps", "seed", "trained on", "weights", "SHA-256"]
    return markdown(header, [_model_line(card) for card in list_models()])


def _model_line(card: ModelCard) -> list[str]:
    training, size = card.training, (models_folder() / f"{card.name}.safetensors").stat().st_size
    return [
        f"{card.name} {card.version}{' (default)' if card.name == DEFAULT_MODEL else ''}",
        str(training.get("steps", "")),
        str(training.get("config", {}).get("seed", "")),
        str(training.get("data", "")),
        f"{size / 1e6:.2f} MB",
        f"`{card.sha256[:12]}`",
    ]


def _say(line: str) -> None:
    print(f"evaluate: {line}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    options = _parser().parse_args(arguments)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK warns about harmless headers
    start = time.monotonic()
    try:
        with workers(options.processes) as mapper, staged(options.output) as folder:
            sections = evaluate(Inputs(options.data, folder, options.weights, options.curves, mapper))
            seconds = time.monotonic() - start
            write_index(folder, sections, seconds, options.processes)
    except (OSError, FusionError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, FusionError) else InputError.exit_code
    _say(f"{options.output / INDEX}, in {time.monotonic() - start:.0f} s")
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("it must be a whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description=help_text(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="folder with data/ and peers/")
    parser.add_argument("--output", type=Path, required=True, help="folder for the tables and figures")
    weights, curve_files = _HERE / "weights", _HERE / "curves"
    parser.add_argument(
        "--weights",
        type=Path,
        default=weights,
        help="folder with tfnet.safetensors and, optionally, ablation/ (default: training/weights)",
    )
    parser.add_argument(
        "--curves", type=Path, default=curve_files, help="folder with training curves NAME.csv (default: training/curves)"
    )
    parser.add_argument("--processes", type=_count, default=2, help="number of processes, one thread each (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
