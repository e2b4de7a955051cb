"""SIGKILL of a cohort, or of its worker, at random moments: what has its name is whole, and the next run does the rest."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import SimpleITK as sitk

from cohorts import cohort_command, environment, write_dataset
from cspadn.cohort.failures import LOGS
from trust.faults import Result, make_pair

SUBJECTS = ("sub-1", "sub-2", "sub-3")
_GONE_SECONDS = 20  # for the workers of a run that was killed


def kill_cohort(folder: Path, times: int, seed: int = 0) -> Result:
    """The run itself and its worker, in turns, each into an empty folder; the next run then does the rest."""
    result, chance = Result("kill -9 of cspadn cohort, and of its worker"), random.Random(seed)
    pet, mri = (sitk.ReadImage(str(file)) for file in make_pair(folder))
    dataset = write_dataset(folder / "bids", dict.fromkeys(SUBJECTS, (pet, mri)))
    seconds = _finish(_start(dataset, folder / "timed"), result)
    for number in range(times):
        out = folder / f"out{number}"
        process = _start(dataset, out)
        time.sleep(chance.uniform(0, seconds))
        result.tried, result.hit = result.tried + 1, result.hit + (process.poll() is None)
        (_kill_workers if number % 2 else _kill_run)(process, result)
        _check(result, out)
        _finish(_start(dataset, out), result)
        _check_whole(result, out)
    return result


def _start(dataset: Path, out: Path) -> subprocess.Popen[str]:
    """A session of its own tells its workers from others."""
    command = cohort_command(dataset, out, "--workers", 1, "--device", "cpu")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment(), text=True, start_new_session=True, **pipes)


def _finish(process: subprocess.Popen[str], result: Result) -> float:
    """Seconds until its end, which must be a good one."""
    begun = time.perf_counter()
    lines, errors = process.communicate(timeout=300)
    if process.returncode or errors:
        result.lost.append(f"{result.name}: exit code {process.returncode}: {lines.splitlines()[-1:]} {errors}")
    return time.perf_counter() - begun


def _members(session: int) -> list[int]:
    """The other processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == session and int(stat.parent.name) != session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def _kill_run(process: subprocess.Popen[str], result: Result) -> None:
    process.kill()
    process.communicate()
    _wait_until_gone(process, result)


def _kill_workers(process: subprocess.Popen[str], result: Result) -> None:
    """The run then starts another one, and ends well. Python's own helper of the run, whose death it would tell, stays."""
    _kill_all(number for number in _members(process.pid) if not _is_helper(number))
    _finish(process, result)


def _is_helper(number: int) -> bool:
    with suppress(OSError):
        return b"resource_tracker" in Path(f"/proc/{number}/cmdline").read_bytes()
    return False


def _kill_all(numbers: Iterable[int]) -> None:
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def _wait_until_gone(process: subprocess.Popen[str], result: Result) -> None:
    for _ in range(_GONE_SECONDS * 10):
        if not _members(process.pid):
            return
        time.sleep(0.1)
    result.lost.append(f"{result.name}: processes are left: {_members(process.pid)}")
    _kill_all(_members(process.pid))


def _check(result: Result, out: Path) -> None:
    """Whatever has a final name is whole."""
    for file in (file for file in out.rglob("*") if file.is_file() and not any(".cspadn-" in part for part in file.parts)):
        try:
            if file.name.endswith(".nii.gz"):
                sitk.ReadImage(str(file))
            elif file.suffix == ".json":
                json.loads(file.read_text(encoding="utf-8"))
            elif file.suffix == ".html" and not file.read_text(encoding="utf-8").rstrip().endswith("</html>"):
                raise ValueError("it has no end")
        except Exception as error:
            result.lost.append(f"{result.name}: {file.name} is not whole: {error}")


def _check_whole(result: Result, out: Path) -> None:
    _check(result, out)
    fused = sorted(file.name.split("_")[0] for file in out.glob("sub-*/pet/*.nii.gz"))
    pages = sorted(file.stem for file in out.glob("sub-*.html"))
    if fused != list(SUBJECTS) or pages != list(SUBJECTS) or list((out / LOGS).glob("*")):
        result.lost.append(f"{result.name}: the next run did not do the rest: {fused}, {pages}")
    if temporary := [str(file) for file in out.rglob(".cspadn-*")]:
        result.lost.append(f"{result.name}: temporary files are left: {', '.join(temporary)}")
    result.seen = "the next run did the rest"
