"""The fused slice that the network learns to make: brightness from the PET, detail from the MRI.

A fused slice has one grey level per pixel for two sources. The PET is smooth, and its brightness carries what it shows. From
the MRI a reader needs the edges and the small differences between tissues. So the target takes its brightness from the PET,
a little of the MRI's coarse part so that tissue without uptake is not black, and the MRI's fine detail at more than its own
contrast. Strong edges are compressed: they stay visible with less contrast, and would hide weak lesions beside them. The
constants were chosen by the observer on heads 10 and 11 (docs/adr/0019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

PET_GAIN = 0.76
COARSE_LIFT, COARSE_KNEE, COARSE_SLOPE, COARSE_SIGMA = 0.08, 0.12, 0.06, 2.7  # of the MRI's coarse part; sigma in mm
DETAIL_GAIN, DETAIL_LIMIT, DETAIL_SIGMA = 1.6, 0.14, 1.1  # sigma in mm
WHITE = 0.988  # no more: detail must stay visible in the brightest tissue
_BOTH_BRIGHT = 0.01  # below the darker source, where both are brighter than the mixture
_ROUNDING = 0.02


def layered_target(sources: Tensor, spacing: float = 1.0) -> Tensor:
    """Make the slice that the network learns.

    Args:
        sources: (N, 2, H, W) in [0, 1], PET then MRI.
        spacing: millimetres of a pixel. Detail has a size in the head: an interpolated slice keeps as much as its original.

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    pet, mri = sources[:, :1], sources[:, 1:]
    middle = gaussian(mri, DETAIL_SIGMA / spacing)
    coarse = gaussian(mri, COARSE_SIGMA / spacing)
    brightness = PET_GAIN * pet + COARSE_LIFT * (1 - torch.exp(-coarse / COARSE_KNEE)) + COARSE_SLOPE * coarse
    # Where both sources are bright the mixture would be darker than either: never below the darker of them.
    least = torch.minimum(pet, middle) - _BOTH_BRIGHT
    brightness = (brightness + least + torch.sqrt((brightness - least) ** 2 + _ROUNDING**2)) / 2 - _ROUNDING / 4
    detail = DETAIL_GAIN * DETAIL_LIMIT * torch.tanh((mri - middle) / DETAIL_LIMIT)
    room = (WHITE - brightness).clamp_min(1e-3)
    brighter = brightness + room * torch.tanh(detail / room)
    return torch.where(detail > 0, brighter, brightness + detail).clamp(0, WHITE)


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Gaussian mean of (N, C, H, W), reflected at the borders."""
    margin = math.ceil(3 * sigma)
    offsets = torch.arange(-margin, margin + 1, device=image.device, dtype=image.dtype)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    height, width = (_band(weights / weights.sum(), length, image) for length in image.shape[-2:])
    padded = functional.pad(image, (margin,) * 4, mode="reflect")
    return torch.matmul(height.mT, padded @ width)


def _band(weights: Tensor, length: int, like: Tensor) -> Tensor:
    """(length + 2 margins, length): column i holds the weights around i."""
    band = like.new_zeros(length + len(weights) - 1, length)
    for index, weight in enumerate(weights):
        band.diagonal(-index).fill_(weight)
    return band
