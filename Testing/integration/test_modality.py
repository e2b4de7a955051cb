"""PET or MRI: swapped volumes, masks, segmentations, one image given twice."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from cspadn.errors import InputError
from cspadn.imaging.alignment import Pair
from cspadn.imaging.modality import Texture, check_modalities, look_swapped, texture_of
from cspadn.settings import FusionSettings
from message_calls import identifiers, raises

_SHAPE = (32, 96, 96)


def _image(values: np.ndarray, spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    return image


def _tissues(seed: int = 0) -> np.ndarray:
    """Return tissues 1 to 4 in folds of about 4 mm inside a ball, 0 outside."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in _SHAPE), indexing="ij")
    patches = gaussian_filter(random.standard_normal(_SHAPE), 1.2)
    return np.where(sum(axis**2 for axis in axes) < 0.8, 1 + np.digitize(patches / patches.std(), [-0.7, 0, 0.7]), 0)


def _mri(noise: float = 0.02) -> sitk.Image:
    values = np.array([0.0, 0.2, 0.5, 0.7, 1.0])[_tissues()]
    return _image((700 * (values + np.random.default_rng(1).normal(0, noise, _SHAPE))).astype(np.float32))


def _pet(fwhm_mm: float = 6.0, noise: float = 0.05) -> sitk.Image:
    sigma = fwhm_mm / 2.355 / 2
    uptake = gaussian_filter(np.array([0.0, 0.3, 1.0, 0.9, 0.2])[_tissues()], sigma)
    grain = gaussian_filter(np.random.default_rng(2).standard_normal(_SHAPE), 0.7 * sigma)
    return _image((8000 * np.clip(uptake + noise * grain / grain.std(), 0, None)).astype(np.float32))


@pytest.mark.parametrize("fwhm_mm", [4.5, 6.0, 8.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_pair_in_order_is_not_reported(fwhm_mm: float, noise: float) -> None:
    assert check_modalities(_pet(fwhm_mm, noise), _mri()) == []


@pytest.mark.parametrize("fwhm_mm", [6.0, 8.0])
def test_a_swapped_pair_is_reported(fwhm_mm: float) -> None:
    assert identifiers(check_modalities(_mri(), _pet(fwhm_mm))) == ["pet-sharper-than-mri"]


def test_a_swapped_pair_on_unequal_grids_and_of_another_axis_is_reported() -> None:
    mri = sitk.PermuteAxes(_mri(), [2, 0, 1])
    pet = sitk.Expand(_pet(), [1, 1, 2])
    assert check_modalities(pet, mri) == []
    assert identifiers(check_modalities(mri, pet)) == ["pet-sharper-than-mri"]


def test_the_same_voxels_twice_are_refused() -> None:
    moved = _mri()
    moved.SetOrigin((5, 5, 5))
    with raises(InputError, "same-voxels-twice"):
        check_modalities(_mri(), moved)


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (-1000, 1)])
def test_a_mask_is_refused(values: tuple[int, int]) -> None:
    mask = _image(np.where(_tissues() > 1, *values[::-1]).astype(np.int16))
    with raises(InputError, "volume-is-mask", volume="The PET"):
        check_modalities(mask, _mri())
    with raises(InputError, "volume-is-mask", volume="The MRI"):
        check_modalities(_pet(), mask)


def test_equal_volumes_and_masks_can_be_warnings() -> None:
    mask = _image((_tissues() > 1).astype(np.int16))
    assert identifiers(check_modalities(_mri(), _mri(), refuse=False))[0] == "same-voxels-twice"
    assert identifiers(check_modalities(mask, _mri(), refuse=False))[0] == "volume-is-mask"


def test_whoever_gives_both_windows_may_fuse_equal_volumes() -> None:
    flat = _image(np.full((4, 32, 32), 0.5, np.float32))
    pair = Pair.of(flat, flat, FusionSettings(pet_window=(0.0, 1.0), mri_window=(0.0, 1.0)))
    assert "same-voxels-twice" in identifiers(pair.warnings)
    with raises(InputError, "same-voxels-twice"):
        Pair.of(_mri(), _mri(), FusionSettings(mri_window=(0.0, 1.0)))


def test_a_label_map_is_reported() -> None:
    blocks = np.kron(np.random.default_rng(3).integers(1, 40, (4, 8, 8)), np.ones((8, 12, 12), int))
    for pair in ((_image(blocks.astype(np.uint8)), _mri()), (_pet(), _image(blocks.astype(np.float32)))):
        assert identifiers(check_modalities(*pair)) == ["looks-like-segmentation"]


def test_an_image_of_few_levels_is_no_label_map() -> None:
    """A PET of 7 bits, as decoded from a palette, and an MRI of 8."""
    pet, mri = (
        sitk.Cast(_pet() / 80, sitk.sitkUInt8),
        sitk.Cast(sitk.Clamp(_mri() / 4, sitk.sitkFloat32, 0, 255), sitk.sitkUInt8),
    )
    assert check_modalities(pet, mri) == []


def test_too_little_foreground_gives_no_texture() -> None:
    assert texture_of(_image(np.random.default_rng(4).random((4, 6, 6)))) is None
    assert texture_of(_image(np.zeros(_SHAPE))) is None
    assert not look_swapped(None, Texture(1.5, 0.1, 0.0))


def test_texture_is_measured_in_millimetres() -> None:
    coarse = texture_of(_pet())
    fine = texture_of(sitk.Resample(_pet(), (192, 192, 32), sitk.Transform(), sitk.sitkBSpline, (0, 0, 0), (1, 1, 2)))
    assert coarse is not None
    assert fine is not None
    assert fine.smoothness == pytest.approx(coarse.smoothness, abs=0.35)
    assert fine.contrast == pytest.approx(coarse.contrast, rel=0.4)
