"""Metrics of information: entropy and mutual information."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics.record import WHITE, Levels, Metric, of_fused


def entropy(image: Levels) -> float:
    """Return EN, the Shannon entropy of the 256 grey levels, in bits: 0 to 8."""
    return _entropy_of(np.bincount(_codes(image).ravel()))


def mutual_information(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return MI, the sum I(fused; PET) + I(fused; MRI) over 256 grey levels, in bits: 0 to 16.

    Source: Qu, Zhang, Yan, Electronics Letters 38 (2002).
    """
    return _shared_information(pet, fused) + _shared_information(mri, fused)


def _shared_information(source: Levels, fused: Levels) -> float:
    pairs = _codes(source) * (WHITE + 1) + _codes(fused)
    return entropy(source) + entropy(fused) - _entropy_of(np.bincount(pairs.ravel()))


def _codes(image: Levels) -> NDArray[np.intp]:
    return image.astype(np.intp)


def _entropy_of(counts: NDArray[np.intp]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0


METRICS = (
    Metric(
        "EN",
        of_fused(entropy),
        range=(0, 8),
        label="entropy",
        unit="bits",
        doc="Shannon entropy of the grey levels of the fused image.",
        in_table=True,
        in_results=True,
        caution="Noise raises it.",
    ),
    Metric(
        "MI",
        mutual_information,
        range=(0, 16),
        label="mutual information",
        unit="bits",
        doc="Mutual information of the fused image with the PET and with the MRI, added.",
        in_table=True,
        caution="It does not tell how much comes from which source.",
    ),
)
