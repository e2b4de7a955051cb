"""``make fuzz``: look for bytes that make a target fail, guided by what of our code they reach.

The seconds are divided over the targets, each of which is a process of its own; it ends with its first finding, which is left
below the folder. Ends with 1 if there is one. What was reached is kept there too, and the next run goes on from it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

TARGETS = "fuzz.targets"
OURS = ["cspadn", "CSpADNFusionLib", "pydicom"]  # and the parser of DICOM headers, which is written in Python
LIMITS = ["-rss_limit_mb=2048", "-timeout=300", "-max_len=4096"]  # of elapsed time: the targets bound that of the processor
_RUNS = re.compile(r"^stat::number_of_executed_units: (\d+)$", re.MULTILINE)
_RATE = re.compile(r"^stat::average_exec_per_sec: +(\d+)$", re.MULTILINE)
_REACHED = re.compile(r"cov: (\d+) ft: \d+ corp: (\d+)")
_WRITTEN = re.compile(r"Test unit written to (.+)$", re.MULTILINE)
_SEED = 2  # of runs that are limited in number
_GRACE = 900  # seconds, to start and to go through what is known, on a machine that may be busy
_ODD = [  # what stands in a JSON text in place of something else
    *(None, True, 0, -1, 0.5, 1, 2, 4, 8, 65, 200, 1025, 2**31, 2**70, 1e308, float("inf"), float("nan")),
    *("", "x", "\ud800", "\n", "a/b", [], {}, [[]], "both", "none", "@", "cpu", "cuda:1", "pet"),
    *("BOOL", "U8", "I8", "F4", "F6_E2M3", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F16", "BF16"),
    *("F32", "U32", "F64", "I64", "U64", "C64"),
]


class Outcome(NamedTuple):
    """Of one target: how often it was run, what of our code was reached with how many inputs, and what makes it fail."""

    name: str
    runs: int
    rate: int
    reached: int
    kept: int
    findings: list[Path]

    def __str__(self) -> str:
        told = f"{self.name:10}{self.runs:10} runs {self.rate:8} per s {self.reached:6} reached {self.kept:6} inputs kept"
        return "\n    ".join([f"{told}  {len(self.findings)} findings", *map(str, self.findings)])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="of all targets together; default: 600")
    parser.add_argument(
        "--runs", type=int, default=-1, help="inputs of each target at most, drawn with a fixed seed; default: no limit"
    )
    parser.add_argument("--folder", type=Path, required=True, help="receives the findings, and what was reached")
    parser.add_argument("--module", default=TARGETS, help=f"with TARGETS; seeds are beside it, in corpus; default: {TARGETS}")
    parser.add_argument("--target", dest="targets", action="append", help="only this one; may be repeated")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        fuzz(options.module, *options.child)
    if not importlib.util.find_spec("atheris"):
        sys.exit("atheris is not installed: there are builds for Linux on x86-64, for Python 3.11 to 3.13.")
    outcomes = run_all(options)
    findings = sum(len(each.findings) for each in outcomes)
    print(f"{len(outcomes)} targets, {sum(each.runs for each in outcomes)} runs, {findings} findings")
    sys.exit(findings > 0)


def run_all(options: argparse.Namespace) -> list[Outcome]:
    """One target after the other."""
    names = options.targets or list(importlib.import_module(options.module).TARGETS)
    outcomes = []
    for name in names:
        limits = max(1, options.seconds // len(names)), options.runs
        outcomes.append(run(options.module, name, limits, options.folder.resolve()))
        print(outcomes[-1], flush=True)
    return outcomes


def run(module: str, name: str, limits: tuple[int, int], folder: Path) -> Outcome:
    """Fuzz one target in a process, for some seconds and at most some runs; its output is kept in ``folder``."""
    seconds, runs = limits
    reached, seeds = folder / name, Path(str(importlib.import_module(module).__file__)).parent / "corpus" / name
    reached.mkdir(parents=True, exist_ok=True)
    ends = [f"-max_total_time={seconds}", f"-runs={runs}", *([f"-seed={_SEED}"] if runs > 0 else [])]
    flags = [*ends, f"-artifact_prefix={folder}/found-{name}-", "-print_final_stats=1", *LIMITS]
    known = [str(each) for each in (reached, seeds) if each.is_dir()]
    command = [sys.executable, "-m", "fuzz.run", "--folder", str(folder), "--module", module, "--child", name, *flags, *known]
    log = folder / f"{name}.log"
    return _outcome(name, log, _is_whole(command, log, seconds + _GRACE))


def _is_whole(command: list[str], log: Path, seconds: int) -> bool:
    """Run a fuzzer; whether it ended as it should. It leaves temporary files."""
    with tempfile.TemporaryDirectory() as temporary, log.open("wb") as output:
        environment = {**os.environ, "TMPDIR": temporary, "OMP_NUM_THREADS": "1", "QT_QPA_PLATFORM": "offscreen"}
        try:
            subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, timeout=seconds, check=True)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            return False
    return True


def _outcome(name: str, log: Path, whole: bool) -> Outcome:
    """What libFuzzer says; where it died without a word, its output is the finding."""
    text = log.read_text(encoding="utf-8", errors="replace")
    runs, rate = (int(match[1]) if (match := each.search(text)) else 0 for each in (_RUNS, _RATE))
    reached = _REACHED.findall(text)
    findings = [] if whole else [Path(each) for each in _WRITTEN.findall(text)] or [log]
    return Outcome(name, runs, rate, *map(int, reached[-1] if reached else (0, 0)), findings)


def fuzz(module: str, name: str, *flags: str) -> None:
    """Fuzz one target in this process; does not return."""
    import atheris

    known = [path for folder in flags if Path(folder).is_dir() for path in sorted(Path(folder).iterdir())]
    with atheris.instrument_imports(include=[*OURS, module]):
        target: Callable[[bytes], None] = importlib.import_module(module).TARGETS[name]
        for content in (b"", *(path.read_bytes() for path in known)):
            target(content)  # imports what it needs: what is imported later is not instrumented
    atheris.Setup([name, *flags], target, custom_mutator=lambda data, size, seed: mutated(data, size, random.Random(seed)))
    atheris.Fuzz()


def mutated(data: bytes, size: int, draw: random.Random) -> bytes:
    """Every other time other values in a line of JSON, if there is one; else bytes that the fuzzer changes as it likes."""
    import atheris

    lines = data.split(b"\n")
    places = [place for place, line in enumerate(lines) if line.startswith(b"{")]
    if places and draw.random() < 0.5:
        place = draw.choice(places)
        with suppress(ValueError, RecursionError):
            value = json.loads(lines[place])
            for _ in range(draw.choice([1, 1, 2, 3])):
                value = _changed(value, draw)
            lines[place] = json.dumps(value).encode()
            return b"\n".join(lines)[:size]
    changed: bytes = atheris.Mutate(data, size)
    return changed


def _changed(value: Any, draw: random.Random) -> Any:
    """One thing in it is missing, another, or new."""
    keys: Any = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    if not keys or draw.random() < 0.1:
        return _other(value, draw)
    key, act = draw.choice(keys), draw.random()
    if act < 0.1:
        del value[key]
    elif act < 0.2:
        _add(value, draw.choice("abc"), value[key])
    else:
        value[key] = _changed(value[key], draw)
    return value


def _add(value: Any, name: str, item: Any) -> None:
    if isinstance(value, dict):
        value[name] = item
    else:
        value.append(item)


def _other(value: Any, draw: random.Random) -> Any:
    if isinstance(value, int) and draw.random() < 0.5:
        return value + draw.choice([-1, 1, value, 100])
    return draw.choice(_ODD)


if __name__ == "__main__":
    main()
