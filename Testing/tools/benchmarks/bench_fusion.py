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
METHODS = ("straightforward", "ours", "IFCNN", "TFNet", "MSVD", "GTF")
ROUNDS, ATLAS_ROUNDS = range(3), range(2)


@pytest.fixture(scope="session")
def atlas(shared: Path) -> np.ndarray:
    """The slices of the whole atlas volume, as they go through the network."""
    folder = shared / "data" / "volumes" / "aanlib"
    pair = Pair.of(*(sitk.ReadImage(str(folder / f"{name}_axial.nii.gz")) for name in ("PET", "MRI")), FusionSettings())
    return np.concatenate([pair.slab(i, i + 1).sources for i in range(pair.slices)])


@pytest.fixture
def run(benchmark: Any, tmp_path: Path) -> Any:
    """Measure once, and keep what came out."""

    def run(name: str, slices: np.ndarray, threads: int, passes: int = 1) -> None:
        np.save(file := tmp_path / "slices.npy", slices)
        command = [sys.executable, str(HERE / "measure.py"), name, str(file), str(threads), str(passes)]
        environment = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
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
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("turn", ATLAS_ROUNDS)
def test_atlas(run: Any, atlas: np.ndarray, turn: int, threads: int, method: str) -> None:
    run(method, atlas, threads)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("turn", ROUNDS)
def test_pair(run: Any, atlas: np.ndarray, turn: int, threads: int, method: str) -> None:
    run(method, atlas[len(atlas) // 2 :][:1], threads, passes=5)


@pytest.mark.parametrize("method", ["straightforward", "ours"])
@pytest.mark.parametrize("turn", ROUNDS)
def test_noise(run: Any, turn: int, method: str) -> None:
    run(method, noise(256, 8), 1)


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
    run("operations", atlas if source == "atlas" else noise(256, 1), 1)


_PRODUCTS = """
import json, time, torch
torch.set_num_threads(1)
a, b = torch.rand(1024, 1024), torch.rand(1024, 1024)
def rate(product):
    times = []
    with torch.inference_mode():
        for _ in range(30):
            start = time.perf_counter(); product(); times.append(time.perf_counter() - start)
    return 2 * 1024**3 / sorted(times)[15]
from cspadn.inference.matrix_product import put_product
out = torch.empty(1024, 1024)
print(json.dumps({"BLAS": rate(lambda: a @ b), "oneDNN": rate(lambda: put_product(torch.Tensor.copy_, out, a, b))}))
"""


@pytest.mark.parametrize("turn", ROUNDS)
def test_matrix_product(benchmark: Any, turn: int) -> None:
    """The limit: products of 1024 x 1024 matrices, one thread, operations per second."""
    benchmark.extra_info.update(json.loads(benchmark.pedantic(_output, ([sys.executable, "-c", _PRODUCTS],), rounds=1)))


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
    """Wall seconds, the files being in the system's cache."""
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
