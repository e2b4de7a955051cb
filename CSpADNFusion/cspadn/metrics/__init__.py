"""Fusion metrics of slices, pictures and volumes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cspadn.metrics.record import Metric
from cspadn.metrics.registry import METRICS, NAMES, RESULT_NAMES, TABLE_METRICS, TABLE_NAMES

if TYPE_CHECKING:
    from cspadn.metrics.slices import Scores, measure, measure_pictures, without_nan
    from cspadn.metrics.volumes import SliceScores, VolumeScores, measure_fusion, measure_volumes

__all__ = [
    "METRICS",
    "NAMES",
    "RESULT_NAMES",
    "TABLE_METRICS",
    "TABLE_NAMES",
    "Metric",
    "Scores",
    "SliceScores",
    "VolumeScores",
    "measure",
    "measure_fusion",
    "measure_pictures",
    "measure_volumes",
    "without_nan",
]
_SLICES = ("Scores", "measure", "measure_pictures", "without_nan")


def __getattr__(name: str) -> Any:
    """Import the functions that need SimpleITK only when they are used: the panel reads the records alone."""
    if name not in __all__:
        raise AttributeError(f"module 'cspadn.metrics' has no attribute '{name}'")
    return getattr(import_module(f"cspadn.metrics.{'slices' if name in _SLICES else 'volumes'}"), name)
