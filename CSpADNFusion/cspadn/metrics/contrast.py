"""Metrics of contrast: deviation and gradients of the fused image alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics.record import Levels, Metric, of_fused

_Array = NDArray[np.float64]


def standard_deviation(image: Levels) -> float:
    """Return SD, the standard deviation of the grey levels over all pixels."""
    return float(image.std())


def spatial_frequency(image: Levels) -> float:
    """Return SF, the root of the mean squared differences of neighbouring pixels, added over both directions.

    Source: Eskicioglu, Fisher, IEEE Transactions on Communications 43 (1995).
    """
    return math.sqrt(sum(float((np.diff(image, axis=axis) ** 2).mean()) for axis in (0, 1)))


def average_gradient(image: Levels) -> float:
    """Return AG, the sum of sqrt((dx^2 + dy^2) / 2) of central differences over (H - 1)(W - 1), as in published code."""
    down, right = np.gradient(image)
    rows, columns = image.shape
    steepness: _Array = np.sqrt((down**2 + right**2) / 2)
    return float(steepness.sum() / ((rows - 1) * (columns - 1)))


METRICS = (
    Metric(
        "SD",
        of_fused(standard_deviation),
        range=(0, 127.5),
        label="standard deviation",
        unit="grey levels",
        doc="Standard deviation of the grey levels of the fused image.",
        caution="Noise raises it.",
    ),
    Metric(
        "SF",
        of_fused(spatial_frequency),
        range=(0, 255 * math.sqrt(2)),
        label="spatial frequency",
        unit="grey levels",
        doc="Root mean square of the differences of neighbouring pixels of the fused image, both directions added.",
        smallest_side=2,
        caution="Noise raises it.",
    ),
    Metric(
        "AG",
        of_fused(average_gradient),
        range=(0, math.inf),
        label="average gradient",
        unit="grey levels",
        doc="Mean magnitude of the gradient of the fused image.",
        smallest_side=2,
        caution="Noise raises it.",
    ),
)
