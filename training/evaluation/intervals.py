"""How sure a mean is: Student's interval for a few seeds, and resampled pairs for the mean ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata, t

from training.evaluation.ranks import DIGITS
from training.evaluation.rows import Outcomes

RESAMPLES = 1000
_SEED = 20
_SHARE = 0.95  # of an interval


class Spread(NamedTuple):
    """Mean, standard deviation, and the ends of the 95 % interval of the mean; NaN where one value cannot tell."""

    mean: float
    deviation: float
    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval does; False where there is none."""
        return self.lower > 0 or self.upper < 0


def spread(values: Sequence[float]) -> Spread:
    """With Student's t of n - 1 degrees of freedom."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Spread(mean, math.nan, math.nan, math.nan)
    deviation = float(np.std(values, ddof=1))
    half = float(t.ppf((1 + _SHARE) / 2, count - 1)) * deviation / math.sqrt(count)
    return Spread(mean, deviation, mean - half, mean + half)


class RankSpread(NamedTuple):
    """The ends of the 95 % interval of a mean rank, and the share of resamples in which no row is before or beside it."""

    lower: float
    upper: float
    first: float


def resampled_ranks(outcomes: Outcomes, names: Sequence[str], measures: Sequence[str]) -> Mapping[str, RankSpread]:
    """Rank the rows again on pairs that are drawn with replacement, :data:`RESAMPLES` times, the same at each call.

    Args:
        names: of the rows that are ranked, among ``outcomes``.
        measures: those to rank by; greater is better for all of them.
    """
    scores = np.array([[[each.scores[m] for m in measures] for each in outcomes[name]] for name in names])
    count = scores.shape[1]
    drawn = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    means = np.einsum("sp,rpm->srm", drawn / count, scores)
    sums = rankdata(-means.round(DIGITS), axis=1).sum(axis=2)  # of the ranks over the measures: exact halves
    tail = 100 * (1 - _SHARE) / 2
    ends = np.percentile(sums / len(measures), [tail, 100 - tail], axis=0)
    best = sums == sums.min(axis=1, keepdims=True)
    first = (best & (best.sum(axis=1, keepdims=True) == 1)).mean(axis=0)
    return {name: RankSpread(float(ends[0, i]), float(ends[1, i]), float(first[i])) for i, name in enumerate(names)}
