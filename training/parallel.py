"""Several processes train as one with the whole batch would: to the rounding of a sum, on any device.

Two things are not means over the batch, and therefore not right where each process has a part of it alone: the statistics of
batch normalisation, and some terms of the loss. torch's own synchronised batch normalisation does not exist on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, distributed, nn


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes, which each receives; so does the gradient."""

    @staticmethod
    def forward(_context: Any, part: Tensor) -> Tensor:
        return _summed(part)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(part: Tensor) -> Tensor:
    total = part.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def _sum_over_processes(part: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(part)  # type: ignore[no-untyped-call]
    return total


def is_parallel() -> bool:
    """Whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def whole_batch(part: Tensor) -> Tensor:
    """The parts (N, ...) of all processes as one batch, in the order of their ranks; alone, the part itself.

    A loss that each process computes of the whole batch has ``processes`` times its gradient in each; the mean over the
    processes, which is what their weights receive, is the gradient that one process with the whole batch would have.
    """
    if not is_parallel():
        return part
    row = part.new_zeros(distributed.get_world_size(), *part.shape)
    row[distributed.get_rank()] = part
    return _sum_over_processes(row).flatten(0, 1)


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of the whole batch; all processes have parts of one size."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        if not (self.training and is_parallel()):
            return super().forward(features)
        mean = self._mean_of_all(features)
        centred = features - mean
        variance = self._mean_of_all(centred.square())
        self._remember(mean.detach(), variance.detach(), features.numel() // features.shape[1] * distributed.get_world_size())
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(variance + self.eps)
        return centred * scale + self.bias.view(1, -1, 1, 1)

    def _mean_of_all(self, features: Tensor) -> Tensor:
        """Mean of each channel, (1, C, 1, 1)."""
        return _sum_over_processes(features.mean((0, 2, 3), keepdim=True)) / distributed.get_world_size()

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update what is used in evaluation, as :class:`torch.nn.BatchNorm2d` does: with the unbiased variance."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.flatten(), self.momentum)
        self.running_var.lerp_(variance.flatten() * (count / (count - 1)), self.momentum)


class BatchNormSync(LayerSync):
    """Tells Lightning to synchronise batch normalisation where torch's own cannot. No tensor, and no name of one, changes."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Let all layers compute as :class:`SyncedBatchNorm2d`."""
        for layer in model.modules():
            if type(layer) is nn.BatchNorm2d:
                layer.__class__ = SyncedBatchNorm2d
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """The reverse."""
        for layer in model.modules():
            if type(layer) is SyncedBatchNorm2d:
                layer.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
        return model
