"""Figures, drawn with matplotlib into PNG files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.evaluation.pairs import Levels

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Curve = NDArray[np.float64]
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#000000")  # safe for colour blindness
_MARKERS = ("s", "^", "D", "v", "o")
_DPI = 100
_CELL = 1.25  # width of a slice in inches
_HEAD = 0.3  # inches for the names of the columns
_LETTER, _GAP = 0.075, 0.15  # inches per letter in the names of the rows, and between names and slices
_MARGIN = 4  # pixels kept around the head
_STEPS = 32  # from black to white, in each colour: invisible, and half the bytes


def draw_grid(path: Path, rows: Mapping[str, Sequence[Levels]], columns: Sequence[str]) -> None:
    """Draw pictures in rows with names on the left and columns with names above.

    Args:
        rows: pictures by name, one per column, (H, W) or (H, W, 3), all of the same size.
    """
    rows_, columns_ = next(iter(rows.values()))[0].shape[:2]
    label, height = _LETTER * max(map(len, rows)) + _GAP, _CELL * rows_ / columns_
    size = (label + _CELL * len(columns), _HEAD + height * len(rows))
    figure, axes = plt.subplots(len(rows), len(columns), figsize=size, dpi=_DPI, squeeze=False)
    figure.subplots_adjust(label / size[0], 0, 1, 1 - _HEAD / size[1], wspace=0.02, hspace=0.02)
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        _draw_line(line, name, pictures)
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title, fontsize=9, pad=4)
    _save(figure, path)


def head_box(pictures: Sequence[Levels]) -> tuple[slice, slice]:
    """Return rows and columns in which any (H, W) picture is not black, with a margin; everything if all are black."""
    seen = np.any(pictures, axis=0)
    return _range(seen.any(axis=1)), _range(seen.any(axis=0))


def _range(seen: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(seen)
    if not len(places):
        return slice(0, len(seen))
    return slice(max(int(places[0]) - _MARGIN, 0), min(int(places[-1]) + 1 + _MARGIN, len(seen)))


def _draw_line(line: Sequence[Axes], name: str, pictures: Sequence[Levels]) -> None:
    for axis, picture in zip(line, pictures, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        axis.set_xticks([])
        axis.set_yticks([])
    line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9, labelpad=6)


def draw_scores(path: Path, panels: Mapping[str, Mapping[str, Sequence[float]]], x_label: str) -> None:
    """Draw a panel for each measure with a curve for each method; the last method is drawn thick and black.

    Args:
        panels: scores of the pairs in their order, by measure and method; at most five methods.
    """
    figure, axes = plt.subplots(2, 2, figsize=(10, 7), dpi=_DPI, layout="constrained")
    for axis, (measure, curves) in zip(axes.flat, panels.items(), strict=True):
        _draw_curves(axis, curves)
        axis.set_title(measure, fontsize=11)
        axis.set_xlabel(x_label)
        axis.grid(alpha=0.3)
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
    _save(figure, path)


def _draw_curves(axis: Axes, curves: Mapping[str, Sequence[float]]) -> None:
    offset = len(COLORS) - len(curves)
    for i, (name, values) in enumerate(curves.items(), start=offset):
        last = i == len(COLORS) - 1
        places = range(1, len(values) + 1)
        axis.plot(places, values, color=COLORS[i], marker=_MARKERS[i], label=name, lw=2.4 if last else 1.4, ms=4.5)
    axis.set_xticks(range(1, max(map(len, curves.values())) + 1))
    axis.tick_params(labelsize=8)


class Training(NamedTuple):
    """The curves of a run, (points, 2) of step and value; the first ``mse_steps`` steps minimise the MSE alone."""

    raw: Curve
    smooth: Curve
    validation: Curve
    mse_steps: int


def draw_training(path: Path, runs: Mapping[str, Training]) -> None:
    """Draw a panel for each run: the loss of each epoch (faint), its running mean, and markers for validations."""
    figure, axes = plt.subplots(1, len(runs), figsize=(4.4 * len(runs), 3.8), dpi=_DPI, layout="constrained", squeeze=False)
    for axis, (name, run) in zip(axes[0], runs.items(), strict=True):
        _shade(axis, run.mse_steps)
        axis.plot(*run.raw.T, color=COLORS[1], alpha=0.35, lw=0.6, label="training, mean of each epoch")
        axis.plot(*run.smooth.T, color="#0072B2", lw=1.8, label="training, running mean")
        axis.plot(*run.validation.T, color="#D55E00", marker="o", ms=3, ls="none", label="validation")
        _style_loss(axis, name)
        axis.legend(fontsize=8)
    _save(figure, path)


def draw_losses(path: Path, curves: Mapping[str, Curve], mse_steps: int) -> None:
    """Draw the loss of up to five trainings in one panel, (points, 2) each."""
    figure, axis = plt.subplots(figsize=(5.6, 3.6), dpi=_DPI, layout="constrained")
    _shade(axis, mse_steps)
    for i, (name, curve) in enumerate(curves.items()):
        axis.plot(*curve.T, color=COLORS[i], marker=_MARKERS[i], ms=3, lw=1.4, label=name)
    _style_loss(axis, "")
    axis.legend(fontsize=8)
    _save(figure, path)


def _shade(axis: Axes, mse_steps: int) -> None:
    if mse_steps:
        axis.axvspan(0, mse_steps, color="#999999", alpha=0.25, lw=0, label="MSE alone is minimised")


def _style_loss(axis: Axes, title: str) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(mpl.ticker.LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.5)))
    axis.tick_params(which="both", labelsize=8)
    axis.set(title=title, xlabel="step", ylabel="loss")
    axis.grid(alpha=0.3, which="both")


def _save(figure: Figure, path: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn)
    levels = np.asarray(Image.open(drawn).convert("RGB"))
    coarse = np.rint(np.rint(levels / 255 * _STEPS) * 255 / _STEPS).astype(np.uint8)
    Image.fromarray(coarse).save(path, optimize=True)
    plt.close(figure)
