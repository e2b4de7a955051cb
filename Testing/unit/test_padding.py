"""Padding: constants that count as padding, and others that are background or tissue."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.imaging.metadata import PADDING
from cspadn.imaging.padding import find_padding, without_padding
from cspadn.imaging.windowing import automatic_window

_SHAPE = (24, 40, 40)


def _head(dtype: type = np.float32, offset: float = 0.0) -> np.ndarray:
    """Return a ball of 300 to 700 with a soft edge, in noise of 0 to 20."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in _SHAPE), indexing="ij")
    ball = np.clip((0.8 - np.sqrt(x**2 + y**2 + z**2)) * 8, 0, 1)
    random = np.random.default_rng(1)
    values = ball * random.uniform(300, 700, _SHAPE) + np.abs(random.normal(0, 6, _SHAPE)) + offset
    return values.astype(dtype)


def _padded(values: np.ndarray, share: float, constant: float) -> np.ndarray:
    result = values.copy()
    result.reshape(len(values), -1)[:, : round(share * values[0].size)] = constant
    return result


@pytest.mark.parametrize("constant", [-20.0, -100.0, -1000.0, -1024.0, -2000.0, -32768.0, -3.0e38])
@pytest.mark.parametrize("share", [0.005, 0.05, 0.2])
def test_a_lone_constant_below_the_rest_moves_no_window(constant: float, share: float) -> None:
    right = automatic_window(_head(), "The MRI")
    window = automatic_window(_padded(_head(), share, constant), "The MRI")
    assert window == pytest.approx(right, abs=0.05 * (right.upper - right.lower))
    (found,) = find_padding(_padded(_head(), share, constant))
    assert found.lower == found.upper == np.float32(constant)
    assert found.background == 0


def test_a_constant_just_below_the_rest_is_left() -> None:
    assert find_padding(_padded(_head(), 0.1, -1)) == []


def test_the_lowest_value_of_16_bits_keeps_the_type() -> None:
    image = sitk.GetImageFromArray(_padded(_head(np.int16), 0.1, -32768))
    image.SetSpacing((1, 2, 3))
    cleaned, share = without_padding(image)
    assert cleaned.GetPixelID() == sitk.sitkInt16
    assert cleaned.GetSpacing() == (1, 2, 3)
    assert share == pytest.approx(0.1, abs=0.001)
    assert sitk.GetArrayViewFromImage(cleaned).min() == 0
    assert sitk.GetArrayViewFromImage(image).min() == -32768


def test_padding_at_both_ends_and_twice_at_one_end() -> None:
    values = _padded(_head(), 0.1, -2000)
    values[:, -3:] = 65535
    values[:, :, :1] = -32768
    assert {each.lower for each in find_padding(values)} == {-32768, -2000, 65535}
    right = automatic_window(_head(), "The MRI")
    assert automatic_window(values, "The MRI") == pytest.approx(right, abs=0.05 * right.upper)


@pytest.mark.parametrize("slices", [5, 24])
def test_a_constant_above_the_rest_at_two_faces_is_padding(slices: int) -> None:
    """In a few slices, most voxels of all faces belong to the first and the last one."""
    values = _head()[:slices]
    values[:, :, :4] = values[:, :, -4:] = 32767
    (found,) = find_padding(values)
    assert found.lower == found.upper == 32767


def test_zero_below_an_offset_image_is_padding() -> None:
    values = _padded(_head(offset=1024), 0.1, 0)
    (found,) = find_padding(values)
    assert found.lower == 0
    assert found.background == pytest.approx(1024, abs=5)


def test_a_blurred_edge_of_padding_is_padding_as_well() -> None:
    values = _padded(_head(), 0.1, -1000)
    rows = np.flatnonzero(np.diff((values[0] == -1000).any(axis=1).astype(int)) < 0)[0] + 1
    values[:, rows] = -500  # as interpolation leaves it
    assert automatic_window(values, "The MRI").lower >= -5


@pytest.mark.parametrize(
    "values",
    [
        _head(),
        np.where(_head() > 250, _head(), 0),  # skull-stripped: most voxels are 0
        np.where(np.arange(24)[:, None, None] < 4, 0, _head()),  # slices of zeros
        np.random.default_rng(0).normal(0, 1, _SHAPE),
        (_head() > 300).astype(float),
        np.clip(_head(), 0, 400),  # saturated
        np.zeros(_SHAPE),
        np.full(_SHAPE, np.nan),
        np.array([]),
    ],
    ids=["head", "stripped", "slices", "noise", "mask", "saturated", "zeros", "nan", "nothing"],
)
def test_background_and_tissue_are_no_padding(values: np.ndarray) -> None:
    assert find_padding(values) == []


def test_a_bright_spot_inside_is_no_padding() -> None:
    values = _head()
    values[10:14, 18:22, 18:22] = 20_000
    assert find_padding(values) == []


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_declared_padding_may_have_any_share(share: float) -> None:
    values = _padded(_head(), share, -7)
    values[0, 0, :3] = -8, -9, -10
    (found,) = find_padding(values, (-10, -7))
    assert (found.lower, found.upper, found.background) == (-10, -7, 0)


def test_declared_zero_of_a_usual_image_is_its_background() -> None:
    values = _head()
    assert find_padding(np.where(values < 5, 0, values), (0, 0)) == []


def test_declared_padding_is_read_from_the_metadata_and_not_reported() -> None:
    image = sitk.GetImageFromArray(_padded(_head(), 0.3, -50))
    image.SetMetaData(PADDING, "-50 -50")
    cleaned, share = without_padding(image)
    assert share == 0
    assert sitk.GetArrayViewFromImage(cleaned).min() == 0
    assert cleaned.GetMetaData(PADDING) == "-50 -50"


def test_an_image_without_padding_is_returned_itself() -> None:
    image = sitk.GetImageFromArray(_head())
    assert without_padding(image) == (image, 0.0)
