"""Terms of the training loss. No term needs a ground truth: a fused slice is compared only with its two sources.

``mse`` and ``ssim`` are the terms of the paper (equation 5); ``weighted_ssim`` is our extension of SSIM to two sources; ``l1``
is the loss of TFNet. ``target`` and ``target_gradient`` train the default model. The others are differentiable forms of
published fusion metrics (:mod:`cspadn.metrics` has the metrics themselves). Sums over pixels are taken over the whole batch
before they are divided, because a patch without edges would cause a division by zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from training.target import layered_target

Term = Callable[[Tensor, Tensor], Tensor]
"""Maps fused (N, 1, H, W) and sources (N, 2, H, W; PET then MRI), both in [0, 1], to a scalar; lower is better."""

_GREY_LEVELS = 255.0
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5  # pixels
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2  # for values in [0, 1]
_LEAST_VARIANCE = 1e-4  # a hundredth of white, squared: flat sources share evenly
_VIF_NOISE = 2.0 / _GREY_LEVELS**2  # variance of the visual noise: 2 squared grey levels
_VIF_WINDOWS = (17, 9, 5, 3)  # pixels; the standard deviation is a fifth of it
_TINY = 1e-10


def fusion_loss(fused: Tensor, sources: Tensor, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Compute the weighted sum of the terms named in ``weights``.

    Args:
        fused: (N, 1, H, W) in [0, 1].
        sources: (N, 2, H, W) in [0, 1], PET then MRI; for ``target`` and ``target_gradient`` (N, 3, H, W), the target last.
        weights: by name in :data:`TERMS`; equation 5 is ``{"mse": 1, "ssim": gamma}``, averaged over the two sources.

    Returns:
        Scalars: ``loss`` (to be minimised), and each term as ``NAME_loss``, which is 0 for a perfect value of the metric.
    """
    terms = {name: TERMS[name](fused, sources if name in OF_TARGET else sources[:, :2]) for name in weights}
    total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
    return {"loss": total, **{f"{name}_loss": term for name, term in terms.items()}}


def mse(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute the mean squared difference from the two sources."""
    return functional.mse_loss(fused.expand_as(sources), sources)


def l1(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute the mean absolute difference from the two sources."""
    return functional.l1_loss(fused.expand_as(sources), sources)


def ssim(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute 1 - SSIM, averaged over the two sources.

    As published by Wang et al. (IEEE TIP 13, 2004): Gaussian window of 11 pixels, sigma 1.5. The images are reflected at the
    borders, so every pixel counts. Each side needs at least 11 pixels, the size of the window.
    """
    return 1 - _ssim_maps(fused, sources)[0].mean()


def weighted_ssim(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute 1 - SSIM, weighting each source by its share of the local variance (Piella and Heijmans, ICIP 2003).

    Where one source is black, such as the PET on the skull, it has no structure to preserve and a low weight: less than a
    fifth where the other source varies by five grey levels. ``_LEAST_VARIANCE`` gives equal weights where both are flat.
    """
    similarity, variance = _ssim_maps(fused, sources)
    share = (variance + _LEAST_VARIANCE) / (variance + _LEAST_VARIANCE).sum(1, keepdim=True)
    return 1 - (similarity * share).sum(1).mean()


def _ssim_maps(fused: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
    """Return the SSIM to each source at each pixel, and the sources' variances in its window, (N, 2, H, W) each."""
    images = torch.cat([fused, sources], dim=1)
    products = torch.cat([images, images**2, fused * sources], dim=1)
    margin = _SSIM_WINDOW // 2
    means = _blur(functional.pad(products, (margin,) * 4, mode="reflect"), _SSIM_WINDOW, _SSIM_SIGMA)
    mean_f, mean_s, square_f, square_s, cross = torch.split(means, [1, 2, 1, 2, 2], dim=1)
    luminance = (2 * mean_f * mean_s + _SSIM_C1) / (mean_f**2 + mean_s**2 + _SSIM_C1)
    variance = square_s - mean_s**2
    structure = (2 * (cross - mean_f * mean_s) + _SSIM_C2) / ((square_f - mean_f**2) + variance + _SSIM_C2)
    return luminance * structure, variance.clamp_min(0)


def qabf(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute 1 - Qabf, with the share of the sources' edges that is kept, by strength (Xydeas and Petrovic, 2000)."""
    of_fused, of_sources = _sobel(fused), _sobel(sources)
    strength = _length(of_sources)
    kept = _edge_strength_kept(_length(of_fused), strength) * _edge_angle_kept(of_fused, of_sources)
    return 1 - (kept * strength).sum() / (strength.sum() + _TINY)


def _sobel(image: Tensor) -> Tensor:
    """Return horizontal and vertical differences in grey levels, (N, C, H, W) to (2, N, C, H, W); black outside the image."""
    kernel = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    single = image.reshape(-1, 1, *image.shape[-2:])
    both = _GREY_LEVELS * functional.conv2d(single, torch.stack([kernel, kernel.T]).unsqueeze(1), padding=1)
    return both.view(*image.shape[:2], 2, *image.shape[-2:]).movedim(2, 0)


def _length(gradient: Tensor) -> Tensor:
    return torch.sqrt(gradient.square().sum(0) + 1e-3)  # the square root has no gradient at 0


def _edge_strength_kept(fused: Tensor, source: Tensor) -> Tensor:
    ratio = torch.minimum(fused, source) / torch.maximum(fused, source)
    return 0.9994 * torch.sigmoid(15 * (ratio - 0.5))


def _edge_angle_kept(fused: Tensor, source: Tensor) -> Tensor:
    """Return how well the direction of an edge is kept, regardless of which side is brighter.

    Unlike in the published code, there is no jump at the vertical, where the angle leaves (-pi/2, pi/2).
    """
    cosine = (fused * source).sum(0).abs() / (_length(fused) * _length(source))
    closeness = 1 - torch.acos(cosine.clamp(max=1 - 1e-6)) * (2 / math.pi)
    return 0.9879 * torch.sigmoid(22 * (closeness - 0.8))


def vif(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute 2 - VIF: the visual information of each source in the fused image, added (Sheikh and Bovik, 2006).

    In the pixel domain, on four scales. Each side of a patch needs at least 41 pixels.
    """
    kept = fused.new_zeros(2)
    offered = fused.new_zeros(2)
    fused = fused.expand_as(sources)
    for scale, window in enumerate(_VIF_WINDOWS):
        if scale:
            fused, sources = (_blur(image, window, window / 5)[..., ::2, ::2] for image in (fused, sources))
        information = _visual_information(fused, sources, window)
        kept, offered = kept + information[0], offered + information[1]
    return 2 - (kept / (offered + _TINY)).sum()


def _visual_information(fused: Tensor, sources: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return the information kept of each source and the information in each source, on one scale: (2,) and (2,)."""
    products = (fused, sources, fused * fused, sources * sources, fused * sources)
    mean_f, mean_s, square_f, square_s, cross = (_blur(product, window, window / 5) for product in products)
    var_f, var_s = (square_f - mean_f**2).clamp_min(0), (square_s - mean_s**2).clamp_min(0)
    gain = ((cross - mean_f * mean_s) / (var_s + _TINY)).clamp_min(0) * (var_s > _TINY)
    lost = (var_f - gain * (cross - mean_f * mean_s)).clamp_min(_TINY)
    kept = torch.log1p(gain**2 * var_s / (lost + _VIF_NOISE)).sum((0, 2, 3))
    return kept, torch.log1p(var_s / _VIF_NOISE).sum((0, 2, 3))


def _blur(image: Tensor, window: int, sigma: float) -> Tensor:
    """Compute the Gaussian mean of each channel, without the pixels whose window leaves the image.

    It uses two products with banded matrices: on a CPU, convolutions of single channels took ten times as long.
    """
    columns, rows = (_gaussian_band(length, window, sigma, image) for length in image.shape[-2:])
    return torch.matmul(columns.mT, image @ rows)


def _gaussian_band(length: int, window: int, sigma: float, like: Tensor) -> Tensor:
    """Return a matrix (length, length - window + 1) whose column i holds the weights of the window that begins at i."""
    place = torch.arange(length, device=like.device, dtype=like.dtype)
    offset = place.unsqueeze(1) - place[: length - window + 1] - window // 2
    weights = torch.exp(-0.5 * (offset / sigma) ** 2) * (offset.abs() <= window // 2)
    return weights / weights.sum(0)


def scd(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute 2 - SCD, from the correlation of (fused - one source) with the other source (Aslantas and Bendes, 2015)."""
    difference = fused - sources.flip(1)  # fused - MRI belongs to the PET, fused - PET to the MRI
    difference, sources = (image - image.mean((2, 3), keepdim=True) for image in (difference, sources))
    covariance = (difference * sources).sum((0, 2, 3))
    spread = difference.square().sum((0, 2, 3)) * sources.square().sum((0, 2, 3))
    return 2 - (covariance / torch.sqrt(spread + _TINY)).sum()


def target(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute the mean absolute difference from the target; without one, from :func:`training.target.layered_target`."""
    return functional.l1_loss(fused, _target_of(sources))


def target_gradient(fused: Tensor, sources: Tensor) -> Tensor:
    """Compute the mean absolute difference of the signed gradients from those of the target."""
    difference = fused - _target_of(sources)
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def _target_of(sources: Tensor) -> Tensor:
    return sources[:, 2:] if sources.shape[1] > 2 else layered_target(sources)


OF_TARGET = ("target", "target_gradient")  # terms that need the target in addition to the sources
TERMS: dict[str, Term] = {
    "mse": mse,
    "l1": l1,
    "ssim": ssim,
    "weighted_ssim": weighted_ssim,
    "qabf": qabf,
    "vif": vif,
    "scd": scd,
    "target": target,
    "target_gradient": target_gradient,
}
