"""Layers of two published networks, with random weights: for the time that they take, not for what they fuse.

DenseFuse: H. Li, X.-J. Wu: DenseFuse: a fusion approach to infrared and visible images. IEEE Transactions on Image Processing
28(5), 2019, with the addition strategy. SDNet: H. Zhang, J. Ma: SDNet: a versatile squeeze-and-decomposition network for
real-time image fusion. International Journal of Computer Vision 129, 2021; its decomposition only serves the training.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

_GROWTH = 16  # channels that each layer of both encoders adds


class DenseFuse(nn.Module):
    """One encoder for both sources, the sum of their features, a decoder; reflection at the borders."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(_conv(inputs) for inputs in (1, 16, 32, 48))
        sizes = pairwise((64, 64, 32, 16, 1))
        layers = [module for inputs, outputs in sizes for module in (_conv(inputs, outputs), nn.ReLU(inplace=True))]
        self.decoder = nn.Sequential(*layers[:-1])

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse (N, 2, H, W) to (N, 1, H, W)."""
        pet, mri = (_dense(self.encoder, source, torch.relu_) for source in sources.split(1, dim=1))
        fused: Tensor = self.decoder(pet.add_(mri))
        return fused


class SDNet(nn.Module):
    """A dense path of four layers for each source, and a 1x1 layer over both; zeros at the borders."""

    def __init__(self) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.ModuleList([_conv(1, size=5, mode="zeros"), *(_conv(inputs, mode="zeros") for inputs in (16, 32, 48))])
            for _ in range(2)
        )
        self.squeeze = nn.Conv2d(128, 1, kernel_size=1)

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse (N, 2, H, W) to (N, 1, H, W)."""
        features = [
            _dense(path, source, nn.functional.leaky_relu_)
            for path, source in zip(self.paths, sources.split(1, dim=1), strict=True)
        ]
        return torch.tanh(self.squeeze(torch.cat(features, dim=1)))


def _conv(inputs: int, outputs: int = _GROWTH, size: int = 3, mode: str = "reflect") -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode=mode)


def _dense(layers: nn.ModuleList, source: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply layers, each of which takes the outputs of all layers before it; return all outputs, concatenated."""
    features = activation(layers[0](source))
    for layer in layers[1:]:
        features = torch.cat([features, activation(layer(features))], dim=1)
    return features
