"""The summary of a plain folder: a CSV file with a line for each pair, complete at any time."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from cspadn.cohort.engine import DONE, UNCHANGED, Outcome
from cspadn.cohort.pairs import Pair
from cspadn.errors import FusionError, UsageError
from cspadn.io.atomic_output import commit
from cspadn.io.images import stage_table
from cspadn.messages import message
from cspadn.runtime.terminal import in_one_line

SUMMARY_FILE = "summary.csv"
_COLUMNS = ["pet", "mri", "output", "status", "message", "identifier", "warnings", "seconds"]
_FIRST_COLUMNS = 4  # by which the file is recognised, whatever follows them


class Summary:
    """A CSV file with a line for each pair that was attempted.

    Args:
        folder: of the outputs.
        pairs: of the run; their outputs are in the lines.
        metrics: names of the metrics that have a column with the mean; empty without metrics.
        protected: files that are not replaced: the list of the pairs.

    Raises:
        UsageError: the file cannot be written, or a file of another program has its name.
    """

    def __init__(
        self, folder: Path, pairs: Sequence[Pair], metrics: Sequence[str] = (), protected: Sequence[Path] = ()
    ) -> None:
        self.path = folder / SUMMARY_FILE
        self._outputs = {pair.name: pair.output if pair.obstacle else pair.name for pair in pairs}
        self._metrics = metrics
        self._rows: list[list[object]] = [[*_COLUMNS, *(f"mean_{name}" for name in metrics)]]
        self._check(protected)
        self._commit()

    def _check(self, protected: Sequence[Path]) -> None:
        if not self.path.exists():
            return
        if any(self.path.samefile(file) for file in protected):
            raise UsageError(message("summary-is-the-list", path=self.path))
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                ours = next(csv.reader(file), [])[:_FIRST_COLUMNS] == _COLUMNS[:_FIRST_COLUMNS]
        except (OSError, UnicodeDecodeError, csv.Error):
            ours = False
        if not ours:
            raise UsageError(message("summary-of-other-program", path=self.path))

    def add(self, outcome: Outcome, say: Callable[[str], None]) -> None:
        """Add a line for a pair, and write the file."""
        status = DONE if outcome.status == UNCHANGED else outcome.status
        reason = (outcome.message, outcome.identifier)
        told = [*outcome.inputs, self._outputs[outcome.name], status, *reason, " ".join(outcome.warnings)]
        means = (_cell(outcome.means.get(name)) for name in self._metrics)
        self._rows.append([*map(in_one_line, told), f"{outcome.seconds:.1f}", *means])
        self.write(say)

    def write(self, say: Callable[[str], None]) -> bool:
        """Write the file, and return whether that succeeded.

        On Windows it fails while another program shows the file; the next call may succeed.
        """
        try:
            self._commit()
        except FusionError as error:
            say(message("summary-outdated", why=error))
            return False
        return True

    def _commit(self) -> None:
        commit([lambda: stage_table(self.path, self._rows)], overwrite=True)


def _cell(value: float | None) -> object:
    """Return a mean as the tables of metrics have it: six decimals, or empty if it is not a number."""
    return "" if value is None or not math.isfinite(value) else round(value, 6)
