"""A faster form of :class:`cspadn.models.cspadn.CSpADN` for inference, equal to it up to rounding.

docs/inference.md describes it, with a diagram, the terms, and why each step is exact:

* Batch norm is folded into the convolution before it.
* The black background around the head is not computed: there, the features are one vector, which enters both attention modules
  as often as it occurs.
* Layers compute bands of rows, and write into one buffer. Wide layers need a third fewer multiplications
  (:mod:`cspadn.inference.winograd`).
* Criss-cross attention is computed some lines at a time (:mod:`cspadn.inference.criss_cross`), channel attention from the Gram
  matrix of the features. All remaining 1x1 convolutions are one matrix product.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cspadn.inference.criss_cross import CrissCrossSums, Crop, at, inner
from cspadn.inference.feature_maps import ConvLayer, Workspace, convolve, fill_around, reflect_frame
from cspadn.inference.head_region import Block, HeadRegion, aligned
from cspadn.models.attention import ChannelAttention, CrissCrossAttention, as_matrix
from cspadn.models.cspadn import CSpADN, reflect_pad

_BLACK = -1.0  # in the network's range
# Rows per block: on a CPU, as many as its cache holds in a layer of many or of few channels; on a GPU, all.
_WIDE_ROWS, _NARROW_ROWS, _GPU_ROWS = 16, 256, 2**20


def ready_to_fuse(network: nn.Module) -> nn.Module:
    """Return a copy of a network for inference: a :class:`FusionNetwork` for a :class:`CSpADN`, a plain copy for any other."""
    return FusionNetwork(network) if isinstance(network, CSpADN) else copy.deepcopy(network).eval().requires_grad_(False)


class FusionNetwork(nn.Module):
    """A :class:`CSpADN` for inference only.

    The result is black wherever both sources are black.

    Args:
        network: a trained network; it is copied, not changed.

    Attributes:
        encoder_radius: receptive-field radius of the encoder, in pixels.
        decoder_radius: receptive-field radius of the decoder, in pixels.
        margin: pixels around the foreground that the crop contains.
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
        self.encoder_radius, self.decoder_radius = len(encoder), len(decoder)  # a 3x3 convolution adds one pixel
        # The outermost pixels of the crop see a reflected neighbour in the last layer, so the crop has one pixel more.
        self.margin = max(self.encoder_radius + 1, self.decoder_radius)
        self._workspace = Workspace()  # of two maps that layers read and write in turn
        middles, features = _features_of_black(encoder)
        self.register_buffer("black_middles", middles)
        self.register_buffer("black_features", features)

    @torch.inference_mode()
    def forward(self, sources: Tensor) -> Tensor:
        """Fuse slices like :meth:`CSpADN.forward`.

        Args:
            sources: (N, 2, H, W), float32 in [-1, 1].

        Returns:
            (N, 1, H, W), float32 in [-1, 1], also if the network computes in half precision.
        """
        foreground = (sources > _BLACK).any(dim=1, keepdim=True)  # (N, 1, H, W)
        fused = torch.full_like(foreground, _BLACK, dtype=torch.float32)
        whole = HeadRegion(foreground.any(dim=0)[0].cpu().numpy())
        rows, columns = (
            aligned(lines, length) for lines, length in zip(whole.box(self.margin), whole.foreground.shape, strict=True)
        )
        if not rows:
            return fused
        box = (..., slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        region, (height, width) = HeadRegion(whole.foreground[box]), foreground.shape[-2:]
        self._workspace.pixels = len(foreground) * (height + 2) * (width + 2)
        crop = Crop(region, height, width, self.black_features, self.encoder_radius, self.decoder_radius)
        cropped = sources[box].to(self.black_features.dtype)
        fused[box] = self._decode(self._attend(self._encode(cropped, region), crop), region)
        return fused.masked_fill_(~foreground, _BLACK)

    def _encode(self, sources: Tensor, region: HeadRegion) -> Tensor:
        """Compute the features F0 of the crop, (N, 2, H, W), with a frame: (N, C, H + 2, W + 2)."""
        framed = reflect_pad(sources)
        features, done = self._workspace.map("even", framed, len(self.black_features)), 0
        source, blacks = framed, iter(self.black_middles)
        for margin, layer in enumerate(_typed(self._encoder), start=1):
            bands = self._bands(region, margin, layer)
            if margin % 2:  # the common block or the second layer of a dense module: part of F0
                new = slice(done, done := done + layer.out_channels)
                target, black, following = features[:, new], self.black_features[new], features[:, :done]
            else:
                black = next(blacks)
                target = following = self._workspace.map("odd", framed, layer.out_channels)
            fill_around(target, bands, black)
            convolve(layer, source, target, bands)
            source = following
        return features

    def _attend(self, framed: Tensor, crop: Crop) -> Tensor:
        """Replace F0 by the sum of F5 and C5, or by one of them, within the decoder's radius around the foreground."""
        if not (self.spatial or self.channel):
            return framed
        features = inner(framed)
        weight, bias = self._attention_product(features, crop)
        for block, sums in self._sums(framed, crop):
            own = features[at(block)]
            mapped = torch.baddbmm(bias, own.flatten(1, 2), weight).view_as(own)
            own.copy_(mapped if sums is None else mapped.add_(sums))
        reflect_frame(framed)
        return framed

    def _sums(self, framed: Tensor, crop: Crop) -> Iterable[tuple[Block, Tensor | None]]:
        """Yield the blocks that the decoder sees, with their criss-cross sums if the network has spatial attention."""
        if self.spatial:
            return CrissCrossSums(self.spatial, framed, self._workspace, crop).blocks()
        return ((block, None) for block in self._blocks(crop.region, self.decoder_radius))

    def _attention_product(self, features: Tensor, crop: Crop) -> tuple[Tensor, Tensor]:
        """Return the product that maps F0 to F5 + C5, without the criss-cross sums.

        Returns:
            Weight (N, C, C) and bias (N, 1, C).
        """
        count, channels = len(features), features.shape[-1]
        weight = torch.eye(channels, device=features.device) * (bool(self.spatial) + bool(self.channel))
        weight, bias = weight.expand(count, -1, -1), features.new_zeros(count, channels, 1, dtype=torch.float32)
        if self.channel:
            product, bias = self.channel.product(*self._moments(features, crop))
            weight, bias = weight + (self.channel.beta * product).mT, self.channel.beta * bias
        if self.spatial:
            bias = bias + self.spatial.alpha * as_matrix(self.spatial.value)[1].float()
        return weight.to(features.dtype), bias.mT.to(features.dtype)

    def _moments(self, features: Tensor, crop: Crop) -> tuple[Tensor, Tensor]:
        """Return the mean of f f^T, (N, C, C), and of f, (N, C, 1), over all pixels of the whole slices."""
        count, channels = len(features), features.shape[-1]
        positions = left = crop.height * crop.width
        gram, total = (features.new_zeros(count, *size, dtype=torch.float32) for size in ((channels, channels), (channels,)))
        for block in self._blocks(crop.region, self.encoder_radius):
            some = features[at(block)].flatten(1, 2).float()
            gram.baddbmm_((some / positions).mT, some)
            total += some.sum(1) / positions
            left -= some.shape[1]
        black = crop.black.float()
        return gram + left / positions * torch.outer(black, black), (total + left / positions * black).unsqueeze(-1)

    def _decode(self, features: Tensor, region: HeadRegion) -> Tensor:
        """Decode framed features (N, C, H + 2, W + 2) to the fused crop (N, 1, H, W)."""
        for margin, layer in zip(reversed(range(self.decoder_radius)), _typed(self._decoder), strict=True):
            name = "odd" if (self.decoder_radius - margin) % 2 else "even"
            target = self._workspace.map(name, features, layer.out_channels)
            convolve(layer, features, target, self._bands(region, margin, layer), torch.relu_ if margin else torch.tanh_)
            features = target
        return features[..., 1:-1, 1:-1]

    def _bands(self, region: HeadRegion, margin: int, layer: ConvLayer) -> list[range]:
        """Return the bands of rows that a layer computes: all rows within ``margin`` of the foreground."""
        rows = _WIDE_ROWS if layer.winograd else _NARROW_ROWS
        return region.bands(margin, rows if self.black_features.is_cpu else _GPU_ROWS)

    def _blocks(self, region: HeadRegion, margin: int) -> list[Block]:
        """Return the blocks of pixels within ``margin`` of the foreground."""
        return list(region.blocks(margin, _WIDE_ROWS if self.black_features.is_cpu else _GPU_ROWS))


def _layers(network: nn.Module) -> list[ConvLayer]:
    """Return the 3x3 convolutions in order, with the batch norm that follows each folded into its weights."""
    modules = [each for each in network.modules() if isinstance(each, (nn.Conv2d, nn.BatchNorm2d))]
    return [
        ConvLayer(fuse_conv_bn_eval(conv, after) if isinstance(after, nn.BatchNorm2d) else conv)
        for conv, after in zip(modules, [*modules[1:], None], strict=True)
        if isinstance(conv, nn.Conv2d)
    ]


def _typed(layers: nn.ModuleList) -> Iterable[ConvLayer]:
    return (layer for layer in layers if isinstance(layer, ConvLayer))


def _features_of_black(encoder: list[ConvLayer]) -> tuple[Tensor, Tensor]:
    """Return the features of a black slice: the first layer of each dense module, (modules, channels), and F0, (C,)."""
    common, *dense = (partial(_constant, layer) for layer in encoder)
    middles, features = [], common(torch.full((2,), _BLACK))
    for first, second in zip(dense[::2], dense[1::2], strict=True):
        middles.append(first(features))
        features = torch.cat([features, second(middles[-1])])
    return torch.stack(middles), features


def _constant(layer: ConvLayer, value: Tensor) -> Tensor:
    """Return the output of a layer, after its ReLU, for a map that has the same value (C,) everywhere."""
    return (layer.weight.sum((2, 3)) @ value + layer.bias).relu()
