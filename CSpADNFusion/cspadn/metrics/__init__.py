"""Fusion metrics of slices, pictures and volumes."""

from cspadn.metrics.registry import METRICS, NAMES, TABLE_NAMES, Metric
from cspadn.metrics.slices import Scores, measure, measure_pictures, without_nan
from cspadn.metrics.volumes import SliceScores, VolumeScores, measure_fusion, measure_volumes

__all__ = [
    "METRICS",
    "NAMES",
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
