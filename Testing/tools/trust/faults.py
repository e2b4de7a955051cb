"""Faults at random moments: killed, interrupted, without disk or memory, two at once. What is lost is counted.

Each function runs real processes on small volumes, in a folder of its own, and returns a :class:`Result`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from interrupts import heed_interrupts

TOOLS = Path(__file__).resolve().parents[1]
LIBRARY = TOOLS.parents[1] / "CSpADNFusion"
OUTPUTS = ("fused.nrrd", "fused.json", "color.nrrd", "metrics.csv")
DIFFERENT = (["--pet-window", "0", "9"], [])  # settings whose results are different
NAMES = ("a.nrrd", "b.nrrd", "c.nrrd")  # of a batch
_ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (LIBRARY, TOOLS)))}
_LONG = 120  # seconds: a process that takes longer hangs


@dataclass
class Result:
    """What came of one kind of fault.

    Attributes:
        name: of the fault.
        tried: how often it was brought about.
        hit: how often the process was at work then: the others had ended already.
        lost: sentences, one for each thing that should not have happened.
        seen: what is worth telling.
    """

    name: str
    tried: int = 0
    hit: int = 0
    lost: list[str] = field(default_factory=list)
    seen: str = ""


# What is fused


def make_pair(folder: Path, size: tuple[int, int, int] = (12, 96, 96)) -> tuple[Path, Path]:
    """Write a PET and an MRI file with smooth noise in an ellipsoid."""
    files = []
    for seed, name in enumerate(("pet", "mri")):
        noise = sitk.GetImageFromArray(np.random.default_rng(seed).random(size, np.float32))
        smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 2.0))
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, count) for count in size), indexing="ij")
        image = sitk.GetImageFromArray(np.where(x**2 + y**2 + 0.5 * z**2 < 0.7, smooth, 0).astype(np.float32))
        image.SetSpacing((2.0, 2.0, 3.0))
        sitk.WriteImage(image, str(path := folder / f"{name}.nrrd"))
        files.append(path)
    return files[0], files[1]


def fuse_command(pet: Path, mri: Path, out: Path, *more: str) -> list[str]:
    """Return the command for ``cspadn fuse`` with all of its outputs."""
    outputs = [*("-o", str(out / "fused.nrrd"), "--color", str(out / "color.nrrd"), "--metrics", str(out / "metrics.csv"))]
    return [sys.executable, "-m", "cspadn", "fuse", str(pet), str(mri), *outputs, "--overwrite", "--progress", "none", *more]


def batch_command(pairs: Path, out: Path, *more: str) -> list[str]:
    """Return the command for ``fuse_batch.py`` in the stand-in for Slicer."""
    script = TOOLS / "trust" / "batch_process.py"
    return [sys.executable, str(script), "--pairs", str(pairs), "--output", str(out), "--metrics", *more]


def start(command: list[str], threads: int = 1) -> subprocess.Popen[str]:
    """Start a process with pipes for its outputs."""
    environment = {**_ENVIRONMENT, "OMP_NUM_THREADS": str(threads)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit code and stderr of a process; kill it if it hangs."""
    try:
        _, errors = process.communicate(timeout=_LONG)
        return process.returncode, errors
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return -signal.SIGKILL, f"It was not over after {_LONG} s."


# What should be there


def content_of(path: Path) -> str:
    """Return a fingerprint of the content of a file without its dates; raise an error if the file is incomplete."""
    if path.suffix == ".json":
        told = json.loads(path.read_text(encoding="utf-8"))
        for changing in ("date", "CSpADNFusionProof"):
            told.pop(changing, None)
        for name in [name for name in told.get("batch", {}) if name.endswith("_sha256")]:
            told["batch"].pop(name)  # of files that hold the date
        return json.dumps(told, sort_keys=True)
    if path.suffix == ".csv":
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
        assert path.name == "summary.csv" or rows[-1][0] == "mean", "the table has no end"
        return json.dumps(rows)
    return hashlib.sha256(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).tobytes()).hexdigest()


def contents_of(folder: Path) -> dict[str, str]:
    """Return the fingerprints of all files with a final name."""
    return {path.name: content_of(path) for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def temporary_in(folder: Path) -> list[str]:
    """Return the names of temporary files."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def check_set(result: Result, folder: Path, allowed: list[dict[str, str]]) -> None:
    """Check that the files with final names are complete and belong to one run."""
    try:
        found = contents_of(folder)
    except Exception as error:
        result.lost.append(f"{result.name}: a file is not whole: {error}")
        return
    if found not in allowed:
        result.lost.append(f"{result.name}: the files are not those of one run")


def check_clean(result: Result, folder: Path, allowed: list[dict[str, str]]) -> None:
    """Check as :func:`check_set`, and that no temporary files are left."""
    check_set(result, folder, allowed)
    if temporary := temporary_in(folder):
        result.lost.append(f"{result.name}: left {', '.join(temporary)}")


def _begin(name: str, folder: Path) -> tuple[Result, Path, tuple[Path, Path]]:
    """Return an empty result, an empty folder for the outputs, and the input files."""
    (out := folder / "out").mkdir()
    return Result(name), out, make_pair(folder)


# Killed


def kill_fuse(folder: Path, times: int, seed: int = 0) -> Result:
    """Kill ``cspadn fuse`` while it replaces the outputs of an earlier run; half of the times while it writes."""
    (result, out, pair), chance = _begin("kill -9 of cspadn fuse", folder), random.Random(seed)
    commands = [fuse_command(*pair, out, *more) for more in DIFFERENT]
    old = _contents_after(commands[0], out)
    (new, seconds), left = _timed_contents_after(commands[1], out), 0
    for number in range(times):
        process = start(commands[number % 2])
        _wait_for_moment(process, out, chance, seconds, writing=number % 2 == 1)
        left += _kill(process, result, out)
        check_set(result, out, [old, new])
    result.seen = f"{left} times temporary files were left by the kill"
    return _after_kills(result, commands[1], out, new)


def kill_batch(folder: Path, times: int, seed: int = 0) -> Result:
    """Kill a batch of three pairs and start it again, until all pairs are finished."""
    result, out, chance = Result("kill -9 of fuse_batch.py"), folder / "out", random.Random(seed)
    pairs = _list_of_pairs(folder)
    out.mkdir()
    (whole, seconds), left = _timed_contents_after(batch_command(pairs, out), out), 0
    for number in range(times):
        if NAMES[-1] in _fused_in(out):
            shutil.rmtree(out)
        before = _fused_in(out)
        process = start(batch_command(pairs, out))
        _wait_for_moment(process, out, chance, seconds)
        if number % 2:
            _wait_for_moment(process, out, chance, seconds, writing=True)
        left += _kill(process, result, out)
        _check_batch(result, out, whole, before)
    result.seen = f"{left} times temporary files were left by the kill"
    return _after_kills(result, batch_command(pairs, out), out, whole)


def _list_of_pairs(folder: Path) -> Path:
    make_pair(folder)
    (pairs := folder / "pairs.csv").write_text(
        "pet,mri,output\n" + "".join(f"pet.nrrd,mri.nrrd,{name}\n" for name in NAMES), encoding="utf-8"
    )
    return pairs


def _fused_in(out: Path) -> set[str]:
    return {name for name in NAMES if (out / name).exists()}


def _check_batch(result: Result, out: Path, whole: dict[str, str], before: set[str]) -> None:
    if not out.exists():
        return
    try:
        found = {name: content for name, content in contents_of(out).items() if name != "summary.csv"}
    except Exception as error:
        result.lost.append(f"{result.name}: a file is not whole: {error}")
        return
    for name in NAMES:
        files = {each for each in whole if each.startswith((Path(name).stem + ".", Path(name).stem + " "))}
        if found.keys() & files not in (set(), files):
            result.lost.append(f"{result.name}: of the files of a pair only {sorted(found.keys() & files)} are there")
    if any(whole.get(name) != content for name, content in found.items()):
        result.lost.append(f"{result.name}: a file has another content than without the kill")
    if before - set(found):
        result.lost.append(f"{result.name}: a pair that was done is gone")


def _contents_after(command: list[str], out: Path) -> dict[str, str]:
    return _timed_contents_after(command, out)[0]


def _timed_contents_after(command: list[str], out: Path) -> tuple[dict[str, str], float]:
    """Return what a run without a fault leaves, and its seconds."""
    began = time.perf_counter()
    code, errors = finish(start(command))
    seconds = time.perf_counter() - began
    if code:
        raise RuntimeError(f"The run without a fault failed: {errors}")
    return _comparable(contents_of(out)), seconds


def _comparable(contents: dict[str, str]) -> dict[str, str]:
    """Return the contents without the summary, whose seconds differ."""
    return {name: content for name, content in contents.items() if name != "summary.csv"}


def _wait_for_moment(
    process: subprocess.Popen[str], out: Path, chance: random.Random, seconds: float, *, writing: bool = False
) -> None:
    """Wait for a random time of the run or, if ``writing``, until soon after the first temporary folder exists."""
    if not writing:
        time.sleep(chance.uniform(0, seconds))
        return
    while process.poll() is None and not list(out.glob(".cspadn-*")):
        time.sleep(0.0005)
    time.sleep(chance.uniform(0, 0.01))


def _kill(process: subprocess.Popen[str], result: Result, out: Path) -> bool:
    """Kill a process; return whether it left temporary files."""
    result.tried += 1
    result.hit += process.poll() is None
    process.kill()
    process.communicate()
    return out.exists() and bool(temporary_in(out))


def _after_kills(result: Result, command: list[str], out: Path, expected: dict[str, str]) -> Result:
    """Check that the next run completes the work and removes temporary files."""
    code, errors = finish(start(command))
    if code:
        result.lost.append(f"{result.name}: the next run ended with {code}: {errors}")
    if temporary := temporary_in(out):
        result.lost.append(f"{result.name}: temporary files are left: {', '.join(temporary)}")
    if _comparable(contents_of(out)) != expected:
        result.lost.append(f"{result.name}: the next run made something else")
    return result


# Asked to end


def signalled(folder: Path, times: int, number: signal.Signals, code: int, seed: int = 0) -> Result:
    """Send SIGINT or SIGTERM at random moments; check the exit code, the earlier outputs, and temporary files."""
    heed_interrupts()
    (result, out, pair), chance = _begin(f"{number.name} to cspadn fuse", folder), random.Random(seed)
    whole, seconds = _timed_contents_after(fuse_command(*pair, out), out)
    stopped = 0
    for repetition in range(times):
        process = start(fuse_command(*pair, out))
        _wait_for_handlers(process)
        time.sleep(chance.uniform(0, seconds) if repetition else 0)  # the first is still at work, on any machine
        result.tried += 1
        process.send_signal(number)
        ended, errors = finish(process)
        result.hit += ended != 0
        stopped += ended == code
        if ended not in (0, code, -number) or "Traceback" in errors:  # -number: Python was on its way out
            result.lost.append(f"{result.name}: exit code {ended}: {errors}")
        check_clean(result, out, [whole])
    if not stopped:
        result.lost.append(f"{result.name}: none ended with {code}")
    result.seen = f"{stopped} ended with {code}, the others had done their work"
    return result


def _wait_for_handlers(process: subprocess.Popen[str]) -> None:
    """Wait until the command handles both signals; before that, they end Python itself."""
    both = sum(1 << (number - 1) for number in (signal.SIGINT, signal.SIGTERM))
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt"))
        if int(caught.split()[1], 16) & both == both:
            return
        time.sleep(0.002)


def two_at_once(folder: Path, times: int) -> Result:
    """Start two runs with different results and the same outputs."""
    result, out, pair = _begin("two runs to the same outputs", folder)
    commands = [fuse_command(*pair, out, *more) for more in DIFFERENT]
    allowed = [_contents_after(command, out) for command in commands]
    for _ in range(times):
        for path in out.iterdir():
            path.unlink()
        for code, errors in [finish(process) for process in [start(command) for command in commands]]:
            if code:
                result.lost.append(f"{result.name}: exit code {code}: {errors}")
        result.tried, result.hit = result.tried + 1, result.hit + 1
        check_clean(result, out, allowed)
    return result


def two_without_overwrite(folder: Path, times: int) -> Result:
    """Start two runs without --overwrite: one succeeds, the other is refused."""
    result, out, pair = _begin("two runs to the same outputs, without --overwrite", folder)
    commands = [fuse_command(*pair, out, *more) for more in DIFFERENT]
    for command in commands:
        command.remove("--overwrite")
    for _ in range(times):
        for path in out.iterdir():
            path.unlink()
        codes = sorted(finish(process)[0] for process in [start(command) for command in commands])
        result.tried, result.hit = result.tried + 1, result.hit + 1
        if codes != [0, 2]:
            result.lost.append(f"{result.name}: exit codes {codes}")
        if sorted(contents_of(out)) != sorted(OUTPUTS) or temporary_in(out):
            result.lost.append(f"{result.name}: {sorted(path.name for path in out.iterdir())}")
    return result


# Without room


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a small file system in memory; PermissionError if this is not permitted."""
    (disk := folder / "disk").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        raise PermissionError("No file system can be mounted here: this needs the rights to do so.")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


ROOM = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)  # of what the outputs take


def full_disk(folder: Path, shares: Sequence[float] = ROOM) -> Result:
    """Write outputs to a disk with room for them, then repeat the run with less room than they take."""
    result = Result("disk full")
    pair = make_pair(folder)
    with small_disk(folder, 16384) as disk:
        whole = _contents_after(fuse_command(*pair, disk), disk)
        taken = sum(path.stat().st_size for path in disk.iterdir())
        for share in shares:
            free = shutil.disk_usage(disk).free
            (disk / ".filling").write_bytes(bytes(max(0, int(free - share * taken) // 4096 * 4096)))
            code, errors = finish(start(fuse_command(*pair, disk)))
            (disk / ".filling").unlink()
            result.tried, result.hit = result.tried + 1, result.hit + (code != 0)
            if code != 2 or "Traceback" in errors or len(errors.splitlines()) != 1:
                result.lost.append(f"{result.name}: exit code {code} with room for {share:.0%}: {errors}")
            check_clean(result, disk, [whole])
    result.seen = "exit code 2, the outputs of before whole"
    return result


_LIMITED = """
import resource, sys
resource.setrlimit(getattr(resource, sys.argv[1]), (int(sys.argv[2]) * 10**6,) * 2)
del sys.argv[1:3]
from cspadn.cli import main
sys.exit(main(sys.argv[1:]))
"""
LIMITS = {"RLIMIT_AS": range(100, 2000, 150), "RLIMIT_DATA": range(50, 900, 75)}  # MB


def little_memory(folder: Path, every: int = 1) -> Result:
    """Limit the memory of processes more and more: each gives the whole result or exit code 5, and none crashes or hangs."""
    result, out = Result("memory limit"), folder / "out"
    out.mkdir()
    pair = make_pair(folder, (4, 256, 256))
    whole = _contents_after(fuse_command(*pair, out), out)
    for limit, megabytes in ((limit, each) for limit, several in LIMITS.items() for each in several[::every]):
        command = [sys.executable, "-c", _LIMITED, limit, str(megabytes), *fuse_command(*pair, out, "--device", "cpu")[3:]]
        code, errors = finish(start(command, threads=2))
        result.tried, result.hit = result.tried + 1, result.hit + (code != 0)
        if code not in (0, 5) or "Traceback" in errors:
            result.lost.append(f"{result.name}: exit code {code} with {limit} {megabytes} MB: {errors}")
        check_clean(result, out, [whole])
    result.seen = "exit code 5, or the whole result"
    return result


KINDS: dict[str, Callable[[Path, int], Result]] = {
    "kill fuse": kill_fuse,
    "kill batch": kill_batch,
    "interrupt": lambda folder, times: signalled(folder, times, signal.SIGINT, 130),
    "terminate": lambda folder, times: signalled(folder, times, signal.SIGTERM, 143),
    "two at once": two_at_once,
    "two without overwrite": two_without_overwrite,
    "full disk": lambda folder, _: full_disk(folder),
    "little memory": lambda folder, _: little_memory(folder),
}
