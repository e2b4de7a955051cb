"""``make trust``: bad inputs, faults and the soak, all of them; writes what was tried and what was lost to docs/robustness.md.

Ends with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOOLS), str(TOOLS.parents[1] / "CSpADNFusion")]

from trust import bad_inputs, faults  # noqa: E402
from trust.cohort_faults import kill_cohort  # noqa: E402

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
WARM, GROWTH = 10, 1.02  # fusions until all that is made once has been made; of memory from then on
SIDE = 96  # pixels of the soak's slices
MEANINGS = {0: "accepted", 2: "wrong usage", 3: "input refused", 4: "model refused", 5: "out of memory"}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="random moments of each fault; default: 20")
    parser.add_argument("--fusions", type=int, default=200, help="of the soak; default: 200")
    parser.add_argument("output", type=Path, help="docs/robustness.md")
    options = parser.parse_args()
    parts = [tell_inputs(), tell_faults(options.times), tell_soak(options.fusions)]
    text = "\n\n".join([where(), *(text for text, _ in parts)])
    replace_measured(options.output, text)
    lost = [each for _, losses in parts for each in losses]
    print(*lost, f"{len(lost)} lost" if lost else "nothing lost", sep="\n")
    sys.exit(bool(lost))


def tell_inputs() -> tuple[str, list[str]]:
    """All cases of bad input through the command line."""
    outcomes = {}
    for case in bad_inputs.CASES.values():
        with _folder() as folder:
            outcomes[case.name] = (case, bad_inputs.run(case, folder))
    lost = [f"{name}: {fault}" for name, pair in outcomes.items() for fault in bad_inputs.faults_of(*pair)]
    codes = Counter(outcome.code for _, outcome in outcomes.values())
    rows = [f"| {code} | {MEANINGS.get(code, 'other')} | {count} |" for code, count in sorted(codes.items())]
    slowest = max(outcomes.values(), key=lambda pair: pair[1].seconds)
    largest = max(outcomes.values(), key=lambda pair: pair[1].peak or 0)
    told = (
        f"{len(outcomes)} cases, {len(lost)} of them not as documented. Slowest: {slowest[1].seconds:.1f} s"
        f" ({slowest[0].name}); largest: {(largest[1].peak or 0) / 1e6:.0f} MB ({largest[0].name})."
    )
    return "\n".join(["### Bad inputs", "", told, "", "| exit code | | cases |", "| --- | --- | --- |", *rows]), lost


def tell_faults(times: int) -> tuple[str, list[str]]:
    """All kinds of faults."""
    results = []
    for name, run in {**faults.KINDS, "kill cohort": kill_cohort}.items():
        print(name, flush=True)
        with _folder() as folder:
            results.append(run(folder, times))
    header = ["### Faults", "", "| fault | tried | while at work | lost | |", "| --- | --- | --- | --- | --- |"]
    rows = [f"| {each.name} | {each.tried} | {each.hit} | {len(each.lost)} | {each.seen} |" for each in results]
    return "\n".join([*header, *rows]), [loss for each in results for loss in each.lost]


def tell_soak(count: int) -> tuple[str, list[str]]:
    """Many fusions in one process."""
    print("soak", flush=True)
    before, after, seconds = soak(count)
    rows = [f"| {name.replace('_', ' ')} | {before[name]:g} | {after[name]:g} |" for name in before]
    told = f"{count} fusions of 8 x {SIDE} x {SIDE} voxels, with colour and metrics, in one process, in {seconds:.0f} s."
    lines = ["### Many fusions", "", told, "", "| | after the tenth | at the end |", "| --- | --- | --- |", *rows]
    return "\n".join(lines), leaks(before, after)


def soak(count: int, side: int = SIDE) -> tuple[dict[str, float], dict[str, float], float]:
    """Return what was in use after the first fusions and at the end, and the seconds; slices have ``side`` pixels a side."""
    command = [sys.executable, str(TOOLS / "trust" / "soak.py"), str(count), str(WARM), str(side)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The soak failed: {done.stderr}")
    told = json.loads(done.stdout.splitlines()[-1])
    return told["after_warm_up"], told["at_the_end"], told["seconds"]


def leaks(before: dict[str, float], after: dict[str, float]) -> list[str]:
    """What grew: memory by more than 2 %, or anything else at all."""
    grown = {name for name in before if after[name] > before[name] * (GROWTH if name == "resident_mb" else 1)}
    return [f"the soak: {name} grew from {before[name]:g} to {after[name]:g}" for name in sorted(grown)]


def where() -> str:
    """Return the system, the processor and the date of a measurement."""
    models = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    machine = ", ".join([platform.system(), *sorted(set(models)), f"Python {platform.python_version()}"])
    return f"{machine}; {datetime.date.today().isoformat()}."


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trust-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # some processes run as a user with fewer rights
        yield Path(folder)


def replace_measured(document: Path, text: str) -> None:
    """Put what was measured between the two marks of a document."""
    whole = document.read_text(encoding="utf-8")
    head, tail = whole[: whole.index(BEGIN)], whole[whole.index(END) :]
    document.write_text(f"{head}{BEGIN}\n\n{text}\n\n{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
