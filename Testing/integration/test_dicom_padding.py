"""Padding that DICOM headers declare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from cspadn.imaging.automatic_windows import automatic_mri_window
from cspadn.imaging.metadata import PADDING
from cspadn.imaging.padding import declared_padding, without_padding
from cspadn.io.dicom_reader import read_series
from dicom_files import write_series

_PADDED = 0.4  # of the voxels, more than is taken for padding without the tag


def _values(low: float, high: float) -> np.ndarray:
    return np.random.default_rng(1).integers(int(low), int(high), (8, 20, 24)).astype(np.int16)


def _image(values: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2, 2, 3))
    return image


def _mask() -> np.ndarray:
    mask = np.zeros((8, 20, 24), bool)
    mask[:, :8] = True
    return mask


@pytest.mark.parametrize(
    ("constant", "tags"),
    [
        (-2000, {"PixelPaddingValue": -2000}),
        (-32768, {"PixelPaddingValue": -32768}),
        (-1005, {"PixelPaddingValue": -1000, "PixelPaddingRangeLimit": -1010}),
        (-1005, {"PixelPaddingValue": -1010, "PixelPaddingRangeLimit": -1000}),
    ],
)
def test_declared_padding_of_an_mri_is_background(tmp_path: Path, constant: int, tags: dict[str, int]) -> None:
    values = np.where(_mask(), constant, _values(0, 700))
    mri = read_series(write_series(tmp_path / "mr", _image(values), "MR", PixelRepresentation=1, **tags), "The MRI")
    assert mri.HasMetaDataKey(PADDING)
    np.testing.assert_array_equal(sitk.GetArrayViewFromImage(mri), values)
    window = automatic_mri_window(mri)
    assert window.lower == pytest.approx(0, abs=5)
    assert window.upper == pytest.approx(700, rel=0.05)
    cleaned, undeclared = without_padding(mri)
    assert undeclared == 0
    assert (sitk.GetArrayViewFromImage(cleaned)[_mask()] == 0).all()
    assert cleaned.GetPixelID() == mri.GetPixelID()


def test_declared_padding_above_the_values(tmp_path: Path) -> None:
    values = np.where(_mask(), -1, _values(0, 700))  # 65535 without a sign
    mri = read_series(write_series(tmp_path / "mr", _image(values), "MR", PixelPaddingValue=65535), "The MRI")
    assert automatic_mri_window(mri).upper == pytest.approx(700, rel=0.05)


def _pet_folder(folder: Path, stored: int) -> Path:
    """Write a PET whose slices have different slopes, and one stored value for all padding."""
    write_series(folder, _image(_values(100, 5000)), "PT", PixelPaddingValue=stored)
    for path in folder.iterdir():
        each = pydicom.dcmread(path)
        pixels = each.pixel_array.copy()
        pixels[_mask()[0]] = stored
        each.PixelData = pixels.tobytes()
        each.save_as(path)
    return folder


@pytest.mark.parametrize("suv", [False, True])
def test_padding_of_slices_with_other_slopes_gets_one_value(tmp_path: Path, suv: bool) -> None:
    pet = read_series(_pet_folder(tmp_path / "pt", 60_000), "The PET", suv=suv)
    lower, upper = declared_padding(pet) or (0, 0)
    padded = sitk.GetArrayViewFromImage(pet)[_mask()]
    assert padded.min() == padded.max()
    assert lower <= padded.min() <= upper
    assert upper - lower < 1e-5 * upper


def test_padding_of_0_is_the_background_of_a_pet(tmp_path: Path) -> None:
    pet = read_series(_pet_folder(tmp_path / "pt", 0), "The PET")
    assert declared_padding(pet) == (0, 0)
    assert sitk.GetArrayViewFromImage(without_padding(pet)[0])[_mask()].max() <= 100


@pytest.mark.parametrize("tags", [{}, {"PixelPaddingRangeLimit": 7}])
def test_without_a_padding_value_nothing_is_declared(tmp_path: Path, tags: dict[str, int]) -> None:
    mri = read_series(write_series(tmp_path / "mr", _image(_values(0, 700)), "MR", **tags), "The MRI")
    assert declared_padding(mri) is None
