"""Whether a fused image is black where PET and MRI are both black."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training.evaluation.inputs import Inputs
from training.evaluation.pairs import Pair
from training.evaluation.rows import Outcome, Outcomes, Row
from training.evaluation.tables import Section, markdown, write_csv


def largest_level_on_black(pairs: Sequence[Pair], outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    """Of all pairs the pixels that are 0 in both sources, how many of them are not 0 when fused, the greatest level there."""
    levels = [
        outcome.fused[(pair.pet == 0) & (pair.mri == 0)].astype(int) for pair, outcome in zip(pairs, outcomes, strict=True)
    ]
    found = [level for of_pair in levels for level in of_pair[of_pair > 0]]
    return sum(map(len, levels)), len(found), max(found, default=0)


def report(
    inputs: Inputs, pairs: Mapping[str, Sequence[Pair]], outcomes: Mapping[str, Outcomes], models: Sequence[Row]
) -> Section:
    """For each of our models and each set of pairs; both mappings have the sets' names as keys."""
    lines = [
        [model.name, name, *largest_level_on_black(pairs[name], outcomes[name][model.name])]
        for model in models
        for name in pairs
    ]
    header = ["model", "pairs", "black_pixels", "of_them_not_black", "largest_level"]
    write_csv(inputs.output / "black.csv", header, lines)
    intro = "Pixels that are 0 in PET (luma) and MRI, and the greatest level of 0 to 255 that the fused image has there."
    table = markdown([name.replace("_", " ") for name in header], [[str(cell) for cell in line] for line in lines])
    return Section("black", "Black stays black", f"{intro}\n\n{table}")
