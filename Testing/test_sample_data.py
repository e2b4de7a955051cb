"""The shipped PET/MRI pair: its grids, its uptake, that both show one brain at one place, and that its script makes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from training import make_sample_data as script

RESOURCES = Path(__file__).parents[1] / "CSpADNFusion" / "Resources"
FOLDER = RESOURCES / "SampleData"
NAMES = (script.MRI_NAME, script.PET_NAME)
NOTHING = (0.0, 0.0, 0.0)

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def mri() -> sitk.Image:
    return sitk.ReadImage(str(FOLDER / f"{script.MRI_NAME}.nrrd"))


@pytest.fixture(scope="module")
def pet() -> sitk.Image:
    return sitk.ReadImage(str(FOLDER / f"{script.PET_NAME}.nrrd"))


def rotation(degrees: tuple[float, float, float]) -> Array:
    """Rz Rx Ry (3, 3), written out here so that a mistake in the script cannot hide."""
    x, y, z = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    product: Array = about_z @ about_x @ about_y
    return product


def axes(image: sitk.Image) -> Array:
    """The direction of an image, (3, 3)."""
    return np.array(image.GetDirection()).reshape(3, 3)


def middle(image: sitk.Image) -> Array:
    """The world position of the middle of the grid, (3,), mm."""
    half = (np.array(image.GetSize()) - 1) / 2 * np.array(image.GetSpacing())
    return np.asarray(image.GetOrigin() + axes(image) @ half)


def placed(pet: sitk.Image, mri: sitk.Image, turn: Array, shift: tuple[float, float, float]) -> sitk.Image:
    """The PET's voxels under a header that differs from the MRI's by this rotation and shift."""
    moved = sitk.Image(pet)
    moved.SetDirection((turn @ axes(mri)).ravel())
    moved.SetOrigin(np.array(moved.GetOrigin()) + middle(mri) + shift - middle(moved))
    return moved


def on_grid_of(mri: sitk.Image, pet: sitk.Image) -> Array:
    """PET in Bq/ml at the world positions of the MRI's voxels."""
    return np.asarray(
        sitk.GetArrayFromImage(sitk.Resample(pet, mri, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat64))
    )


def expected_uptake(mri: sitk.Image) -> Array:
    """The PET that the T1 alone lets one expect: little in dark CSF, most in grey matter, a quarter in bright white matter."""
    uptake = sitk.GetImageFromArray(np.interp(sitk.GetArrayFromImage(mri), [0, 90, 165, 215], [0, 0.05, 1, 0.25]))
    uptake.CopyInformation(mri)
    return np.asarray(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(uptake, script.PSF_FWHM_MM / 2.355)))


def agreement(mri: sitk.Image, pet: sitk.Image) -> float:
    """Correlation of PET and expected uptake inside the brain: the pattern of gyri and nuclei, not the outline."""
    brain = sitk.GetArrayFromImage(mri) > 0
    return float(np.corrcoef(on_grid_of(mri, pet)[brain], expected_uptake(mri)[brain])[0, 1])


def overlap(mri: sitk.Image, pet: sitk.Image) -> float:
    """Dice coefficient of the brain's outlines in MRI and PET."""
    brain, active = sitk.GetArrayFromImage(mri) > 0, on_grid_of(mri, pet) > 4000
    return float(2 * (brain & active).sum() / (brain.sum() + active.sum()))


def test_volumes_are_small_enough_to_ship() -> None:
    assert sum((FOLDER / f"{name}.nrrd").stat().st_size for name in NAMES) < 3_000_000


def test_grids_differ_as_documented(mri: sitk.Image, pet: sitk.Image) -> None:
    assert mri.GetSize() == (98, 116, 94)
    assert mri.GetSpacing() == pytest.approx((2.0, 2.0, 2.0))
    assert pet.GetSize() == script.PET_SIZE
    assert pet.GetSpacing() == pytest.approx(script.PET_SPACING_MM)


def test_values_have_the_documented_type_and_range(mri: sitk.Image, pet: sitk.Image) -> None:
    assert mri.GetPixelID() == sitk.sitkUInt8
    assert pet.GetPixelID() == sitk.sitkInt16
    activity = sitk.GetArrayFromImage(pet)
    assert activity.min() == 0
    assert 20_000 < activity.max() < 30_000


def test_header_says_the_documented_offset(mri: sitk.Image, pet: sitk.Image) -> None:
    turn = axes(pet) @ axes(mri).T
    assert turn == pytest.approx(rotation(script.PET_ROTATION_DEGREES), abs=1e-6)
    assert middle(pet) - middle(mri) == pytest.approx(np.array(script.PET_SHIFT_MM), abs=1e-6)


def test_whole_brain_is_inside_the_field_of_view(pet: sitk.Image) -> None:
    activity = sitk.GetArrayFromImage(pet)
    assert not any(activity.take(edge, axis).any() for axis in range(3) for edge in (0, -1))


def test_grey_matter_takes_up_more_than_white(mri: sitk.Image, pet: sitk.Image) -> None:
    """In the depth of either tissue, where the blur mixes in little of the other: 4 : 1 went in."""
    activity = on_grid_of(mri, pet)
    grey, white = sitk.And(mri > 140, mri < 185), mri > 205
    deep_grey, deep_white = (
        sitk.GetArrayFromImage(sitk.BinaryErode(tissue, [radius] * 3)) > 0 for tissue, radius in ((grey, 1), (white, 2))
    )
    assert 2.8 < activity[deep_grey].mean() / activity[deep_white].mean() < 4.0
    assert activity[deep_white].mean() == pytest.approx(script.GREY_MATTER_BQ_PER_ML * script.UPTAKE["wm"], rel=0.1)


def test_both_agree_where_the_header_says(mri: sitk.Image, pet: sitk.Image) -> None:
    assert agreement(mri, pet) > 0.95
    assert overlap(mri, pet) > 0.97


@pytest.mark.parametrize(
    ("degrees", "inverse", "shift"),
    [
        pytest.param(NOTHING, False, NOTHING, id="offset ignored"),
        pytest.param(NOTHING, False, script.PET_SHIFT_MM, id="rotation ignored"),
        pytest.param(script.PET_ROTATION_DEGREES, False, NOTHING, id="shift ignored"),
        pytest.param(script.PET_ROTATION_DEGREES, True, script.PET_SHIFT_MM, id="rotation inverted"),
    ],
)
def test_both_disagree_anywhere_else(
    mri: sitk.Image, pet: sitk.Image, degrees: tuple[float, float, float], inverse: bool, shift: tuple[float, float, float]
) -> None:
    """So whoever drops a part of the header fails the test above, or one like it."""
    turn = rotation(degrees)
    elsewhere = placed(pet, mri, turn.T if inverse else turn, shift)
    assert agreement(mri, elsewhere) < 0.7
    assert overlap(mri, elsewhere) < overlap(mri, pet) - 0.02


def test_outlines_part_when_the_offset_is_ignored(mri: sitk.Image, pet: sitk.Image) -> None:
    assert overlap(mri, placed(pet, mri, np.eye(3), NOTHING)) < 0.85


@pytest.mark.parametrize("name", NAMES)
def test_volumes_say_that_they_are_not_for_diagnosis(name: str) -> None:
    image = sitk.ReadImage(str(FOLDER / f"{name}.nrrd"))
    assert image.GetMetaData("description") == script.DESCRIPTIONS[name]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_neat(name: str) -> None:
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(RESOURCES / "Icons" / f"{name}.png")))
    assert pixels.shape == (280, 260, 3)
    frame = (pixels[:8], pixels[-8:], pixels[:, :8], pixels[:, -8:])
    assert not any(side.any() for side in frame)
    assert (pixels.max(axis=2) > 100).mean() > 0.3


def test_licence_notice_is_beside_the_files() -> None:
    notice = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").replace(">", " ").split())
    assert "McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University" in notice
    assert "Permission to use, copy, modify, and distribute" in notice


def test_script_makes_exactly_what_is_shipped(tmp_path: Path) -> None:
    pytest.importorskip("nilearn", reason="the atlas maps that the pair is made from are in the package nilearn")
    script.main(["--output", str(tmp_path / "SampleData")])
    for name in NAMES:
        made, shipped = (sitk.ReadImage(str(folder / f"{name}.nrrd")) for folder in (tmp_path / "SampleData", FOLDER))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(made), sitk.GetArrayFromImage(shipped))
        assert axes(made) == pytest.approx(axes(shipped), abs=1e-9)
        assert middle(made) == pytest.approx(middle(shipped), abs=1e-9)
        assert (tmp_path / "Icons" / f"{name}.png").is_file()
