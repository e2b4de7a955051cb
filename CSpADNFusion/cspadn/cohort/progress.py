"""Show the progress of a run: a bar on a terminal, lines elsewhere, or events for programs."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.cohort.engine import DONE, UNCHANGED, Outcome
from cspadn.cohort.failures import FAILED
from cspadn.messages import Sentence, message
from cspadn.runtime.terminal import emit, in_one_line

if TYPE_CHECKING:
    from rich.progress import Progress as RichBar


_DAY = 86400.0  # seconds: the remaining time is estimated from the whole run, not from the last half minute


def print_line(line: str) -> None:
    """Print a line on stdout at once."""
    print(line, flush=True)


class Progress:
    """Show a line for each pair; the base of the other displays.

    Args:
        say: called with each line.

    Attributes:
        overview: page or table of all pairs, named at the end; None if none was made.
        windows: of the whole cohort, named at the end; empty if it has none.
        prepared: programs that have registered pairs, named at the end; empty if there are none.
    """

    def __init__(self, say: Callable[[str], None] = print_line) -> None:
        self.overview: Path | None = None
        self.windows = self.prepared = ""
        self._print = say
        self._notes: list[Sentence] = []
        self._unproven = 0
        self._counts: Counter[str] = Counter()
        self._total = self._warned = 0

    @property
    def failed(self) -> int:
        """How many pairs failed."""
        return self._counts[FAILED]

    @contextmanager
    def fusing(self, total: int) -> Iterator[None]:
        """Count the pairs that end in this context; if it is interrupted, say how many are left."""
        self._total = total
        try:
            yield
        except KeyboardInterrupt:
            self._say(f"{self._sum()}, {total - self._counts.total()} left: start it again to go on.")
            raise

    def note(self, sentence: Sentence) -> None:
        """Show a sentence on the run at its end."""
        self._notes.append(sentence)

    def show(self, outcome: Outcome) -> None:
        """Show the outcome of a pair."""
        self._unproven += outcome.unproven
        self._counts[outcome.status] += 1
        self._warned += bool(outcome.warnings)
        self._display(outcome)

    def finish(self) -> None:
        """Show the windows of the cohort, the notes, the counts and the overview."""
        for note in self._all_notes():
            self._say(note)
        if self.prepared:
            self._say(f"PET and MRI registered by {self.prepared}")
        if self.windows:
            self._say(f"Windows of the cohort: {self.windows}")
        self._say(": ".join(filter(None, [self._sum() if self._total else "", str(self.overview or "")])))

    def _all_notes(self) -> list[Sentence]:
        count = self._unproven
        return [*self._notes, *([message("results-not-proven", count=count)] if count else [])]

    def _display(self, outcome: Outcome) -> None:
        self._say(f"[{self._counts.total()}/{self._total}] {_line(outcome)}")
        for warning in outcome.warnings:
            self._say(f"    warning: {warning}")

    def _say(self, line: str) -> None:
        self._print(in_one_line(line))

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


class _FailuresOnly(Progress):
    """Show only failures and the end."""

    def _display(self, outcome: Outcome) -> None:
        if outcome.status == FAILED:
            super()._display(outcome)


class _Events(Progress):
    """Print a JSON object in a line for each pair, on stdout."""

    def _display(self, outcome: Outcome) -> None:
        fields = {"name": outcome.name, "status": outcome.status, "message": outcome.message, "seconds": outcome.seconds}
        emit("subject", **fields, identifier=outcome.identifier, warnings=list(outcome.warnings), **self._numbers())

    def finish(self) -> None:
        for note in self._all_notes():
            emit("warning", identifier=note.identifier, message=in_one_line(note))
        emit("finished", page=str(self.overview) if self.overview else None, **self._numbers())

    def _say(self, line: str) -> None:
        pass

    def _numbers(self) -> dict[str, int]:
        return {**{status: self._counts[status] for status in (DONE, UNCHANGED, FAILED)}, "total": self._total}


class _Bar(Progress):
    """Show a bar on stderr, with failures above it."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: RichBar | None = None
        self._begun = 0.0

    @contextmanager
    def fusing(self, total: int) -> Iterator[None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichBar

        told = TextColumn("subjects, {task.fields[rate]}, {task.fields[failed]} failed, time left")
        console = Console(stderr=True)
        columns = (TextColumn("Fusing"), BarColumn(), MofNCompleteColumn(), told, TimeRemainingColumn())
        with RichBar(*columns, console=console, speed_estimate_period=_DAY) as self._bar, super().fusing(total):
            self._begun = time.monotonic()
            self._task = self._bar.add_task("", total=total, rate="starting", failed=0)
            yield
        self._bar = None

    def _display(self, outcome: Outcome) -> None:
        assert self._bar is not None
        fused = self._counts[DONE] + self._counts[FAILED]
        rate = f"{fused / max(time.monotonic() - self._begun, 1e-3) * 60:.1f} a minute"
        self._bar.update(self._task, completed=self._counts.total(), rate=rate, failed=self.failed)
        if outcome.status == FAILED:
            self._bar.console.print(in_one_line(_line(outcome)), markup=False, highlight=False, soft_wrap=True)


def progress_of(kind: str) -> Progress:
    """Return the display that ``--progress`` names: bar, json or none. Without a terminal, lines replace the bar."""
    if kind == "json":
        return _Events()
    if kind == "none":
        return _FailuresOnly()
    return _Bar() if sys.stderr.isatty() else Progress()
