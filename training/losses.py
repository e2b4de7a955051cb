"""The training loss (paper, equation 5)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.image import structural_similarity_index_measure


def fusion_loss(fused: Tensor, sources: Tensor, gamma: float) -> dict[str, Tensor]:
    """MSE + gamma (1 - SSIM), each the mean over the two sources; no ground truth.

    SSIM as published by Wang et al. (IEEE TIP 13, 2004): Gaussian window of 11 pixels, sigma 1.5; at the
    borders the images are reflected, so every pixel counts.

    Args:
        fused: (N, 1, H, W) in [0, 1].
        sources: (N, 2, H, W) in [0, 1], PET then MRI.
        gamma: weight of the SSIM term.

    Returns:
        Scalars ``loss`` (to be minimised), ``mse`` and ``ssim``.
    """
    targets = torch.cat([sources[:, :1], sources[:, 1:]])
    twice = torch.cat([fused, fused])
    mse = functional.mse_loss(twice, targets)
    ssim = structural_similarity_index_measure(twice, targets, data_range=1.0)
    assert isinstance(ssim, Tensor)  # a tuple only where the full image is asked for
    return {"loss": mse + gamma * (1 - ssim), "mse": mse, "ssim": ssim}
