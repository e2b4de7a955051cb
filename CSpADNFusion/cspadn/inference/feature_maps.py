"""Feature maps with a frame of one pixel, (N, C, H + 2, W + 2), which convolutions fill in bands of rows.

A band of whole rows lies in one piece of memory, so that a convolution reads it without copying it first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        flat = self.flat(name, like, count * channels * height * width)
        return flat.view(count, height, width, channels).permute(0, 3, 1, 2)

    def flat(self, name: str, like: Tensor, size: int) -> Tensor:
        """Return ``size`` undefined values of the type and on the device of a map; they replace the last of the same name."""
        flat = self._flat.get(name, like.new_empty(0))
        if flat.numel() < size or flat.dtype != like.dtype or flat.device != like.device:
            self._flat.pop(name, None)
            del flat  # free the old memory before the new one is allocated
            per_pixel = -(-size // like.shape[-2:].numel() // len(like))
            flat = self._flat[name] = like.new_empty(max(size, per_pixel * self.pixels))
        return flat[:size]


class ConvLayer(nn.Module):
    """A 3x3 convolution without padding.

    On a CPU, one with many channels uses Winograd's algorithm. One with few results computes those of neighbouring pixels
    together, as further channels of a wider convolution with a stride: a vector register of the CPU would be half empty.
    """

    weight: Tensor
    bias: Tensor
    joint_weight: Tensor
    joint_bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.out_channels = conv.out_channels
        self.register_buffer("weight", conv.weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", conv.bias)
        self.winograd = WinogradConv2d(conv) if is_wide(conv) else None
        self.together = pixels_together(conv.out_channels)
        joint = torch.stack([functional.pad(conv.weight, (i, self.together - 1 - i)) for i in range(self.together)])
        self.register_buffer("joint_weight", joint.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        self.register_buffer("joint_bias", self.bias.repeat(self.together))

    def forward(self, image: Tensor) -> Tensor:
        """Convolve (N, C, H + 2, W + 2) to (N, O, H, W)."""
        width = image.shape[-1] - 2
        if self.winograd and image.is_cpu and width % 2 == 0:
            result: Tensor = self.winograd(image)
            return result
        image = image.contiguous(memory_format=torch.channels_last)
        if image.is_cpu and width % self.together == 0:
            joint = functional.conv2d(image, self.joint_weight, self.joint_bias, stride=(1, self.together))
            return joint.permute(0, 2, 3, 1).reshape(len(image), -1, width, self.out_channels).permute(0, 3, 1, 2)
        return functional.conv2d(image, self.weight, self.bias)


def pixels_together(channels: int) -> int:
    """Return for how many pixels a layer's results fill a vector register of the CPU; 1 if those of one pixel do."""
    lanes = 16 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 8
    return max(1, min(lanes // channels, 8))


def convolve(
    layer: ConvLayer, source: Tensor, target: Tensor, bands: Sequence[range], activation: Activation = torch.relu_
) -> None:
    """Convolve one framed map into another in some bands of rows, then let the target's frame reflect its border."""
    for rows in bands:
        band = source[:, :, rows.start : rows.stop + 2]
        target[:, :, rows.start + 1 : rows.stop + 1, 1:-1] = activation(layer(band))
    reflect_frame(target)


def fill_around(target: Tensor, bands: Sequence[range], value: Tensor) -> None:
    """Set the rows of a framed map that lie in none of the bands.

    Args:
        target: (N, C, H + 2, W + 2).
        bands: ordered, without gaps.
        value: (C,).
    """
    vector = value.view(-1, 1, 1)
    target[:, :, : bands[0].start + 1] = vector
    target[:, :, bands[-1].stop + 1 :] = vector


def reflect_frame(framed: Tensor) -> None:
    """Set the frame of a map to its reflected border; a map of one row or column repeats it."""
    for axis in (-1, -2):
        length, lines = framed.shape[axis], framed.transpose(axis, 0)
        lines[0], lines[-1] = lines[min(2, length - 2)], lines[max(length - 3, 1)]
