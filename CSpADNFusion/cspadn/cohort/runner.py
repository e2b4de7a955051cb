"""Runners decide where pairs are fused: one after the other in this process, or by Dask workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from cspadn.cohort.engine import Job, Outcome, fuse_pair
from cspadn.cohort.pairs import Pair
from cspadn.errors import FusionError
from cspadn.runtime.terminal import explained


class Runner(Protocol):
    """Fuses pairs."""

    def outcomes(self, pairs: Sequence[Pair], job: Job) -> Iterator[Outcome]:
        """Fuse each pair by :func:`cspadn.cohort.engine.fuse_pair`, and yield the outcomes as the pairs end."""


@dataclass(frozen=True)
class SerialRunner:
    """Fuses pairs one after the other in this process. It needs no Dask.

    Attributes:
        explain: returns the error that the user reads for an unexpected exception; called where it was caught.
    """

    explain: Callable[[Exception], FusionError] = explained

    def outcomes(self, pairs: Sequence[Pair], job: Job) -> Iterator[Outcome]:
        """Fuse each pair, and yield the outcomes in the order of the pairs."""
        return (fuse_pair(pair, job, self.explain) for pair in pairs)
