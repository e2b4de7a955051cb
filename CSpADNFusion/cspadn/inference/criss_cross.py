"""Criss-cross attention for inference: softmax-weighted sums over the row and the column of each pixel that needs one.

The affinities of a few lines exist at a time, so that they fit into a processor's cache. Rows and columns are summed without
the division of the softmax, which follows at the end. See docs/inference.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cspadn.inference.head_region import Block, HeadRegion, aligned

if TYPE_CHECKING:
    from torch import Tensor

    from cspadn.inference.feature_maps import Workspace
    from cspadn.models.attention import CrissCrossAttention

_CPU_AFFINITIES, _GPU_AFFINITIES = 2**19, 2**26  # largest number of affinities at a time
_LOG2_E = math.log2(math.e)
_SAFE_LOGIT = 100.0  # to the base 2: no sum of 2^logit over a line, times a feature, leaves the range of float32


@dataclass(frozen=True)
class Crop:
    """The part of the slices that is computed, and the constant features outside of it.

    Attributes:
        region: foreground within the crop.
        height, width: pixels of the whole slices.
        black: (C,), features of all pixels farther than ``encoder_radius`` from the foreground.
        encoder_radius: receptive-field radius of the encoder, in pixels.
        decoder_radius: receptive-field radius of the decoder; sums are needed this far from the foreground.
    """

    region: HeadRegion
    height: int
    width: int
    black: Tensor
    encoder_radius: int
    decoder_radius: int


class CrissCrossSums:
    """The softmax-weighted sums of the values over the row and the column of each pixel, times the module's alpha.

    The biases of the values are left out: the weights of a softmax sum to 1, so the caller adds them once.

    Maps have channels first, (channels, N, H, W), because a product with many columns is faster than one with many rows.

    Args:
        module: trained attention module.
        framed: features of the crop with a frame of one pixel, (N, C, H + 2, W + 2), channels last.
        workspace: its map "odd" holds the sums.
        crop: the part of the slices that ``framed`` covers.
    """

    def __init__(self, module: CrissCrossAttention, framed: Tensor, workspace: Workspace, crop: Crop) -> None:
        import torch

        self._crop, count = crop, len(framed)
        weight, bias, self._black = _projection(module, crop.black)
        height, width = framed.shape[2:]
        maps = workspace.flat("queries, keys and values", framed, len(weight) * count * height * width)
        projected = maps.view(len(weight), -1)
        torch.addmm(bias, weight, framed.permute(0, 2, 3, 1).flatten(0, 2).mT, out=projected)
        self._maps = _Maps.of(projected.view(len(weight), count, height, width)[..., 1:-1, 1:-1], module.query.out_channels)
        self._shift = self._maxima() if self._may_overflow() else None
        sums, (height, width) = len(self._black), self._maps.query.shape[2:]
        self._sums = workspace.flat("odd", framed, sums * count * height * width).view(sums, count, height, width)
        self._sums.zero_()  # a number that is none, in a pixel that nobody needs, would spread: layers multiply it by 0
        self._missing = np.zeros(width, np.int64)
        self._add_columns()

    def blocks(self) -> Iterator[tuple[Block, Tensor]]:
        """Yield each block of pixels that needs sums, with its sums (N, rows, columns, C).

        The features are not read again, so the caller may overwrite them.
        """
        import torch

        for rows, columns, keys in self._lines(self._crop.region):
            sums = _part(self._sums, rows, columns)
            sums += self._maps.attended(rows, columns, keys, self._shift)
            count = self._missing[columns.start : columns.stop] + self._crop.width - len(keys)
            if count.any():
                black = _part(self._maps.black, rows, columns)
                affinity = (black if self._shift is None else black - _part(self._shift, rows, columns)).exp2()
                sums.addcmul_(affinity * torch.from_numpy(count).to(sums), self._black)
            yield (rows, columns), (sums[:-1] / sums[-1:]).permute(1, 2, 3, 0)

    def _add_columns(self) -> None:
        """Sum over the column of each pixel, without the pixel itself, which its row contains."""
        turned = self._maps.mT
        shift = None if self._shift is None else self._shift.mT
        for columns, rows, keys in self._lines(self._crop.region.transposed):
            _part(self._sums.mT, columns, rows).copy_(turned.attended(columns, rows, keys, shift, without_itself=True))
            self._missing[columns.start : columns.stop] = self._crop.height - len(keys)

    def _lines(self, region: HeadRegion) -> Iterator[tuple[range, range, range]]:
        """Yield lines, queries and keys along them, of which the affinities fit into memory: some lines, or a part of one."""
        query = self._maps.query
        length, limit = region.foreground.shape[1], _CPU_AFFINITIES if query.is_cpu else _GPU_AFFINITIES
        at_a_time = max(1, limit // (query.shape[1] * length))  # queries
        for lines, queries in region.blocks(self._crop.decoder_radius, max(1, at_a_time // length)):
            reached = region.columns(lines, max(self._crop.encoder_radius, self._crop.decoder_radius))
            for start in queries[::at_a_time]:
                yield lines, range(start, min(start + at_a_time, queries.stop)), aligned(reached, length)

    def _may_overflow(self) -> bool:
        """Return whether a logit may be too large to be exponentiated directly, by the lengths of queries and keys."""
        import torch

        maps = self._maps
        if maps.query.dtype != torch.float32:
            return True
        longest = math.prod(float(each.square().sum(0).max()) for each in (maps.query, maps.key)) ** 0.5
        return not max(longest, float(maps.black.abs().max())) <= _SAFE_LOGIT  # also if it is no number

    def _maxima(self) -> Tensor:
        """Return the largest logit of each pixel over its row, its column and the background there, plus an offset.

        With the offset, the logarithm of the number of summands, sums over both lines stay within half precision.

        Returns:
            (1, N, H, W).
        """
        import torch

        maxima = torch.full_like(self._maps.black, float("-inf"))
        crop = self._crop
        self._raise(maxima, self._maps, crop.region, crop.width)
        self._raise(maxima.mT, self._maps.mT, crop.region.transposed, crop.height)
        return maxima.add_(math.log2(crop.height + crop.width))

    def _raise(self, maxima: Tensor, maps: _Maps, region: HeadRegion, length: int) -> None:
        """Raise the maxima to the largest logit along lines of the region; a line of the whole slice has ``length`` pixels."""
        import torch

        for lines, queries, keys in self._lines(region):
            here = _part(maxima, lines, queries)
            largest = maps.logits(lines, queries, keys).amax(1).view_as(here)
            torch.maximum(here, largest, out=here)
            if len(keys) < length:
                torch.maximum(here, _part(maps.black, lines, queries), out=here)


@dataclass(frozen=True)
class _Maps:
    """What the sums need of each pixel; all (channels, N, lines, positions along the line).

    Attributes:
        query, key: C' channels each; their dot product is a logit to the base 2.
        black: one channel, the logit of a background pixel.
        value: C channels, and one that is 1 everywhere. Its sum is the divisor of the softmax.
    """

    query: Tensor
    key: Tensor
    black: Tensor
    value: Tensor

    @classmethod
    def of(cls, joined: Tensor, reduced: int) -> _Maps:
        """View a map with the channels of all, of which ``reduced`` belong to the query."""
        rest = 2 * reduced
        return cls(joined[:reduced], joined[reduced:rest], joined[rest : rest + 1], joined[rest + 1 :])

    @property
    def mT(self) -> _Maps:  # noqa: N802 - as in torch
        """The maps with lines and positions exchanged, as a view."""
        return _Maps(self.query.mT, self.key.mT, self.black.mT, self.value.mT)

    def logits(self, lines: range, queries: range, keys: range) -> Tensor:
        """Return (N * lines, keys, queries)."""
        return _batch(self.key, lines, keys).mT @ _batch(self.query, lines, queries)

    def attended(
        self, lines: range, queries: range, keys: range, shift: Tensor | None, *, without_itself: bool = False
    ) -> Tensor:
        """Return the sums of 2^(logit - shift) times the values along the lines, (C + 1, N, lines, queries).

        Args:
            lines, queries, keys: which lines, and which positions along them ask and are asked.
            shift: (1, N, all lines, all positions); None: 0.
            without_itself: leave out each position's own value.
        """
        affinity = self.logits(lines, queries, keys)
        if shift is not None:
            affinity -= _batch(shift, lines, queries)
        affinity.exp2_()
        if without_itself:
            affinity.diagonal(keys.start - queries.start, dim1=-2, dim2=-1).zero_()
        sums = _batch(self.value, lines, keys) @ affinity
        return sums.view(-1, len(lines), *sums.shape[1:]).permute(2, 0, 1, 3)


def _projection(module: CrissCrossAttention, black: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the product that maps features to all channels of :class:`_Maps`, and the values of a background pixel.

    Args:
        black: (C,), features of the background.

    Returns:
        Weight (channels, C) and bias (channels, 1), and the background's values (C + 1, 1, 1, 1).
    """
    import torch

    from cspadn.models.attention import as_matrix

    (query, query_bias), (key, key_bias) = as_matrix(module.query), as_matrix(module.key)
    query, query_bias = query * _LOG2_E, query_bias * _LOG2_E  # affinities are powers of 2: faster than powers of e in torch
    black_key = key @ black.unsqueeze(-1) + key_bias
    value = module.alpha * as_matrix(module.value)[0]
    nothing = black.new_zeros(len(value), 1)
    weight = torch.cat([query, key, black_key.mT @ query, value, nothing.mT])
    bias = torch.cat([query_bias, key_bias, black_key.mT @ query_bias, nothing, black.new_ones(1, 1)])
    return weight, bias, torch.cat([value @ black, black.new_ones(1)]).view(-1, 1, 1, 1)


def _part(maps: Tensor, lines: range, positions: range) -> Tensor:
    """View some lines and positions of (channels, N, lines, positions)."""
    return maps[:, :, lines.start : lines.stop, positions.start : positions.stop]


def _batch(maps: Tensor, lines: range, positions: range) -> Tensor:
    """Return some lines and positions of (channels, N, lines, positions) as (N * lines, channels, positions)."""
    return _part(maps, lines, positions).permute(1, 2, 0, 3).flatten(0, 1)


def at(block: Block) -> tuple[slice, slice, slice]:
    """Return the index of a block in an array (N, H, W, ...)."""
    rows, columns = block
    return slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def inner(framed: Tensor) -> Tensor:
    """View a framed map (N, C, H + 2, W + 2) without its frame, channels last: (N, H, W, C)."""
    return framed.permute(0, 2, 3, 1)[:, 1:-1, 1:-1]
