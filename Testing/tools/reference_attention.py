"""The two attention modules written straight from the paper's equations, one position at a time. Slow, and plain to check."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pointwise(layer: nn.Conv2d, features: Tensor) -> Tensor:
    """A 1x1 convolution of (C, H, W)."""
    return torch.einsum("oc,chw->ohw", layer.weight[:, :, 0, 0], features) + layer.bias[:, None, None]


def criss_cross_attention(module: nn.Module, f0: Tensor) -> Tensor:
    """Equations 1 and 2 for one image: F0 (C, H, W) to F5."""
    f1, f2, f3 = (pointwise(layer, f0) for layer in (module.query, module.key, module.value))
    _, height, width = f0.shape
    f4 = torch.zeros_like(f0)
    for row in range(height):
        for column in range(width):
            line = [(row, j) for j in range(width)] + [(i, column) for i in range(height) if i != row]
            assert len(line) == height + width - 1
            exponentials = torch.stack([torch.exp(f1[:, row, column] @ f2[:, i, j]) for i, j in line])
            attention = exponentials / exponentials.sum()
            f4[:, row, column] = sum(s * f3[:, i, j] for s, (i, j) in zip(attention, line, strict=True))
    return module.alpha * f4 + f0


def channel_attention(module: nn.Module, f0: Tensor) -> Tensor:
    """Equations 3 and 4 for one image, with the logits divided by H * W (docs/adr/0002): F0 (C, H, W) to C5."""
    c1, c2, c3 = (pointwise(layer, f0).flatten(1) for layer in (module.query, module.key, module.value))
    positions = c1.shape[1]
    c4 = torch.zeros_like(c3)
    for y in range(len(c1)):
        exponentials = torch.stack([torch.exp(c1[x] @ c2[y] / positions) for x in range(len(c1))])
        attention = exponentials / exponentials.sum()
        c4[y] = sum(attention[x] * c3[x] for x in range(len(c1)))
    return module.beta * c4.view_as(f0) + f0
