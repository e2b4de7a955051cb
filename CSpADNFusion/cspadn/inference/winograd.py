"""The 3x3 convolution of wide layers with a third fewer multiplications: F(2, 3) along the rows.

Of each two results in a row, whose inputs are d0 to d3 and whose weights are g0 to g2, four products are made in place of six:
(d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, (d2 - d1) (g0 - g1 + g2) / 2 and (d1 - d3) g2. A. Lavin, S. Gray: Fast algorithms
for convolutional neural networks, CVPR 2016. Along both axes it would be fewer still, but the sums then cost more than that.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDE = 64  # channels: below, the sums cost what the products save


class WinogradConv2d(nn.Module):
    """As ``conv``, 3x3 and without padding, for inputs of an even number of columns: (N, C, H + 2, W + 2) to (N, O, H, W)."""

    weights: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        left, middle, right = (conv.weight[..., column, None] for column in range(3))
        points = left, (left + middle + right) / 2, (left - middle + right) / 2, right
        weights = torch.stack([point.contiguous(memory_format=torch.channels_last) for point in points])
        self.register_buffer("weights", weights)
        self.register_buffer("bias", conv.bias)

    def forward(self, image: Tensor) -> Tensor:
        last = image.permute(0, 2, 3, 1)
        d0, d1, d2, d3 = last[:, :, :-2:2], last[:, :, 1:-2:2], last[:, :, 2::2], last[:, :, 3::2]
        inputs = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
        # The second product enters both results with a plus: it takes the bias along.
        biases = (None, self.bias, None, None)
        m0, m1, m2, m3 = (
            functional.conv2d(each.permute(0, 3, 1, 2), weight, bias).permute(0, 2, 3, 1)
            for each, weight, bias in zip(inputs, self.weights, biases, strict=True)
        )
        made = m0.new_empty(*m0.shape[:3], 2, m0.shape[3])
        torch.add(m0.add_(m1), m2, out=made[..., 0, :])
        torch.sub(m1.sub_(m2), m3, out=made[..., 1, :])
        return made.flatten(2, 3).permute(0, 3, 1, 2)


def is_wide(conv: nn.Conv2d) -> bool:
    """Whether a layer gains by it."""
    return min(conv.in_channels, conv.out_channels) >= _WIDE
