"""Frames of dynamic PETs in image files: chosen, averaged by their durations, and axes of one voxel dropped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError, UsageError
from cspadn.imaging.frames import select_frames, without_trailing_axes
from cspadn.imaging.metadata import FRAMES, notes_of, value_of
from cspadn.io.images import read_in_process
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
