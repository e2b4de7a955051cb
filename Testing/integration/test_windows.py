"""Windows, padding and the check of the modalities in a fusion."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

import cspadn
from cspadn.errors import InputError
from cspadn.imaging.windowing import FUSED_MAXIMUM
from message_calls import identifiers, raises

_SHAPE = (8, 40, 40)


def _volume(values: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((4, 4, 5))
    return image


def _ball(edge: float = 0.85) -> np.ndarray:
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in _SHAPE), indexing="ij")
    return np.clip((edge - np.sqrt(sum(axis**2 for axis in axes))) * 8, 0, 1)


def _mri() -> np.ndarray:
    random = np.random.default_rng(1)
    return (_ball() * random.uniform(300, 700, _SHAPE) + np.abs(random.normal(0, 4, _SHAPE))).astype(np.int16)


def _pet() -> np.ndarray:
    return (_ball(0.8) * (4000 + 1000 * np.cos(np.arange(40) / 6))).astype(np.float32)


def _fuse(pet: np.ndarray, mri: np.ndarray, **settings: object) -> cspadn.FusionResult:
    return cspadn.fuse(_volume(pet), _volume(mri), cspadn.FusionSettings(device="cpu", **settings))


@pytest.mark.parametrize("grid", ["mri", "pet"])
def test_padding_changes_no_fused_voxel_beside_it(grid: str) -> None:
    padded = _mri()
    padded[:, :4] = -32768
    background = _mri()
    background[:, :4] = 0
    result, expected = _fuse(_pet(), padded, grid=grid), _fuse(_pet(), background, grid=grid)
    assert identifiers(result.warnings) == ["padding-taken-as-background"]
    assert result.provenance["mri_window"] == pytest.approx(expected.provenance["mri_window"], abs=2)
    fused, right = (sitk.GetArrayFromImage(each.image) for each in (result, expected))
    np.testing.assert_allclose(fused, right, atol=0.01 * FUSED_MAXIMUM)


def test_a_window_above_the_mri_is_blamed_on_the_window() -> None:
    with raises(InputError, "window-above-volume", volume="The MRI", lower=5000, upper=6000):
        _fuse(_pet(), _mri(), mri_window=(5000, 6000))
    with raises(InputError, "window-above-volume", volume="The MRI"):
        _fuse(_pet(), _mri(), mri_window=(0, 1e6))
    with raises(InputError, "window-above-volume", volume="The PET"):
        _fuse(_pet(), _mri(), pet_window=(1e5, 2e5))


def test_a_window_below_a_volume_is_blamed_on_the_window() -> None:
    with raises(InputError, "window-below-volume", volume="The MRI"):
        _fuse(_pet(), _mri(), mri_window=(-20, -10))
    with raises(InputError, "window-below-volume", volume="The PET"):
        _fuse(_pet() + 100, _mri(), pet_window=(0, 8))


def test_a_window_that_the_pet_hardly_reaches_is_a_warning() -> None:
    assert identifiers(_fuse(_pet(), _mri(), pet_window=(0, 1e6)).warnings) == ["window-hardly-reached"]


def test_a_constant_mri_is_not_blamed_on_its_window() -> None:
    with raises(InputError, "volume-constant", volume="The MRI"):
        _fuse(_pet(), np.zeros(_SHAPE, np.int16), mri_window=(0, 10))


def test_one_image_given_twice_and_masks_are_refused() -> None:
    with raises(InputError, "same-voxels-twice"):
        _fuse(_mri(), _mri())
    with raises(InputError, "volume-is-mask", volume="The PET"):
        _fuse((_ball() > 0.5).astype(np.uint8), _mri())
    with raises(InputError, "volume-is-mask", volume="The MRI"):
        _fuse(_pet(), (_ball() > 0.5).astype(np.uint8))
