"""The benchmarks run, and their report says which bound is not kept."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import published_layers
from cspadn.inference.feature_maps import pixels_together
from cspadn.inference.winograd import is_wide
from cspadn.models.cspadn import CSpADN
from cspadn.models.weights import load_model
from repository import TOOLS
from training import benchmark
from training.losses import fusion_loss

FOLDER = TOOLS / "benchmarks"
METHODS = ("straightforward", "ours", "IFCNN", "TFNet", "DenseFuse", "SDNet", "MSVD", "GTF")
INSTRUCTIONS = ("own", "AVX2")


# Measures several methods in one process: each alone would spend most of its time on loading torch.
_SEVERAL = """
import json, sys
sys.path.insert(0, sys.argv[1])
import measure, numpy as np
slices = np.load(sys.argv[2])
results = {name: measure.measure(name, slices, 1, 2) for name in sys.argv[3:]}
print(json.dumps({**results, "operations": measure.operations(slices)}))
"""


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Return a file with three slices of noise."""
    np.save(file := tmp_path / "slices.npy", np.random.default_rng(0).random((3, 2, 32, 32), np.float32))
    return file


def test_a_method_is_measured(slices: Path) -> None:
    _check_times(_printed(FOLDER / "measure.py", "ours", slices, 1, 2))


def _check_times(result: dict[str, Any]) -> None:
    """Check the times of two passes and the peak."""
    assert len(result["cpu"]) == len(result["wall"]) == 2
    assert min(result["cpu"]) > 0
    assert 50 < result["peak_mb"] < 4000


@pytest.mark.slow
def test_other_methods_are_measured_and_operations_are_counted(slices: Path) -> None:
    """Winograd's algorithm saves a third of the work in wide layers. Narrow ones compute n pixels with n + 2 columns
    of weights, and not 3. Other operations add at most half of it.
    """
    methods = ("straightforward", "DenseFuse", "SDNet", "MSVD")
    results = _printed("-c", _SEVERAL, FOLDER, slices, *methods)
    for method in methods:
        _check_times(results[method])
    convs = [each for each in load_model().network.modules() if isinstance(each, nn.Conv2d) and each.kernel_size == (3, 3)]
    factors = [2 / 3 if is_wide(each) else (pixels_together(each.out_channels) + 2) / 3 for each in convs]
    shares = [each.in_channels * each.out_channels * factor for each, factor in zip(convs, factors, strict=True)]
    convolutions = 2 * 32 * 32 * 9 * sum(shares)
    assert convolutions < results["operations"] < 1.5 * convolutions


def _printed(*arguments: object) -> dict[str, Any]:
    """Return what Python prints as JSON."""
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(("ours", "beyond"), [(0.09, 0), (0.3, 11)])
def test_the_report_says_what_is_beyond_its_bound(tmp_path: Path, ours: float, beyond: int) -> None:
    (tmp_path / "record.json").write_text(json.dumps(_record(ours)))
    document = tmp_path / "document.md"
    document.write_text("Before.\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nAfter.\n")
    command = [sys.executable, str(FOLDER / "report.py"), str(tmp_path / "record.json"), str(document)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = document.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "old" not in text
    assert text.count("**beyond**") == beyond
    assert "| atlas | 20.00 | 0.100 |" in text  # 20 GFLOP at the higher of two rates


def _record(ours: float) -> dict[str, Any]:
    """What pytest-benchmark writes, as far as the report reads it. Others take 0.5 s; sizes grow well if ours is fast."""
    seconds = {method: ours if method == "ours" else 0.5 if method == "straightforward" else 0.2 for method in METHODS}
    limits = [{"instructions": each} for each in INSTRUCTIONS]
    runs = [
        ("test_atlas", {"method": method, **limit}, _times(taken)) for method, taken in seconds.items() for limit in limits
    ]
    runs += [("test_two_threads", {"method": method}, _times(taken)) for method, taken in seconds.items()]
    runs += [
        ("test_noise", {"method": method, **limit}, _times(seconds[method])) for method in METHODS[:2] for limit in limits
    ]
    whole = {"stages": {"read": 0.2, "fuse": 30 * ours}, "wall": 40 * ours, "peak_mb": 450.0 if ours < 0.2 else 550.0}
    runs += [("test_whole_run", limit, whole) for limit in limits]
    power, more = (1.1, 0) if ours < 0.2 else (1.4, 0.1)
    runs += [("test_pixels", {"size": size}, _times((size / 128) ** (2 * power))) for size in (128, 256, 512)]
    runs += [("test_slices", {"count": count}, _times(0.1 * count**more)) for count in (1, 8, 94)]
    runs += [("test_operations", {"source": source}, {"operations": 2e10}) for source in ("atlas", "noise")]
    runs += [("test_rates", limit, {"product": 1e11, "convolution": 2e11}) for limit in limits]
    step = {
        "batch": 64,
        "patch": 64,
        "threads": 2,
        "cpu_seconds": {"straightforward": 9.0, "ours": 3.0},
        "cpu_ratio": {"ours": 3},
    }
    start = {"median": 0.1, "least": 0.1, "most": 0.2}
    runs += [("test_training_step", {}, step), ("test_module", {}, start), ("test_start_up", {"what": "cspadn --help"}, start)]
    machine = {"cpu": {"brand_raw": "A processor", "count": 2}, "python_version": "3.11"}
    benchmarks = [{"name": f"{name}[x]", "params": {"turn": 0, **given}, "extra_info": info} for name, given, info in runs]
    return {"machine_info": machine, "datetime": "2026-01-01T00:00:00", "benchmarks": benchmarks}


def _times(seconds: float) -> dict[str, Any]:
    assert math.isfinite(seconds)
    return {"cpu": [seconds] * 3, "wall": [seconds] * 3, "peak_mb": 500.0}


@pytest.mark.parametrize("name", ["DenseFuse", "SDNet"])
def test_the_layers_of_a_published_network_fuse_slices(name: str) -> None:
    """The numbers of weights follow from the tables of layers in the publications."""
    network = getattr(published_layers, name)()
    assert network(torch.rand(1, 2, 33, 40)).shape == (1, 1, 33, 40)
    assert sum(each.numel() for each in network.parameters()) == {"DenseFuse": 74193, "SDNet": 28705}[name]


def test_the_benchmark_compares_two_ways_to_compute_the_same() -> None:
    torch.manual_seed(0)
    network = CSpADN()
    with torch.no_grad():
        network.attention.spatial.alpha.fill_(0.7)
        network.attention.channel.beta.fill_(0.7)
    sources = torch.rand(2, 2, 32, 24)
    ours = network(sources)
    plain = benchmark.make_straightforward(network)(sources)
    torch.testing.assert_close(plain, ours, rtol=1e-4, atol=1e-5)
    loss = fusion_loss(ours, sources, benchmark.LOSS)["loss"]
    assert float(benchmark.straightforward_loss(ours, sources)) == pytest.approx(float(loss), rel=1e-4)
