"""Draw the training curves, and check whether the losses have converged."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from cspadn.errors import InputError
from training.evaluation.figures import Curve, Training, draw_training
from training.evaluation.inputs import Inputs
from training.evaluation.tables import Section, markdown, number, write_csv
from training.evaluation.trained import options_by_name

_COLUMNS = ("step", "train_loss", "validation_loss")
_WINDOW = 0.02  # share of a run over which the loss is smoothed
_HEADER = ("run", "steps", "tenth before the last", "last tenth", "change", "first validation", "last validation")


def find(folder: Path) -> list[Path]:
    """Return the curves NAME.csv; none if the folder does not exist."""
    return sorted(folder.glob("*.csv"), key=lambda path: path.stem)


def report(inputs: Inputs, files: list[Path]) -> Section:
    """Draw the curves, and compare the last two tenths of each run."""
    runs = {path.stem: read_curve(path) for path in files}
    drawn = {name: Training(raw, _smooth(raw), val, mse_steps(name)) for name, (raw, val) in runs.items()}
    draw_training(inputs.output / "training.png", drawn)
    steps = {name: int(raw[-1, 0]) + 1 for name, (raw, _) in runs.items()}
    rests = {name: _rest(*run) for name, run in runs.items()}
    write_csv(
        inputs.output / "training.csv",
        [name.replace(" ", "_") for name in _HEADER],
        [[name, steps[name], *rests[name]] for name in runs],
    )
    intro = (
        "The loss of each run: its mean over the last tenth of the epochs and over the tenth before it, the change between "
        "the two, and the loss on whole slices of the validation pairs, where the run was validated. Each point of the curve "
        "is the mean of an epoch, drawn at its last step. Runs with different losses cannot be compared with each other."
    )
    if any(map(mse_steps, runs)):
        intro += " A shaded span marks the first steps, which minimise the MSE alone (decision 0003)."
    table = markdown(_HEADER, [[name, str(steps[name]), *_cells(rests[name])] for name in runs])
    return Section("training", "Training", f"{intro}\n\n{table}\n\n![Mean loss of each epoch, by step](training.png)")


def mse_steps(name: str) -> int:
    """Return the number of steps at the start of the run that minimise the MSE alone."""
    return int(options_by_name(name).get("mse_steps", 0))


def _cells(values: list[float]) -> list[str]:
    before, last, change, *validation = values
    return [number(before), number(last), f"{change:+.2%}", *map(number, validation)]


def read_curve(path: Path) -> tuple[Curve, Curve]:
    """Read step and loss of training and validation, (epochs, 2) each; epochs without validation have empty cells.

    Raises:
        InputError: a column is missing, or contains other text than numbers.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        train, validation = (
            np.array([(float(row["step"]), float(row[name])) for row in rows if row[name]]).reshape(-1, 2)
            for name in _COLUMNS[1:]
        )
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        train = np.empty((0, 2))
    if len(train) < 2:
        raise InputError(f"{path} is not a training curve: it must be a CSV file with the columns {', '.join(_COLUMNS)}.")
    return train, validation


def _smooth(curve: Curve) -> Curve:
    """Return the centred running mean over a fiftieth of the run."""
    width = max(round(_WINDOW * len(curve)), 1)
    kernel = np.full(width, 1 / width)
    return np.stack([np.convolve(column, kernel, mode="valid") for column in curve.T], axis=-1)


def _rest(raw: Curve, validation: Curve) -> list[float]:
    """Return the losses of the last two tenths, their relative change, and the first and last validation loss."""
    tenth = max(len(raw) // 10, 1)
    last, before = raw[-tenth:, 1].mean(), raw[-2 * tenth : -tenth, 1].mean()
    ends = [float(validation[i, 1]) if len(validation) else float("nan") for i in (0, -1)]
    return [float(before), float(last), float(last / before - 1), *ends]
