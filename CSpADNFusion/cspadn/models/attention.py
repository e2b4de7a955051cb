"""The two parallel attention modules of CSpA-DN (paper, section II.B).

Both compute the published equations exactly, in an order that avoids the largest intermediate results:

* :class:`CrissCrossAttention` never joins the row and column affinities into one map; the two softmaxes are merged through
  their log-sum-exp.
* :class:`ChannelAttention` takes its affinity from the Gram matrix of the features, so that the maps C1, C2 and C3 (each as
  large as the features) are never computed.

``Testing/tools/reference_attention.py`` implements the equations literally; the tests compare both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CrissCrossAttention(nn.Module):
    """Spatial attention over the row and the column of each position (equations 1 and 2).

    Each position attends to the H + W - 1 positions of its row and column, itself counted once:
    ``F5 = alpha * sum_i S[i, u] F3[i] + F0``, where S is the softmax over these positions of ``F1(u) . F2(i)``.

    Args:
        channels: C, channels of the features.
        reduced_channels: C', channels of the query F1 and the key F2.
    """

    def __init__(self, channels: int, reduced_channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, reduced_channels, kernel_size=1)
        self.key = nn.Conv2d(channels, reduced_channels, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Map F0 (N, C, H, W) to F5 of the same shape."""
        query, key, value = self.query(features), self.key(features), self.value(features)
        return torch.addcmul(features, self.alpha, _criss_cross(query, key, value))


def _criss_cross(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute F4 of equation 2, the softmax-weighted sum of ``value`` over row and column; all (N, channels, H, W)."""
    row_logits = _line_logits(query, key)  # (N, H, W, W): along the row of each position
    column_logits = _line_logits(query.mT, key.mT)  # (N, W, H, H): along its column
    # The position itself lies on both lines. It is counted in the row and removed from the column.
    itself = torch.eye(column_logits.shape[-1], dtype=torch.bool, device=query.device)
    column_logits = column_logits.masked_fill(itself, float("-inf"))
    # Not logaddexp: on Apple's MPS it exponentiates without subtracting the maximum first.
    log_sum = torch.stack([row_logits.logsumexp(-1), column_logits.logsumexp(-1).mT]).logsumexp(0)  # (N, H, W)
    row = _line_sum((row_logits - log_sum.unsqueeze(-1)).exp(), value)
    column = _line_sum((column_logits - log_sum.mT.unsqueeze(-1)).exp(), value.mT)
    return row + column.mT


def _line_logits(query: Tensor, key: Tensor) -> Tensor:
    """Return the dot products of the positions of each line: (N, C', L, M) twice to (N, L, M, M)."""
    return torch.matmul(query.permute(0, 2, 3, 1), key.permute(0, 2, 1, 3))


def _line_sum(weights: Tensor, value: Tensor) -> Tensor:
    """Compute the weighted sum along each line: weights (N, L, M, M) and value (N, C, L, M) to (N, C, L, M)."""
    return torch.matmul(weights, value.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ChannelAttention(nn.Module):
    """Channel attention (equations 3 and 4).

    ``C5 = beta * sum_x A[y, x] C3[x] + F0``, where A[y, :] is the softmax over x of ``C1(x) . C2(y) / (H * W)``. The division
    is our addition (docs/adr/0002): raw sums over all positions saturate the softmax and depend on the image size.

    Args:
        channels: C, channels of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, kernel_size=1)
        self.key = nn.Conv2d(channels, channels, kernel_size=1)
        self.value = nn.Conv2d(channels, channels, kernel_size=1)
        self.beta = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor) -> Tensor:
        """Map F0 (N, C, H, W) to C5 of the same shape."""
        flat = features.flatten(2)  # (N, C, H*W)
        gram = torch.bmm(flat / flat.shape[-1], flat.mT)  # divided first: in float16 the sums would overflow
        weight, bias = self.product(gram, flat.mean(-1, keepdim=True))
        attended = torch.baddbmm(bias.expand(-1, -1, flat.shape[-1]), weight, flat)
        return torch.addcmul(features, self.beta, attended.view_as(features))

    def product(self, gram: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum over A of equation 4 as one product with the features: A (W3 F + b3) = (A W3) F + A b3.

        Args:
            gram, mean: means over all positions of f f^T, (N, C, C), and of f, (N, C, 1); they give the affinities A.

        Returns:
            Weight (N, C, C) and bias (N, C, 1), in the precision of ``gram``.
        """
        (query, query_bias), (key, key_bias), (value, value_bias) = (
            [part.to(gram.dtype) for part in as_matrix(each)] for each in (self.query, self.key, self.value)
        )
        # mean over positions of (Wk f + bk)(Wq f + bq)^T, rows y (key, C2), columns x (query, C1)
        logits = key @ gram @ query.mT + (key @ mean) @ query_bias.mT + key_bias @ (query @ mean + query_bias).mT
        affinity = logits.softmax(-1)
        return affinity @ value, affinity @ value_bias


def as_matrix(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return weight (out, in) and bias (out, 1) of a 1x1 convolution."""
    assert layer.bias is not None
    return layer.weight.flatten(1), layer.bias.unsqueeze(-1)
