"""Slices on several threads and devices, free memory, and windows of large volumes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import cspadn
from cspadn.errors import CancelledError, MemoryExhaustedError, UsageError
from cspadn.imaging import windowing
from cspadn.inference import slice_runner
from cspadn.inference.slice_runner import SliceFuser
from cspadn.runtime import device, memory
from message_calls import identifiers, raises
from slice_runners import OUT_OF_MEMORY, run_on_cpu_only
from volumes import blobs, volume

STORED_ORDERS = [("PIR", "LAS"), ("ASL", "RSP"), ("IRP", "SAL"), ("RAS", "LIP"), ("LPI", "PLI")]  # of PET and MRI


def test_left_handed_orders_are_among_them() -> None:
    image = volume(blobs())
    handedness = np.linalg.det([np.reshape(sitk.DICOMOrient(image, mri).GetDirection(), (3, 3)) for _, mri in STORED_ORDERS])
    assert sorted(set(np.rint(handedness))) == [-1, 1]


class _Hungry(torch.nn.Module):
    """A network that runs out of memory on more than ``limit`` slices, and records the requested sizes."""

    def __init__(self, limit: int, error: Exception) -> None:
        super().__init__()
        self.limit, self.error, self.sizes = limit, error, []

    def forward(self, sources: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(sources))
        if len(sources) > self.limit:
            raise self.error
        return sources.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "mps", "cpu", "C++", "oneDNN", "threads", "python"])
def test_out_of_memory_halves_the_batch(error: Exception) -> None:
    network = _Hungry(2, error)
    slices = SliceFuser(lambda: network, torch.device("cpu"))
    slices.batch = 8
    sources = np.random.default_rng(0).random((8, 2, 3, 3), np.float32)
    np.testing.assert_allclose(slices(sources), sources.mean(axis=1), atol=1e-6)
    assert network.sizes[:3] == [8, 4, 2]
    assert slices.batch == 2
    assert [(each.identifier, each.fields["count"]) for each in slices.warnings] == [
        ("smaller-batch", 4),
        ("smaller-batch", 2),
    ]


def test_out_of_memory_moves_to_the_cpu(monkeypatch) -> None:
    """Torch's device without storage simulates the GPU: transfers are real, computations are not."""
    monkeypatch.setattr(SliceFuser, "_run", run_on_cpu_only)
    slices = SliceFuser(torch.nn.Identity, torch.device("meta"))
    sources = np.zeros((3, 2, 2, 2), np.float32)
    assert slices(sources).shape == (3, 2, 2)
    assert slices.device.type == "cpu"
    assert identifiers(slices.warnings)[-1] == "continued-on-cpu"


def test_out_of_memory_for_one_slice_on_the_cpu_is_the_end() -> None:
    slices = SliceFuser(lambda: _Hungry(0, MemoryError()), torch.device("cpu"))
    with pytest.raises(MemoryExhaustedError):
        slices(np.zeros((1, 2, 3, 3), np.float32))


def test_other_errors_are_not_swallowed() -> None:
    slices = SliceFuser(lambda: _Hungry(0, RuntimeError("a bug")), torch.device("cpu"))
    with pytest.raises(RuntimeError, match="a bug"):
        slices(np.zeros((1, 2, 3, 3), np.float32))


_NONE_LEFT = MemoryExhaustedError("None left.")


class _Work:
    """Counts how many are computed at the same time; there is memory for ``room``."""

    def __init__(self, error: Exception = _NONE_LEFT, room: int = 99) -> None:
        self.error, self.room, self.running, self.most, self.threads = error, room, 0, 0, set[int]()
        self._lock = threading.Lock()

    def __call__(self, item: int) -> int:
        with self._lock:
            self.running += 1
            self.most, running = max(self.most, self.running), self.running
        self.threads.add(torch.get_num_threads())
        time.sleep(0.05)
        with self._lock:
            self.running -= 1
        if running > self.room:
            raise self.error
        return item * item


def test_slices_are_fused_at_the_same_time_in_their_order(three_threads) -> None:
    slices, work = SliceFuser(lambda: _Hungry(9, MemoryError()), torch.device("cpu")), _Work()
    assert list(slices.in_order(work, range(12), 12)) == [(i, i * i) for i in range(12)]
    assert (work.most, work.threads) == (3, {1})
    assert torch.get_num_threads() == _threads_of_a_new_one() == 3
    assert slices.warnings == []


def test_two_fusions_at_once_leave_the_number_of_threads_alone(three_threads) -> None:
    """The second starts, in a new thread, while torch has one thread for the first, and ends after it."""

    def run(count: int) -> None:
        slices = SliceFuser(lambda: _Hungry(9, MemoryError()), torch.device("cpu"))
        workers.append(slices.workers)
        list(slices.in_order(_Work(), range(count), count))

    workers: list[int] = []
    others = [threading.Thread(target=run, args=(count,)) for count in (9, 30)]
    for other in others:
        other.start()
        time.sleep(0.05)
    for other in others:
        other.join()
    assert workers == [3, 3]
    assert torch.get_num_threads() == _threads_of_a_new_one() == 3


def _threads_of_a_new_one() -> int:
    found: list[int] = []
    new = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    new.start()
    new.join()
    return found[0]


def test_one_slice_takes_all_threads(three_threads) -> None:
    slices, work = SliceFuser(lambda: _Hungry(9, MemoryError()), torch.device("cpu")), _Work()
    assert list(slices.in_order(work, [5], 1)) == [(5, 25)]
    assert work.threads == {3}


@pytest.mark.parametrize("error", [MemoryExhaustedError("None left."), MemoryError(), RuntimeError("std::bad_alloc")])
def test_without_memory_for_several_slices_it_goes_on_with_one(three_threads, error: Exception) -> None:
    slices, work = SliceFuser(lambda: _Hungry(9, MemoryError()), torch.device("cpu")), _Work(error, room=1)
    assert list(slices.in_order(work, range(8), 8)) == [(i, i * i) for i in range(8)]
    assert [(each.identifier, each.fields) for each in slices.warnings] == [("one-slice-at-a-time", {"count": 3})]
    with pytest.raises(MemoryExhaustedError):
        list(slices.in_order(_Work(room=0), range(8), 8))


def test_errors_and_cancelling_end_the_threads(three_threads) -> None:
    slices, before = SliceFuser(lambda: _Hungry(9, MemoryError()), torch.device("cpu")), threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(slices.in_order(lambda item: 1 // (3 - item), range(8), 8))

    def items() -> Iterator[int]:
        yield from range(4)
        raise CancelledError("Stop.")

    with pytest.raises(CancelledError):
        list(slices.in_order(_Work(), items(), 8))
    assert threading.active_count() == before


@pytest.mark.parametrize(("free", "batch"), [(10**12, 32), (3 * 10**8, 1), (2 * 10**9, 6), (0, 1)])
def test_the_batch_of_a_gpu_follows_its_free_memory(monkeypatch, free: int, batch: int) -> None:
    """Torch's device without storage simulates the GPU."""
    monkeypatch.setattr(slice_runner, "free_memory", lambda device: free)
    slices = SliceFuser(torch.nn.Identity, torch.device("meta"), 256 * 256)
    assert (slices.batch, slices.workers) == (batch, 1)


def test_as_many_slices_at_a_time_as_the_memory_holds(monkeypatch, three_threads) -> None:
    monkeypatch.setattr(slice_runner, "free_memory", lambda device: 10**9)
    assert SliceFuser(torch.nn.Identity, torch.device("cpu"), 256 * 256).workers == 3
    assert SliceFuser(torch.nn.Identity, torch.device("cpu"), 480 * 512).workers == 2
    assert SliceFuser(torch.nn.Identity, torch.device("cpu"), 10**9).workers == 1


def test_free_memory(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 9))
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12, raising=False)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 2, raising=False)
    assert device.free_memory(torch.device("cuda:0")) == 5
    assert device.free_memory(torch.device("mps")) == 10
    monkeypatch.delattr(torch.mps, "recommended_max_memory")
    assert device.free_memory(torch.device("mps")) is None
    assert device.free_memory(torch.device("meta")) is None


def test_free_main_memory(monkeypatch, tmp_path: Path) -> None:
    """Test the free memory that Linux reports, a container's limit, and a system that reports neither."""
    cpu, info = torch.device("cpu"), tmp_path / "meminfo"
    monkeypatch.setattr(memory, "_SYSTEM", info)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    if hasattr(os, "sysconf"):
        assert device.free_memory(cpu) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    info.write_text("MemTotal: 9 kB\nMemAvailable:   8 kB\n")
    assert device.free_memory(cpu) == 8192
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 900\ninactive_file 0\n")
    for limit, free in (("max", 8192), ("5000", 4000), ("90000", 8192), ("900", 0)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert device.free_memory(cpu) == free
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 900\ninactive_file 60\nactive_file 40\n")  # a cache, which gives way
    assert device.free_memory(cpu) == 100
    monkeypatch.setattr(os, "sysconf_names", {}, raising=False)
    info.unlink()
    assert device.free_memory(cpu) is None
    assert SliceFuser(torch.nn.Identity, cpu, 256 * 256).workers <= 4


def test_devices(monkeypatch) -> None:
    assert device.resolve_device("cpu").type == "cpu"
    monkeypatch.setattr(device, "available_devices", lambda: {"cuda:0": "A", "cuda:1": "B", "cpu": "CPU"})
    assert str(device.resolve_device("auto")) == "cuda:0"
    assert str(device.resolve_device("cuda")) == "cuda:0"
    assert str(device.resolve_device("cuda:1")) == "cuda:1"
    with raises(UsageError, "device-unavailable", device="mps"):
        device.resolve_device("mps")


def test_a_device_that_is_listed_but_does_not_compute_is_left_out(monkeypatch) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a computer without CUDA")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device.available_devices() == {"cpu": "CPU"}
    assert device.resolve_device("auto").type == "cpu"


def test_the_cpu_needs_no_probe(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1 / 0)
    assert device.resolve_device("cpu").type == "cpu"


def test_a_pet_that_fills_the_mri_does_not_fade_at_its_ends(pair) -> None:
    from cspadn.imaging.geometry import SlicesOnGrid

    mri = pair[1]
    everywhere = SlicesOnGrid(mri, mri, range(mri.GetSize()[2]))
    assert everywhere.weights(0, 8).min() == 1


def test_unknown_grid_and_palette_are_refused() -> None:
    with raises(UsageError, "setting-not-a-choice", setting="grid", value="ct"):
        cspadn.FusionSettings(grid="ct")
    with raises(UsageError, "setting-not-a-choice", setting="palette", value="Pink"):
        cspadn.FusionSettings(palette="Pink")


def test_large_volumes_give_their_window_on_a_lattice(monkeypatch) -> None:
    image = volume(blobs((16, 40, 40), seed=9))
    full = windowing.automatic_window(windowing.sampled(image), "It")
    monkeypatch.setattr(windowing, "_SAMPLED_VOXELS", 4000)
    few = windowing.sampled(image)
    assert few.shape == (8, 20, 20)
    np.testing.assert_allclose(windowing.automatic_window(few, "It"), full, atol=3)
