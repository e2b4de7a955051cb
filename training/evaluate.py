"""Recompute every table and figure of docs/results: ``python -m training.evaluate --data DATA --output DIR``.

Everything comes from the given images and from weights that are shipped; no number is typed in but the published ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import SimpleITK as sitk

from cspadn.errors import FusionError
from cspadn.settings import DEFAULT_MODEL
from cspadn.weights import ModelCard, list_models, models_folder
from training.evaluation import ablation, black, curves, paper, sizes, subject2
from training.evaluation.inputs import Inputs, model_rows
from training.evaluation.rows import Row, check_rows, measure_rows, workers
from training.evaluation.tables import Section, counted, markdown

INDEX = "README.md"
_HERE = Path(__file__).resolve().parent
_COMMAND = "make evaluate DATA=../shared"


def evaluate(inputs: Inputs) -> list[Section]:
    """All tables and figures, written to ``inputs.output``, and the parts of the index.

    Raises:
        InputError: an image, a table or a curve is missing or damaged: before the work starts.
        ModelError: so are weights.
    """
    sources = {"same head": inputs.same_head, "second subject": inputs.second_subject}
    of_paper, of_subject2 = paper.rows(inputs), subject2.rows(inputs)
    of_ablation, runs = ablation.rows(inputs.weights / ablation.FOLDER), curves.find(inputs.curves)
    check_rows([*of_paper, *of_ablation], inputs.same_head)
    check_rows(of_subject2, inputs.second_subject)
    for path in runs:
        curves.read_curve(path)
    inputs.output.mkdir(parents=True, exist_ok=True)

    _say(f"{len(of_paper)} rows on the {len(inputs.same_head)} test pairs of the same head")
    same_head = measure_rows(of_paper, inputs.same_head, inputs.mapper)
    sections = [paper.report(inputs, of_paper, same_head)]
    sections += _ablation(inputs, of_ablation)
    _say(f"{len(of_subject2)} rows on the {len(inputs.second_subject)} pairs of the second subject")
    second = measure_rows(of_subject2, inputs.second_subject, inputs.mapper)
    sections.append(subject2.report(inputs, of_subject2, second))
    sections.append(black.report(inputs, sources, {"same head": same_head, "second subject": second}, model_rows()))
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
    """The page that shows all of it."""
    contents = "\n".join(f"- [{section.title}]({section.name}.md)" for section in sections)
    intro = (
        f"Made by `{_COMMAND}` in {seconds / 60:.1f} minutes, with {counted(processes, 'process', 'processes')} of one thread "
        "each. It computes every number and figure from the shipped weights and the given images; only the published values "
        "are quoted. All rows fuse the PET as rounded luma and give 8-bit images, clipped and never stretched. Research use "
        "only, not for diagnosis."
    )
    parts = [f"## {section.title}\n\n{section.body}" for section in sections]
    text = "\n\n".join(["# Results", intro, contents, "## Models", _models(), *parts])
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")


def _models() -> str:
    """What the cards of the shipped models say."""
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
    """Entry point; returns the exit code."""
    options = _parser().parse_args(arguments)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK's remarks on harmless headers
    start = time.monotonic()
    try:
        with workers(options.processes) as mapper:
            inputs = Inputs(options.data, options.output, options.weights, options.curves, mapper)
            sections = evaluate(inputs)
        write_index(options.output, sections, time.monotonic() - start, options.processes)
    except (OSError, FusionError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 3
    _say(f"{options.output / INDEX}, in {time.monotonic() - start:.0f} s")
    return 0


def _count(text: str) -> int:
    """A whole number from 1 on; argparse says what it got where ValueError is raised."""
    count = int(text)
    if count < 1:
        raise ValueError
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with data/ and peers/")
    parser.add_argument("--output", type=Path, required=True, help="folder for tables and figures")
    weights, curve_files = _HERE / "weights", _HERE / "curves"
    parser.add_argument("--weights", type=Path, default=weights, help="folder with tfnet.safetensors, and perhaps ablation/")
    parser.add_argument(
        "--curves", type=Path, default=curve_files, help="folder with training curves NAME.csv, if there is one"
    )
    parser.add_argument("--processes", type=_count, default=2, help="that share the work, of one thread each (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
