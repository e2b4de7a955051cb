"""Whether a model does the same at half, at once and at twice the size: attention is trained on patches, and used on slices.

The sources are brought to each size, fused there, and sources and fused image are brought to the smallest size by averaging
blocks of pixels. Only there can the results be compared: what a small image never had, no resampling gives back. Each fused
image is measured against its own sources at that size, so that what doubling has done to them does not count. The pixel
maximum goes the same way: its range is what resampling alone does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

from cspadn.metrics import Scores, measure
from training.evaluation.inputs import Inputs, label, model_rows
from training.evaluation.pairs import Levels, Pair, some_of
from training.evaluation.rows import Row, fuser, trivial_rows
from training.evaluation.tables import Section, markdown, number, write_csv

FACTORS = (0.5, 1.0, 2.0)  # of the slices' own size; the first is where they are compared
MEASURES = ("FMI_edge", "Qabf")
ALLOWED = 0.02  # between the sizes
_SLICES = 5

_Key = tuple[str, str, float]  # row, pair, factor


@dataclass(frozen=True)
class _Task:
    row: Row
    pair: Pair
    factor: float

    @property
    def key(self) -> _Key:
        """What tells it from the others."""
        return self.row.name, self.pair.name, self.factor


def report(inputs: Inputs) -> Section:
    """Fuse some slices of the test pairs of the one head at every size, and write the tables."""
    pairs = [inputs.same_head[i] for i in some_of(inputs.same_head, _SLICES)]
    table = [*model_rows(), *trivial_rows("maximum")]
    tasks = [_Task(row, pair, factor) for row in table for pair in pairs for factor in FACTORS]
    scores = dict(zip([task.key for task in tasks], inputs.mapper(_measured, tasks), strict=True))
    _write_table(inputs, tasks, scores)
    return Section("sizes", "The same at every size", _body(table, pairs, scores))


def resized(levels: Levels, factor: float) -> Levels:
    """A picture at half the size (mean of blocks of 2 x 2), as it is, or at twice the size (linear)."""
    image = sitk.GetImageFromArray(levels.astype(np.float64))
    if factor < 1:
        image = sitk.BinShrink(image, [round(1 / factor)] * 2)
    elif factor > 1:
        image = sitk.Expand(image, [round(factor)] * 2, sitk.sitkLinear)
    sized: Levels = np.rint(sitk.GetArrayFromImage(image)).astype(np.uint8)
    return sized


def _measured(task: _Task) -> Scores:
    pet, mri = (resized(levels, task.factor) for levels in (task.pair.pet, task.pair.mri))
    fused = fuser(task.row)(replace(task.pair, pet=pet, mri=mri))
    common = FACTORS[0] / task.factor
    return measure(resized(pet, common), resized(mri, common), resized(fused, common), MEASURES)


def _write_table(inputs: Inputs, tasks: Sequence[_Task], scores: dict[_Key, Scores]) -> None:
    lines = [[*task.key[:2], _pixels(task.pair, task.factor), *scores[task.key].values()] for task in tasks]
    write_csv(inputs.output / "sizes.csv", ["method", "pair", "pixels", *MEASURES], lines)


def _pixels(pair: Pair, factor: float) -> int:
    return round(len(pair.pet[0]) * factor)


def _body(table: Sequence[Row], pairs: Sequence[Pair], scores: dict[_Key, Scores]) -> str:
    common = _pixels(pairs[0], FACTORS[0])
    intro = (
        f"{len(pairs)} slices ({', '.join(pair.name for pair in pairs)}) were fused at three sizes. Then sources and fused "
        f"image were averaged to {common} pixels, where alone they can be compared, and measured. Given are the means over "
        f"the slices, and the mean and the greatest range between the sizes of one slice, which is to be at most {ALLOWED:g}. "
        "The maximum shows what resampling does without a network."
    )
    header = ["method", "measure", *(f"{_pixels(pairs[0], f)} pixels" for f in FACTORS), "mean range", "greatest range", ""]
    return f"{intro}\n\n{markdown(header, [_line(row, name, pairs, scores) for row in table for name in MEASURES])}"


def _line(row: Row, name: str, pairs: Sequence[Pair], scores: dict[_Key, Scores]) -> list[str]:
    values = np.array([[scores[row.name, pair.name, factor][name] for factor in FACTORS] for pair in pairs])
    ranges = np.ptp(values, axis=1)
    verdict = "" if row.kind != "model" else "within" if ranges.max() <= ALLOWED else "beyond"
    return [label(row), name, *map(number, values.mean(axis=0)), number(ranges.mean()), number(ranges.max()), verdict]
