"""Metrics of structure: similarity and visual information."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics.record import WHITE, Levels, Metric, mean_of_sources, sum_of_sources

_Array = NDArray[np.float64]


_SSIM_OFFSETS = ((0.01 * WHITE) ** 2, (0.03 * WHITE) ** 2)
_VIF_NOISE = 2.0  # variance of the visual noise
_VIF_ZERO = 1e-10  # smaller variances count as zero


def structural_similarity(source: Levels, fused: Levels) -> float:
    """Return the SSIM of two images, from -1 to 1: with a Gaussian window of 11 pixels and sigma 1.5.

    It is the mean over all pixels; beyond the border, the pixels of the border are repeated.

    Source: Wang, Bovik, Sheikh, Simoncelli, IEEE Transactions on Image Processing 13 (2004).
    """
    kernel = _gaussian(11, 1.5)
    means, variances, covariance = _moments(source, fused, lambda image: _blurred(image, kernel, "nearest"))
    first, second = _SSIM_OFFSETS
    luminance = (2 * means[0] * means[1] + first) / (means[0] ** 2 + means[1] ** 2 + first)
    contrast = (2 * covariance + second) / (variances[0] + variances[1] + second)
    return float((luminance * contrast).mean())


def visual_information(source: Levels, fused: Levels) -> float:
    """Return the VIF of the fused image with one source, from 0 up: the pixel domain form on four scales.

    Both images need 41 pixels a side. VIF is 0 for a constant source, which has no information.

    Source: Sheikh, Bovik, IEEE Transactions on Image Processing 15 (2006).
    """
    kept = total = 0.0
    for scale in range(4):
        width = 2 ** (4 - scale) + 1
        kernel = _gaussian(width, width / 5)
        if scale:
            source, fused = (_inner(image, kernel)[::2, ::2] for image in (source, fused))
        scale_kept, scale_total = _visual_information_of_scale(source, fused, kernel)
        kept += scale_kept
        total += scale_total
    return kept / total if total else 0.0


def _visual_information_of_scale(source: _Array, fused: _Array, kernel: _Array) -> tuple[float, float]:
    """Return the information in the fused image about the source, and in the source, up to a common factor."""
    _, variances, covariance = _moments(source, fused, lambda image: _inner(image, kernel))
    variance, fused_variance = (np.where(v < _VIF_ZERO, 0, v) for v in variances)
    gain = covariance / (variance + _VIF_ZERO)
    gain[(variance == 0) | (fused_variance == 0) | (gain < 0)] = 0
    noise = np.maximum(fused_variance - gain * covariance, _VIF_ZERO) + _VIF_NOISE
    kept, total = np.log1p(gain**2 * variance / noise), np.log1p(variance / _VIF_NOISE)
    return float(kept.sum()), float(total.sum())


def _moments(
    first: _Array, second: _Array, average: Callable[[_Array], _Array]
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array], _Array]:
    """Return the local means, variances and covariance of two images."""
    means = average(first), average(second)
    variances = average(first**2) - means[0] ** 2, average(second**2) - means[1] ** 2
    return means, variances, average(first * second) - means[0] * means[1]


def _gaussian(width: int, sigma: float) -> _Array:
    places = np.arange(width) - (width - 1) / 2
    weights = np.exp(-(places**2) / (2 * sigma**2))
    kernel: _Array = weights / weights.sum()
    return kernel


def _blurred(image: _Array, kernel: _Array, border: str) -> _Array:
    from scipy import ndimage

    columns_done = ndimage.correlate1d(image, kernel, axis=0, mode=border)
    blurred: _Array = ndimage.correlate1d(columns_done, kernel, axis=1, mode=border)
    return blurred


def _inner(image: _Array, kernel: _Array) -> _Array:
    """Blur an image, and crop the border where the kernel does not fit."""
    margin = len(kernel) // 2
    return _blurred(image, kernel, "nearest")[margin:-margin, margin:-margin]


METRICS = (
    Metric(
        "SSIM",
        mean_of_sources(structural_similarity),
        range=(-1, 1),
        label="structural similarity",
        doc="Structural similarity of the fused image to the PET and to the MRI, mean over both.",
        in_table=True,
        in_results=True,
        caution="A copy of the MRI has a high value.",
    ),
    Metric(
        "VIF",
        sum_of_sources(visual_information),
        range=(0, math.inf),
        label="visual information fidelity",
        doc="Visual information fidelity of the fused image to the PET and to the MRI, added.",
        smallest_side=41,
        in_results=True,
        caution="A copy of the MRI has a high value.",
    ),
)
