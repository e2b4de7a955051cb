"""The network made ready for fusing: the fused slices of :class:`cspadn.models.cspadn.CSpADN`, for less work.

Nothing is approximated (docs/adr/0013, 0014):

* Batch norm is folded into the convolution before it.
* Around the head a slice is black. There the encoder's features are one vector, which enters both attentions as often as it
  stands there; what is computed follows the head line by line. Slices that are all black cost nothing.
* Layers work on some rows at a time, which a processor's cache holds, and write into one buffer: nothing is concatenated.
  Wide ones need a third fewer multiplications (:mod:`cspadn.inference.winograd`).
* Criss-cross attention: :mod:`cspadn.inference.criss_cross`. Channel attention: through the Gram matrix of the features.
* All 1x1 convolutions that remain are matrix products.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cspadn.inference.criss_cross import CrissCrossSums, Extent, at, inner
from cspadn.inference.feature_maps import Layer, Workspace, convolve, fill_around, reflect_frame
from cspadn.inference.matrix_product import put_product
from cspadn.inference.region import Region, Window, aligned
from cspadn.models.attention import ChannelAttention, CrissCrossAttention, as_matrix
from cspadn.models.cspadn import CSpADN, reflect_pad

_BLACK = -1.0  # in the network's range
_WIDE_ROWS, _NARROW_ROWS, _GPU_ROWS = 16, 64, 2**20  # at a time, of layers: on a CPU what its cache holds, on a GPU all


def ready_to_fuse(network: nn.Module) -> nn.Module:
    """Return a copy of a network for inference: a :class:`FusionNetwork` of a :class:`CSpADN`, any other network unchanged."""
    return FusionNetwork(network) if isinstance(network, CSpADN) else copy.deepcopy(network).eval().requires_grad_(False)


class FusionNetwork(nn.Module):
    """A :class:`CSpADN` for fusing alone: it cannot be trained.

    Where both sources are black, so is the result, whatever the network makes of it there.
    """

    black_middles: Tensor
    black_features: Tensor

    def __init__(self, network: CSpADN) -> None:
        super().__init__()
        ready = copy.deepcopy(network).eval().requires_grad_(False)
        encoder, decoder = _layers(ready.encoder), _layers(ready.decoder)
        self._encoder, self._decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.spatial = next((each for each in ready.attention.modules() if isinstance(each, CrissCrossAttention)), None)
        self.channel = next((each for each in ready.attention.modules() if isinstance(each, ChannelAttention)), None)
        # As far as a seen place reaches, and as far as it sees.
        self.reach, self.sight = len(encoder), len(decoder)
        self.margin = max(self.reach + 1, self.sight)
        self._workspace = Workspace()  # two maps, from one to the other and back
        middles, features = _of_black(encoder)
        self.register_buffer("black_middles", middles)
        self.register_buffer("black_features", features)

    @torch.inference_mode()
    def forward(self, sources: Tensor) -> Tensor:
        """Fuse as :meth:`CSpADN.forward`: (N, 2, H, W) in [-1, 1] to (N, 1, H, W), both float32, whatever is used between."""
        seen = (sources > _BLACK).any(dim=1, keepdim=True)  # (N, 1, H, W)
        fused = torch.full_like(seen, _BLACK, dtype=torch.float32)
        whole = Region(seen.any(dim=0)[0].cpu().numpy())
        rows, columns = (
            aligned(lines, length) for lines, length in zip(whole.box(self.margin), whole.seen.shape, strict=True)
        )
        if not rows:
            return fused
        box = (..., slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        region, (height, width) = Region(whole.seen[box]), seen.shape[-2:]
        self._workspace.pixels = len(seen) * (height + 2) * (width + 2)
        extent = Extent(region, height, width, self.black_features, self.reach, self.sight)
        given = sources[box].to(self.black_features.dtype)
        fused[box] = self._decode(self._attend(self._encode(given, region), extent), region)
        return fused.masked_fill_(~seen, _BLACK)

    def _encode(self, sources: Tensor, region: Region) -> Tensor:
        """F0 with a frame: (N, C, H + 2, W + 2)."""
        framed = reflect_pad(sources)
        features, done = self._workspace.map("even", framed, len(self.black_features)), 0
        source, blacks = framed, iter(self.black_middles)
        for margin, layer in enumerate(_typed(self._encoder), start=1):
            windows = self._windows(region, margin, layer)
            if margin % 2:  # the common block, or the second layer of a module: its map stays
                new = slice(done, done := done + layer.out_channels)
                target, black, following = features[:, new], self.black_features[new], features[:, :done]
            else:
                black = next(blacks)
                target = following = self._workspace.map("odd", framed, layer.out_channels)
            fill_around(target, windows, black)
            convolve(layer, source, target, windows)
            source = following
        return features

    def _attend(self, framed: Tensor, extent: Extent) -> Tensor:
        """Put the sum of F5 and C5, or one of them, in the place of F0, as far as the decoder sees."""
        if not (self.spatial or self.channel):
            return framed
        features = inner(framed)
        weight, bias = self._product(features, extent)
        for window, sums in self._sums(framed, extent):
            own = features[at(window)]
            given = (torch.cat([own, sums], dim=-1) if sums is not None else own).flatten(1, 2)
            attended = given.new_empty(*given.shape[:2], own.shape[-1])
            put_product(Tensor.copy_, attended, given, weight)
            own.copy_(attended.add_(bias).view_as(own))
        reflect_frame(framed)
        return framed

    def _sums(self, framed: Tensor, extent: Extent) -> Iterable[tuple[Window, Tensor | None]]:
        if self.spatial:
            return CrissCrossSums(self.spatial, framed, self._workspace, extent).bands()
        return ((window, None) for window in self._windows(extent.region, self.sight))

    def _product(self, features: Tensor, extent: Extent) -> tuple[Tensor, Tensor]:
        """What makes F5 + C5 of F0 and the sums, side by side: weight (N, 2C or C, C) and bias (N, 1, C)."""
        count, channels = len(features), features.shape[-1]
        weight = torch.eye(channels, device=features.device) * (bool(self.spatial) + bool(self.channel))
        weight, bias = weight.expand(count, -1, -1), features.new_zeros(count, channels, 1, dtype=torch.float32)
        if self.channel:
            product, bias = self.channel.product(*self._moments(features, extent))
            weight, bias = weight + (self.channel.beta * product).mT, self.channel.beta * bias
        if self.spatial:
            value, value_bias = (self.spatial.alpha * part.float() for part in as_matrix(self.spatial.value))
            weight, bias = torch.cat([weight, value.mT.expand(count, -1, -1)], dim=1), bias + value_bias
        return weight.to(features.dtype), bias.mT.to(features.dtype)

    def _moments(self, features: Tensor, extent: Extent) -> tuple[Tensor, Tensor]:
        """Over all places of the slices: the mean of f f^T, (N, C, C), and of f, (N, C, 1)."""
        count, channels = len(features), features.shape[-1]
        positions = left = extent.height * extent.width
        gram, total = (features.new_zeros(count, *size, dtype=torch.float32) for size in ((channels, channels), (channels,)))
        for window in self._windows(extent.region, self.reach):
            some = features[at(window)].flatten(1, 2).float()
            put_product(Tensor.add_, gram, (some / positions).mT, some)
            total += some.sum(1) / positions
            left -= some.shape[1]
        black = extent.black.float()
        return gram + left / positions * torch.outer(black, black), (total + left / positions * black).unsqueeze(-1)

    def _decode(self, features: Tensor, region: Region) -> Tensor:
        """(N, C, H + 2, W + 2) to (N, 1, H, W)."""
        for sight, layer in zip(reversed(range(self.sight)), _typed(self._decoder), strict=True):
            target = self._workspace.map("odd" if (self.sight - sight) % 2 else "even", features, layer.out_channels)
            convolve(layer, features, target, self._windows(region, sight, layer), torch.relu_ if sight else torch.tanh_)
            features = target
        return features[..., 1:-1, 1:-1]

    def _windows(self, region: Region, margin: int, layer: Layer | None = None) -> list[Window]:
        rows = _NARROW_ROWS if layer and not layer.winograd else _WIDE_ROWS
        return list(region.windows(margin, rows if self.black_features.is_cpu else _GPU_ROWS))


def _layers(network: nn.Module) -> list[Layer]:
    """The 3x3 convolutions in their order, each with the batch norm after it in its weights."""
    modules = [each for each in network.modules() if isinstance(each, (nn.Conv2d, nn.BatchNorm2d))]
    return [
        Layer(fuse_conv_bn_eval(conv, after) if isinstance(after, nn.BatchNorm2d) else conv)
        for conv, after in zip(modules, [*modules[1:], None], strict=True)
        if isinstance(conv, nn.Conv2d)
    ]


def _typed(layers: nn.ModuleList) -> Iterable[Layer]:
    return (layer for layer in layers if isinstance(layer, Layer))


def _of_black(encoder: list[Layer]) -> tuple[Tensor, Tensor]:
    """What the encoder makes of a black slice: of each module the layer between, (modules, channels), and F0, (C,)."""
    common, *dense = (partial(_constant, layer) for layer in encoder)
    middles, features = [], common(torch.full((2,), _BLACK))
    for first, second in zip(dense[::2], dense[1::2], strict=True):
        middles.append(first(features))
        features = torch.cat([features, second(middles[-1])])
    return torch.stack(middles), features


def _constant(layer: Layer, value: Tensor) -> Tensor:
    """What a layer makes of a map that has one value, (C,), everywhere."""
    return (layer.weight.sum((2, 3)) @ value + layer.bias).relu()
