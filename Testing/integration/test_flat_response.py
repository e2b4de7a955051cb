"""What the product promises of every model: order on flat inputs, and no holes anywhere."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import gaussian_filter

from cspadn import FusionSettings, fuse
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.inference.bounds import DEPTH, LEVELS, TOLERANCE, FlatResponse
from cspadn.models.cspadn import CSpADN, NetworkConfig
from cspadn.settings import MODELS

GRID = np.linspace(0, 1, LEVELS, dtype=np.float32)
ROUNDING = 1e-5


def fused(pet, mri, model):
    """Slices (N, H, W) in [0, 1] through the product, with the windows held at 0 and 1."""
    volumes = [sitk.GetImageFromArray(np.ascontiguousarray(planes, np.float32)) for planes in (pet, mri)]
    settings = FusionSettings(model=model, device="cpu", pet_window=(0, 1), mri_window=(0, 1))
    return sitk.GetArrayFromImage(fuse(*volumes, settings).image) / FUSED_MAXIMUM


@pytest.mark.parametrize("model", MODELS)
def test_flat_inputs_are_answered_in_order(model):
    pet, mri = (
        np.broadcast_to(level.reshape(-1, 1, 1), (LEVELS**2, 6, 6)) for level in np.meshgrid(GRID, GRID, indexing="ij")
    )
    answer = fused(pet, mri, model)
    assert np.ptp(answer, axis=(1, 2)).max() < 1e-4  # flat in, flat out
    table = answer[:, 3, 3].reshape(LEVELS, LEVELS)
    assert np.diff(table, axis=0).min() > -ROUNDING
    assert np.diff(table, axis=1).min() > -ROUNDING
    assert (table - np.minimum(GRID[:, np.newaxis], GRID)).min() > -0.02
    assert table[0, 0] == 0
    assert table[-1, -1] > 0.97


def drawn(kind):
    """Draw PET and MRI (N, H, W) in [0, 1] of a kind that networks fuse badly."""
    random = np.random.default_rng(7)
    shape = (3, 72, 80)
    if kind == "noise":
        return random.random(shape), random.random(shape)
    if kind == "smooth":
        fields = [gaussian_filter(random.standard_normal(shape), (0, 3, 3)) for _ in range(2)]
        return [np.clip(0.6 + 2.5 * field / field.std() * 0.2, 0, 1) for field in fields]
    rows, columns = np.mgrid[:72, :80]
    disc = np.stack([np.hypot(rows - 36, columns - 40) < radius for radius in (4, 12, 25)]).astype(float)
    around = {"white on grey": 0.4, "white on black": 0.0, "white on white": 0.97}[kind]
    return gaussian_filter(np.maximum(disc, around), (0, 2, 2)), np.maximum(disc, around)


@pytest.mark.parametrize("kind", ["noise", "smooth", "white on grey", "white on black", "white on white"])
@pytest.mark.parametrize("model", MODELS)
def test_no_pixel_is_a_hole(model, kind):
    pet, mri = drawn(kind)
    assert (fused(pet, mri, model) - np.minimum(pet, mri)).min() > -0.1


@pytest.mark.parametrize("model", MODELS)
def test_what_is_white_in_both_is_the_brightest_spot(model):
    pet, mri = drawn("white on grey")
    answer = fused(pet, mri, model)[2]
    assert answer[34:38, 38:42].min() > 0.9
    assert answer[34:38, 38:42].mean() > answer[:8].mean() + 0.3


def wrong_network():
    """A network with random weights: nobody taught it any order."""
    torch.manual_seed(3)
    return CSpADN(NetworkConfig(4, 4, 2, 2, (8,))).eval()


def test_a_network_without_order_gets_it():
    response = FlatResponse.of(wrong_network())
    assert np.diff(response.answers, axis=0).min() < 0 or np.diff(response.answers, axis=1).min() < 0
    pet, mri = np.meshgrid(GRID, GRID, indexing="ij")
    sources = np.stack([pet, mri])[np.newaxis]
    table = response.bounded(response.answers[np.newaxis], sources)[0]
    assert np.diff(table, axis=0).min() > -ROUNDING
    assert np.diff(table, axis=1).min() > -ROUNDING
    assert (table - np.minimum(pet, mri)).min() > -TOLERANCE - ROUNDING


def test_bounds_leave_alone_what_keeps_them():
    response = FlatResponse(np.zeros((LEVELS, LEVELS), np.float32), np.zeros((LEVELS, LEVELS), np.float32))
    random = np.random.default_rng(1)
    sources = random.random((2, 2, 9, 8), np.float32)
    high, low = sources.max(axis=1), np.zeros((2, 9, 8), np.float32)
    assert np.array_equal(response.bounded(high, sources), high)
    np.testing.assert_allclose(response.bounded(low, sources), np.maximum(sources.min(axis=1) - DEPTH, 0), atol=1e-7)


def test_the_correction_lifts_nothing_above_the_corrected_flat_answer():
    """A network that lacks much for flat slices may be right elsewhere: without the limit, hot spots became white."""
    answers, lacking = (np.full((LEVELS, LEVELS), value, np.float32) for value in (0.3, 0.4))
    fused = np.array([[0.1, 0.3, 0.5, 0.7, 0.9, 1.0]], np.float32)[np.newaxis]
    corrected = FlatResponse(answers, lacking).bounded(fused, np.full((1, 2, 1, 6), 0.5, np.float32))
    np.testing.assert_allclose(corrected[0, 0], [0.5, 0.7, 0.7, 0.7, 0.9, 1.0], atol=1e-6)


@pytest.mark.parametrize("size", [2, 17, 64])
def test_the_answer_to_a_flat_slice_does_not_depend_on_its_size(size):
    network = wrong_network()
    response = FlatResponse.of(network)
    with torch.inference_mode():
        sources = torch.tensor([GRID[5], GRID[12]]).reshape(1, 2, 1, 1).expand(1, 2, size, size) * 2 - 1
        answer = (network(sources) + 1) / 2
    np.testing.assert_allclose(answer.numpy(), response.answers[5, 12], atol=1e-5)
