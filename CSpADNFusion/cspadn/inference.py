"""The network made ready for fusing: the fused slices of :class:`cspadn.network.CSpADN`, for less work.

Nothing is approximated (docs/adr/0013):

* Batch norm is folded into the convolution before it.
* The affinities of criss-cross attention exist for a few lines at a time. Rows and columns have a softmax each, without its
  division; the two are merged through their maxima. The value projection comes after the sum, which it commutes with.
* All 1x1 convolutions that remain are two matrix products: query and key, and what is added to the features.
* Around the head a slice is black. There the features are one vector, which enters the softmaxes, the Gram matrix and the mean
  as often as it stands there; only a crop around the head is computed. Slices that are all black cost nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .attention import ChannelAttention, CrissCrossAttention
from .network import CSpADN

_BLACK = -1.0  # in the network's range
_CPU_LOGITS, _GPU_LOGITS = 2**19, 2**26  # affinities at a time: on a CPU, what its cache holds


@dataclass(frozen=True)
class Outside:
    """What was left out around a crop: positions that all have the same features.

    Attributes:
        features: (C,).
        rows, columns: how many of each were left out.
        positions: of the whole slice.
    """

    features: Tensor
    rows: int
    columns: int
    positions: int


class FusionNetwork(nn.Module):
    """A :class:`CSpADN` for fusing alone: it cannot be trained.

    Where both sources are black, so is the result, whatever the network makes of it there.
    """

    outside: Tensor

    def __init__(self, network: CSpADN) -> None:
        super().__init__()
        ready = copy.deepcopy(network).eval().requires_grad_(False)
        _fold_batch_norms(ready)
        self.encoder, self.decoder = ready.encoder, ready.decoder
        self.spatial = next((each for each in ready.attention.modules() if isinstance(each, CrissCrossAttention)), None)
        self.channel = next((each for each in ready.attention.modules() if isinstance(each, ChannelAttention)), None)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        layers = sum(isinstance(each, nn.Conv2d) for each in self.encoder.modules())
        self._margin = max(layers, sum(isinstance(each, nn.Conv2d) for each in self.decoder.modules()))
        with torch.inference_mode():
            black = torch.full((1, 2, 3, 3), _BLACK)
            self.register_buffer("outside", self.encoder(black)[0, :, 1, 1].clone())

    @torch.inference_mode()
    def forward(self, sources: Tensor) -> Tensor:
        """Fuse as :meth:`CSpADN.forward`: (N, 2, H, W) in [-1, 1] to (N, 1, H, W)."""
        seen = (sources > _BLACK).any(dim=1, keepdim=True)  # (N, 1, H, W)
        height, width = sources.shape[-2:]
        rows, columns = (_extent(seen.any(dim=axis).any(dim=0).flatten(), self._margin) for axis in (-1, -2))
        fused = torch.full_like(seen, _BLACK, dtype=torch.float32)
        if len(rows) == 0:
            return fused
        crop = sources[:, :, rows.start : rows.stop, columns.start : columns.stop]
        outside = Outside(self.outside, height - len(rows), width - len(columns), height * width)
        features = self.encoder(crop.contiguous(memory_format=torch.channels_last))
        decoded = self.decoder(self._attended(features, outside))
        fused[:, :, rows.start : rows.stop, columns.start : columns.stop] = decoded
        return fused.masked_fill_(~seen, _BLACK)

    def _attended(self, features: Tensor, outside: Outside) -> Tensor:
        """The sum of F5 and C5, one of them, or F0 itself: (N, C, H, W) to the same."""
        last = features.permute(0, 2, 3, 1)  # (N, H, W, C): a view, since channels come last
        flat = last.flatten(1, 2)
        attended = (bool(self.spatial) + bool(self.channel)) * flat if self.spatial or self.channel else flat
        if self.channel:
            weight, bias = _channel_product(self.channel, flat, outside)
            attended = attended.add_(bias).baddbmm_(flat, weight.mT)
        if self.spatial:
            summed = _criss_cross_sum(self.spatial, last, outside)
            weight, bias = (self.spatial.alpha * each for each in _matrix(self.spatial.value))
            attended = attended.add_(bias).baddbmm_(summed.flatten(1, 2), weight.mT.expand(len(flat), -1, -1))
        return attended.view_as(last).permute(0, 3, 1, 2)


def _fold_batch_norms(network: nn.Module) -> None:
    """Each convolution takes the batch norm after it into its weights."""
    for sequence in [each for each in network.modules() if isinstance(each, nn.Sequential)]:
        for index in range(len(sequence) - 1):
            first, second = sequence[index], sequence[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                sequence[index], sequence[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()


def _extent(seen: Tensor, margin: int) -> range:
    """From the first to the last place that is seen, with a margin as far as there is room; empty where none is."""
    places = seen.nonzero()
    if not len(places):
        return range(0)
    return range(max(0, int(places[0]) - margin), min(len(seen), int(places[-1]) + 1 + margin))


def _matrix(layer: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weight (out, in) and bias (out,) of a 1x1 convolution."""
    assert layer.bias is not None
    return layer.weight.flatten(1), layer.bias


# Channel attention


def _channel_product(module: ChannelAttention, flat: Tensor, outside: Outside) -> tuple[Tensor, Tensor]:
    """beta A C3 as a product with the features: weight (N, C, C) and bias (N, 1, C), from features (N, positions, C)."""
    share = (outside.positions - flat.shape[1]) / outside.positions
    gram = torch.bmm(flat.mT / outside.positions, flat) + share * torch.outer(outside.features, outside.features)
    mean = (flat.sum(1) / outside.positions + share * outside.features).unsqueeze(-1)  # (N, C, 1)
    (query, query_bias), (key, key_bias) = _matrix(module.query), _matrix(module.key)
    # As ChannelAttention has it: rows y (key, C2), columns x (query, C1).
    logits = key @ gram @ query.mT + (key @ mean) * query_bias + key_bias[:, None] * (query @ mean).mT
    affinity = module.beta * (logits + torch.outer(key_bias, query_bias)).softmax(-1)
    weight, bias = _matrix(module.value)
    return affinity @ weight, (affinity @ bias).unsqueeze(1)


# Criss-cross attention


def _criss_cross_sum(module: CrissCrossAttention, last: Tensor, outside: Outside) -> Tensor:
    """The features, not yet projected to values, summed over row and column of each position: (N, H, W, C) to the same."""
    (query_weight, query_bias), (key_weight, key_bias) = _matrix(module.query), _matrix(module.key)
    weight, bias, reduced = torch.cat([query_weight, key_weight]), torch.cat([query_bias, key_bias]), len(query_bias)
    both = (last @ weight.mT).add_(bias)
    query, key = both[..., :reduced], both[..., reduced:]
    row = _line_sums(query, key, last)
    column = _line_sums(query.transpose(1, 2), key.transpose(1, 2), last.transpose(1, 2), itself=False)
    parts = [row, tuple(part.transpose(1, 2) for part in column)]
    if outside.rows or outside.columns:
        logits = query @ (key_weight @ outside.features + key_bias)  # (N, H, W): to any position outside, all alike
        count = torch.full_like(logits, outside.rows + outside.columns)
        parts.append((count.unsqueeze(-1) * outside.features, logits.unsqueeze(-1), count.unsqueeze(-1)))
    return _merged(parts)


def _merged(parts: list[tuple[Tensor, ...]]) -> Tensor:
    """Softmax-weighted sums of several sets of positions, of each its sum, maximum and divisor, as the sum over all."""
    maximum = torch.stack([part[1] for part in parts]).amax(0)
    weights = [(part[1] - maximum).exp_() for part in parts]
    divisor = sum(weight * part[2] for weight, part in zip(weights, parts, strict=True))
    merged = parts[0][0] * (weights[0] / divisor)
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        merged.addcmul_(part[0], weight / divisor)
    return merged


def _line_sums(query: Tensor, key: Tensor, value: Tensor, *, itself: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Along each line, without the softmax's division: sum (N, L, M, C), maximum and divisor (N, L, M, 1).

    Args:
        query, key, value: (N, L, M, channels), M positions on each line.
        itself: whether a position attends to itself.
    """
    count, lines, places = query.shape[:3]
    query, key, value = (each.reshape(count * lines, places, -1) for each in (query, key, value))
    sums, maxima, divisors = torch.empty_like(value), *query.new_empty(2, count * lines, places, 1)
    step = max(1, (_CPU_LOGITS if query.device.type == "cpu" else _GPU_LOGITS) // places**2)
    for start in range(0, count * lines, step):
        some = slice(start, start + step)
        logits = torch.bmm(query[some], key[some].mT)
        if not itself:
            logits.diagonal(dim1=-2, dim2=-1).fill_(float("-inf"))
        torch.amax(logits, -1, keepdim=True, out=maxima[some])
        logits.sub_(maxima[some].clamp_min_(torch.finfo(logits.dtype).min)).exp_()  # a line of one place has no maximum
        torch.sum(logits, -1, keepdim=True, out=divisors[some])
        torch.bmm(logits, value[some], out=sums[some])
    shape = (count, lines, places, -1)
    return sums.view(shape), maxima.view(shape), divisors.view(shape)
