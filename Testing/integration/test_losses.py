"""The terms of the loss equal the measures with the same names, and have gradients everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from cspadn.metrics import measure
from training.losses import TERMS, fusion_loss


def _heads(size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Return a blurred blob and a textured disc on black, in whole grey levels."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    disc = np.hypot(x, y) < 0.4
    pet = np.rint(220 * np.exp(-((x - 0.1) ** 2 + y**2) / 0.03) * disc)
    mri = np.rint((120 + 60 * np.sin(40 * x) * np.cos(30 * y)) * disc)
    return pet, mri


def _as_tensors(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)[np.newaxis] / 255.0)


def _fusions() -> dict[str, np.ndarray]:
    pet, mri = _heads()
    noise = np.random.default_rng(4).normal(0, 10, pet.shape)
    fusions = {"maximum": np.maximum(pet, mri), "average": (pet + mri) / 2, "noisy": np.clip(mri + noise, 0, 255), "pet": pet}
    return {name: np.rint(image) for name, image in fusions.items()}


@pytest.mark.parametrize("name", _fusions())
def test_terms_are_the_measures(name: str) -> None:
    pet, mri = _heads()
    fused = _fusions()[name]
    expected = measure(pet, mri, fused)
    terms = fusion_loss(_as_tensors(fused), _as_tensors(pet, mri), dict.fromkeys(TERMS, 1.0))
    assert 2 - float(terms["vif_loss"]) == pytest.approx(expected["VIF"], abs=2e-3)
    assert 2 - float(terms["scd_loss"]) == pytest.approx(expected["SCD"], abs=1e-4)
    assert 1 - float(terms["ssim_loss"]) == pytest.approx(expected["SSIM"], abs=2e-3)  # the borders differ
    assert 1 - float(terms["qabf_loss"]) == pytest.approx(
        expected["Qabf"], abs=0.04
    )  # the code takes edges to left and right for opposite


def test_ssim_is_that_of_a_kept_library() -> None:
    pet, mri = _heads()
    sources, fused = _as_tensors(pet, mri), _as_tensors(_fusions()["noisy"])
    twice, targets = torch.cat([fused, fused]), sources.movedim(1, 0)
    expected = structural_similarity_index_measure(twice, targets, data_range=1.0)
    assert 1 - float(TERMS["ssim"](fused, sources)) == pytest.approx(float(expected), abs=1e-6)


def test_weighted_ssim_leaves_out_a_source_that_shows_nothing() -> None:
    _, mri = _heads()
    fused, black = _as_tensors(_fusions()["noisy"]), np.zeros_like(mri)
    whole = TERMS["ssim"](fused[..., 30:60, 30:60], _as_tensors(mri, mri)[..., 30:60, 30:60])  # inside the disc
    for sources in (_as_tensors(black, mri), _as_tensors(mri, black)):
        weighted = TERMS["weighted_ssim"](fused[..., 30:60, 30:60], sources[..., 30:60, 30:60])
        assert float(weighted) == pytest.approx(float(whole), abs=0.02)
        assert TERMS["ssim"](fused[..., 30:60, 30:60], sources[..., 30:60, 30:60]) > whole + 0.3


def test_weighted_ssim_shares_evenly_where_both_sources_are_flat() -> None:
    flat = np.full((32, 32), 128.0)
    fused, sources = _as_tensors(flat), _as_tensors(0 * flat, flat)
    assert float(TERMS["weighted_ssim"](fused, sources)) == pytest.approx(float(TERMS["ssim"](fused, sources)), abs=1e-9)


def test_weighted_ssim_is_ssim_where_both_sources_vary_alike() -> None:
    _, mri = _heads()
    sources, fused = _as_tensors(mri, 255 - mri), _as_tensors(_fusions()["noisy"])
    assert TERMS["ssim"](fused, sources[:, :1].expand_as(sources)) < TERMS["ssim"](fused, sources) - 0.1
    assert float(TERMS["weighted_ssim"](fused, sources)) == pytest.approx(float(TERMS["ssim"](fused, sources)), abs=1e-12)


@pytest.mark.parametrize("name", TERMS)
def test_terms_have_slopes_even_where_there_is_nothing(name: str) -> None:
    black = torch.zeros(2, 2, 48, 48)
    fused = torch.zeros(2, 1, 48, 48, requires_grad=True)
    TERMS[name](fused, black).backward()
    assert fused.grad is not None
    assert fused.grad.isfinite().all()


@pytest.mark.parametrize("name", TERMS)
def test_terms_prefer_a_fusion_to_noise(name: str) -> None:
    pet, mri = _heads()
    sources = _as_tensors(pet, mri)
    noise = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert TERMS[name](_as_tensors(_fusions()["maximum"]), sources) < TERMS[name](noise, sources)


def test_terms_of_a_batch_weigh_what_each_slice_holds() -> None:
    """A black patch beside another one does not change measures that are sums over edges or information."""
    pet, mri = _heads()
    sources, fused = _as_tensors(pet, mri), _as_tensors(_fusions()["average"])
    for name in ("qabf", "vif", "scd"):
        alone = TERMS[name](fused, sources)
        beside = TERMS[name](torch.cat([fused, 0 * fused]), torch.cat([sources, 0 * sources]))
        assert float(beside) == pytest.approx(float(alone), abs=1e-3)
