"""TFNet: the two-stream fusion network (X. Liu, Q. Liu, Y. Wang: Remote sensing image fusion based on two-stream fusion
network. Information Fusion 55, 2020, pages 1 to 15).

The published network sharpens a four-channel satellite image with a panchromatic one. Here each stream has one channel. There
are no public weights for PET and MRI, so it is trained on our patches (docs/adr/0006).
"""

from __future__ import annotations

import math
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from cspadn.errors import ModelError
from cspadn.imaging.windowing import from_network_range, to_network_range
from training.baselines.form import Method
from training.baselines.networks import as_method, load_weights

_STEP = 4  # the network halves its input twice


class TFNet(nn.Module):
    """Encode each source separately, fuse the features at half size, and decode them with skip connections.

    Widths, kernels, PReLU, zero padding, Tanh and the initial weights are those of the authors' published code.

    The published loss is the L1 distance to a target, the colour image at full resolution. PET and MRI have no such target, so
    the loss here is the mean of the L1 distances to the two sources, as in our own loss (docs/adr/0003).
    """

    def __init__(self) -> None:
        super().__init__()
        self.pet_stream, self.mri_stream = _convolutions(1, 32, 32), _convolutions(1, 32, 32)
        self.pet_half, self.mri_half = _half(32, 64), _half(32, 64)
        self.fuse = _convolutions(128, 128, 128)
        self.quarter = nn.Sequential(_half(128, 256), _convolutions(256, 256, 256))
        self.to_half = _double(256, 128)
        self.restore_half = nn.Sequential(_convolutions(256, 128, 128), _double(128, 64))
        self.restore = nn.Sequential(_convolutions(128, 64, 64), nn.Conv2d(64, 1, kernel_size=3, padding=1), nn.Tanh())
        self.apply(_start)

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse.

        Args:
            sources: (N, 2, H, W), PET then MRI, values in [-1, 1], of any size. The last rows and columns are repeated up
                to a multiple of 4, and the result is cropped.

        Returns:
            (N, 1, H, W), values in [-1, 1].
        """
        height, width = sources.shape[-2:]
        padded = functional.pad(sources, (0, -width % _STEP, 0, -height % _STEP), mode="replicate")
        return self._fuse(padded)[..., :height, :width]

    def _fuse(self, sources: Tensor) -> Tensor:
        pet, mri = self.pet_stream(sources[:, :1]), self.mri_stream(sources[:, 1:])
        half = self.fuse(torch.cat([self.pet_half(pet), self.mri_half(mri)], dim=1))
        restored = self.to_half(self.quarter(half))
        restored = self.restore_half(torch.cat([restored, half], dim=1))
        fused: Tensor = self.restore(torch.cat([restored, mri, pet], dim=1))
        return fused


def _convolutions(in_channels: int, *widths: int) -> nn.Sequential:
    """Return 3x3 convolutions that keep the size, each with a PReLU."""
    layers: list[nn.Module] = []
    for out_channels in widths:
        layers += [nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1), nn.PReLU()]
        in_channels = out_channels
    return nn.Sequential(*layers)


def _half(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size=2, stride=2), nn.PReLU())


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2), nn.PReLU())


def _start(module: nn.Module) -> None:
    """Initialise weights normally by fan-out, and biases with 0; transposed convolutions keep PyTorch's defaults."""
    if isinstance(module, nn.Conv2d):
        assert module.bias is not None
        fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        nn.init.zeros_(module.bias)


def tfnet(weights: Path) -> Method:
    """Load the method with trained weights.

    Args:
        weights: a safetensors file of :class:`TFNet`'s state dict, float32 or float16.

    Raises:
        ModelError: the file cannot be read, or its layers or values are not those of the network.
    """
    try:
        tensors = safetensors.torch.load(weights.read_bytes())
    except OSError:
        raise ModelError(f"The weights {weights} cannot be read: train TFNet first, or check the name.") from None
    except safetensors.SafetensorError:
        raise ModelError(f"{weights} is not a safetensors file: export the network again.") from None
    network = TFNet()
    load_weights(network, tensors, weights)
    return as_method(lambda sources: from_network_range(network(to_network_range(sources))))
