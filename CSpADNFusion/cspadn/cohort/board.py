"""What a cohort tells while it runs: a bar on a terminal, lines elsewhere, or events for programs."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.cohort.subject import DONE, FAILED, UNCHANGED, Outcome
from cspadn.runtime.terminal import emit, in_one_line

if TYPE_CHECKING:
    from rich.progress import Progress


_DAY = 86400.0  # seconds: what is left is told by all that was done, not by the last half minute


class Board:
    """Lines on stdout; the base of the other two.

    Attributes:
        page: of the group, where it was made.
    """

    def __init__(self) -> None:
        self.page: Path | None = None
        self._counts: Counter[str] = Counter()
        self._total = self._warned = 0

    @property
    def failed(self) -> int:
        """How many pairs failed."""
        return self._counts[FAILED]

    @contextmanager
    def fusing(self, total: int) -> Iterator[None]:
        """While pairs are fused."""
        self._total = total
        try:
            yield
        except KeyboardInterrupt:
            self._say(f"{self._sum()}, {total - self._counts.total()} left: start it again to go on.")
            raise

    def tell(self, outcome: Outcome) -> None:
        """What became of a pair."""
        self._counts[outcome.status] += 1
        self._warned += bool(outcome.warnings)
        self._show(outcome)

    def finish(self) -> None:
        """At the end."""
        self._say(": ".join(filter(None, [self._sum() if self._total else "", str(self.page or "")])))

    def _show(self, outcome: Outcome) -> None:
        self._say(f"[{self._counts.total()}/{self._total}] {_line(outcome)}")
        for warning in outcome.warnings:
            self._say(f"    warning: {warning}")

    def _say(self, line: str) -> None:
        print(in_one_line(line), flush=True)

    def _sum(self) -> str:
        unchanged = f" ({self._counts[UNCHANGED]} of them before)" if self._counts[UNCHANGED] else ""
        warned = f", {self._warned} with warnings" if self._warned else ""
        return f"{self._counts[DONE] + self._counts[UNCHANGED]} done{unchanged}, {self.failed} failed{warned}"


def _line(outcome: Outcome) -> str:
    if outcome.status == FAILED:
        return f"failed: {outcome.name}: {outcome.message}"
    if outcome.status == UNCHANGED:
        return f"done before: {outcome.name}"
    return f"done: {outcome.name} ({outcome.seconds:.1f} s)"


class _Silent(Board):
    """Only what failed, and the end."""

    def _show(self, outcome: Outcome) -> None:
        if outcome.status == FAILED:
            super()._show(outcome)


class _Events(Board):
    """JSON, a line each, on stdout."""

    def _show(self, outcome: Outcome) -> None:
        fields = {"name": outcome.name, "status": outcome.status, "message": outcome.message, "seconds": outcome.seconds}
        emit("subject", **fields, warnings=list(outcome.warnings), **self._numbers())

    def finish(self) -> None:
        emit("finished", page=str(self.page) if self.page else None, **self._numbers())

    def _say(self, line: str) -> None:
        pass

    def _numbers(self) -> dict[str, int]:
        return {**{status: self._counts[status] for status in (DONE, UNCHANGED, FAILED)}, "total": self._total}


class _Bar(Board):
    """A bar on stderr, with what failed above it."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Progress | None = None
        self._begun = 0.0

    @contextmanager
    def fusing(self, total: int) -> Iterator[None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        told = TextColumn("subjects, {task.fields[rate]}, {task.fields[failed]} failed, time left")
        console = Console(stderr=True)
        columns = (TextColumn("Fusing"), BarColumn(), MofNCompleteColumn(), told, TimeRemainingColumn())
        with Progress(*columns, console=console, speed_estimate_period=_DAY) as self._bar, super().fusing(total):
            self._begun = time.monotonic()
            self._task = self._bar.add_task("", total=total, rate="starting", failed=0)
            yield
        self._bar = None

    def _show(self, outcome: Outcome) -> None:
        assert self._bar is not None
        fused = self._counts[DONE] + self._counts[FAILED]
        rate = f"{fused / max(time.monotonic() - self._begun, 1e-3) * 60:.1f} a minute"
        self._bar.update(self._task, completed=self._counts.total(), rate=rate, failed=self.failed)
        if outcome.status == FAILED:
            self._bar.console.print(in_one_line(_line(outcome)), markup=False, highlight=False, soft_wrap=True)


def board_of(kind: str) -> Board:
    """Of ``--progress``: bar, json or none. Without a terminal, a bar becomes lines."""
    if kind == "json":
        return _Events()
    if kind == "none":
        return _Silent()
    return _Bar() if sys.stderr.isatty() else Board()
