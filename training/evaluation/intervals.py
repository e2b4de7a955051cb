"""Confidence intervals of means over a few seeds, by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from training.evaluation.tables import number

_SHARE = 0.95  # of an interval


class Spread(NamedTuple):
    """Mean, standard deviation, and the ends of the 95 % interval of the mean; NaN for a single value."""

    mean: float
    deviation: float
    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Return whether the interval excludes 0; False if there is no interval."""
        return self.lower > 0 or self.upper < 0

    @property
    def verdict(self) -> str:
        """Say whether the interval excludes 0."""
        return "excludes 0" if self.excludes_zero else "does not exclude 0"

    def text(self, decimals: int = 4) -> str:
        """Return the mean, with the standard deviation if there is one."""
        mean = number(self.mean, decimals)
        return mean if math.isnan(self.deviation) else f"{mean} ± {number(self.deviation, decimals)}"


def spread(values: Sequence[float]) -> Spread:
    """Compute mean, deviation and interval, by Student's t with n - 1 degrees of freedom."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Spread(mean, math.nan, math.nan, math.nan)
    deviation = float(np.std(values, ddof=1))
    half = float(t.ppf((1 + _SHARE) / 2, count - 1)) * deviation / math.sqrt(count)
    return Spread(mean, deviation, mean - half, mean + half)
