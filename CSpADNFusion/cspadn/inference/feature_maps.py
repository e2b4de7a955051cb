"""Feature maps with a frame of one pixel, (N, C, H + 2, W + 2), which convolutions fill window by window.

A convolution over some rows at a time works in a processor's cache, and can leave out what lies beside a head.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from cspadn.inference.region import Window
from cspadn.inference.winograd import WinogradConv2d, is_wide

Activation = Callable[[Tensor], Tensor]


class Workspace(threading.local):
    """The memory of a thread's maps, kept from one slice to the next: asked for anew, its pages would be cleared each time.

    Attributes:
        pixels: of the largest map to come, in all slices of a batch. What of it is not used takes no memory on a CPU.
    """

    def __init__(self) -> None:
        self._flat: dict[str, Tensor] = {}
        self.pixels = 0

    def map(self, name: str, like: Tensor, channels: int) -> Tensor:
        """A map of so many channels, of the same size as another, with any values: the last one of this name is gone."""
        count, _, height, width = like.shape
        size = count * channels * height * width
        flat = self._flat.get(name, like.new_empty(0))
        if flat.numel() < size or flat.dtype != like.dtype or flat.device != like.device:
            self._flat.pop(name, None)
            del flat  # before there is the new one
            flat = self._flat[name] = like.new_empty(max(size, channels * self.pixels))
        return flat[:size].view(count, height, width, channels).permute(0, 3, 1, 2)


class Layer(nn.Module):
    """A 3x3 convolution, without padding; on a CPU and of many channels, Winograd's."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.out_channels = conv.out_channels
        self.register_buffer("weight", conv.weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", conv.bias)
        self.winograd = WinogradConv2d(conv) if is_wide(conv) else None

    def forward(self, image: Tensor) -> Tensor:
        if self.winograd and image.is_cpu and image.shape[-1] % 2 == 0:
            made: Tensor = self.winograd(image)
            return made
        return functional.conv2d(image.contiguous(memory_format=torch.channels_last), self.weight, self.bias)


def convolve(
    layer: Layer, source: Tensor, target: Tensor, windows: Sequence[Window], activation: Activation = torch.relu_
) -> None:
    """A 3x3 convolution from one map to another, in these windows; then the target's frame reflects its border."""
    for rows, columns in windows:
        some = source[:, :, rows.start : rows.stop + 2, columns.start : columns.stop + 2]
        target[:, :, rows.start + 1 : rows.stop + 1, columns.start + 1 : columns.stop + 1] = activation(layer(some))
    reflect_frame(target)


def fill_around(target: Tensor, windows: Sequence[Window], value: Tensor) -> None:
    """Give the places of a map that are in none of these windows a value, (C,); the windows in the order of their rows."""
    vector, done = value.view(-1, 1, 1), 0
    for rows, columns in windows:
        target[:, :, done : rows.start + 1] = vector
        done = rows.stop + 1
        target[:, :, rows.start + 1 : done, : columns.start + 1] = vector
        target[:, :, rows.start + 1 : done, columns.stop + 1 :] = vector
    target[:, :, done:] = vector


def reflect_frame(framed: Tensor) -> None:
    """The frame as a reflected border; of a line of one pixel, that pixel."""
    for axis in (-1, -2):
        length, lines = framed.shape[axis], framed.transpose(axis, 0)
        lines[0], lines[-1] = lines[min(2, length - 2)], lines[max(length - 3, 1)]
