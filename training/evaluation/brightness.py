"""Whether a model holds against the pixel maximum when PET or MRI are brighter or darker than on the head that it has seen.

One head teaches how bright PET and MRI are to each other; with other heads, scanners and windows that may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics import Scores, measure
from training.evaluation.inputs import Inputs, label, model_rows
from training.evaluation.pairs import Levels, Pair, some_of
from training.evaluation.ranks import better_on
from training.evaluation.rows import RANKED, Row, fuser, mean_of, trivial_rows
from training.evaluation.tables import Section, markdown, number, write_csv

RIVAL = "maximum"
_SLICES = 5


@dataclass(frozen=True)
class Look:
    """Both sources, in [0, 1], are raised to a power; then the MRI is multiplied by a gain."""

    name: str
    pet_power: float = 1.0
    mri_power: float = 1.0
    mri_gain: float = 1.0


LOOKS = (
    Look("as is"),
    Look("MRI x 0.6", mri_gain=0.6),
    Look("PET ^ 0.7", pet_power=0.7),
    Look("PET ^ 0.7, MRI x 0.6", pet_power=0.7, mri_gain=0.6),
    Look("MRI ^ 1.4", mri_power=1.4),
)


@dataclass(frozen=True)
class _Task:
    row: Row
    look: Look
    pair: Pair


def report(inputs: Inputs) -> Section:
    """Fuse some slices of the test pairs of the one head in every look, and write the tables."""
    pairs = [inputs.same_head[i] for i in some_of(inputs.same_head, _SLICES)]
    table = [*trivial_rows(RIVAL, "overlay"), *model_rows()]
    keys = [(look, row) for look in LOOKS for row in table]
    results = list(inputs.mapper(_measured, [_Task(row, look, pair) for look, row in keys for pair in pairs]))
    count = len(pairs)
    means = {(look.name, row.name): mean_of(results[i * count :][:count]) for i, (look, row) in enumerate(keys)}
    lines = [[look.name, row.name, *means[look.name, row.name].values(), len(_better(means, look, row))] for look, row in keys]
    write_csv(inputs.output / "brightness.csv", ["look", "method", *RANKED, "better"], lines)
    return Section("brightness", "Other brightnesses", _body(pairs, keys, means))


def changed(pair: Pair, look: Look) -> Pair:
    """The pair as it looks so, in whole grey levels."""
    pet = _levels(np.power(pair.pet / 255, look.pet_power))
    mri = _levels(np.power(pair.mri / 255, look.mri_power) * look.mri_gain)
    return replace(pair, pet=pet, mri=mri)


def _levels(unit: NDArray[np.float64]) -> Levels:
    levels: Levels = np.rint(255 * unit).astype(np.uint8)
    return levels


def _measured(task: _Task) -> Scores:
    pair = changed(task.pair, task.look)
    return measure(pair.pet, pair.mri, fuser(task.row)(pair), RANKED)


def _better(means: dict[tuple[str, str], Scores], look: Look, row: Row) -> list[str]:
    """The measures on which the row is better than the maximum."""
    return better_on(means[look.name, row.name], means[look.name, RIVAL], RANKED)


def _body(pairs: Sequence[Pair], keys: Sequence[tuple[Look, Row]], means: dict[tuple[str, str], Scores]) -> str:
    intro = (
        f"{len(pairs)} slices of the first head ({', '.join(pair.name for pair in pairs)}), with the levels from 0 to 1 of "
        "PET and MRI raised to a power or multiplied before they are fused: with another head, scanner or window they may "
        f"differ so. Bold is better than the {RIVAL}; the last column counts these measures. The overlay is a "
        "formula whose constants were chosen by such slices (decision 0008), and the default model's loss was chosen on these "
        "pairs as they are, so this table is no test of them."
    )
    header = ["PET and MRI", "method", *RANKED, "better"]
    return f"{intro}\n\n{markdown(header, [_line(means, look, row) for look, row in keys])}"


def _line(means: dict[tuple[str, str], Scores], look: Look, row: Row) -> list[str]:
    better = _better(means, look, row)
    cells = [number(means[look.name, row.name][name], bold=name in better) for name in RANKED]
    return [look.name, label(row), *cells, "" if row.name == RIVAL else f"{len(better)} of {len(RANKED)}"]
