"""Criss-cross attention for inference: softmax-weighted sums over the row and the column of each pixel that needs one.

The affinities of a few lines exist at a time, so that they fit into a processor's cache. Rows and columns are summed without
the division of the softmax, which follows at the end, as does the projection to values. See docs/inference.md.
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
    """Softmax-weighted sums of the features over rows and columns; they are not yet projected to values.

    Args:
        module: trained attention module.
        framed: features of the crop with a frame of one pixel, (N, C, H + 2, W + 2), channels last.
        workspace: its map "odd" holds the sums.
        crop: the part of the slices that ``framed`` covers.
    """

    def __init__(self, module: CrissCrossAttention, framed: Tensor, workspace: Workspace, crop: Crop) -> None:
        import torch

        from cspadn.models.attention import as_matrix

        self._crop, self._features = crop, inner(framed)
        (query, query_bias), (key, key_bias) = as_matrix(module.query), as_matrix(module.key)
        both = workspace.map("queries and keys", framed, 2 * len(query)).permute(0, 2, 3, 1)
        weight = torch.cat([query * _LOG2_E, key])  # affinities are powers of 2, which torch computes faster than powers of e
        torch.mm(framed.permute(0, 2, 3, 1).flatten(0, 2), weight.mT, out=both.flatten(0, 2))
        both += torch.cat([query_bias * _LOG2_E, key_bias]).squeeze(-1)
        self._query, self._key = both[:, 1:-1, 1:-1, : len(query)], both[:, 1:-1, 1:-1, len(query) :]
        self._black_key = key @ crop.black + key_bias.squeeze(-1)
        self._shift = self._maxima() if self._may_overflow() else None
        # A further feature, which is 1 everywhere, makes the last of the sums the divisor of the softmax.
        self._values = workspace.map("values", self._features.permute(0, 3, 1, 2), framed.shape[1] + 1).permute(0, 2, 3, 1)
        self._values[..., :-1], self._values[..., -1] = self._features, 1
        self._black = torch.cat([crop.black, crop.black.new_ones(1)])
        self._sums = inner(workspace.map("odd", framed, framed.shape[1] + 1))
        self._missing = np.zeros(self._query.shape[2], np.int64)
        self._add_columns()

    def blocks(self) -> Iterator[tuple[Block, Tensor]]:
        """Yield each block of pixels that needs sums, with its sums (N, rows, columns, C).

        The features are not read again, so the caller may overwrite them.
        """
        import torch

        for rows, columns, keys in self._lines(self._crop.region):
            here, there = at((rows, columns)), at((rows, keys))
            sums = self._sums[here]
            sums += _affinity(self._query[here], self._key[there], self._shift_at(here)) @ self._values[there]
            count = self._missing[columns.start : columns.stop] + self._crop.width - len(keys)
            if count.any():
                sums.addcmul_(self._black_affinity(here) * torch.from_numpy(count).to(sums).unsqueeze(-1), self._black)
            yield (rows, columns), sums[..., :-1] / sums[..., -1:]

    def _add_columns(self) -> None:
        """Sum over the column of each pixel, without the pixel itself, which its row contains."""
        query, key, values, sums = map(_turned, (self._query, self._key, self._values, self._sums))
        shift = None if self._shift is None else _turned(self._shift)
        for columns, rows, keys in self._lines(self._crop.region.transposed):
            here, there = at((columns, rows)), at((columns, keys))
            affinity = _affinity(query[here].contiguous(), key[there].contiguous(), None if shift is None else shift[here])
            affinity.diagonal(rows.start - keys.start, dim1=-2, dim2=-1).zero_()
            sums[here] = affinity @ values[there].contiguous()
            self._missing[columns.start : columns.stop] = self._crop.height - len(keys)

    def _lines(self, region: HeadRegion) -> Iterator[tuple[range, range, range]]:
        """Yield lines, queries and keys along them, of which the affinities fit into memory: some lines, or a part of one."""
        length, limit = region.foreground.shape[1], _CPU_AFFINITIES if self._features.is_cpu else _GPU_AFFINITIES
        at_a_time = max(1, limit // (len(self._features) * length))  # queries
        for lines, queries in region.blocks(self._crop.decoder_radius, max(1, at_a_time // length)):
            reached = region.columns(lines, max(self._crop.encoder_radius, self._crop.decoder_radius))
            for start in queries[::at_a_time]:
                yield lines, range(start, min(start + at_a_time, queries.stop)), aligned(reached, length)

    def _may_overflow(self) -> bool:
        """Return whether a logit may be too large to be exponentiated directly, by the lengths of queries and keys."""
        import torch

        if self._query.dtype != torch.float32:
            return True
        longest = max(self._key.norm(dim=-1).max(), self._black_key.norm())
        return not bool(self._query.norm(dim=-1).max() * longest <= _SAFE_LOGIT)

    def _maxima(self) -> Tensor:
        """Return the largest logit of each pixel over its row, its column and the background there, plus an offset.

        With the offset, the logarithm of the number of summands, sums over both lines stay within half precision.

        Returns:
            (N, H, W, 1).
        """
        import torch

        maxima = torch.full_like(self._query[..., :1], float("-inf"))
        crop = self._crop
        self._raise(maxima, self._query, self._key, crop.region, crop.width)
        self._raise(_turned(maxima), _turned(self._query), _turned(self._key), crop.region.transposed, crop.height)
        return maxima.add_(math.log2(crop.height + crop.width))

    def _raise(self, maxima: Tensor, query: Tensor, key: Tensor, region: HeadRegion, length: int) -> None:
        """Raise the maxima to the largest logit along lines of the region; a line of the whole slice has ``length`` pixels."""
        import torch

        for lines, queries, keys in self._lines(region):
            here, asking = maxima[at((lines, queries))], query[at((lines, queries))]
            torch.maximum(here, (asking @ key[at((lines, keys))].mT).amax(-1, keepdim=True), out=here)
            if len(keys) < length:
                torch.maximum(here, (asking @ self._black_key).unsqueeze(-1), out=here)

    def _shift_at(self, here: tuple[slice, ...]) -> Tensor | None:
        return None if self._shift is None else self._shift[here]

    def _black_affinity(self, here: tuple[slice, ...]) -> Tensor:
        logits: Tensor = (self._query[here] @ self._black_key).unsqueeze(-1)
        return (logits if self._shift is None else logits - self._shift[here]).exp2_()


def at(block: Block) -> tuple[slice, slice, slice]:
    """Return the index of a block in an array (N, H, W, ...)."""
    rows, columns = block
    return slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def inner(framed: Tensor) -> Tensor:
    """View a framed map (N, C, H + 2, W + 2) without its frame, channels last: (N, H, W, C)."""
    return framed.permute(0, 2, 3, 1)[:, 1:-1, 1:-1]


def _turned(each: Tensor) -> Tensor:
    """Exchange rows and columns of (N, H, W, ...)."""
    return each.transpose(1, 2)


def _affinity(query: Tensor, key: Tensor, shift: Tensor | None) -> Tensor:
    """Return 2^(logit - shift) for queries and keys of the same line.

    Args:
        query: (N, L, Q, C') for L lines.
        key: (N, L, K, C').
        shift: (N, L, Q, 1); None: 0.

    Returns:
        (N, L, Q, K).
    """
    logits: Tensor = query @ key.mT
    return (logits if shift is None else logits.sub_(shift)).exp2_()
