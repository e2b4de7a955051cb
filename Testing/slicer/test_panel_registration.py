"""Registration and alignment in the panel: the buttons, the transform node, and the sentence below the inputs."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError
from head_phantom import distance_mm, phantom_mri, phantom_pet, rigid
from message_calls import raises, says
from nodes import RAS_TO_LPS, node_of, transform_of, warp_of
from panel_steps import TIMEOUT
from repository import MODULE_FILE
from slicer_application import application, records

MOVED = rigid((12, -20, 9), (15.0, -20, 30))

pytestmark = pytest.mark.usefixtures("inline_worker")


@pytest.fixture(scope="module")
def volumes() -> tuple[sitk.Image, sitk.Image]:
    """Return a PET that a known transform has moved, and its MRI."""
    return phantom_pet(MOVED), phantom_mri()


@pytest.fixture
def panel(scene, volumes):
    return _opened(*volumes)


def _opened(pet: sitk.Image, mri: sitk.Image):
    nodes = node_of(pet, "PET"), node_of(mri, "MRI")
    panel = application.openModule(MODULE_FILE)
    panel.ui.petSelector.setCurrentNode(nodes[0])
    panel.ui.mriSelector.setCurrentNode(nodes[1])
    return panel


def _node(name: str):
    import slicer

    return slicer.mrmlScene.GetFirstNodeByName(name)


def _ended(panel) -> None:
    application.processEvents(until=lambda: not panel.logic.isBusy(), timeout=TIMEOUT)


def _register(panel) -> None:
    panel.ui.registerButton.click()
    assert panel.ui.registerButton.text() == "Cancel"
    assert not panel.ui.applyButton.isEnabled()
    assert says(panel.ui.applyButton.toolTip(), "wait-for-run")
    _ended(panel)
    assert records.texts("error") == []


def _transforms() -> list:
    """Return the transform nodes that the module has created; the slice views have others."""
    import slicer

    scene, kind = slicer.mrmlScene, "vtkMRMLLinearTransformNode"
    nodes = [scene.GetNthNodeByClass(i, kind) for i in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if node.GetAttribute("CSpADNFusion.registration")]


def _mri_to_pet() -> sitk.Transform:
    """The transform from a point of the MRI's voxels to the PET's, both before all parent transforms, in LPS."""
    import slicer
    import vtk

    matrix = vtk.vtkMatrix4x4()
    parents = [_node(name).GetParentTransformNode() for name in ("MRI", "PET")]
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, matrix)
    rows = RAS_TO_LPS @ slicer.util.arrayFromVTKMatrix(matrix) @ RAS_TO_LPS
    return sitk.AffineTransform(rows[:3, :3].ravel().tolist(), rows[:3, 3].tolist())


def test_the_button_puts_the_pet_under_a_transform_and_undo_takes_it_out(panel) -> None:
    before = _node("PET").GetImageData().GetMTime(), _node("PET").GetParentTransformNode()
    assert not panel.ui.undoButton.isEnabled()
    _register(panel)
    assert distance_mm(_mri_to_pet(), MOVED) < 1.5
    (node,) = _transforms()
    assert node.GetName() == "PET registered to MRI"
    assert _node("PET").GetParentTransformNode() is node
    assert _node("PET").GetImageData().GetMTime() == before[0]
    moved = float(node.GetAttribute("CSpADNFusion.registration_mm"))
    assert says(panel.ui.statusLabel.text(), "panel-registered", millimetres=moved)
    assert panel.ui.registerButton.text() == "Register PET to MRI"
    first = np.array(_mri_to_pet().GetParameters())
    _register(panel)  # from where the PET was before: the result is the same, not nothing
    assert _transforms() == [node]
    np.testing.assert_allclose(_mri_to_pet().GetParameters(), first, atol=1e-5)
    panel.ui.undoButton.click()
    assert says(panel.ui.statusLabel.text(), "registration-undone")
    assert _node("PET").GetParentTransformNode() is None
    assert _transforms() == []
    assert not panel.ui.undoButton.isEnabled()


def _view(name: str):
    import slicer

    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)


def _background(name: str):
    import slicer

    return slicer.mrmlScene.GetNodeByID(_view(name).GetSliceCompositeNode().GetBackgroundVolumeID())


def _compare(panel) -> None:
    panel.ui.skipAlignmentCheckCheckBox.setChecked(True)
    panel.ui.comparisonComboBox.setCurrentText("Outlines | checkerboard")
    panel.ui.compareButton.click()


def test_outlines_of_the_mri_lie_on_the_pet(panel, volumes) -> None:
    import slicer

    scene = slicer.mrmlScene
    _compare(panel)
    assert _background("FusionOutlines") is _node("PET")
    label = scene.GetNodeByID(_view("FusionOutlines").GetSliceCompositeNode().GetLabelVolumeID())
    drawn = slicer.util.arrayFromVolume(label)
    head = sitk.GetArrayFromImage(volumes[1])
    middle = drawn[head.shape[0] // 2]
    rim = np.flatnonzero(middle.any(axis=0))
    inside = np.flatnonzero((head[head.shape[0] // 2] > 300).any(axis=0))
    assert (rim[0], rim[-1]) == pytest.approx((inside[0], inside[-1]), abs=2)
    assert set(np.unique(drawn)) == {0, 1, 2}
    assert _view("FusionOutlines").GetSliceNode().GetUseLabelOutline()
    assert label.GetHideFromEditors()
    assert not label.GetSaveWithScene()
    assert _view("FusionCheckerboard").GetSliceCompositeNode().GetLabelVolumeID() is None
    panel.ui.outlinesCheckBox.setChecked(True)
    assert _view("FusionCheckerboard").GetSliceCompositeNode().GetLabelVolumeID() == label.GetID()
    count = scene.GetNumberOfNodes()
    panel.ui.outlinesCheckBox.setChecked(False)
    panel.ui.outlinesCheckBox.setChecked(True)
    assert scene.GetNumberOfNodes() == count


def test_the_checkerboard_can_be_moved_and_shows_both(panel) -> None:
    import slicer

    _compare(panel)
    board = _background("FusionCheckerboard")
    first = slicer.util.arrayFromVolume(board).copy()
    assert first.shape[:3] == slicer.util.arrayFromVolume(_node("MRI")).shape
    grey = (np.ptp(first, axis=-1) == 0).mean()
    assert 0.4 < grey < 1
    panel.ui.checkerboardSlider.setValue(0.5)
    second = slicer.util.arrayFromVolume(_background("FusionCheckerboard"))
    assert _background("FusionCheckerboard") is board
    changed = (first != second).any(axis=-1)
    assert changed.mean() > 0.2
    panel.ui.checkerboardSlider.setValue(1)  # two squares further it is the same again
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(_background("FusionCheckerboard")), first)


def test_before_the_registration_and_after_it(panel) -> None:
    import slicer

    assert not panel.ui.beforeCheckBox.isEnabled()
    _compare(panel)
    before = slicer.util.arrayFromVolume(_background("FusionCheckerboard")).copy()
    _register(panel)
    after = slicer.util.arrayFromVolume(_background("FusionCheckerboard")).copy()
    assert (after != before).mean() > 0.05
    assert panel.ui.beforeCheckBox.isEnabled()
    panel.ui.beforeCheckBox.setChecked(True)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(_background("FusionCheckerboard")), before)
    shown = _background("FusionOutlines")
    assert shown is not _node("PET")
    assert shown.GetParentTransformNode() is None
    assert shown.GetImageData() is _node("PET").GetImageData()
    panel.ui.beforeCheckBox.setChecked(False)
    assert _background("FusionOutlines") is _node("PET")


def test_hidden_volumes_go_with_the_scene(panel, scene) -> None:
    _compare(panel)
    scene.Clear(0)
    assert scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0
    assert records.messages == []


def test_parent_transforms_of_both_are_kept(panel) -> None:
    turned = np.eye(4)
    turned[:3, :3] = [[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]
    turned[:3, 3] = 11, -7, 3
    shifted = np.eye(4)
    shifted[:3, 3] = 5, 9, -13
    own = {"PET": transform_of(shifted, "shift"), "MRI": transform_of(turned, "turn")}
    for name, node in own.items():
        _node(name).SetAndObserveTransformNodeID(node.GetID())
    _register(panel)
    assert distance_mm(_mri_to_pet(), MOVED) < 1.5
    added = _node("PET").GetParentTransformNode()
    assert added.GetParentTransformNode() is own["PET"]
    assert _node("MRI").GetParentTransformNode() is own["MRI"]
    other = node_of(sitk.Image(3, 3, 3, sitk.sitkFloat32), "CT of the same scan")
    other.SetAndObserveTransformNodeID(added.GetID())
    panel.ui.undoButton.click()
    assert _node("PET").GetParentTransformNode() is own["PET"]
    assert other.GetParentTransformNode() is added


def test_the_alignment_is_told_of_the_pair_and_after_the_registration(panel) -> None:
    text = panel.ui.pairLabel.text
    assert says(text(), "panel-alignment-running")
    application.processEvents(until=lambda: says(text(), "panel-misaligned"), timeout=TIMEOUT)
    assert says(text(), "panel-pair-summary")
    _register(panel)
    application.processEvents(until=lambda: says(text(), "panel-alignment"), timeout=TIMEOUT)
    panel.ui.petSelector.setCurrentNode(None)
    assert not says(text(), "panel-alignment")


def test_without_the_check_there_is_no_sentence(panel, monkeypatch) -> None:
    application.processEvents(until=lambda: says(panel.ui.pairLabel.text(), "panel-misaligned"), timeout=TIMEOUT)
    panel.ui.skipAlignmentCheckCheckBox.setChecked(True)
    assert not says(panel.ui.pairLabel.text(), "panel-misaligned")
    started: list = []
    monkeypatch.setattr(panel.logic, "startAlignmentCheck", lambda *nodes: started.append(nodes))
    panel.onInputsChanged()
    assert started == []
    panel.ui.skipAlignmentCheckCheckBox.setChecked(False)
    assert len(started) == 1


def test_a_pair_without_a_head_has_no_alignment(scene, pair) -> None:
    panel = _opened(*pair)
    application.processEvents(until=lambda: says(panel.ui.pairLabel.text(), "panel-alignment-unknown"), timeout=TIMEOUT)


def test_apply_registers_first_if_the_setting_says_so(panel) -> None:
    panel.ui.registerComboBox.setCurrentText("rigid")
    panel.ui.metricsCheckBox.setChecked(False)
    panel.ui.applyButton.click()
    assert panel.ui.applyButton.text() == "Cancel"
    _ended(panel)
    assert records.texts("error") == []
    assert distance_mm(_mri_to_pet(), MOVED) < 1.5
    fused = panel._parameterNode.lastFusedVolume
    (node,) = _transforms()
    for name in ("registration", "registration_mm", "registration_degrees"):
        assert fused.GetAttribute(f"CSpADNFusion.{name}") == node.GetAttribute(f"CSpADNFusion.{name}")
    assert float(fused.GetAttribute("CSpADNFusion.alignment_mm")) < 1.5


def test_the_console_registers_as_the_button_does(panel) -> None:
    node = panel.logic.register(_node("PET"), _node("MRI"))
    assert _node("PET").GetParentTransformNode() is node
    found = np.array(_mri_to_pet().GetParameters())
    panel.logic.undoRegistration(_node("PET"))
    fused = panel.logic.fuse(_node("PET"), _node("MRI"), register="rigid")
    np.testing.assert_allclose(_mri_to_pet().GetParameters(), found, atol=1e-6)
    assert fused.GetAttribute("CSpADNFusion.registration") == "rigid"


def test_cancelling_changes_nothing(panel, monkeypatch) -> None:
    from CSpADNFusionLib.panel import run_control

    monkeypatch.setattr(run_control, "_DOUBLE_CLICK_SECONDS", 0)
    assert says(panel.ui.pairLabel.text(), "panel-alignment-running")
    panel.ui.registerButton.click()
    assert not says(panel.ui.pairLabel.text(), "panel-alignment-running")  # the run has stopped it
    panel.ui.registerButton.click()
    assert says(panel.ui.statusLabel.text(), "fusion-stopping")
    application.processEvents(until=lambda: panel.ui.statusLabel.text() == "Cancelled.", timeout=TIMEOUT)
    application.processEvents(until=lambda: says(panel.ui.pairLabel.text(), "panel-misaligned"), timeout=TIMEOUT)
    assert panel.ui.statusLabel.text() == "Cancelled."
    assert _node("PET").GetParentTransformNode() is None
    assert _transforms() == []


def test_what_cannot_be_registered_is_one_sentence(scene, volumes) -> None:
    noise = sitk.GetImageFromArray(np.random.default_rng(0).random((50, 50, 50), np.float32))
    noise.SetSpacing((4, 4, 4))
    panel = _opened(noise, volumes[1])
    panel.ui.registerButton.click()
    _ended(panel)
    (text,) = records.texts("error")
    assert says(text, "registration-no-match")
    assert panel.ui.statusLabel.text() == "Failed."
    assert _transforms() == []


def test_a_non_linear_transform_is_refused_before_it_starts(panel) -> None:
    _node("PET").SetAndObserveTransformNodeID(warp_of(_node("PET").GetScene(), lambda _: np.array([2.0, 0, 0])))
    panel.ui.registerButton.click()
    (text,) = records.texts("error")
    assert says(text, "registration-not-linear")
    with raises(InputError, "registration-not-linear"):
        panel.logic.register(_node("PET"), _node("MRI"))


@pytest.mark.parametrize(
    ("deed", "identifier"),
    [
        (lambda: _node("MRI").SetOrigin(1, 2, 3), "registration-node-moved"),
        (lambda: _node("PET").GetScene().RemoveNode(_node("PET")), "registration-node-deleted"),
    ],
)
def test_what_changes_during_the_registration_makes_it_fail(panel, deed, identifier: str) -> None:
    panel.ui.registerButton.click()
    deed()
    _ended(panel)
    (text,) = records.texts("error")
    assert says(text, identifier)
    assert _transforms() == []


def test_nothing_of_one_patient_is_said_beside_the_next(panel, scene) -> None:
    text = panel.ui.pairLabel.text
    panel.ui.registerButton.click()
    application.processEvents(until=lambda: not panel.logic.isBusy(), timeout=TIMEOUT)
    application.processEvents(until=lambda: says(text(), "panel-alignment"), timeout=TIMEOUT)
    assert panel.ui.statusLabel.text()
    scene.Clear(0)
    application.processEvents()
    assert says(text(), "panel-select-pair")
    assert "\n" not in text()  # no second line, on the alignment
    assert panel.ui.statusLabel.text() == ""
    assert panel.ui.logTextEdit.toPlainText() == ""


def test_closing_the_scene_stops_the_registration(panel, scene) -> None:
    panel.ui.registerButton.click()
    scene.Clear(0)
    assert not panel.logic.isBusy()
    assert says(panel.ui.statusLabel.text(), "stopped-with-scene")
    application.processEvents()
    assert records.messages == []
