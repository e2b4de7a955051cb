"""Metrics of differences: correlation of one source with what the fused image adds to the other."""

from __future__ import annotations

import math

from cspadn.metrics.record import Levels, Metric, swapped


def difference_correlation(source: Levels, other: Levels, fused: Levels) -> float:
    """Return r, the correlation of (fused - other) with the source, from -1 to 1; 0 if one of the two is constant.

    Source: Aslantas, Bendes, International Journal of Electronics and Communications 69 (2015).
    """
    a, b = (image - image.mean() for image in (fused - other, source))
    spread = math.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum()) / spread if spread else 0.0


def correlations_of_differences(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return SCD, the sum of :func:`difference_correlation` over both sources, from -2 to 2."""
    return difference_correlation(pet, mri, fused) + difference_correlation(mri, pet, fused)


METRICS = (
    Metric(
        "SCD",
        correlations_of_differences,
        range=(-2, 2),
        label="sum of the correlations of differences",
        doc="Sum of r_pet and r_mri.",
        caution="It does not tell how much comes from which source.",
    ),
    Metric(
        "r_pet",
        difference_correlation,
        range=(-1, 1),
        label="correlation with the PET",
        doc="Correlation of the fused image minus the MRI with the PET.",
        in_results=True,
        exchanged="r_mri",
        caution="A copy of the PET has a high value.",
    ),
    Metric(
        "r_mri",
        swapped(difference_correlation),
        range=(-1, 1),
        label="correlation with the MRI",
        doc="Correlation of the fused image minus the PET with the MRI.",
        in_results=True,
        exchanged="r_pet",
        caution="A copy of the MRI has a high value.",
    ),
)
