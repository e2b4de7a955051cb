"""One whole ``cspadn fuse`` with colour: ``python whole_run.py PET MRI OUTPUT COLOUR``.

Prints JSON: wall seconds of each stage, in all, and the peak of resident memory. A stage is what happens inside some functions
of the product; what is between them counts as start (before the first) or as the rest.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "CSpADNFusion")]

# Functions by modules, as they are called, and the stage to which they belong; the outermost one counts.
STAGES = {
    "read": [("cspadn.io.images", "read_image")],
    "windows": [("cspadn.imaging.alignment", "Pair.of")],
    "alignment check": [("cspadn.fusion", "_alignment")],
    "write": [("cspadn.io.atomic_output", "commit")],
    "fuse": [("cspadn.cli.fuse", "_fused")],  # what is left of it without the stages above
}


class Clock:
    """Adds up the wall time of stages; a stage inside another one is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


def main() -> None:
    """Entry point."""
    pet, mri, output, color = sys.argv[1:]
    clock = Clock()
    with clock.stage("start and rest"), contextlib.redirect_stdout(io.StringIO()):
        from cspadn.cli import main as cspadn

        for name, functions in STAGES.items():
            for module, function in functions:
                _time(clock, name, import_module(module), function)
        sys.argv[1:] = ["fuse", pet, mri, "--output", output, "--color", color, "--overwrite", "--device", "cpu"]
        code = cspadn()  # without arguments it takes those of the process, as the command does
    if code:
        raise SystemExit(code)
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024 / 1e6
    print(json.dumps({"stages": clock.seconds, "peak_mb": peak}))


def _time(clock: Clock, stage: str, owner: Any, function: str) -> None:
    """Replace a function, or a class method, by one that is timed."""
    *classes, name = function.split(".")
    for each in classes:
        owner = getattr(owner, each)
    original = getattr(owner, name)

    @functools.wraps(original)
    def timed(*arguments: Any, **others: Any) -> Any:
        with clock.stage(stage):
            return original(*arguments, **others)

    setattr(owner, name, staticmethod(timed) if classes else timed)


if __name__ == "__main__":
    main()
