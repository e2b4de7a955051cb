"""Compare the time of a training step with a straightforward implementation.

The straightforward implementation follows the equations (one joined criss-cross map, all maps of the channel attention) and
uses SSIM from torchmetrics, the default allocator and the default memory layout. Both start from the same weights and patches
and must give the same loss. Ours is also timed in bfloat16 mixed precision, whose loss may differ. Each run has its own
process, in turns, so that none reuses the memory of another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from cspadn.imaging.windowing import from_network_range, to_network_range
from cspadn.models.attention import ChannelAttention, CrissCrossAttention
from cspadn.models.cspadn import CSpADN, ParallelAttention
from cspadn.runtime.allocator import keep_freed_memory
from training.command import count
from training.losses import fusion_loss

BATCH, PATCH = 64, 64
LOSS = {"mse": 1.0, "ssim": 1.0}
SAME = ("straightforward", "ours")  # in float32: these must give the same loss
SIDES = (*SAME, "ours_bf16")


class JoinedCrissCross(nn.Module):
    """Equations 1 and 2, with the affinities of row and column joined in one (N, H, W, H + W) map."""

    def __init__(self, ours: CrissCrossAttention) -> None:
        super().__init__()
        self.query, self.key, self.value, self.alpha = ours.query, ours.key, ours.value, ours.alpha

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self.query(features), self.key(features), self.value(features)
        row = torch.einsum("nchw,nchv->nhwv", query, key)
        column = torch.einsum("nchw,ncgw->nhwg", query, key)
        height, width = features.shape[-2:]
        itself = torch.eye(height, dtype=torch.bool, device=features.device).unsqueeze(
            1
        )  # the pixel itself is already counted in the row
        weights = torch.cat([row, column.masked_fill(itself, float("-inf"))], dim=-1).softmax(-1)
        of_row, of_column = torch.split(weights, [width, height], dim=-1)
        attended = torch.einsum("nhwv,nchv->nchw", of_row, value) + torch.einsum("nhwg,ncgw->nchw", of_column, value)
        return torch.add(features, self.alpha * attended)


class PlainChannel(nn.Module):
    """Equations 3 and 4, with the maps C1, C2 and C3."""

    def __init__(self, ours: ChannelAttention) -> None:
        super().__init__()
        self.query, self.key, self.value, self.beta = ours.query, ours.key, ours.value, ours.beta

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = (layer(features).flatten(2) for layer in (self.query, self.key, self.value))
        affinity = (key @ query.mT / query.shape[-1]).softmax(-1)
        return torch.add(features, self.beta * (affinity @ value).view_as(features))


def straightforward_loss(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute MSE and the mean SSIM by torchmetrics."""
    targets = torch.cat([sources[:, :1], sources[:, 1:]])
    twice = torch.cat([fused, fused])
    similarity = structural_similarity_index_measure(twice, targets, data_range=1.0)
    assert isinstance(similarity, Tensor)
    return LOSS["mse"] * nn.functional.mse_loss(twice, targets) + LOSS["ssim"] * (1 - similarity)


def make_straightforward(network: CSpADN) -> CSpADN:
    """Replace the attention of a network by the plain one, with the same parameters."""
    assert isinstance(network.attention, ParallelAttention)
    plain: Any = network.attention
    plain.spatial, plain.channel = JoinedCrissCross(plain.spatial), PlainChannel(plain.channel)
    return network


def run_side(side: str, steps: int) -> dict[str, Any]:
    """Time ``steps`` steps of one side after a warm-up step; return wall and CPU seconds per step, and the losses."""
    torch.manual_seed(1)
    network, sources = CSpADN(), torch.rand(BATCH, 2, PATCH, PATCH)
    plain = side == "straightforward"
    if plain:
        network = make_straightforward(network)
    else:
        keep_freed_memory()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    wall, cpu, losses = [], [], []
    for _ in range(steps + 1):
        began, used = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=side == "ours_bf16"):
            fused = from_network_range(network(to_network_range(sources)).float())
        loss = straightforward_loss(fused, sources) if plain else fusion_loss(fused, sources, LOSS)["loss"]
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
        losses.append(loss.item())
    return {"wall": wall[1:], "cpu": cpu[1:], "losses": losses, "threads": torch.get_num_threads()}


def compare(steps: int, rounds: int) -> dict[str, Any]:
    """Run the implementations in turns, each in a new process; return median seconds per step, and the ratios."""
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            command = [sys.executable, "-m", "training.benchmark", "--side", side, "--steps", str(steps)]
            results[side].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))  # noqa: S603
    first = {side: results[side][0]["losses"] for side in SAME}
    gap = max(abs(a - b) / abs(a) for a, b in zip(*first.values(), strict=True))
    if gap > 1e-3:
        raise RuntimeError(f"The two sides do not compute the same: their losses differ by {gap:.1e}.")
    record: dict[str, Any] = {
        "batch": BATCH,
        "patch": PATCH,
        "threads": results["ours"][0]["threads"],
        "largest_loss_gap": gap,
    }
    for clock in ("wall", "cpu"):
        medians = {side: statistics.median(t for run in results[side] for t in run[clock]) for side in SIDES}
        record[f"{clock}_seconds"] = {side: round(seconds, 3) for side, seconds in medians.items()}
        record[f"{clock}_ratio"] = {side: round(medians["straightforward"] / medians[side], 2) for side in SIDES[1:]}
    return record


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmark", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=count, default=3, help="timed steps of each process (default: 3)")
    parser.add_argument("--rounds", type=count, default=2, help="processes of each implementation (default: 2)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="also write the results to this file")
    options = parser.parse_args(arguments)
    if options.side:
        print(json.dumps(run_side(options.side, options.steps)))
        return 0
    text = json.dumps(compare(options.steps, options.rounds), indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
