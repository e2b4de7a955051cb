"""The shipped PET/MRI pair: grids, uptake and lesions, that both show one head at one place, and that its script makes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from cspadn.errors import InputError
from repository import RESOURCES
from training import make_sample_data as script
from training.heads import MRI_CONTRASTS

FOLDER = RESOURCES / "SampleData"
NAMES = (script.MRI_NAME, script.PET_NAME)
NOTHING = (0.0, 0.0, 0.0)
LABEL_MAP = "data/label_maps/head01.nii.gz"  # in the folder with data that the project does not own

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def mri() -> sitk.Image:
    return sitk.ReadImage(str(FOLDER / f"{script.MRI_NAME}.nrrd"))


@pytest.fixture(scope="module")
def pet() -> sitk.Image:
    return sitk.ReadImage(str(FOLDER / f"{script.PET_NAME}.nrrd"))


@pytest.fixture(scope="module")
def brain(mri: sitk.Image) -> Mask:
    """The brain in the T1: the greatest part that is as bright as it, after an erosion that cuts it off from the scalp."""
    bright = sitk.And(mri > 0.5 * script.MRI_SCALE, mri < script.MRI_SCALE)
    parts = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.BinaryErode(bright, [2, 2, 1])))
    closed = sitk.BinaryMorphologicalClosing(sitk.BinaryDilate(parts == 1, [3, 3, 2]), [6, 6, 3])
    return np.asarray(sitk.GetArrayFromImage(closed) > 0)


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


def in_range(mri: sitk.Image, low: float, high: float) -> Mask:
    """Where the T1 intensity, as a share of the brightest common tissue, is in a range."""
    signal = sitk.GetArrayFromImage(mri) / script.MRI_SCALE
    return np.asarray((low < signal) & (signal < high))


def expected_uptake(mri: sitk.Image) -> Array:
    """The PET that the T1 alone lets one expect: little in dark CSF, most in grey matter, a quarter in bright white matter."""
    signal = sitk.GetArrayFromImage(mri) / script.MRI_SCALE
    uptake = sitk.GetImageFromArray(np.interp(signal, [0.2, 0.5, 0.62, 0.74], [0.05, 1, 1, 0.25]))
    uptake.CopyInformation(mri)
    return np.asarray(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(uptake, script.PSF_FWHM_MM / 2.355)))


def agreement(mri: sitk.Image, pet: sitk.Image, brain: Mask) -> float:
    """Correlation of PET and expected uptake inside the brain: the pattern of gyri and nuclei, not the outline."""
    return float(np.corrcoef(on_grid_of(mri, pet)[brain], expected_uptake(mri)[brain])[0, 1])


def overlap(mri: sitk.Image, pet: sitk.Image) -> float:
    """Dice coefficient of the head's outlines in MRI and PET, cavities filled."""
    head, active = (ndimage.binary_fill_holes(mask) for mask in (sitk.GetArrayFromImage(mri) > 0, on_grid_of(mri, pet) > 600))
    return float(2 * (head & active).sum() / (head.sum() + active.sum()))


def ball(mri: sitk.Image, lesion: script.Lesion, radius: float) -> Mask:
    """The voxels of the MRI within ``radius`` mm of a lesion's centre."""
    return script.sphere(mri, replace(lesion, radius=radius)) > 0.5


def contrast(mri: sitk.Image, values: Array, lesion: script.Lesion, tissue: Mask) -> float:
    """Mean of the values in a lesion, as a share of the mean in the same tissue from 3 to 9 mm beyond its edge."""
    inside = ball(mri, lesion, 0.7 * lesion.radius) & tissue
    around = ball(mri, lesion, lesion.radius + 9) & ~ball(mri, lesion, lesion.radius + 3) & tissue
    assert inside.sum() > 80
    assert around.sum() > 1000
    return float(values[inside].mean() / values[around].mean())


def test_volumes_are_small_enough_to_ship() -> None:
    assert sum((FOLDER / f"{name}.nrrd").stat().st_size for name in NAMES) < 5_000_000


def test_grids_differ_as_documented(mri: sitk.Image, pet: sitk.Image) -> None:
    assert mri.GetSize() == (170, 236, 88)
    assert mri.GetSpacing() == pytest.approx((1.0, 1.0, 2.0))
    assert mri.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
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


def test_head_is_inside_the_field_of_view(mri: sitk.Image, pet: sitk.Image) -> None:
    """All but the neck, which leaves both volumes at their lower end."""
    for image in (mri, pet):
        values = sitk.GetArrayFromImage(image)
        sides = [values[-1], *(values.take(edge, axis) for axis in (1, 2) for edge in (0, -1))]
        assert not any(side.any() for side in sides)


def test_air_around_the_head_is_zero(mri: sitk.Image) -> None:
    assert 0.4 < (sitk.GetArrayFromImage(mri) == 0).mean() < 0.6


def test_skull_is_dark_between_scalp_and_brain(mri: sitk.Image) -> None:
    """From the skin to the brain at the right side of the head, at the height of the lesions: bright, dark, bright."""
    column, row, plane = mri.TransformPhysicalPointToIndex((-30.0, 15.0, 45.0))
    line = sitk.GetArrayFromImage(mri)[plane, row - 4 : row + 5, :column].mean(0) / script.MRI_SCALE
    skin = int(np.flatnonzero(line > 0.1)[0])
    scalp, skull = line[skin : skin + 6].max(), line[skin + 6 : skin + 20].min()
    assert scalp > 0.8
    assert skull < 0.2
    assert np.median(line[-8:]) > 0.6


def test_grey_matter_takes_up_more_than_white(mri: sitk.Image, pet: sitk.Image, brain: Mask) -> None:
    """Above the brain stem, away from borders, where the blur mixes in less of the other tissue: 4 : 1 went in."""
    above = slice(42, None)
    activity = on_grid_of(mri, pet)[above]
    grey, white = (
        ndimage.binary_erosion((in_range(mri, low, high) & brain)[above], np.ones(size))
        for low, high, size in ((0.45, 0.62, (3, 3, 3)), (0.68, 0.95, (5, 9, 9)))
    )
    assert 2.4 < activity[grey].mean() / activity[white].mean() < 4.0
    assert activity[white].mean() == pytest.approx(script.CORTEX_BQ_PER_ML * script.UPTAKE["white"], rel=0.1)


def test_both_agree_where_the_header_says(mri: sitk.Image, pet: sitk.Image, brain: Mask) -> None:
    assert agreement(mri, pet, brain) > 0.88
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
    mri: sitk.Image,
    pet: sitk.Image,
    brain: Mask,
    degrees: tuple[float, float, float],
    inverse: bool,
    shift: tuple[float, float, float],
) -> None:
    """Dropping a part of the header therefore fails the test above, or a similar one."""
    turn = rotation(degrees)
    elsewhere = placed(pet, mri, turn.T if inverse else turn, shift)
    assert agreement(mri, elsewhere, brain) < 0.6
    assert overlap(mri, elsewhere) < 0.96


def test_outlines_part_when_the_offset_is_ignored(mri: sitk.Image, pet: sitk.Image) -> None:
    assert overlap(mri, placed(pet, mri, np.eye(3), NOTHING)) < 0.9


def test_hot_lesion_is_in_the_pet_alone(mri: sitk.Image, pet: sitk.Image, brain: Mask) -> None:
    white = in_range(mri, 0.66, 0.95) & brain
    assert 1.8 < contrast(mri, on_grid_of(mri, pet), script.HOT, white) < 2.5
    assert 0.92 < contrast(mri, sitk.GetArrayFromImage(mri), script.HOT, white) < 1.0


def test_cold_lesion_is_in_the_pet_alone(mri: sitk.Image, pet: sitk.Image, brain: Mask) -> None:
    cortex = in_range(mri, 0.47, 0.65) & brain
    assert contrast(mri, on_grid_of(mri, pet), script.COLD, cortex) < 0.45
    assert contrast(mri, sitk.GetArrayFromImage(mri), script.COLD, cortex) == pytest.approx(1, abs=0.03)


def test_dark_lesion_is_in_the_mri_alone(mri: sitk.Image, pet: sitk.Image) -> None:
    signal = sitk.GetArrayFromImage(mri) / script.MRI_SCALE
    inside = ball(mri, script.DARK, 0.7 * script.DARK.radius)
    edge = ball(mri, script.DARK, script.DARK.radius + 3) & ~ball(mri, script.DARK, script.DARK.radius + 1)
    assert signal[inside].mean() == pytest.approx(script.DARK_INTENSITY, rel=0.1)
    assert signal[edge].mean() > 0.85 * MRI_CONTRASTS["T1"]["white"]  # the edge is sharp
    uptake = on_grid_of(mri, pet)[inside].mean()
    assert uptake == pytest.approx(script.CORTEX_BQ_PER_ML * script.UPTAKE["white"], rel=0.15)  # of healthy white matter


def test_lesions_are_apart_and_documented() -> None:
    """At least 35 mm between any two; the table beside the files has their places in RAS and LPS."""
    lesions = (script.HOT, script.COLD, script.DARK)
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for number, lesion in enumerate(lesions):
        ras, lps = (", ".join(f"{value:g}" for value in point) for point in (lesion.centre_ras, lesion.centre))
        assert f"| {2 * lesion.radius:g} | {ras} | {lps} |" in text
        for other in lesions[:number]:
            assert np.linalg.norm(np.subtract(lesion.centre, other.centre)) > 35


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
    assert (pixels.max(axis=2) > 100).mean() > 0.25


def test_licence_and_source_are_beside_the_files() -> None:
    notice = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    assert "https://github.com/BBillot/SynthSeg" in notice
    assert "Copyright 2020 Benjamin Billot" in notice
    assert script.LABEL_MAP_SHA256 in notice
    licence = (FOLDER / "LICENSE-APACHE-2.0.txt").read_text(encoding="utf-8")
    assert licence.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert "END OF TERMS AND CONDITIONS" in licence


def test_another_label_map_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.nii.gz"
    sitk.WriteImage(sitk.Image([4, 4, 4], sitk.sitkUInt8), str(other))
    with pytest.raises(InputError, match=r"other\.nii\.gz is not the label map"):
        script.read_label_map(other)
    with pytest.raises(InputError, match="does not exist"):
        script.read_label_map(tmp_path / "missing.nii.gz")


@pytest.mark.slow  # the script and what is shipped rarely change
def test_script_makes_exactly_what_is_shipped(shared: Path, tmp_path: Path) -> None:
    label_map = shared / LABEL_MAP
    if not label_map.is_file():
        pytest.skip(f"the label map {LABEL_MAP} that the pair is made from is not in the folder 'shared'")
    script.main(["--label-map", str(label_map), "--output", str(tmp_path / "SampleData")])
    for name in NAMES:
        made, shipped = (sitk.ReadImage(str(folder / f"{name}.nrrd")) for folder in (tmp_path / "SampleData", FOLDER))
        np.testing.assert_array_equal(sitk.GetArrayFromImage(made), sitk.GetArrayFromImage(shipped))
        assert axes(made) == pytest.approx(axes(shipped), abs=1e-9)
        assert middle(made) == pytest.approx(middle(shipped), abs=1e-9)
        assert (tmp_path / "Icons" / f"{name}.png").is_file()
