"""``make bench``: speed and memory, as pytest-benchmark runs and records them.

Each measurement is a process of its own (see measure.py), so that none profits from another's memory or allocator, and its
peak is its own. The outermost parameter is the round: the methods take turns. What the clocks said is in ``extra_info``;
report.py makes docs/benchmarks.md of it. pytest-benchmark and not asv: it runs in the project's own test runner and
environment, records machine, versions and commit, and needs no environment per commit.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

import benchmark_panel
from cspadn.imaging.alignment import Pair
from cspadn.settings import FusionSettings

HERE = Path(__file__).resolve().parent
METHODS = ("straightforward", "ours", "IFCNN", "TFNet", "DenseFuse", "SDNet", "MSVD", "GTF")
ROUNDS, ATLAS_ROUNDS = range(3), range(2)
ATLAS_STEP = 2  # every second slice of the atlas
# What limits each library that computes to AVX2: oneDNN, torch's own kernels, MKL, and the OpenBLAS of NumPy and SciPy.
INSTRUCTIONS = {
    "own": {},
    "AVX2": {
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
}


@pytest.fixture(scope="session")
def atlas(shared: Path) -> np.ndarray:
    """The slices of the whole atlas volume, as they go through the network."""
    folder = shared / "data" / "volumes" / "aanlib"
    pair = Pair.of(*(sitk.ReadImage(str(folder / f"{name}_axial.nii.gz")) for name in ("PET", "MRI")), FusionSettings())
    return np.concatenate([pair.slab(i, i + 1).sources for i in range(pair.slices)])


@pytest.fixture
def run(benchmark: Any, tmp_path: Path) -> Any:
    """Measure once, and keep what came out."""

    def run(name: str, slices: np.ndarray, threads: int, passes: int = 1, instructions: str = "own") -> None:
        np.save(file := tmp_path / "slices.npy", slices)
        command = [sys.executable, str(HERE / "measure.py"), name, str(file), str(threads), str(passes)]
        environment = {
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)),
            **INSTRUCTIONS[instructions],
        }
        done = benchmark.pedantic(_output, (command, environment), rounds=1, iterations=1)
        benchmark.extra_info.update(json.loads(done.splitlines()[-1]))

    return run


def _output(command: list[str], environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def noise(size: int, count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 2, size, size), np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("turn", ATLAS_ROUNDS)
def test_atlas(run: Any, atlas: np.ndarray, turn: int, instructions: str, method: str) -> None:
    run(method, atlas[::ATLAS_STEP], 1, instructions=instructions)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("turn", ATLAS_ROUNDS)
def test_two_threads(run: Any, atlas: np.ndarray, turn: int, method: str) -> None:
    run(method, atlas[::ATLAS_STEP], 2)


@pytest.mark.parametrize("method", ["straightforward", "ours"])
@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("turn", ROUNDS)
def test_noise(run: Any, turn: int, instructions: str, method: str) -> None:
    run(method, noise(256, 8), 1, instructions=instructions)


@pytest.mark.parametrize("size", [128, 256, 512])
@pytest.mark.parametrize("turn", ROUNDS)
def test_pixels(run: Any, turn: int, size: int) -> None:
    run("ours", noise(size, 4), 1, passes=3)


@pytest.mark.parametrize("count", [1, 8, 94])
@pytest.mark.parametrize("turn", ROUNDS)
def test_slices(run: Any, atlas: np.ndarray, turn: int, count: int) -> None:
    """The middle slice so many times: what grows is the number, not the head."""
    run("ours", np.repeat(atlas[47:48], count, axis=0), 1, passes={1: 24, 8: 3, 94: 1}[count])


@pytest.mark.parametrize("source", ["atlas", "noise"])
def test_operations(run: Any, atlas: np.ndarray, source: str) -> None:
    run("operations", atlas[::ATLAS_STEP] if source == "atlas" else noise(256, 1), 1)


_PRODUCTS = """
import json, time, torch
torch.set_num_threads(1)
a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
layer = torch.nn.Conv2d(64, 64, 3).to(memory_format=torch.channels_last)
image = torch.rand(1, 64, 66, 66).contiguous(memory_format=torch.channels_last)
def rate(operations, compute):
    times = []
    with torch.inference_mode():
        for _ in range(30):
            start = time.perf_counter(); compute(); times.append(time.perf_counter() - start)
    return operations / sorted(times)[15]
print(json.dumps({"product": rate(2 * 1024**3, lambda: a @ b), "convolution": rate(2 * 9 * 64**4, lambda: layer(image))}))
"""


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("turn", ROUNDS)
def test_rates(benchmark: Any, turn: int, instructions: str) -> None:
    """The limit: operations per second of large matrix products and of wide convolutions, one thread."""
    command = [sys.executable, "-c", _PRODUCTS]
    done = benchmark.pedantic(_output, (command, INSTRUCTIONS[instructions]), rounds=1)
    benchmark.extra_info.update(json.loads(done))


@pytest.mark.parametrize("instructions", INSTRUCTIONS)
@pytest.mark.parametrize("turn", ROUNDS)
def test_whole_run(benchmark: Any, shared: Path, tmp_path: Path, turn: int, instructions: str) -> None:
    """``cspadn fuse`` of the atlas volume, with colour, on two threads."""
    folder = shared / "data" / "volumes" / "aanlib"
    files = [folder / "PET_axial.nii.gz", folder / "MRI_axial.nii.gz", tmp_path / "fused.nrrd", tmp_path / "color.nrrd"]
    command = [sys.executable, str(HERE / "whole_run.py"), *map(str, files)]
    environment = {"OMP_NUM_THREADS": "2", **INSTRUCTIONS[instructions]}
    done = benchmark.pedantic(_output, (command, environment), rounds=1)
    benchmark.extra_info.update(json.loads(done.splitlines()[-1]), wall=benchmark.stats.stats.max)


def test_training_step(benchmark: Any) -> None:
    command = [sys.executable, "-m", "training.benchmark"]
    benchmark.extra_info.update(json.loads(benchmark.pedantic(_output, (command,), rounds=1)))


def test_module(benchmark: Any) -> None:
    """The import of the module's file, in the stand-in for Slicer."""
    runs = [benchmark_panel.run() for _ in range(6)] + [benchmark.pedantic(benchmark_panel.run, rounds=1)]
    times = [run["import of the module's file"] for run in runs]
    benchmark.extra_info.update(median=statistics.median(times), least=min(times), most=max(times))


@pytest.mark.parametrize("what", ["cspadn --help", "cspadn fuse of one slice"])
def test_start_up(benchmark: Any, tmp_path: Path, what: str) -> None:
    """Measure wall seconds, with the files in the system's cache."""
    command = _start_up(what, tmp_path)
    benchmark.pedantic(_output, (command,), rounds=7, warmup_rounds=1)
    times = benchmark.stats.stats.data
    benchmark.extra_info.update(median=statistics.median(times), least=min(times), most=max(times))


def _start_up(what: str, folder: Path) -> list[str]:
    if what == "cspadn --help":
        return [sys.executable, "-m", "cspadn", "--help"]
    for name, voxels in zip(("pet", "mri"), noise(256, 1)[0], strict=True):
        sitk.WriteImage(sitk.GetImageFromArray(voxels[None]), str(folder / f"{name}.nrrd"))
    files = [str(folder / f"{name}.nrrd") for name in ("pet", "mri", "fused")]
    return [sys.executable, "-m", "cspadn", "fuse", *files[:2], "-o", files[2], "--overwrite", "--progress", "json"]
