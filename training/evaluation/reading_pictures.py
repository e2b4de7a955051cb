"""Pictures of the displays that the observer reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from cspadn.settings import DEFAULT_MODEL
from training.evaluation import colors
from training.evaluation.cases import Case
from training.evaluation.reading import fuse_planes, volume_fuser
from training.evaluation.rows import Row
from training.heads import Volume
from training.synthesis import Synthesis

mpl.use("Agg")
from matplotlib import pyplot as plt

_SLICES = (0.3, 0.5, 0.7)  # of the planes
_DRAWN = 24
_OPACITY = 0.5
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")  # where a new word starts in a palette's name, too long for one line


def draw_grey(rows: Sequence[Row], cases: Sequence[Case], path: Path) -> None:
    """Draw three slices of each case, one per row, with a column for each display."""
    lines: list[tuple[str, dict[str, NDArray[np.float64]]]] = []
    for case in cases:
        pet, mri = _three(case)
        columns = {row.name: volume_fuser(row)(pet, mri) for row in rows}
        lines += [(case.name, {name: planes[i] for name, planes in columns.items()}) for i in range(len(_SLICES))]
    draw_lines(lines, path)


def draw_color(cases: Sequence[Case], path: Path) -> None:
    """Draw three slices of each case: PET and slider in the default palette, and the colour volume in every palette."""
    lines: list[tuple[str, dict[str, NDArray[np.float64]]]] = []
    for case in cases:
        pet, mri = _three(case)
        fused = fuse_planes(pet, mri, DEFAULT_MODEL)
        columns = {"PET": colors.pet_alone(pet, DEFAULT_PALETTE), "MRI": colors.grey(mri)}
        columns[f"slider, {_OPACITY:.0%}"] = colors.slider(pet, mri, DEFAULT_PALETTE, _OPACITY)
        columns["fused, grey"] = colors.grey(fused)
        detail = colors.detail_of(mri, case)
        columns |= {name.removeprefix("PET-"): colors.ours(pet, mri, name, fused, detail) for name in PALETTES}
        lines += [(case.name, {name: planes[i] for name, planes in columns.items()}) for i in range(len(_SLICES))]
    draw_lines(lines, path)


def draw_lines(lines: Sequence[tuple[str, dict[str, NDArray[np.float64]]]], path: Path, inches: float = 1.75) -> None:
    """Draw named rows of pictures, (H, W) in grey or (H, W, 3), in [0, 1], with the same titles in each row.

    Args:
        path: the PNG or JPEG file to write.
        inches: width of a picture, at 64 pixels per inch.
    """
    across = len(lines[0][1])
    size = (inches * across, 1.2 * inches * len(lines))
    figure, axes = plt.subplots(len(lines), across, figsize=size, facecolor="black", layout="constrained", squeeze=False)
    for index, (row, (name, columns)) in enumerate(zip(axes, lines, strict=True)):
        for axis, (title, picture) in zip(row, columns.items(), strict=True):
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
            axis.set_xticks([])
            axis.set_yticks([])
            if index == 0:
                axis.set_title(_WORD.sub("\n", title), color="white", fontsize=11)
        row[0].set_ylabel(name, color="white", fontsize=9)
    figure.savefig(path, dpi=64, pil_kwargs={"quality": 90} if path.suffix == ".jpg" else {})
    plt.close(figure)


def draw_pairs(synthesis: Synthesis, path: Path) -> None:
    """Draw 24 synthetic pairs, PET and MRI side by side."""
    slices = synthesis.slices(_DRAWN)
    figure, axes = plt.subplots(_DRAWN // 6, 12, figsize=(18, 6.2), facecolor="black", layout="constrained")
    for index, axis in enumerate(axes.flat):
        axis.imshow(slices[index // 2][index % 2], cmap="gray", vmin=0, vmax=1, origin="lower")
        axis.axis("off")
    figure.savefig(path, dpi=60)
    plt.close(figure)


def _three(case: Case) -> tuple[Volume, Volume]:
    places = [round(share * (len(case.pet) - 1)) for share in _SLICES]
    flip = slice(None, None, -1) if case.spacing == 1 else slice(None)  # the rows of label maps run to the front
    return np.ascontiguousarray(case.pet[places, flip]), np.ascontiguousarray(case.mri[places, flip])
