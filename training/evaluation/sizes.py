"""Test whether a model fuses small and large slices alike: attention is trained on patches and used on slices.

Each slice is fused three times with the same pixels: its middle alone, as a whole, and continued by its mirror images. The
fused images are compared where all three have the same sources, away from the borders of the middle. Only the attention sees
pixels farther away, so only the attention can cause a difference there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics import Scores, measure
from training.evaluation.inputs import Inputs, label, model_rows
from training.evaluation.pairs import Pair, some_of
from training.evaluation.rows import Row, fuser, trivial_rows
from training.evaluation.tables import Section, markdown, number, write_csv

EXTENTS = (128, 256, 512)  # pixels along each side
MEASURES = ("FMI_edge", "Qabf")
ALLOWED = 0.02  # range of a measure over the extents
REACH = 12  # pixels that the convolutions see around each: nearer to the border, its reflection makes a difference too
_COMPARED = 96  # pixels along each side, in the middle: farther from the border than the reach
_SLICES = 5

_Key = tuple[str, str, int]  # row, pair, extent


@dataclass(frozen=True)
class _Task:
    row: Row
    pair: Pair
    extent: int

    @property
    def key(self) -> _Key:
        """Return what distinguishes the task from the others."""
        return self.row.name, self.pair.name, self.extent


def report(inputs: Inputs) -> Section:
    """Fuse some slices of the test pairs of the one head at every extent, and write the tables."""
    pairs = [inputs.same_head[i] for i in some_of(inputs.same_head, _SLICES)]
    table = [*model_rows(), *trivial_rows("maximum")]
    tasks = [_Task(row, pair, extent) for row in table for pair in pairs for extent in EXTENTS]
    scores = dict(zip([task.key for task in tasks], inputs.mapper(measured, tasks), strict=True))
    write_csv(
        inputs.output / "sizes.csv",
        ["method", "pair", "pixels", *MEASURES],
        [[*task.key, *scores[task.key].values()] for task in tasks],
    )
    return Section("sizes", "Small and large slices", _body(table, pairs, scores))


def with_extent(levels: NDArray[Any], extent: int) -> NDArray[Any]:
    """Cut the middle out of a picture, or continue it by its mirror images, to ``extent`` pixels along each side."""
    for axis, length in enumerate(levels.shape):
        if extent <= length:
            first = -shift(length, extent)
            levels = np.take(levels, range(first, first + extent), axis=axis)
        else:
            before = shift(length, extent)
            margins = [(0, 0), (0, 0)]
            margins[axis] = (before, extent - length - before)
            levels = np.pad(levels, margins, mode="symmetric")
    return levels


def shift(length: int, extent: int) -> int:
    """Return by how many pixels :func:`with_extent` moves the content along an axis."""
    return -((length - extent) // 2) if extent <= length else (extent - length) // 2


def measured(task: _Task) -> Scores:
    """Fuse a slice at an extent and measure its middle."""
    pet, mri = (with_extent(levels, task.extent) for levels in (task.pair.pet, task.pair.mri))
    fused = fuser(task.row)(replace(task.pair, pet=pet, mri=mri))
    pet, mri, fused = (with_extent(levels, _COMPARED) for levels in (pet, mri, fused))
    return measure(pet, mri, fused, MEASURES)


def _body(table: Sequence[Row], pairs: Sequence[Pair], scores: dict[_Key, Scores]) -> str:
    intro = (
        f"{len(pairs)} slices ({', '.join(pair.name for pair in pairs)}) were fused three times: cropped to the middle "
        f"{EXTENTS[0]} pixels, whole, and extended to {EXTENTS[-1]} pixels by mirroring. The pixels are the same, so only the "
        f"attention, which sees the whole slice, can make a difference. The middle {_COMPARED} pixels were measured. The "
        "table gives the means over the slices, and the mean and the greatest range between the extents of one slice, which "
        f"may be at most {ALLOWED:g}. Decision 0021 covers the effect of the pixel size."
    )
    header = ["method", "measure", *(f"{extent} pixels" for extent in EXTENTS), "mean range", "greatest range", ""]
    return f"{intro}\n\n{markdown(header, [_line(row, name, pairs, scores) for row in table for name in MEASURES])}"


def _line(row: Row, name: str, pairs: Sequence[Pair], scores: dict[_Key, Scores]) -> list[str]:
    values = np.array([[scores[row.name, pair.name, extent][name] for extent in EXTENTS] for pair in pairs])
    ranges = np.ptp(values, axis=1)
    verdict = "" if row.kind != "model" else "within" if ranges.max() <= ALLOWED else "beyond"
    return [label(row), name, *map(number, values.mean(axis=0)), number(ranges.mean()), number(ranges.max()), verdict]
