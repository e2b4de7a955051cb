"""Loaded by the workers of cohorts in tests: they draw no plots, which take seconds, and die at a pair or wait before one."""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

from cspadn.cohort import engine
from cspadn.report import plots

_SECONDS = 60


def dask_setup(_worker: object) -> None:
    """Change the worker as the environment asks."""
    plots._svg = lambda width, height, draw, key: f'<svg id="{key}"></svg>'
    fused, begun = engine._fused_or_found, itertools.count(1)

    def changed(pair: Any, *arguments: Any) -> Any:
        if pair.name == os.environ.get("CSPADN_POISON"):
            os._exit(9)
        if str(next(begun)) == os.environ.get("CSPADN_SLOW"):  # by number: workers may take pairs in any order
            time.sleep(_SECONDS)
        return fused(pair, *arguments)

    engine._fused_or_found = changed
