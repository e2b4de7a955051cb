"""A worker of the panel that runs in this process, from the event loop: for tests of which the process is not the subject."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from cspadn.cli import main


class InlineWorker:
    """Stand in for the process that ``CSpADNFusionLib.worker.process.launch`` returns.

    Args:
        arguments: of the command line.
        folder: working folder.
        on_line: called with each line of output.
        on_exit: called with the exit code, after the last line.
    """

    def __init__(
        self, arguments: list[str], folder: str | Path, on_line: Callable[[str], None], on_exit: Callable[[int], None]
    ) -> None:
        import qt

        self._arguments, self._folder = [*map(str, arguments)], folder
        self._on_line, self._on_exit = on_line, on_exit
        self._terminated = False
        qt.QTimer.singleShot(0, self._run)

    def terminate(self) -> None:
        """Do not start, if the event loop has not come to it yet."""
        self._terminated = True

    def _run(self) -> None:
        if self._terminated:
            self._on_exit(-15)
            return
        output = io.StringIO()
        with _inside(self._folder), redirect_stdout(output), redirect_stderr(output):
            try:
                code = main(self._arguments)
            except SystemExit as end:  # of argparse
                code = int(end.code or 0)
        for line in output.getvalue().splitlines():
            self._on_line(line)
        self._on_exit(code)


@contextmanager
def _inside(folder: str | Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
