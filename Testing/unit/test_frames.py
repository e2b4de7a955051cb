"""Frames of dynamic PETs in image files: chosen, averaged by their durations, and axes of one voxel dropped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError, UsageError
from cspadn.imaging.frames import select_frames, without_trailing_axes
from cspadn.imaging.metadata import FRAMES, UNITS, notes_of, value_of
from cspadn.io.images import read_in_process
from cspadn.io.side_files import frame_seconds, sidecar_of, units_of
from cspadn.settings import FusionSettings
from message_calls import identifiers, raises

SECONDS = [10, 30, 60, 20]
SPACING, ORIGIN = (2.0, 2.5, 3.0), (-7.0, 4.0, 11.0)


def _dynamic(frames: int = 4) -> sitk.Image:
    """Return frames of noise on an oblique grid."""
    values = np.random.default_rng(0).random((frames, 5, 6, 7)).astype(np.float32)
    image = sitk.JoinSeries([sitk.GetImageFromArray(each) for each in values])
    direction = np.eye(4)
    direction[:3, :3] = np.reshape(sitk.Euler3DTransform((0, 0, 0), 0.1, 0.2, -0.3).GetMatrix(), (3, 3))
    image.SetSpacing((*SPACING, 1.0))
    image.SetOrigin((*ORIGIN, 0.0))
    image.SetDirection(direction.ravel().tolist())
    return image


def _written(image: sitk.Image, path: Path, durations: object = None) -> Path:
    sitk.WriteImage(image, str(path))
    if durations is not None:
        side = path.with_name(f"{path.name.split('.')[0]}.json")
        side.write_text(json.dumps({"FrameDuration": durations}), encoding="utf-8")
    return path


def _mean(image: sitk.Image, chosen: slice, weights: list[float]) -> np.ndarray:
    return np.average(sitk.GetArrayFromImage(image)[chosen], axis=0, weights=weights[chosen])


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize(
    ("frames", "chosen", "told"),
    [
        ("mean", slice(0, 4), "mean of 1 to 4 of 4, 120 s"),
        ("1", slice(0, 1), "1 of 4, 10 s"),
        ("4", slice(3, 4), "4 of 4, 20 s"),
        ("2:3", slice(1, 3), "mean of 2 to 3 of 4, 90 s"),
    ],
)
def test_frames_count_by_the_durations_of_the_side_file(
    suffix: str, frames: str, chosen: slice, told: str, tmp_path: Path
) -> None:
    path = _written(image := _dynamic(), tmp_path / f"pet{suffix}", SECONDS)
    volume = read_in_process(path, "The PET", frames=frames)
    np.testing.assert_allclose(sitk.GetArrayFromImage(volume), _mean(image, chosen, SECONDS), rtol=1e-5)
    np.testing.assert_allclose(volume.GetSpacing(), SPACING, atol=1e-5)
    np.testing.assert_allclose(volume.GetOrigin(), ORIGIN, atol=1e-5)
    matrix = np.reshape(image.GetDirection(), (4, 4))[:3, :3]
    np.testing.assert_allclose(volume.GetDirection(), matrix.ravel(), atol=1e-5)
    assert value_of(volume, FRAMES) == told
    assert value_of(volume, "CSpADNFusion.source_name") == path.name
    assert notes_of(volume) == []


@pytest.mark.parametrize("durations", [None, [1, 2], [1, 2, 3, 0], [1, 2, 3, "x"], "1234", [1, 2, 3, float("nan")], {}])
def test_frames_without_usable_durations_count_alike_with_a_warning(durations: object, tmp_path: Path) -> None:
    path = _written(image := _dynamic(), tmp_path / "pet.nii.gz", durations)
    volume = read_in_process(path, "The PET", frames="2:4")
    np.testing.assert_allclose(sitk.GetArrayFromImage(volume), _mean(image, slice(1, 4), [1, 1, 1, 1]), rtol=1e-5)
    assert identifiers(notes_of(volume)) == ["frame-durations-unknown"]


def test_a_damaged_side_file_is_no_obstacle(tmp_path: Path) -> None:
    path = _written(_dynamic(), tmp_path / "pet.nii.gz")
    (tmp_path / "pet.json").write_bytes(b"\xff{")
    assert read_in_process(path, "The PET", frames="1").GetSize() == (7, 6, 5)


def _dataset(root: Path, place: str) -> Path:
    """Write a dynamic PET of a dataset with a session; return its path."""
    (folder := root / "sub-1" / "ses-a" / "pet").mkdir(parents=True)
    (root / place).parent.joinpath("dataset_description.json").write_text("{}", encoding="utf-8")
    return _written(_dynamic(), folder / "sub-1_ses-a_trc-FDG_run-1_pet.nii.gz")


def _describe(path: Path, durations: object) -> None:
    path.write_text(json.dumps({"FrameDuration": durations} if durations else {"Units": "Bq/mL"}), encoding="utf-8")


@pytest.mark.parametrize(
    "place",
    [
        "pet.json",
        "trc-FDG_pet.json",
        "sub-1/sub-1_pet.json",
        "sub-1/ses-a/sub-1_ses-a_trc-FDG_pet.json",
        "sub-1/ses-a/pet/sub-1_ses-a_trc-FDG_pet.json",
    ],
)
def test_durations_are_inherited_in_a_dataset(place: str, tmp_path: Path) -> None:
    path = _dataset(tmp_path, "pet.json")
    _describe(tmp_path / place, SECONDS)
    _describe(path.parent / "sub-1_ses-a_trc-FDG_run-1_pet.json", None)
    assert value_of(read_in_process(path, "The PET", frames="2:3"), FRAMES) == "mean of 2 to 3 of 4, 90 s"


@pytest.mark.parametrize(
    "place",
    [
        "trc-FET_pet.json",
        "run-2_pet.json",
        "run-10_pet.json",
        "task-rest_bold.json",
        "blood_pet.json",
        "T1pet.json",
        "../pet.json",
        "sub-1/ses-a/anat/sub-1_pet.json",
    ],
)
def test_side_files_of_other_images_are_not_inherited(place: str, tmp_path: Path) -> None:
    path = _dataset(tmp_path / "dataset", "pet.json")
    (tmp_path / "dataset" / place).parent.mkdir(exist_ok=True)
    _describe(tmp_path / "dataset" / place, SECONDS)
    assert identifiers(notes_of(read_in_process(path, "The PET", frames="2:3"))) == ["frame-durations-unknown"]


def test_the_nearest_and_most_specific_side_file_counts(tmp_path: Path) -> None:
    path = _dataset(tmp_path, "pet.json")
    shown = []
    for index, place in enumerate(
        ["pet.json", "trc-FDG_pet.json", "sub-1/sub-1_pet.json", "sub-1/ses-a/pet/sub-1_ses-a_trc-FDG_run-1_pet.json"]
    ):
        _describe(tmp_path / place, [index + 1] * 4)
        shown.append(value_of(read_in_process(path, "The PET", frames="1"), FRAMES))
    assert shown == ["1 of 4, 1 s", "1 of 4, 2 s", "1 of 4, 3 s", "1 of 4, 4 s"]


def test_units_are_read_from_side_files(tmp_path: Path) -> None:
    path = _dataset(tmp_path, "pet.json")
    assert value_of(read_in_process(path, "The PET"), UNITS) is None
    (tmp_path / "pet.json").write_text('{"Units": "Bq/mL"}')
    assert value_of(read_in_process(path, "The PET"), UNITS) == "Bq/mL"
    _describe(sidecar_of(path), SECONDS)  # another value of the nearest file does not hide them
    assert value_of(read_in_process(path, "The PET", frames="1"), UNITS) == "Bq/mL"
    sidecar_of(path).write_text('{"Units": "g/mL"}')
    assert value_of(read_in_process(path, "The PET"), UNITS) == "g/mL"


@pytest.mark.parametrize("units", [7, None, "", " ", "Bq\nmL", "<b>", "12", "Jane Doe", ["Bq/mL"]])
def test_units_that_are_none_are_ignored(tmp_path: Path, units: object) -> None:
    sidecar_of(path := tmp_path / "pet.nii.gz").write_text(json.dumps({"Units": units}))
    assert units_of(path) == ""


def test_without_a_dataset_only_the_folder_of_the_image_counts(tmp_path: Path) -> None:
    path = _dataset(tmp_path, "pet.json")
    (tmp_path / "dataset_description.json").unlink()
    _describe(tmp_path / "pet.json", SECONDS)
    assert frame_seconds(path) is None
    _describe(path.parent / "sub-1_pet.json", SECONDS)
    assert frame_seconds(path) == SECONDS


def _sequence(path: Path, values: np.ndarray, *, first: bool, kind: str = "list") -> Path:
    """Write frames (N, slices, rows, columns) as a sequence of 3D Slicer, with the list as the first or the last axis."""
    count, slices, rows, columns = values.shape
    sizes, directions, kinds = [columns, rows, slices], ["(-2,0,0)", "(0,-2.5,0)", "(0,0,3)"], ["domain"] * 3
    for fields, value in ((sizes, count), (directions, "none"), (kinds, kind)):
        fields.insert(0 if first else 3, value)
    axis = 0 if first else 3
    header = f"""NRRD0005
type: float
dimension: 4
space: right-anterior-superior
sizes: {" ".join(map(str, sizes))}
space directions: {" ".join(directions)}
kinds: {" ".join(kinds)}
endian: little
encoding: raw
space origin: (7,-4,11)
DataNodeClassName:=vtkMRMLScalarVolumeNode
axis {axis} index type:=numeric
axis {axis} index values:={" ".join(map(str, range(count)))}

"""
    ordered = np.ascontiguousarray(np.moveaxis(values, 0, -1) if first else values, "<f4")
    path.write_bytes(header.encode() + ordered.tobytes())
    return path


@pytest.mark.parametrize("first", [True, False])
def test_a_sequence_of_slicer_is_dynamic(first: bool, tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((3, 4, 5, 6)).astype(np.float32)
    path = _sequence(tmp_path / "pet.seq.nrrd", values, first=first)
    _describe(tmp_path / "pet.seq.json", [10, 20, 60])
    volume = read_in_process(path, "The PET", frames="2:3")
    np.testing.assert_allclose(sitk.GetArrayFromImage(volume), np.average(values[1:], axis=0, weights=[20, 60]), rtol=1e-5)
    assert (volume.GetSpacing(), volume.GetOrigin()) == ((2.0, 2.5, 3.0), (-7.0, 4.0, 11.0))
    assert value_of(volume, FRAMES) == "mean of 2 to 3 of 3, 80 s"
    assert not [key for key in volume.GetMetaDataKeys() if "axis" in key or key == "DataNodeClassName"]
    with raises(InputError, "frames-not-chosen", count=3):
        select_frames(read_in_process(path, "The PET"), None, "The PET")


def test_a_sequence_of_one_frame_is_a_volume(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((1, 4, 5, 6)).astype(np.float32)
    volume = read_in_process(_sequence(tmp_path / "pet.seq.nrrd", values, first=True), "The PET")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume).reshape(values.shape), values)


def test_colours_are_no_frames(tmp_path: Path) -> None:
    values = np.zeros((3, 4, 5, 6), np.float32)
    image = read_in_process(_sequence(tmp_path / "a.nrrd", values, first=True, kind="RGB-color"), "The PET")
    assert (image.GetDimension(), image.GetNumberOfComponentsPerPixel()) == (3, 3)


@pytest.mark.parametrize("frames", ["", "0", "-1", "1:", ":2", "3:2", "1.5", "all", "Mean", "1:2:3", "1,2", " 1", "9" * 9])
def test_other_words_are_refused(frames: str) -> None:
    with raises(UsageError, "setting-not-frames", value=frames):
        FusionSettings(frames=frames)
    with raises(UsageError, "setting-not-frames", value=frames):
        select_frames(_dynamic(), frames, "The PET")


def test_a_choice_is_needed_and_must_exist() -> None:
    with raises(InputError, "frames-not-chosen", volume="The PET", count=4):
        select_frames(_dynamic(), None, "The PET")
    for frames in ("5", "4:5"):
        with raises(InputError, "frames-missing", count=4, frames=frames):
            select_frames(_dynamic(), frames, "The PET")


def test_a_volume_is_its_only_frame_and_stays_itself() -> None:
    image = _dynamic()[:, :, :, 1]
    for frames in (None, "mean", "1", "1:1"):
        assert select_frames(image, frames, "The PET") is image
    with raises(InputError, "frames-missing", count=1, frames="2"):
        select_frames(image, "2", "The PET")


def test_frames_are_chosen_once() -> None:
    volume = select_frames(_dynamic(), "3", "The PET")
    assert select_frames(volume, "3", "The PET") is volume


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("axes", [1, 2])
def test_trailing_axes_of_one_voxel_are_dropped(suffix: str, axes: int, tmp_path: Path) -> None:
    image = _dynamic(1)
    if axes == 2:
        image = sitk.JoinSeries([image])
    volume = read_in_process(_written(image, tmp_path / f"pet{suffix}"), "The PET")
    assert volume.GetSize() == (7, 6, 5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(volume), sitk.GetArrayFromImage(image).reshape(5, 6, 7))
    np.testing.assert_allclose(volume.GetOrigin(), ORIGIN, atol=1e-5)
    np.testing.assert_allclose(volume.GetSpacing(), SPACING, atol=1e-5)
    np.testing.assert_allclose(
        volume.GetDirection(), np.reshape(_dynamic(1).GetDirection(), (4, 4))[:3, :3].ravel(), atol=1e-5
    )


def test_axes_of_several_voxels_stay() -> None:
    image = sitk.JoinSeries([_dynamic(3)])
    assert without_trailing_axes(image).GetSize() == (7, 6, 5, 3)
    assert without_trailing_axes(_dynamic(3)).GetSize() == (7, 6, 5, 3)
    colored = sitk.GetImageFromArray(np.zeros((1, 5, 6, 7, 3), np.float32), isVector=True)
    assert without_trailing_axes(colored).GetSize() == (7, 6, 5)
    assert without_trailing_axes(colored).GetNumberOfComponentsPerPixel() == 3
