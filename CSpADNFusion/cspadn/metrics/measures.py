"""Fusion metrics of one slice, except the feature mutual information.

All images are grey levels, (H, W), float64, whole numbers from 0 to 255. Exchanging PET and MRI never changes a value,
except for :func:`difference_correlation`. Every value is finite, also for constant images. The values agree with the public
MATLAB code behind most published tables; SSIM was not compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Levels = NDArray[np.float64]  # (H, W), 0 to 255
WHITE = 255
_Array = NDArray[np.float64]


# Information


def entropy(image: Levels) -> float:
    """Return EN, the Shannon entropy of the 256 grey levels, in bits: 0 to 8."""
    return _entropy_of(np.bincount(_codes(image).ravel()))


def mutual_information(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return MI, the sum I(fused; PET) + I(fused; MRI) over 256 grey levels, in bits: 0 to 16.

    Source: Qu, Zhang, Yan, Electronics Letters 38 (2002).
    """
    return _shared_information(pet, fused) + _shared_information(mri, fused)


def _shared_information(source: Levels, fused: Levels) -> float:
    pairs = _codes(source) * (WHITE + 1) + _codes(fused)
    return entropy(source) + entropy(fused) - _entropy_of(np.bincount(pairs.ravel()))


def _codes(image: Levels) -> NDArray[np.intp]:
    return image.astype(np.intp)


def _entropy_of(counts: NDArray[np.intp]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0


# Edges

_STRENGTH = (0.9994, -15.0, 0.5)  # gain, slope, centre of Qabf's sigmoid: Tg, kg, Dg
_ORIENTATION = (0.9879, -22.0, 0.8)  # Ta, ka, Da


def edge_transfer(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return Qabf, the share of the sources' edges that the fused image keeps, in [0, 1]; 0 if neither source has an edge.

    As in the code behind published tables, the image is padded with black, and where a source's edge is exactly as strong as
    the fused edge, that strength replaces their ratio of 1.

    Source: Xydeas, Petrovic, Electronics Letters 36 (2000).
    """
    fused_edges = _edges(fused)
    kept = total = 0.0
    for source in (pet, mri):
        strength, angle = _edges(source)
        kept += float((_preserved((strength, angle), fused_edges) * strength).sum())
        total += float(strength.sum())
    return kept / total if total else 0.0


def fusion_artefacts(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return N, how much the fused image exaggerates or bends edges, in [0, 1]; 0 is best. It is not in the registry.

    A pixel counts if its fused edge is stronger than the edges of both sources, as at halos. Pixels are weighted by the edges
    of the sources, so a fused edge has no weight where neither source has one. N is 0 if neither source has an edge at all.

    Source: Petrovic, Xydeas, ICCV (2005).
    """
    fused_edges = _edges(fused)
    sources = [_edges(source) for source in (pet, mri)]
    stronger = (fused_edges[0] > sources[0][0]) & (fused_edges[0] > sources[1][0])
    added = sum(float(((1 - _preserved(edges, fused_edges)) * edges[0])[stronger].sum()) for edges in sources)
    total = sum(float(edges[0].sum()) for edges in sources)
    return added / total if total else 0.0


def _edges(image: Levels) -> tuple[_Array, _Array]:
    """Return the strength and the orientation, -pi/2 to pi/2, of the Sobel gradient, each (H, W)."""
    down, right = (ndimage.sobel(image, axis, mode="constant") for axis in (0, 1))
    slope = np.divide(-down, right, out=np.full_like(down, np.inf), where=right != 0)
    return np.hypot(down, right), np.arctan(slope)


def _preserved(source: tuple[_Array, _Array], fused: tuple[_Array, _Array]) -> _Array:
    """Return how well the fused edges preserve strength and orientation of the source's edges, (H, W), in [0, 1]."""
    weak, strong = np.minimum(source[0], fused[0]), np.maximum(source[0], fused[0])
    ratio = np.divide(weak, strong, out=weak.copy(), where=weak != strong)
    alignment = 1 - np.abs(source[1] - fused[1]) / (np.pi / 2)
    return _sigmoid(ratio, _STRENGTH) * _sigmoid(alignment, _ORIENTATION)


def _sigmoid(value: _Array, parameters: tuple[float, float, float]) -> _Array:
    gain, slope, centre = parameters
    curve: _Array = gain / (1 + np.exp(slope * (value - centre)))
    return curve


# Structure

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
    columns_done = ndimage.correlate1d(image, kernel, axis=0, mode=border)
    blurred: _Array = ndimage.correlate1d(columns_done, kernel, axis=1, mode=border)
    return blurred


def _inner(image: _Array, kernel: _Array) -> _Array:
    """Blur an image, and crop the border where the kernel does not fit."""
    margin = len(kernel) // 2
    return _blurred(image, kernel, "nearest")[margin:-margin, margin:-margin]


# Differences and contrast


def difference_correlation(source: Levels, other: Levels, fused: Levels) -> float:
    """Return r, the correlation of (fused - other) with the source, from -1 to 1; 0 if one of the two is constant.

    Source: Aslantas, Bendes, International Journal of Electronics and Communications 69 (2015).
    """
    a, b = (image - image.mean() for image in (fused - other, source))
    spread = math.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum()) / spread if spread else 0.0


def correlations_of_differences(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return SCD, the sum of :func:`difference_correlation` over both sources, from -2 to 2."""
    return difference_correlation(pet, mri, fused) + difference_correlation(mri, pet, fused)


def standard_deviation(image: Levels) -> float:
    """Return SD, the standard deviation of the grey levels over all pixels."""
    return float(image.std())


def spatial_frequency(image: Levels) -> float:
    """Return SF, the root of the mean squared differences of neighbouring pixels, added over both directions.

    Source: Eskicioglu, Fisher, IEEE Transactions on Communications 43 (1995).
    """
    return math.sqrt(sum(float((np.diff(image, axis=axis) ** 2).mean()) for axis in (0, 1)))


def average_gradient(image: Levels) -> float:
    """Return AG, the sum of sqrt((dx^2 + dy^2) / 2) of central differences over (H - 1)(W - 1), as in published code."""
    down, right = np.gradient(image)
    rows, columns = image.shape
    steepness: _Array = np.sqrt((down**2 + right**2) / 2)
    return float(steepness.sum() / ((rows - 1) * (columns - 1)))
