"""Windows and ranges."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from cspadn.errors import InputError, UsageError
from cspadn.imaging import windowing
from message_calls import raises


def test_window_is_robust_against_hot_voxels_and_background() -> None:
    values = np.zeros(10_000)
    values[:4000] = np.linspace(50, 100, 4000)
    values[0] = 1e6
    window = windowing.automatic_window(values, "The PET")
    assert window.lower == 0
    assert 99 <= window.upper <= 101


def test_window_ignores_what_is_not_a_number() -> None:
    values = np.linspace(0, 10, 1000)
    with_gaps = np.concatenate([values, [np.nan, np.inf, -np.inf]])
    assert windowing.automatic_window(with_gaps, "The PET") == windowing.automatic_window(values, "The PET")


def test_window_of_a_nearly_constant_volume_is_its_range() -> None:
    values = np.zeros(1000)
    values[0] = 3
    assert windowing.automatic_window(values, "The PET") == (0, 3)


def _head(contrast: float = 0.5, noise: float = 6.0) -> np.ndarray:
    """Return a ball of two tissues, 35 % of the voxels, in the noise of air."""
    random = np.random.default_rng(1)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in (32, 48, 48)), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    tissue = np.where(radius < 0.5, 600, 600 * contrast) * (radius < 0.87)
    return np.abs(tissue + random.normal(0, noise, radius.shape))


@functools.cache
def _window_of_head(stripped: bool) -> tuple[np.ndarray, windowing.Window]:
    values = _head()
    if stripped:
        values[values < 100] = 0
        values = np.pad(values, 12)  # the head then has about a tenth of the volume
    return values, windowing.automatic_window(values, "The MRI")


@pytest.mark.parametrize("share", [0.0005, 0.001, 0.0015, 0.005, 0.01])
@pytest.mark.parametrize("level", [1000.0, 3000.0, 6080.0, 20_000.0, 1e9, "spread", "dark"])  # 6080: ten times the tissue
@pytest.mark.parametrize("stripped", [False, True])
def test_outliers_move_nothing(share: float, level: float | str, stripped: bool) -> None:
    original, right = _window_of_head(stripped)
    values = original.copy()
    random = np.random.default_rng(2)
    count = round(share * values.size)
    levels = {"spread": random.uniform(700, 32767, count), "dark": random.uniform(-32768, -1000, count)}.get(level, level)
    values.ravel()[random.choice(values.size, count, replace=False)] = levels
    assert windowing.automatic_window(values, "The MRI") == pytest.approx(right, abs=0.05 * (right.upper - right.lower))


def test_a_connected_clump_of_outliers_moves_nothing() -> None:
    values = _head()
    right = windowing.automatic_window(values, "The MRI")
    values[10:18, 20:28, 20:30] = 20_000  # 0.9 %
    assert windowing.automatic_window(values, "The MRI") == pytest.approx(right, abs=0.05 * right.upper)


def test_bright_tissue_is_no_outlier() -> None:
    """A vessel or a layer of fat is connected, and belongs to the window."""
    values = _head()
    values[:, 24:26, 22:25] = 1500  # 0.3 % of the voxels, 0.7 % of the foreground
    assert windowing.automatic_window(values, "The MRI").upper > 1300


def test_a_cropped_head_has_the_same_window() -> None:
    whole = windowing.automatic_window(_head(), "The MRI")
    cropped = windowing.automatic_window(_head()[:22], "The MRI")
    assert cropped == pytest.approx(whole, abs=0.05 * whole.upper)


@pytest.mark.parametrize("values", [np.zeros(5), np.full(5, np.nan), np.array([])])
def test_empty_volumes_are_refused(values: np.ndarray) -> None:
    with raises(InputError, "volume-constant", volume="The MRI"):
        windowing.automatic_window(values, "The MRI")


@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (2, 1), (float("nan"), 1), (0, float("inf"))])
def test_impossible_windows_are_refused(lower: float, upper: float) -> None:
    with raises(UsageError, "window-invalid", name="PET"):
        windowing.check_window(lower, upper, "PET")


def test_to_unit_clips_and_keeps_its_inputs() -> None:
    values = np.array([-5, 0, 5, 10, 20, np.nan])
    before = values.copy()
    unit = windowing.to_unit(values, windowing.Window(0, 10))
    assert unit.dtype == np.float32
    np.testing.assert_array_equal(unit, np.float32([0, 0, 0.5, 1, 1, 0]))
    np.testing.assert_array_equal(values, before)


def test_network_range_and_back() -> None:
    unit = np.linspace(0, 1, 11)
    network = windowing.to_network_range(unit)
    assert (network.min(), network.max()) == (-1, 1)
    np.testing.assert_allclose(windowing.from_network_range(network), unit)


@pytest.mark.parametrize("kind", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("count", [2, 3, 1000])
def test_percentiles_are_those_of_numpy(kind: str, count: int) -> None:
    values = np.sort(np.random.default_rng(3).gamma(2.0, 20.0, count).astype(kind))
    for percent in (0.5, 5, 80, 98.8, 99.9):
        assert windowing._percentile(values, percent) == pytest.approx(np.percentile(values, percent), rel=1e-6)


def test_percentiles_of_the_largest_numbers_do_not_overflow() -> None:
    values = np.array([-1.7e308, 1.7e308])
    assert windowing._percentile(values, 50) == 0
    assert windowing._percentile(values, 100) == 1.7e308


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_few_voxels_have_a_window(size: int) -> None:
    values = np.random.default_rng(4).random((size, size, size)) * np.arange(size**3).reshape(size, size, size)
    if size == 1:
        with raises(InputError, "volume-constant"):
            windowing.automatic_window(values, "The PET")
        return
    lower, upper = windowing.automatic_window(values, "The PET")
    assert values.min() <= lower < upper <= values.max()
