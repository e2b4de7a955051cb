"""Make several processes train like a single one with the whole batch, up to rounding, on any device.

Two things are not means over the batch, so they would be wrong if each process saw only its own part: the statistics of batch
normalisation, and some terms of the loss. torch's own synchronised batch normalisation does not work on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, distributed, nn


class _SumOverProcesses(torch.autograd.Function):
    """Sum a tensor over all processes; every process receives the sum. Gradients are summed in the same way."""

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
    """Return whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def whole_batch(part: Tensor) -> Tensor:
    """Join the parts (N, ...) of all processes into one batch, in the order of their ranks.

    If every process computes the loss of the whole batch, its gradient is ``processes`` times as large in each. The weights
    receive the mean over the processes, which is the gradient of a single process with the whole batch.
    """
    if not is_parallel():
        return part
    row = part.new_zeros(distributed.get_world_size(), *part.shape)
    row[distributed.get_rank()] = part
    return _sum_over_processes(row).flatten(0, 1)


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the statistics of the whole batch; the parts of all processes must have the same size."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        if not (self.training and is_parallel()):
            return super().forward(features)
        kind, features = features.dtype, features.float()  # statistics in float32, also under mixed precision
        mean = self._mean_of_all(features)
        centred = features - mean
        variance = self._mean_of_all(centred.square())
        self._remember(mean.detach(), variance.detach(), features.numel() // features.shape[1] * distributed.get_world_size())
        scale = self.weight.view(1, -1, 1, 1) * torch.rsqrt(variance + self.eps)
        return (centred * scale + self.bias.view(1, -1, 1, 1)).to(kind)

    def _mean_of_all(self, features: Tensor) -> Tensor:
        """Return the mean of each channel over all processes, (1, C, 1, 1)."""
        return _sum_over_processes(features.mean((0, 2, 3), keepdim=True)) / distributed.get_world_size()

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics as :class:`torch.nn.BatchNorm2d` does, with the unbiased variance."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.flatten(), self.momentum)
        self.running_var.lerp_(variance.flatten() * (count / (count - 1)), self.momentum)


class BatchNormSync(LayerSync):
    """Lightning plugin that synchronises batch normalisation on any device. Tensors and their names do not change."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Turn all batch normalisation layers into :class:`SyncedBatchNorm2d`."""
        for layer in model.modules():
            if type(layer) is nn.BatchNorm2d:
                layer.__class__ = SyncedBatchNorm2d
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Reverse :meth:`apply`."""
        for layer in model.modules():
            if type(layer) is SyncedBatchNorm2d:
                layer.__class__ = nn.BatchNorm2d  # type: ignore[assignment]
        return model
