"""Recolouring a fused volume gives the result of a fusion with that palette."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.imaging.alignment import Pair
from cspadn.imaging.color import color_table, legend, recolored, weighted_table
from cspadn.imaging.recoloring import ColorSources
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.settings import FusionSettings

SETTINGS = FusionSettings(pet_window=(0.0, 1.0), mri_window=(0.0, 1.0))


@pytest.fixture
def triple(pair) -> tuple[sitk.Image, sitk.Image, sitk.Image]:
    """Return a PET, an MRI in another stored order, and a volume like their fusion."""
    pet, mri = (sitk.Cast(sitk.RescaleIntensity(image, 0, 1), sitk.sitkFloat32) for image in pair)
    mri = sitk.DICOMOrient(mri, "PIR")
    fused = sitk.Cast(mri * 0.7 * FUSED_MAXIMUM, sitk.sitkFloat32)
    return pet, mri, fused


def _expected(pet: sitk.Image, mri: sitk.Image, fused: sitk.Image, palette: str) -> np.ndarray:
    pair = Pair.of(pet, mri, SETTINGS)
    slab = pair.slab(0, pair.slices)
    unit = sitk.GetArrayFromImage(sitk.DICOMOrient(fused, "LPS")) / FUSED_MAXIMUM
    return recolored(palette, slab.pet_shown, slab.mri_shown, unit, pair.pixel_mm, slab.weights)


@pytest.mark.parametrize("palette", ["Heated", "PET-DICOM", "PET-MaximumIntensityProjection"])
def test_it_is_the_colour_volume_of_a_fusion_but_for_rounding(triple, palette: str) -> None:
    image = ColorSources.of(*triple, SETTINGS).colored(palette)
    assert image.GetSize() == triple[1].GetSize()
    assert image.GetDirection() == pytest.approx(triple[1].GetDirection())
    colors = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS")).astype(int)
    assert np.abs(colors - _expected(*triple, palette)).max() <= 5
    assert np.abs(colors - _expected(*triple, palette)).mean() < 0.7
    assert colors.std() > 20


def test_the_weight_of_the_pet_goes_from_grey_to_all_of_the_colours() -> None:
    table = color_table("Heated")
    np.testing.assert_array_equal(weighted_table("Heated", 1.0), table)
    none = weighted_table("Heated", 0.0)
    assert np.ptp(none, axis=2).max() < 0.01  # grey
    np.testing.assert_allclose(none, np.broadcast_to(table[:1], none.shape), atol=0.01)
    half = weighted_table("Heated", 0.5)
    chroma = [np.ptp(each[200], axis=1).mean() for each in (none, half, table)]
    assert chroma[0] < chroma[1] < chroma[2]
    assert legend("Heated", 8, weight=0.0).std(axis=2).max() < 3


def test_without_the_pet_the_picture_is_grey(triple) -> None:
    grey = sitk.GetArrayFromImage(ColorSources.of(*triple, SETTINGS).colored("PET-Rainbow", 0.0)).astype(int)
    assert np.ptp(grey, axis=3).max() <= 2
    assert grey.std() > 10
