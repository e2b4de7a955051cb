"""Pictures of the displays that the observer reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from training.evaluation.cases import Case
from training.evaluation.reading import volume_fuser
from training.evaluation.rows import Row
from training.heads import Volume
from training.synthesis import Synthesis

mpl.use("Agg")
from matplotlib import pyplot as plt

_SLICES = (0.3, 0.5, 0.7)  # of the planes
_DRAWN = 24


def draw_grey(rows: Sequence[Row], cases: Sequence[Case], path: Path) -> None:
    """Three slices of each case, a row each; a column for each display."""
    shown = [_three(case) for case in cases]
    columns = {row.name: [volume_fuser(row)(pet, mri) for pet, mri in shown] for row in rows}
    lines = [(case.name, index, i) for i, case in enumerate(cases) for index in range(len(_SLICES))]
    figure, axes = plt.subplots(
        len(lines), len(columns), figsize=(1.6 * len(columns), 1.95 * len(lines)), facecolor="black", layout="constrained"
    )
    for row_axes, (name, index, case) in zip(axes, lines, strict=True):
        for axis, (title, planes) in zip(row_axes, columns.items(), strict=True):
            axis.imshow(planes[case][index], cmap="gray", vmin=0, vmax=1, interpolation="bilinear", aspect="auto")
            axis.set_xticks([])
            axis.set_yticks([])
            if axis in axes[0]:
                axis.set_title(title, color="white", fontsize=9)
        row_axes[0].set_ylabel(name, color="white", fontsize=7)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_pairs(synthesis: Synthesis, path: Path) -> None:
    """24 drawn pairs, PET and MRI side by side."""
    slices = synthesis.slices(_DRAWN)
    figure, axes = plt.subplots(_DRAWN // 6, 12, figsize=(18, 6.2), facecolor="black", layout="constrained")
    for index, axis in enumerate(axes.flat):
        axis.imshow(slices[index // 2][index % 2], cmap="gray", vmin=0, vmax=1, origin="lower")
        axis.axis("off")
    figure.savefig(path, dpi=60)
    plt.close(figure)


def _three(case: Case) -> tuple[Volume, Volume]:
    places = [round(share * (len(case.pet) - 1)) for share in _SLICES]
    flip = slice(None, None, -1) if case.spacing == 1 else slice(None)  # label maps have their rows to the front
    return np.ascontiguousarray(case.pet[places, flip]), np.ascontiguousarray(case.mri[places, flip])
