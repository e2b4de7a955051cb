"""Slices of fine pixels are fused like those of usual pixels, and keep their finest detail."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

import cspadn
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.inference.pixel_size import PixelSize

WINDOWS = {"pet_window": (0.0, 1.0), "mri_window": (0.0, 1.0)}


def blob(side: int, spacing: float, fwhm_mm: float) -> np.ndarray:
    """Return a round lesion of height 1 in the middle of a square slice."""
    offset = (np.arange(side) - side / 2 + 0.5) * spacing
    return np.exp(-4 * np.log(2) * (offset**2 + offset[:, np.newaxis] ** 2) / fwhm_mm**2).astype(np.float32)


def fused_at(spacing: float, lesion: float, model: str = "cspadn") -> np.ndarray:
    """Fuse 48 mm of grey tissue with a lesion of 3 mm in the MRI, at a pixel size."""
    side = round(48 / spacing)
    mri = 0.5 + lesion * blob(side, spacing, 3.0)
    volumes = []
    for slice_ in (np.full_like(mri, 0.5), mri):
        image = sitk.GetImageFromArray(slice_[np.newaxis].astype(np.float32))
        image.SetSpacing((spacing, spacing, 3.0))
        volumes.append(image)
    result = cspadn.fuse(*volumes, cspadn.FusionSettings(device="cpu", model=model, **WINDOWS))
    return sitk.GetArrayFromImage(result.image)[0] / FUSED_MAXIMUM


@pytest.mark.parametrize(
    ("millimetres", "blocks"),
    [((1.0, 1.0), (1, 1)), ((0.7, 0.86), (1, 1)), ((0.5, 0.5), (2, 2)), ((0.43, 0.43), (2, 2)), ((0.3, 0.9), (3, 1))],
)
def test_fine_pixels_are_averaged_to_about_a_millimetre(millimetres, blocks) -> None:
    size = PixelSize.of(*millimetres)
    assert (size.rows, size.columns) == blocks


@pytest.mark.parametrize("lesion", [0.12, -0.12])
@pytest.mark.parametrize("spacing", [0.25, 0.43, 0.5, 0.65, 0.8, 1.0, 1.2])
def test_a_small_lesion_of_the_mri_is_seen_at_any_pixel_size(spacing: float, lesion: float) -> None:
    change = fused_at(spacing, lesion) - fused_at(spacing, 0.0)
    middle = len(change) // 2
    assert change[middle, middle] / lesion > 0.4


def test_the_provenance_says_how_many_pixels_were_averaged() -> None:
    assert PixelSize.of(0.5, 0.3).provenance() == {"pixels_averaged": "2 x 3"}
    assert PixelSize.of(1.0, 0.9).provenance() == {}
    images = [sitk.GetImageFromArray(np.random.default_rng(0).random((1, 40, 40), np.float32)) for _ in range(2)]
    for image in images:
        image.SetSpacing((0.5, 0.5, 3.0))
    provenance = cspadn.fuse(*images, cspadn.FusionSettings(device="cpu", **WINDOWS)).provenance
    assert provenance["pixels_averaged"] == "2 x 2"


def test_large_pixels_go_through_the_network_as_they_are() -> None:
    sources = np.random.default_rng(0).random((1, 2, 9, 7), np.float32)
    seen = []
    result = PixelSize(1, 1).fuse(lambda given: seen.append(given) or given[:, 0], sources)
    assert seen[0] is sources
    np.testing.assert_array_equal(result, sources[:, 0])


@pytest.mark.parametrize("shape", [(64, 64), (63, 61), (1, 5)])
def test_a_network_that_copies_the_mri_gives_the_mri_back(shape) -> None:
    """Detail that the average loses is restored if it is weaker than a strong edge and not limited by white."""
    rows, columns = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    mri = (0.5 + 0.04 * np.sin(rows) * np.cos(1.7 * columns)).astype(np.float32)
    sources = np.stack([np.zeros_like(mri), mri])[np.newaxis]
    given = []
    result = PixelSize(2, 2).fuse(lambda coarse: given.append(coarse.shape) or coarse[:, 1], sources)
    assert given[0] == (1, 2, -(-shape[0] // 2), -(-shape[1] // 2))
    assert result.shape == (1, *shape)
    np.testing.assert_allclose(result[0], mri, atol=3e-3)


def test_strong_edges_stay_between_black_and_white() -> None:
    sources = np.random.default_rng(1).integers(0, 2, (2, 2, 40, 40)).astype(np.float32)
    result = PixelSize(2, 2).fuse(lambda coarse: coarse.max(axis=1), sources)
    assert result.min() >= 0
    assert result.max() <= 1
