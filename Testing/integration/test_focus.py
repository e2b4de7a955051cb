"""Foci of a PET, and the window that shows them."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from cspadn.imaging.automatic_windows import automatic_pet_window
from cspadn.imaging.focus import FOCUS_ML, hottest_focus

_STEP_MM = 2.5
_SHAPE = (48, 64, 64)
_TISSUE = 1000.0


def _radii(centre_mm: tuple[float, float, float], shape: tuple[int, ...] = _SHAPE, step_mm: float = _STEP_MM) -> np.ndarray:
    axes = [(np.arange(size) - (size - 1) / 2) * step_mm - place for size, place in zip(shape, centre_mm, strict=True)]
    return np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))


def _image(values: np.ndarray, step_mm: float = _STEP_MM) -> sitk.Image:
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing([step_mm] * 3)
    image.SetOrigin([-(size - 1) / 2 * step_mm for size in image.GetSize()])
    return image


def _ball(volume_ml: float, centre_mm: tuple[float, float, float], step_mm: float = _STEP_MM, shape=_SHAPE) -> np.ndarray:
    radius = (volume_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
    return np.clip((radius - _radii(centre_mm, shape, step_mm)) / step_mm + 0.5, 0, 1)


def _head(seed: int = 0) -> np.ndarray:
    """A ball of 1.2 l with an uptake of 800 to 1000, at the resolution of a PET."""
    random = np.random.default_rng(seed)
    uptake = (_radii((0, 0, 0)) < 66) * random.uniform(600, 1200, _SHAPE)
    return gaussian_filter(uptake, 1.0)


def _mri() -> sitk.Image:
    random = np.random.default_rng(5)
    return _image((_radii((0, 0, 0)) < 66) * random.uniform(200, 700, _SHAPE) + np.abs(random.normal(0, 5, _SHAPE)))


@pytest.mark.parametrize("volume_ml", [0.5, 1, 2, 5, 10])
@pytest.mark.parametrize("uptake", [2.0, 4.0, 20.0])
def test_the_window_reaches_a_focus(volume_ml: float, uptake: float) -> None:
    lesion = gaussian_filter(_ball(volume_ml, (15, 10, -20)) * uptake * _TISSUE, 0.6)
    window = automatic_pet_window(_image(np.maximum(_head(), lesion)), _mri())
    assert window.lower == pytest.approx(0, abs=1)
    assert window.upper == pytest.approx(lesion.max(), rel=0.1)


def test_a_focus_near_the_level_of_the_tissue_leaves_the_window() -> None:
    plain = automatic_pet_window(_image(_head()), _mri())
    lesion = _ball(2, (15, 10, -20)) * 1.05 * _TISSUE
    assert automatic_pet_window(_image(np.maximum(_head(), lesion)), _mri()).upper == pytest.approx(plain.upper, rel=0.05)


def test_single_hot_voxels_leave_the_window() -> None:
    values = _head()
    plain = automatic_pet_window(_image(values), _mri())
    values[tuple(np.random.default_rng(2).integers(10, 38, (3, 40)))] = 1e5
    assert automatic_pet_window(_image(values), _mri()).upper == pytest.approx(plain.upper, rel=0.02)


def test_what_lies_outside_the_head_leaves_the_window() -> None:
    """An injection site at the edge of the field of view, and noise of the air."""
    plain = automatic_pet_window(_image(_head()), _mri())
    values = _head() + np.where(_radii((0, 0, 0)) > 66, np.random.default_rng(3).uniform(0, 30, _SHAPE), 0)
    values[:6, :8, :8] = 1e6
    assert automatic_pet_window(_image(values), _mri()).upper == pytest.approx(plain.upper, rel=0.02)


def test_noise_of_both_signs_does_not_lower_the_window_below_0() -> None:
    values = _head() + np.random.default_rng(4).normal(0, 150, _SHAPE)
    assert values.min() < -300
    window = automatic_pet_window(_image(values), _mri())
    assert window.lower == 0
    assert window.upper == pytest.approx(np.percentile(values[_radii((0, 0, 0)) < 60], 99.5), rel=0.1)


def _smooth_noise(seed: int) -> np.ndarray:
    """Noise of a fifth of the tissue, smoothed as by a reconstruction."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(0, 1, _SHAPE), 1.0)
    return noise * 0.2 * _TISSUE / noise.std()


@pytest.mark.parametrize("seed", [6, 7])
def test_noise_of_both_signs_is_no_focus(seed: int) -> None:
    """It has connected parts of the size of a focus that are far hotter than the tissue."""
    noisy = _head() + _smooth_noise(seed)
    inside = _radii((0, 0, 0)) < 60
    upper = automatic_pet_window(_image(noisy), _mri()).upper
    assert np.percentile(_head()[inside], 99.5) < upper < np.percentile(noisy[inside], 99.5)
    lesion = gaussian_filter(_ball(1, (15, 10, -20)) * 4 * _TISSUE, 0.6)
    found = automatic_pet_window(_image(np.where(lesion > 100, np.maximum(_head(), lesion), noisy)), _mri()).upper
    assert found == pytest.approx(lesion.max(), rel=0.1)


def test_a_small_peak_counts_beside_a_larger_area_that_is_less_hot() -> None:
    """The area is hotter than the edge of the core of the peak."""
    area = gaussian_filter(_ball(8, (-20, -10, 0)) * 1.3 * _TISSUE, 0.6)
    lesion = gaussian_filter(_ball(0.5, (15, 10, -20)) * 4.7 * _TISSUE, 1.4)
    assert np.sort(lesion.ravel())[-20] < area.max() < 0.75 * lesion.max()
    upper = automatic_pet_window(_image(np.maximum.reduce([_head(), area, lesion])), _mri()).upper
    assert upper == pytest.approx(lesion.max(), rel=0.1)


def test_padding_of_the_pet_leaves_the_window() -> None:
    plain, values = automatic_pet_window(_image(_head()), _mri()), _head()
    values[:, :, :10] = -1000
    assert automatic_pet_window(_image(values), _mri()) == pytest.approx(plain, abs=0.02 * plain.upper)


@pytest.mark.parametrize("offset", [-2000, -800])
def test_a_volume_with_an_offset_keeps_its_range(offset: float) -> None:
    plain = automatic_pet_window(_image(_head()), _mri())
    window = automatic_pet_window(_image(_head() + offset), _mri())
    assert window == pytest.approx((plain.lower + offset, plain.upper + offset), abs=0.02 * plain.upper)


@pytest.mark.parametrize("voxel_ml", [0.008, 0.08, 0.2])
def test_the_core_is_a_volume_and_not_a_number_of_voxels(voxel_ml: float) -> None:
    step_mm = (voxel_ml * 1000) ** (1 / 3)
    for volume_ml, found in ((FOCUS_ML / 4, False), (FOCUS_ML * 4, True)):
        values = 100 + 900 * (_ball(volume_ml, (step_mm / 2,) * 3, step_mm, (24, 24, 24)) > 0.5).astype(np.float32)
        level = hottest_focus(values, (step_mm,) * 3, 120.0, 110.0)
        assert (level is not None) == found
        assert not found or 1000 / 1.03 - 0.01 <= level <= 1000.01  # lowered by 3 % at most, for noise


@pytest.mark.parametrize(("noise", "found"), [(0.0, True), (10.0, True), (30.0, False)])
def test_noise_raises_the_level_of_a_focus(noise: float, found: bool) -> None:
    values = 100 + 90 * (_ball(4 * FOCUS_ML, (1, 1, 1), 2.0, (24, 24, 24)) > 0.5).astype(np.float32)
    assert (hottest_focus(values, (2.0, 2.0, 2.0), 120.0, 110.0, noise) is not None) == found


def _patchy(places: tuple[tuple[float, float, float], ...], level: float) -> np.ndarray:
    """Return a ball of 1000 with foci of 1 ml."""
    values = np.where(_radii((0, 0, 0)) < 66, _TISSUE, 0)
    for place in places:
        values = np.maximum(values, _ball(1, place) * level * _TISSUE)
    return gaussian_filter(values, 0.8).astype(np.float32)


_AXES = {"columns": (1.0, 0.0, 0.0), "rows": (0.0, -1.0, 0.0), "oblique": (0.8, 0.6, 0.0)}


@pytest.mark.parametrize("axis", _AXES)
@pytest.mark.parametrize("level", [1.47, 1.52])
def test_a_focus_on_one_side_needs_not_be_as_hot(axis: str, level: float) -> None:
    left = np.array(_AXES[axis])
    one, other = tuple(30 * left), tuple(-30 * left)
    spacing = (_STEP_MM,) * 3

    def found(*places: tuple[float, float, float]) -> float | None:
        values = _patchy(tuple(place[::-1] for place in places), level)
        return hottest_focus(values, spacing, _TISSUE, 0.97 * _TISSUE, 0.0, _AXES[axis])

    assert found(one) == pytest.approx(_patchy((one[::-1],), level).max(), rel=0.1)
    assert found(one, other) is None  # as of normal structures
    assert found(one, tuple(np.add(other, (4, -4, 4)))) is None  # no head is quite symmetrical


def test_a_hot_speck_on_one_side_is_no_focus() -> None:
    values = _patchy((), 1.0)
    values[24, 32, 44] = 50 * _TISSUE
    assert hottest_focus(values, (_STEP_MM,) * 3, _TISSUE, 0.97 * _TISSUE) is None


def test_not_a_number_is_no_focus() -> None:
    values = np.full((8, 8, 8), 100, np.float32)
    values[2:6, 2:6, 2:6] = np.nan
    values[0] = np.inf
    assert hottest_focus(values, (4.64, 4.64, 4.64), 120.0, 110.0) is None
