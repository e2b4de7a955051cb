"""The list of all fusion metrics. Each metric is one record; every list of metric names derives from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from cspadn.metrics import feature_information as fmi
from cspadn.metrics import measures
from cspadn.metrics.measures import Levels

Function = Callable[[Levels, Levels, Levels], float]  # of PET, MRI and fused image, each (H, W), 0 to 255


@dataclass(frozen=True)
class Metric:
    """A fusion metric.

    Attributes:
        name: its name in tables, files and on the command line, such as "Qabf".
        function: takes the grey levels of PET, MRI and fused image, each (H, W), float64, whole numbers from 0 to 255. It
            returns a finite number, also for constant images.
        range: the lowest and the highest possible value.
        label: its title, with the unit, for axes and headings.
        doc: one sentence that says what it measures.
        smallest_side: pixels; the metric is NaN for an image with a shorter side.
        in_table: whether it is a column of the tables of ``--metrics``, the panel, the pages and the cohorts.
    """

    name: str
    function: Function
    range: tuple[float, float]
    label: str
    doc: str
    smallest_side: int = 1
    in_table: bool = False


def _of_fused(measure: Callable[[Levels], float]) -> Function:
    """Measure the fused image alone."""
    return lambda _pet, _mri, fused: measure(fused)


def _sum_of_sources(measure: Callable[[Levels, Levels], float]) -> Function:
    """Add the values of PET and fused image, and of MRI and fused image."""
    return lambda pet, mri, fused: measure(pet, fused) + measure(mri, fused)


def _mean_of_sources(measure: Callable[[Levels, Levels], float]) -> Function:
    """Average the values of PET and fused image, and of MRI and fused image."""
    return lambda pet, mri, fused: (measure(pet, fused) + measure(mri, fused)) / 2


def _feature_information_of(feature: Callable[[Levels], Levels]) -> Function:
    """Measure the feature mutual information of a feature."""
    return lambda pet, mri, fused: fmi.feature_information(feature(pet), feature(mri), feature(fused))


def _swapped(function: Function) -> Function:
    """Swap PET and MRI."""
    return lambda pet, mri, fused: function(mri, pet, fused)


METRICS = (  # in the order of tables
    Metric(
        "EN",
        _of_fused(measures.entropy),
        range=(0, 8),
        label="entropy (bits)",
        doc="Shannon entropy of the grey levels of the fused image.",
        in_table=True,
    ),
    Metric(
        "MI",
        measures.mutual_information,
        range=(0, 16),
        label="mutual information (bits)",
        doc="Mutual information of the fused image with the PET and with the MRI, added.",
        in_table=True,
    ),
    Metric(
        "Qabf",
        measures.edge_transfer,
        range=(0, 1),
        label="edge transfer",
        doc="Share of the edges of both sources that the fused image keeps.",
        in_table=True,
    ),
    Metric(
        "FMI_edge",
        _feature_information_of(fmi.sobel_edge_map),
        range=(0, 1),
        label="feature mutual information, edges",
        doc="Feature mutual information on Sobel edges, mean over both sources.",
        smallest_side=fmi.WINDOW_SIDE,
    ),
    Metric(
        "FMI_pixel",
        fmi.feature_information,
        range=(0, 1),
        label="feature mutual information, grey levels",
        doc="Feature mutual information on grey levels, mean over both sources.",
        smallest_side=fmi.WINDOW_SIDE,
        in_table=True,
    ),
    Metric(
        "FMI_dct",
        _feature_information_of(fmi.frequencies),
        range=(0, 1),
        label="feature mutual information, DCT",
        doc="Feature mutual information on the discrete cosine transform, mean over both sources.",
        smallest_side=fmi.WINDOW_SIDE,
        in_table=True,
    ),
    Metric(
        "SSIM",
        _mean_of_sources(measures.structural_similarity),
        range=(-1, 1),
        label="structural similarity",
        doc="Structural similarity of the fused image to the PET and to the MRI, mean over both.",
        in_table=True,
    ),
    Metric(
        "VIF",
        _sum_of_sources(measures.visual_information),
        range=(0, math.inf),
        label="visual information fidelity",
        doc="Visual information fidelity of the fused image to the PET and to the MRI, added.",
        smallest_side=41,
    ),
    Metric(
        "SCD",
        measures.correlations_of_differences,
        range=(-2, 2),
        label="sum of the correlations of differences",
        doc="Sum of r_pet and r_mri.",
    ),
    Metric(
        "r_pet",
        measures.difference_correlation,
        range=(-1, 1),
        label="correlation with the PET",
        doc="Correlation of the fused image minus the MRI with the PET.",
    ),
    Metric(
        "r_mri",
        _swapped(measures.difference_correlation),
        range=(-1, 1),
        label="correlation with the MRI",
        doc="Correlation of the fused image minus the PET with the MRI.",
    ),
    Metric(
        "SD",
        _of_fused(measures.standard_deviation),
        range=(0, 127.5),
        label="standard deviation (grey levels)",
        doc="Standard deviation of the grey levels of the fused image.",
    ),
    Metric(
        "SF",
        _of_fused(measures.spatial_frequency),
        range=(0, 255 * math.sqrt(2)),
        label="spatial frequency (grey levels)",
        doc="Root mean square of the differences of neighbouring pixels of the fused image, both directions added.",
        smallest_side=2,
    ),
    Metric(
        "AG",
        _of_fused(measures.average_gradient),
        range=(0, math.inf),
        label="average gradient (grey levels)",
        doc="Mean magnitude of the gradient of the fused image.",
        smallest_side=2,
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}
NAMES = tuple(BY_NAME)
TABLE_NAMES = tuple(metric.name for metric in METRICS if metric.in_table)  # the paper's four, MI and SSIM
