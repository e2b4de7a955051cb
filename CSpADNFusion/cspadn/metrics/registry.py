"""The list of all fusion metrics. Each metric is one record beside its function; all lists of metric names derive from it."""

from __future__ import annotations

from cspadn.metrics import contrast, differences, edges, feature_information, information, structure
from cspadn.metrics.record import Metric

METRICS: tuple[Metric, ...] = (  # in the order of tables
    *information.METRICS,
    *edges.METRICS,
    *feature_information.METRICS,
    *structure.METRICS,
    *differences.METRICS,
    *contrast.METRICS,
)
BY_NAME = {metric.name: metric for metric in METRICS}
NAMES = tuple(BY_NAME)
TABLE_METRICS = tuple(metric for metric in METRICS if metric.in_table)
TABLE_NAMES = tuple(metric.name for metric in TABLE_METRICS)
RESULT_NAMES = tuple(metric.name for metric in METRICS if metric.in_results)
