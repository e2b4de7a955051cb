"""Compute the fused slice that the network learns: brightness from the PET, detail from the MRI.

A fused slice has one grey level per pixel for two sources. The PET is smooth, and its information is in its brightness. From
the MRI, a reader needs the edges and the small differences between tissues. The target therefore takes its brightness from
the PET, adds a little of the MRI's coarse part so that tissue without uptake is not black, and amplifies the MRI's fine
detail. Strong edges are compressed, because they remain visible with less contrast and would otherwise hide weak lesions
beside them. The constants were chosen with the observer on heads 10 and 11 (docs/adr/0019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

PET_GAIN = 0.76
COARSE_LIFT, COARSE_KNEE, COARSE_SLOPE, COARSE_SIGMA = 0.08, 0.12, 0.06, 2.7  # of the MRI's coarse part; sigma in mm
DETAIL_GAIN, DETAIL_LIMIT, DETAIL_SIGMA = 1.6, 0.14, 1.2  # sigma in mm
WHITE = 0.988  # below 1, so that detail stays visible in the brightest tissue
_BOTH_BRIGHT = 0.01  # below the darker source, where both are brighter than the mixture
_ROUNDING = 0.02


def layered_target(sources: Tensor, spacing: float = 1.0) -> Tensor:
    """Compute the target slice.

    Args:
        sources: (N, 2, H, W) in [0, 1], PET then MRI.
        spacing: side of a pixel in mm. Detail is defined in mm, so an interpolated slice has the same detail as its original.

    Returns:
        (N, 1, H, W) in [0, 1].
    """
    pet, mri = sources[:, :1], sources[:, 1:]
    middle = gaussian(mri, DETAIL_SIGMA / spacing)
    coarse = gaussian(mri, COARSE_SIGMA / spacing)
    brightness = PET_GAIN * pet + COARSE_LIFT * (1 - torch.exp(-coarse / COARSE_KNEE)) + COARSE_SLOPE * coarse
    # Where both sources are bright, the mixture would be darker than both: keep it from falling below the darker one.
    least = torch.minimum(pet, middle) - _BOTH_BRIGHT
    brightness = (brightness + least + torch.sqrt((brightness - least) ** 2 + _ROUNDING**2)) / 2 - _ROUNDING / 4
    detail = DETAIL_GAIN * DETAIL_LIMIT * torch.tanh((mri - middle) / DETAIL_LIMIT)
    room = (WHITE - brightness).clamp_min(1e-3)
    brighter = brightness + room * torch.tanh(detail / room)
    return torch.where(detail > 0, brighter, brightness + detail).clamp(0, WHITE)


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """Return the Gaussian mean of (N, C, H, W), reflected at the borders; ``sigma`` in pixels."""
    margin = math.ceil(3 * sigma)
    offsets = torch.arange(-margin, margin + 1, device=image.device, dtype=image.dtype)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    height, width = (_band(weights / weights.sum(), length, image) for length in image.shape[-2:])
    padded = functional.pad(image, (margin,) * 4, mode="reflect")
    return torch.matmul(height.mT, padded @ width)


def _band(weights: Tensor, length: int, like: Tensor) -> Tensor:
    """Return a matrix (length + 2 margins, length) whose column i holds the weights around i."""
    band = like.new_zeros(length + len(weights) - 1, length)
    for index, weight in enumerate(weights):
        band.diagonal(-index).fill_(weight)
    return band
