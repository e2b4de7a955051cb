"""Feature maps with a frame of one pixel, (N, C, H + 2, W + 2), which convolutions fill block by block.

A convolution over a few rows at a time works within a processor's cache, and can skip the background beside a head.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cspadn.inference.head_region import Block
from cspadn.inference.winograd import WinogradConv2d, is_wide

Activation = Callable[[Tensor], Tensor]


class Workspace(threading.local):
    """Memory for a thread's feature maps, reused from one slice to the next.

    The system would clear the pages of newly allocated memory for each map.

    Attributes:
        pixels: number of pixels of the largest map to come, over all slices of a batch. Pages that are never used take no
            memory on a CPU.
    """

    def __init__(self) -> None:
        self._flat: dict[str, Tensor] = {}
        self.pixels = 0

    def map(self, name: str, like: Tensor, channels: int) -> Tensor:
        """Return a map with undefined values; it replaces the last map of the same name.

        Args:
            name: of the memory that is reused.
            like: (N, C, H, W), a map whose size, type and device the new one has.
            channels: of the new map.

        Returns:
            (N, channels, H, W), channels last.
        """
        count, _, height, width = like.shape
        size = count * channels * height * width
        flat = self._flat.get(name, like.new_empty(0))
        if flat.numel() < size or flat.dtype != like.dtype or flat.device != like.device:
            self._flat.pop(name, None)
            del flat  # free the old memory before the new one is allocated
            flat = self._flat[name] = like.new_empty(max(size, channels * self.pixels))
        return flat[:size].view(count, height, width, channels).permute(0, 3, 1, 2)


class ConvLayer(nn.Module):
    """A 3x3 convolution without padding; with many channels on a CPU, it uses Winograd's algorithm."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.out_channels = conv.out_channels
        self.register_buffer("weight", conv.weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", conv.bias)
        self.winograd = WinogradConv2d(conv) if is_wide(conv) else None

    def forward(self, image: Tensor) -> Tensor:
        """Convolve (N, C, H + 2, W + 2) to (N, O, H, W)."""
        if self.winograd and image.is_cpu and image.shape[-1] % 2 == 0:
            result: Tensor = self.winograd(image)
            return result
        return functional.conv2d(image.contiguous(memory_format=torch.channels_last), self.weight, self.bias)


def convolve(
    layer: ConvLayer, source: Tensor, target: Tensor, blocks: Sequence[Block], activation: Activation = torch.relu_
) -> None:
    """Convolve one framed map into another within some blocks, then let the target's frame reflect its border."""
    for rows, columns in blocks:
        some = source[:, :, rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        target[:, :, rows.start + 1 : rows.stop + 1, columns.start + 1 : columns.stop + 1] = activation(layer(some))
    reflect_frame(target)


def fill_around(target: Tensor, blocks: Sequence[Block], value: Tensor) -> None:
    """Set all pixels of a framed map that lie in none of the blocks.

    Args:
        target: (N, C, H + 2, W + 2).
        blocks: ordered by rows.
        value: (C,).
    """
    vector, done = value.view(-1, 1, 1), 0
    for rows, columns in blocks:
        target[:, :, done : rows.start + 1] = vector
        done = rows.stop + 1
        target[:, :, rows.start + 1 : done, : columns.start + 1] = vector
        target[:, :, rows.start + 1 : done, columns.stop + 1 :] = vector
    target[:, :, done:] = vector


def reflect_frame(framed: Tensor) -> None:
    """Set the frame of a map to its reflected border; a map of one row or column repeats it."""
    for axis in (-1, -2):
        length, lines = framed.shape[axis], framed.transpose(axis, 0)
        lines[0], lines[-1] = lines[min(2, length - 2)], lines[max(length - 3, 1)]
