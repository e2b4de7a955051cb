"""Check whether a fused image is black where PET and MRI are both black."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from training.evaluation.inputs import Inputs, label
from training.evaluation.pairs import Pair
from training.evaluation.rows import Outcome, Outcomes, Row
from training.evaluation.tables import Section, markdown, write_csv

_INTRO = (
    "The number of pixels that are 0 in both the PET (luma) and the MRI, how many of them are not 0 in the fused image, and "
    "the highest grey level (0 to 255) among these. The rows of the models have none by construction: the product sets these "
    'pixels to 0. The rows "network alone" show the output of the networks there. No other row has this rule.'
)
_HEADER = ("method", "pairs", "black pixels", "of them not black", "largest level")


class Fused(NamedTuple):
    """The fused images of one set of pairs."""

    pairs: Sequence[Pair]
    rows: Sequence[Row]
    outcomes: Outcomes


def largest_level_on_black(pairs: Sequence[Pair], outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    """Return how many pixels are 0 in both sources, how many of those are not 0 when fused, and their greatest level."""
    levels = [
        outcome.fused[(pair.pet == 0) & (pair.mri == 0)].astype(int) for pair, outcome in zip(pairs, outcomes, strict=True)
    ]
    found = [level for of_pair in levels for level in of_pair[of_pair > 0]]
    return sum(map(len, levels)), len(found), max(found, default=0)


def report(inputs: Inputs, sets: Mapping[str, Fused]) -> Section:
    """Report every row of each set of pairs, by the names of the sets."""
    found = [
        (row, name, *largest_level_on_black(fused.pairs, fused.outcomes[row.name]))
        for name, fused in sets.items()
        for row in fused.rows
    ]
    header = [name.replace(" ", "_") for name in _HEADER]
    write_csv(inputs.output / "black.csv", header, [[row.name, *cells] for row, *cells in found])
    table = markdown(_HEADER, [[label(row), *map(str, cells)] for row, *cells in found])
    return Section("black", "Black stays black", f"{_INTRO}\n\n{table}")
