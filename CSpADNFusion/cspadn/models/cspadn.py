"""CSpA-DN: the channel and spatial attention dense network (paper, section II)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cspadn.messages import message
from cspadn.models.attention import ChannelAttention, CrissCrossAttention

_MAXIMUM_CHANNELS, _MAXIMUM_DECODER = 1024, 64  # a card with larger values, or more layers, is damaged
ATTENTION = ("both", "spatial", "channel", "none")


@dataclass(frozen=True)
class NetworkConfig:
    """The configuration of a :class:`CSpADN`, stored in the model card. The defaults are explained in docs/adr/0002.

    ``attention`` is ``both`` (the modules in parallel, as published), one of the modules, or ``none`` (the paper's ablation).

    Raises:
        ValueError: a width is not a whole number from 1 to 1024, the decoder has more than 64 layers, or the attention is
            unknown.
    """

    common_channels: int = 16
    growth_channels: int = 16
    dense_modules: int = 4
    reduced_channels: int = 10
    decoder_channels: tuple[int, ...] = (80, 64, 32, 16)
    attention: str = "both"

    def __post_init__(self) -> None:
        counts = {name: value for name, value in vars(self).items() if name not in ("decoder_channels", "attention")}
        counts |= {f"decoder_channels[{i}]": width for i, width in enumerate(self.decoder_channels)}
        for name, count in counts.items():
            if type(count) is not int or not 1 <= count <= _MAXIMUM_CHANNELS:
                raise ValueError(message("model-width-invalid", field=name, value=count, limit=_MAXIMUM_CHANNELS))
        if len(self.decoder_channels) > _MAXIMUM_DECODER:
            raise ValueError(message("model-decoder-too-long", count=len(self.decoder_channels), limit=_MAXIMUM_DECODER))
        if self.attention not in ATTENTION:
            raise ValueError(message("model-attention-unknown", value=self.attention, choices=", ".join(ATTENTION)))

    @property
    def feature_channels(self) -> int:
        """C, the number of channels between encoder, attention and decoder."""
        return self.common_channels + self.dense_modules * self.growth_channels

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can store them."""
        return {**asdict(self), "decoder_channels": list(self.decoder_channels)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> NetworkConfig:
        """Reverse :meth:`to_dict`.

        Raises:
            TypeError, KeyError, ValueError: a field is missing, unknown or not valid.
        """
        return cls(**{**fields, "decoder_channels": tuple(fields["decoder_channels"])})


class ReflectConv2d(nn.Conv2d):
    """3x3 convolution that keeps the size of its input by reflecting its border."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3)

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(reflect_pad(image))


def reflect_pad(image: Tensor) -> Tensor:
    """Pad (N, C, H, W) by one reflected pixel. A line of a single pixel is repeated instead."""
    if min(image.shape[-2:]) > 1:
        return functional.pad(image, (1, 1, 1, 1), mode="reflect")
    for axis, margins in ((-1, (1, 1, 0, 0)), (-2, (0, 0, 1, 1))):
        mode = "reflect" if image.shape[axis] > 1 else "replicate"
        image = functional.pad(image, margins, mode=mode)
    return image


def _conv_relu(in_channels: int, out_channels: int, *, norm: bool = False) -> list[nn.Module]:
    layers: list[nn.Module] = [ReflectConv2d(in_channels, out_channels)]
    if norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return [*layers, nn.ReLU(inplace=True)]


class DenseEncoder(nn.Module):
    """A common block, then dense modules; each module receives the outputs of all earlier ones. No pooling."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        growth = config.growth_channels
        self.common = nn.Sequential(*_conv_relu(2, config.common_channels))
        self.dense = nn.ModuleList(
            nn.Sequential(
                *_conv_relu(config.common_channels + i * growth, growth, norm=True),
                *_conv_relu(growth, growth, norm=True),
            )
            for i in range(config.dense_modules)
        )

    def forward(self, sources: Tensor) -> Tensor:
        features = [self.common(sources)]
        for module in self.dense:
            features.append(module(torch.cat(features, dim=1)))
        return torch.cat(features, dim=1)


class ParallelAttention(nn.Module):
    """The sum F5 + C5 of the two attention modules, which both receive F0."""

    def __init__(self, spatial: CrissCrossAttention, channel: ChannelAttention) -> None:
        super().__init__()
        self.spatial, self.channel = spatial, channel

    def forward(self, features: Tensor) -> Tensor:
        summed: Tensor = self.spatial(features) + self.channel(features)
        return summed


def _attention(config: NetworkConfig) -> nn.Module:
    """Return the attention between encoder and decoder; a single module gives F5 or C5.

    All modules are created, used or not, so that one seed gives every variant the same initial encoder and decoder.
    """
    spatial = CrissCrossAttention(config.feature_channels, config.reduced_channels)
    channel = ChannelAttention(config.feature_channels)
    modules = {"both": ParallelAttention(spatial, channel), "spatial": spatial, "channel": channel}
    return modules.get(config.attention, nn.Identity())


class FullTanh(nn.Tanh):
    """Tanh in float32 or better, also in mixed precision: in bfloat16 its gradient is 0 below -3.5, so black would stay."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image.to(torch.promote_types(image.dtype, torch.float32)))


def _decoder(in_channels: int, widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for out_channels in widths:
        layers += _conv_relu(in_channels, out_channels)
        in_channels = out_channels
    return nn.Sequential(*layers, ReflectConv2d(in_channels, 1), FullTanh())


class CSpADN(nn.Module):
    """The network. It fuses a PET and an MRI slice of the same, arbitrary size.

    Without attention (the paper's ablation), the decoder receives the features of the encoder unchanged.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        self.encoder = DenseEncoder(self.config)
        self.attention = _attention(self.config)
        self.decoder = _decoder(self.config.feature_channels, self.config.decoder_channels)

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse.

        Args:
            sources: (N, 2, H, W), PET then MRI, values in [-1, 1].

        Returns:
            (N, 1, H, W), values in [-1, 1].
        """
        fused: Tensor = self.decoder(self.attention(self.encoder(sources)))
        return fused
