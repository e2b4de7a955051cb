"""Ranks: each method's place on each measure, and the mean of its places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from cspadn.metrics import Scores

DIGITS = 9  # what differs behind them is rounding: a tie


def ranks(means: Mapping[str, Scores], measures: Sequence[str]) -> dict[str, Scores]:
    """1 for the greatest value; equal values share the mean of their places.

    Args:
        means: of each row, by its name.
        measures: those to rank by; greater is better for all of them.
    """
    places = {measure: rankdata([-round(row[measure], DIGITS) for row in means.values()]) for measure in measures}
    return {name: {m: float(places[m][i]) for m in measures} for i, name in enumerate(means)}


def guest_ranks(guest: Scores, means: Mapping[str, Scores], measures: Sequence[str]) -> Scores:
    """The ranks that a further row would have among the others."""
    return ranks({**means, "": guest}, measures)[""]


def mean_rank(places: Scores) -> float:
    """The mean over the measures."""
    return float(np.mean(list(places.values())))


def better_on(row: Scores, other: Scores, measures: Iterable[str]) -> list[str]:
    """The measures on which ``row`` is above ``other``, not tied with it."""
    return [name for name in measures if round(row[name], DIGITS) > round(other[name], DIGITS)]
