"""Test faults at random moments, a few times each, and a short soak; ``make trust`` runs all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from cspadn.errors import UsageError
from cspadn.io import atomic_output
from message_calls import raises
from repository import ROOT

pytest.importorskip("slicer")
if not sys.platform.startswith("linux"):
    pytest.skip("the faults are brought about as Linux has them", allow_module_level=True)

from trust import faults, report
from trust.cohort_faults import kill_cohort

# Kinds and repetitions of each fault: those of 'make test-ci' and of 'make test-all'. 'make trust' repeats each 20 times.
FEW = {"kill fuse": 2, "interrupt": 1, "two without overwrite": 1}
SEVERAL = dict.fromkeys(sorted(set(faults.KINDS) - {"full disk", "little memory"}), 3)
KINDS = [
    *(pytest.param(kind, times, id=f"{kind}, {times}") for kind, times in FEW.items()),
    *(pytest.param(kind, times, id=f"{kind}, {times}", marks=pytest.mark.slow) for kind, times in SEVERAL.items()),
]


@pytest.mark.parametrize(("kind", "times"), KINDS)
@pytest.mark.ci
def test_nothing_is_lost(kind: str, times: int, tmp_path: Path) -> None:
    result = faults.KINDS[kind](tmp_path, times)
    assert result.lost == []
    assert result.tried >= times


@pytest.mark.parametrize("shares", [(0.0, 0.5, 0.97), pytest.param(faults.ROOM, marks=pytest.mark.slow)], ids=["few", "all"])
@pytest.mark.ci
def test_nothing_is_lost_on_a_full_disk(shares: tuple[float, ...], tmp_path: Path) -> None:
    try:
        result = faults.full_disk(tmp_path, shares)
    except PermissionError as error:
        pytest.skip(str(error))
    assert result.lost == []
    assert result.hit == result.tried


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch's build for CUDA takes more before anything is fused")
@pytest.mark.parametrize("every", [6, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.ci
def test_little_memory_is_a_clean_end(every: int, tmp_path: Path) -> None:
    result = faults.little_memory(tmp_path, every)
    assert result.lost == []
    assert 0 < result.hit < result.tried


def test_a_folder_that_a_kill_left_without_a_lock_goes_with_the_next_run(tmp_path: Path) -> None:
    """A folder is kept if a process outside of the lock may be about to lock it."""
    (ours := tmp_path / f".cspadn-new-{atomic_output._own()}-x").mkdir()
    (others := tmp_path / ".cspadn-new-abcdef-x").mkdir()
    (elsewhere := tmp_path / ".cspadn-abcdef-x").mkdir()
    (elsewhere / ".cspadn.owned").touch()
    atomic_output.clear(tmp_path)
    assert (ours.exists(), others.exists(), elsewhere.exists()) == (False, True, True)
    os.utime(others, (0, 0))
    atomic_output.clear(tmp_path)
    assert not others.exists()


def test_a_signal_that_waited_leaves_no_folder(tmp_path: Path, monkeypatch) -> None:
    make = atomic_output.PrivateFolder._make

    def interrupted(folder, *arguments) -> None:
        signal.raise_signal(signal.SIGINT)
        make(folder, *arguments)

    monkeypatch.setattr(atomic_output.PrivateFolder, "_make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_output.PrivateFolder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_killed_cohort_goes_on(tmp_path: Path) -> None:
    assert kill_cohort(tmp_path, 2).lost == []


@pytest.mark.slow
def test_many_fusions_leave_nothing() -> None:
    before, after, _ = report.soak(2 * report.WARM, side=40)
    assert report.leaks(before, {**after, "resident_mb": before["resident_mb"]}) == []
    assert after["resident_mb"] < 1.05 * before["resident_mb"]  # so few fusions tell no more


def test_losses_are_seen(tmp_path: Path) -> None:
    """The checks report losses and leaks."""
    pet, _ = faults.make_pair(tmp_path)
    whole = faults.contents_of(tmp_path)
    result = faults.Result("a fault")
    faults.check_set(result, tmp_path, [whole])
    assert result.lost == []
    faults.check_set(result, tmp_path, [{**whole, "pet.nrrd": whole["mri.nrrd"]}])
    assert result.lost == ["a fault: the files are not those of one run"]
    pet.write_bytes(pet.read_bytes()[:-100])
    faults.check_set(result, tmp_path, [whole])
    assert result.lost[1].startswith("a fault: ")
    assert report.leaks({"resident_mb": 100, "threads": 1}, {"resident_mb": 103, "threads": 2}) == [
        "the soak: resident_mb grew from 100 to 103",
        "the soak: threads grew from 1 to 2",
    ]


# Private folders and names


def test_an_abandoned_folder_goes_and_one_in_use_stays(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT / "CSpADNFusion")!r})
from pathlib import Path
from cspadn.io.atomic_output import PrivateFolder
ours = PrivateFolder(Path({str(tmp_path)!r}))
print(ours.path, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    other = Path(process.stdout.readline().strip())
    assert other.stat().st_mode & 0o777 == 0o700
    ours = atomic_output.PrivateFolder(tmp_path)
    assert other.is_dir()
    process.kill()
    process.communicate()
    again = atomic_output.PrivateFolder(tmp_path)
    assert not other.exists()
    assert ours.path.is_dir()
    for folder in (ours, again):
        folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_whoever_waits_too_long_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(atomic_output, "_PATIENCE", 0.2)
    began = time.monotonic()
    with atomic_output._alone(), raises(UsageError, "output-lock-held", seconds=0.2):
        atomic_output.stage(tmp_path / "a.csv", ".csv", lambda path: path.write_text("a"))
    assert time.monotonic() - began < 60  # it waits 0.2 s; without the limit it would wait for ever
    assert list(tmp_path.iterdir()) == []


def test_what_has_come_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    def stage() -> atomic_output.Staged:
        path.write_text("of another run")
        return atomic_output.stage(path, ".csv", lambda temporary: temporary.write_text("ours"))

    with raises(UsageError, "output-created-meanwhile", path=path):
        atomic_output.commit([stage], overwrite=False)
    assert path.read_text() == "of another run"
    atomic_output.commit([stage], overwrite=True)
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]
