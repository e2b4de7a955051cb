"""Fusion metrics of pictures and volumes."""

from cspadn.metrics.measures import NAMES, VolumeScores, measure, measure_fusion, measure_pictures, measure_volumes

__all__ = ["NAMES", "VolumeScores", "measure", "measure_fusion", "measure_pictures", "measure_volumes"]
