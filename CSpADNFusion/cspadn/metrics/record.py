"""The record of one metric, and the conventions that all metrics share.

All images are grey levels, (H, W), float64, whole numbers from 0 to 255. Every value is finite, also for constant images. The
values agree with the public MATLAB code behind most published tables; SSIM was not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]  # (H, W), 0 to 255
WHITE = 255
Function = Callable[[Levels, Levels, Levels], float]  # of PET, MRI and fused image, each (H, W), 0 to 255


@dataclass(frozen=True)
class Metric:
    """A fusion metric.

    Attributes:
        name: its name in tables, files and on the command line, such as "Qabf".
        function: takes the grey levels of PET, MRI and fused image, each (H, W), float64, whole numbers from 0 to 255. It
            returns a finite number, also for constant images.
        range: the lowest and the highest possible value.
        label: its full name, for headings, legends and tooltips, without the unit.
        doc: one sentence that says what it measures.
        smallest_side: pixels; the metric is NaN for an image with a shorter side.
        in_table: whether it is a column of the tables of ``--metrics``, the panel, the pages and the cohorts.
        in_results: whether it is a column of the tables in ``docs/results``.
        unit: unit of the values; empty if they have none.
        exchanged: name of the metric that has this value when PET and MRI are exchanged; empty for this metric itself.
        caution: one sentence on what a high value does not show, for docs/metrics.md.
    """

    name: str
    function: Function
    range: tuple[float, float]
    label: str
    doc: str
    smallest_side: int = 1
    in_table: bool = False
    in_results: bool = False
    unit: str = ""
    exchanged: str = ""
    caution: str = ""

    @property
    def title(self) -> str:
        """The label with the unit, such as "entropy (bits)"."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def explanation(self) -> str:
        """One line for tooltips: the title, then what the metric measures."""
        return f"{self.title}: {self.doc}"


def of_fused(measure: Callable[[Levels], float]) -> Function:
    """Measure the fused image alone."""
    return lambda _pet, _mri, fused: measure(fused)


def sum_of_sources(measure: Callable[[Levels, Levels], float]) -> Function:
    """Add the values of PET and fused image, and of MRI and fused image."""
    return lambda pet, mri, fused: measure(pet, fused) + measure(mri, fused)


def mean_of_sources(measure: Callable[[Levels, Levels], float]) -> Function:
    """Average the values of PET and fused image, and of MRI and fused image."""
    return lambda pet, mri, fused: (measure(pet, fused) + measure(mri, fused)) / 2


def swapped(function: Function) -> Function:
    """Swap PET and MRI."""
    return lambda pet, mri, fused: function(mri, pet, fused)
