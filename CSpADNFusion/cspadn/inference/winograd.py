"""3x3 convolutions with a third fewer multiplications: Winograd's F(2, 3) along the rows.

Two neighbouring results of a row depend on four inputs d0 to d3 and three weights g0 to g2. They need four products instead of
six: (d0 - d2) g0, (d1 + d2) (g0 + g1 + g2) / 2, (d2 - d1) (g0 - g1 + g2) / 2 and (d1 - d3) g2. Along both axes there would be
fewer products still, but the additional sums cost more than that saves.

Source: A. Lavin, S. Gray, Fast algorithms for convolutional neural networks, CVPR 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST_CHANNELS = 64  # with fewer channels, the sums cost what the products save


class WinogradConv2d(nn.Module):
    """A 3x3 convolution without padding, equal to ``conv`` up to rounding.

    The input must have an even number of columns: (N, C, H + 2, W + 2) to (N, O, H, W).

    Args:
        conv: the convolution whose weights and bias are used.
    """

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
        """Convolve (N, C, H + 2, W + 2) to (N, O, H, W); W is even."""
        last = image.permute(0, 2, 3, 1)
        d0, d1, d2, d3 = last[:, :, :-2:2], last[:, :, 1:-2:2], last[:, :, 2::2], last[:, :, 3::2]
        inputs = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
        # The second product is added in both results, so it carries the bias.
        biases = (None, self.bias, None, None)
        m0, m1, m2, m3 = (
            functional.conv2d(each.permute(0, 3, 1, 2), weight, bias).permute(0, 2, 3, 1)
            for each, weight, bias in zip(inputs, self.weights, biases, strict=True)
        )
        result = m0.new_empty(*m0.shape[:3], 2, m0.shape[3])
        torch.add(m0.add_(m1), m2, out=result[..., 0, :])
        torch.sub(m1.sub_(m2), m3, out=result[..., 1, :])
        return result.flatten(2, 3).permute(0, 3, 1, 2)


def is_wide(conv: nn.Conv2d) -> bool:
    """Return whether a layer has enough channels to be faster by Winograd's algorithm."""
    return min(conv.in_channels, conv.out_channels) >= _LEAST_CHANNELS
