"""Windows and ranges."""

from __future__ import annotations

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
