"""Frames of a dynamic PET in a sequence, on a real MRML scene."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError, UsageError
from cspadn.imaging.metadata import FRAMES, notes_of, value_of
from message_calls import identifiers, raises
from nodes import node_of, rigid, transform_of, warp_of

FACTORS = (1, 4, 2)


@pytest.fixture
def dynamic(logic, pair):
    """Return the volume node that shows the second frame of a sequence, and the node of the MRI."""
    import slicer

    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "PET sequence")
    for index, factor in enumerate(FACTORS):
        frame = node_of(pair[0] * factor, f"frame {index}")
        sequence.SetDataNodeAtValue(frame, str(index))
        scene.RemoveNode(frame)
    scene.RegisterNodeClass(slicer.vtkMRMLSequenceBrowserNode())  # as the module Sequences does
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    shown = node_of(pair[0] * FACTORS[1], "PET")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(shown, sequence, False)
    browser.SetSelectedItemNumber(1)
    return shown, node_of(pair[1], "MRI")


def _images(nodes, frames: str | None, grid: str = "mri"):
    from CSpADNFusionLib.scene.volumes import imagesFromVolumeNodes

    return imagesFromVolumeNodes(*nodes, grid, frames)


@pytest.mark.parametrize("grid", ["mri", "pet"])
@pytest.mark.parametrize(("frames", "factor"), [("mean", 7 / 3), ("1", 1), ("3", 2), ("2:3", 3)])
def test_frames_of_a_sequence_are_chosen(dynamic, pair, frames: str, factor: float, grid: str) -> None:
    image, _ = _images(dynamic, frames, grid)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(pair[0]) * factor, rtol=1e-5)
    np.testing.assert_allclose(image.GetOrigin(), pair[0].GetOrigin(), atol=1e-6)
    assert str(value_of(image, FRAMES)).endswith("of 3")
    expected = ["frame-durations-unknown"] if ":" in frames or frames == "mean" else []
    assert identifiers(notes_of(image)) == expected


def test_the_shown_frame_is_fused_without_a_choice_with_a_warning(dynamic, pair) -> None:
    image, _ = _images(dynamic, None)
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(pair[0]) * 4, rtol=1e-5)
    assert value_of(image, FRAMES) == "2 of 3"
    assert identifiers(notes_of(image)) == ["sequence-frame-shown"]
    assert "frame 2 of 3" in notes_of(image)[0]


def test_the_shown_frame_is_registered(dynamic, pair) -> None:
    from CSpADNFusionLib.scene import registration

    image, _ = registration.imagesOf(registration.startOf(*dynamic))
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(pair[0]) * FACTORS[1], rtol=1e-5)


def test_the_node_itself_is_not_changed(dynamic) -> None:
    import slicer

    before = slicer.util.arrayFromVolume(dynamic[0]).copy()
    _images(dynamic, "mean")
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(dynamic[0]), before)


@pytest.mark.parametrize("kind", ["linear", "warp"])
def test_transforms_hold_for_the_chosen_frames(dynamic, pair, kind: str) -> None:
    import slicer

    transform = (
        transform_of(rigid(20, (5, 0, 3))).GetID() if kind == "linear" else warp_of(slicer.mrmlScene, lambda i: np.full(3, i))
    )
    dynamic[0].SetAndObserveTransformNodeID(transform)
    chosen, _ = _images(dynamic, "3")
    shown, _ = _images(dynamic, None)
    np.testing.assert_allclose(sitk.GetArrayFromImage(chosen) * 2, sitk.GetArrayFromImage(shown), rtol=1e-4, atol=1e-4)
    assert chosen.GetOrigin() == shown.GetOrigin()


def test_durations_come_from_the_dicom_database(dynamic, pair, monkeypatch) -> None:
    from CSpADNFusionLib.scene import sequences

    durations = iter(["10000", "30000", "60000"])
    monkeypatch.setattr(sequences, "dicomValue", lambda _node, _tag: next(durations))
    image, _ = _images(dynamic, "mean")
    expected = np.average(FACTORS, weights=[10, 30, 60])
    np.testing.assert_allclose(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(pair[0]) * expected, rtol=1e-5)
    assert value_of(image, FRAMES) == "mean of 1 to 3 of 3, 100 s"
    assert notes_of(image) == []


def test_wrong_choices_are_told(dynamic, logic) -> None:
    with raises(InputError, "frames-missing", count=3, frames="4"):
        logic.fuse(*dynamic, frames="4")
    with raises(UsageError, "setting-not-frames", value="x"):
        logic.fuse(*dynamic, frames="x")


def test_frames_of_several_sizes_are_not_averaged(dynamic, pair) -> None:
    import slicer

    (sequence,) = slicer.util.getNodesByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(node_of(pair[0][:, :, :3], "small"), "9")
    with raises(InputError, "sequence-frames-differ", name="PET"):
        _images(dynamic, "mean")
    assert _images(dynamic, "1:3")


def test_a_node_without_a_sequence_is_its_only_frame(logic, pair) -> None:
    nodes = node_of(pair[0], "PET"), node_of(pair[1], "MRI")
    for frames in (None, "mean"):
        image, _ = _images(nodes, frames)
        assert value_of(image, FRAMES) is None
        assert notes_of(image) == []


def test_a_fusion_says_which_frames_it_has(dynamic, logic) -> None:
    warnings: list[str] = []
    fused = logic.fuse(*dynamic, frames="2:3", warned=warnings.append)
    assert fused.GetAttribute("CSpADNFusion.pet_frames") == "mean of 2 to 3 of 3"
    assert "frame-durations-unknown" in identifiers(warnings)
    fused = logic.fuse(*dynamic, warned=warnings.append)
    assert fused.GetAttribute("CSpADNFusion.pet_frames") == "2 of 3"
    assert "sequence-frame-shown" in identifiers(warnings)


def test_words_that_are_no_frames_disable_the_run(panel) -> None:
    from CSpADNFusionLib.panel import settings

    parameters = panel._parameterNode
    parameters.frames = "0"
    assert "'0'" in settings.obstacle(parameters)
    parameters.frames = " 2:3 "
    assert settings.obstacle(parameters) is None
    assert parameters.settings()["frames"] == "2:3"
    parameters.frames = ""
    assert parameters.settings()["frames"] is None
