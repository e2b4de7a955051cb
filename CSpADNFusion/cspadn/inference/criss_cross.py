"""The sums of criss-cross attention over all that lies in the row and the column of each place that needs them.

The affinities of some lines at a time exist, in a processor's cache. Rows and columns are summed without the softmax's
division, which comes last; so does the projection to values, which the sum commutes with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cspadn.inference.feature_maps import Workspace
from cspadn.inference.matrix_product import put_product
from cspadn.inference.region import Region, Window, aligned
from cspadn.models.attention import CrissCrossAttention, as_matrix

_CPU_AFFINITIES, _GPU_AFFINITIES = 2**19, 2**26  # at a time
_LOG2_E = math.log2(math.e)
_SAFE_LOGIT = 100.0  # to the base 2: summed over a line, as weights of features, far from the ends of float32


@dataclass(frozen=True)
class Extent:
    """Which part of the slices is there, and what is beyond it.

    Attributes:
        region: what is seen of that part.
        height, width: of the whole slices.
        black: (C,), the features of all places that are farther than ``reach`` from one seen.
        sight: how far from a seen place sums are needed.
    """

    region: Region
    height: int
    width: int
    black: Tensor
    reach: int
    sight: int


class CrissCrossSums:
    """Features, not yet projected to values, summed with the weights of their softmax.

    Args:
        framed: the features of the part that is there, with a frame of one pixel: (N, C, H + 2, W + 2), channels last.
        workspace: the sums stand in its map "odd".
    """

    def __init__(self, module: CrissCrossAttention, framed: Tensor, workspace: Workspace, extent: Extent) -> None:
        self._extent, self._features = extent, inner(framed)
        (query, query_bias), (key, key_bias) = as_matrix(module.query), as_matrix(module.key)
        both = workspace.map("queries and keys", framed, 2 * len(query)).permute(0, 2, 3, 1)
        weight = torch.cat([query * _LOG2_E, key])  # so that the affinities are powers of 2, which torch computes faster
        put_product(Tensor.copy_, both.flatten(0, 2), framed.permute(0, 2, 3, 1).flatten(0, 2), weight.mT)
        both += torch.cat([query_bias * _LOG2_E, key_bias]).squeeze(-1)
        self._query, self._key = both[:, 1:-1, 1:-1, : len(query)], both[:, 1:-1, 1:-1, len(query) :]
        self._black_key = key @ extent.black + key_bias.squeeze(-1)
        self._shift = self._maxima() if self._may_overflow() else None
        self._sums = inner(workspace.map("odd", framed, framed.shape[1]))
        self._divisors = self._query.new_ones(*self._query.shape[:3], 1)
        self._missing = np.zeros(self._query.shape[2], np.int64)
        self._add_columns()

    def bands(self) -> Iterator[tuple[Window, Tensor]]:
        """Rows and columns where sums are needed, some rows at a time, and the sums there: (N, rows, columns, C).

        The features in rows that came are not looked at again.
        """
        for rows, columns, keys in self._lines(self._extent.region):
            here, there = at((rows, columns)), at((rows, keys))
            sums, divisors = self._sums[here], self._divisors[here]
            affinity = _affinity(self._query[here], self._key[there], self._shift_at(here))
            put_product(Tensor.add_, sums, affinity, self._features[there])
            divisors.add_(affinity.sum(-1, keepdim=True))
            count = self._missing[columns.start : columns.stop] + self._extent.width - len(keys)
            if count.any():
                weights = self._black_affinity(here) * torch.from_numpy(count).to(sums).unsqueeze(-1)
                sums.addcmul_(weights, self._extent.black)
                divisors.add_(weights)
            yield (rows, columns), sums / divisors

    def _add_columns(self) -> None:
        """Of each place the sum over its column, without itself, which its row has."""
        query, key, features, sums, divisors = map(
            _turned, (self._query, self._key, self._features, self._sums, self._divisors)
        )
        shift = None if self._shift is None else _turned(self._shift)
        for columns, rows, keys in self._lines(self._extent.region.transposed):
            here, there = at((columns, rows)), at((columns, keys))
            affinity = _affinity(query[here].contiguous(), key[there].contiguous(), None if shift is None else shift[here])
            affinity.diagonal(rows.start - keys.start, dim1=-2, dim2=-1).zero_()
            put_product(Tensor.copy_, sums[here], affinity, features[there].contiguous())
            divisors[here] = affinity.sum(-1, keepdim=True)
            self._missing[columns.start : columns.stop] = self._extent.height - len(keys)

    def _lines(self, region: Region) -> Iterator[tuple[range, range, range]]:
        """Some lines at a time, and along them the places that ask, and those that answer."""
        length, limit = region.seen.shape[1], _CPU_AFFINITIES if self._features.is_cpu else _GPU_AFFINITIES
        step = max(1, limit // (len(self._features) * length**2))
        for lines, places in region.windows(self._extent.sight, step):
            reached = region.columns(lines, max(self._extent.reach, self._extent.sight))
            yield lines, places, aligned(reached, length)

    def _may_overflow(self) -> bool:
        """Whether some logit may be too large to be exponentiated as it is: by the lengths of the vectors."""
        if self._query.dtype != torch.float32:
            return True
        longest = max(self._key.norm(dim=-1).max(), self._black_key.norm())
        return not bool(self._query.norm(dim=-1).max() * longest <= _SAFE_LOGIT)

    def _maxima(self) -> Tensor:
        """The greatest logit of each place over its row, its column, and the black there, and a little more: (N, H, W, 1).

        So much more that a sum over both lines, of weights up to 1, stays within half precision.
        """
        maxima = torch.full_like(self._query[..., :1], float("-inf"))
        extent = self._extent
        self._raise(maxima, self._query, self._key, extent.region, extent.width)
        self._raise(_turned(maxima), _turned(self._query), _turned(self._key), extent.region.transposed, extent.height)
        return maxima.add_(math.log2(extent.height + extent.width))

    def _raise(self, maxima: Tensor, query: Tensor, key: Tensor, region: Region, length: int) -> None:
        """To the greatest logit along the lines of a region, of which the whole slice has ``length`` places."""
        for lines, places, keys in self._lines(region):
            here, asking = maxima[at((lines, places))], query[at((lines, places))]
            torch.maximum(here, (asking @ key[at((lines, keys))].mT).amax(-1, keepdim=True), out=here)
            if len(keys) < length:
                torch.maximum(here, (asking @ self._black_key).unsqueeze(-1), out=here)

    def _shift_at(self, here: tuple[slice, ...]) -> Tensor | None:
        return None if self._shift is None else self._shift[here]

    def _black_affinity(self, here: tuple[slice, ...]) -> Tensor:
        logits: Tensor = (self._query[here] @ self._black_key).unsqueeze(-1)
        return (logits if self._shift is None else logits - self._shift[here]).exp2_()


def at(window: Window) -> tuple[slice, slice, slice]:
    """The index of a window in (N, H, W, ...)."""
    rows, columns = window
    return slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop)


def inner(framed: Tensor) -> Tensor:
    """(N, C, H + 2, W + 2) to (N, H, W, C)."""
    return framed.permute(0, 2, 3, 1)[:, 1:-1, 1:-1]


def _turned(each: Tensor) -> Tensor:
    """With columns for rows."""
    return each.transpose(1, 2)


def _affinity(query: Tensor, key: Tensor, shift: Tensor | None) -> Tensor:
    """2 to the logits, less a shift: (N, L, Q, C'), (N, L, K, C') and (N, L, Q, 1) to (N, L, Q, K)."""
    logits: Tensor = query @ key.mT
    return (logits if shift is None else logits.sub_(shift)).exp2_()
