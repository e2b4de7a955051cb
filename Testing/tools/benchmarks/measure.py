"""One method over some slices, in a process of its own: ``python measure.py METHOD SLICES.npy THREADS PASSES``.

Prints JSON: CPU and wall seconds per slice of each pass, peak resident memory, and, for ours, the operations of a pass.
SLICES.npy holds (N, 2, H, W), PET then MRI, float32 in [0, 1]. The first slice is fused once before the clock starts. Each
imports only its own modules, which count in its peak.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "CSpADNFusion"), str(ROOT / "Testing" / "tools")]
DATA = Path(os.environ.get("DATA", ROOT.parent / "shared"))

import torch  # noqa: E402

from cspadn.inference.fast_network import FusionNetwork  # noqa: E402
from cspadn.inference.slice_runner import SliceFuser  # noqa: E402
from cspadn.models.weights import load_model  # noqa: E402

Slices = NDArray[np.float32]
Fuse = Callable[[Slices], None]


def ours(slices: Slices) -> Fuse:
    fuser = SliceFuser(partial(FusionNetwork, load_model().network), torch.device("cpu"), slices[0, 0].size)

    def fuse(some: Slices) -> None:
        for _ in fuser.in_order(fuser, some[:, None], len(some)):
            pass

    return fuse


def straightforward(_: Slices) -> Fuse:
    from training.benchmark import make_straightforward

    network = make_straightforward(copy.deepcopy(load_model().network)).eval()

    @torch.inference_mode()
    def fuse(some: Slices) -> None:
        for each in some[:, None]:
            network(torch.from_numpy(each) * 2 - 1)

    return fuse


def published(name: str) -> Callable[[Slices], Fuse]:
    """A method of the comparison."""

    def make(_: Slices) -> Fuse:
        from training.baselines import METHODS, TRAINED
        from training.baselines.ifcnn import WEIGHTS as IFCNN_WEIGHTS

        weights = {"IFCNN": DATA / IFCNN_WEIGHTS, "TFNet": ROOT / "training" / "weights" / "tfnet.safetensors"}
        method = METHODS[name] if name in METHODS else TRAINED[name](weights[name])
        return lambda some: [method(*each) for each in some] and None

    return make


def layers(name: str) -> Callable[[Slices], Fuse]:
    """The layers of a published network, with random weights."""

    def make(_: Slices) -> Fuse:
        import published_layers

        network = getattr(published_layers, name)().eval()

        @torch.inference_mode()
        def fuse(some: Slices) -> None:
            for each in some[:, None]:
                network(torch.from_numpy(each))

        return fuse

    return make


SIDES = {
    "ours": ours,
    "straightforward": straightforward,
    **{name: published(name) for name in ("IFCNN", "TFNet", "MSVD", "GTF")},
    **{name: layers(name) for name in ("DenseFuse", "SDNet")},
}


def operations(slices: Slices) -> float:
    """Floating point operations of ours in matrix products and convolutions, per slice."""
    from torch.utils.flop_counter import FlopCounterMode

    network = FusionNetwork(load_model().network)
    with FlopCounterMode(display=False) as counter:
        for each in slices[:, None]:
            network(torch.from_numpy(each) * 2 - 1)
    return float(counter.get_total_flops()) / len(slices)


def measure(name: str, slices: Slices, threads: int, passes: int) -> dict[str, object]:
    """Fuse the slices with a method, and return its times and its peak memory."""
    torch.set_num_threads(threads)
    fuse = SIDES[name](slices)
    fuse(slices[:1])
    cpu, wall = [], []
    for _ in range(passes):
        began, used = time.perf_counter(), time.process_time()
        fuse(slices)
        cpu.append((time.process_time() - used) / len(slices))
        wall.append((time.perf_counter() - began) / len(slices))
    # Not ru_maxrss, which a process that was just forked has from its parent.
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024
    return {"cpu": cpu, "wall": wall, "peak_mb": peak}


def main() -> None:
    """Entry point."""
    name, file, threads, passes = sys.argv[1:]
    slices = np.load(file)
    if name == "operations":
        print(json.dumps({"operations": operations(slices)}))
    else:
        print(json.dumps(measure(name, slices, int(threads), int(passes))))


if __name__ == "__main__":
    main()
