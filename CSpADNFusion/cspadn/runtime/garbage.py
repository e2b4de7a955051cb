"""Python's collector of cyclic garbage, in processes that import torch."""

from __future__ import annotations

import atexit
import gc
from functools import cache

_ALLOCATIONS = 50_000  # of Python objects between two looks; a fusion leaves a few hundred


@cache
def collect_rarely() -> None:
    """Look for cyclic garbage rarely in this process, and not at its exit.

    torch and SciPy create 300,000 objects, none of them garbage. Looking through all of them takes a second of a fusion.
    """
    gc.set_threshold(_ALLOCATIONS)
    atexit.register(gc.freeze)
