"""Loaded by the workers of cohorts in tests: they draw no plots, which take seconds, and they die or wait at named pairs."""

from __future__ import annotations

import os
import time
from typing import Any

from cspadn.cohort import engine
from cspadn.report import plots


def dask_setup(_worker: object) -> None:
    """Change the worker as the environment asks."""
    plots._svg = lambda width, height, draw, key: f'<svg id="{key}"></svg>'
    fused = engine._fused_or_found

    def changed(pair: Any, *arguments: Any) -> Any:
        if pair.name == os.environ.get("CSPADN_POISON"):
            os._exit(9)
        if pair.name == os.environ.get("CSPADN_SLOW"):
            time.sleep(30)
        return fused(pair, *arguments)

    engine._fused_or_found = changed
