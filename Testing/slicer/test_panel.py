"""The panel: selections, the line about the pair, windows, devices, layouts, tables, and its appearance."""

from __future__ import annotations

import doctest
import gc
import json
import re
import sys
import weakref
from xml.etree import ElementTree

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.metrics import TABLE_METRICS
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from message_calls import says, slicer_message
from nodes import import_scene, node_of, rigid, scene_as_text, transform_of
from panel_steps import TIMEOUT, select_inputs, wait_for_fusion
from repository import MODULE_FILE, ROOT, TOOLS
from slicer_application import application, records
from volumes import blobs, volume


@pytest.fixture(autouse=True)
def _in_this_process(request: pytest.FixtureRequest) -> None:
    """Use the inline worker, unless a test is marked as one of processes or opens no panel."""
    if "panel" in request.fixturenames and not request.node.get_closest_marker("processes"):
        request.getfixturevalue("inline_worker")


@pytest.fixture
def panel(scene, pair):
    node_of(pair[0], "PET")
    node_of(pair[1], "MRI")
    panel = application.openModule(MODULE_FILE)
    select_inputs(panel)
    panel.ui.skipAlignmentCheckCheckBox.setChecked(True)
    panel.ui.metricsCheckBox.setChecked(True)
    panel.ui.comparisonComboBox.setCurrentText("All volumes")
    return panel


@pytest.fixture
def quick_panel(panel):
    """A run that creates only the fused volume."""
    panel.ui.colorCheckBox.setChecked(False)
    panel.ui.metricsCheckBox.setChecked(False)
    return panel


def _apply(panel) -> None:
    panel.ui.applyButton.click()
    wait_for_fusion(panel)
    assert records.texts("error") == []


def _node(name: str):
    import slicer

    return slicer.mrmlScene.GetFirstNodeByName(name)


# Apply


def _obstacles():
    return {
        "no volumes": (lambda p: p.ui.petSelector.setCurrentNode(None), "select-pet-and-mri", {}),
        "one volume": (lambda p: p.ui.mriSelector.setCurrentNode(_node("PET")), "select-two-volumes", {}),
        "empty volume": (
            lambda p: p.ui.petSelector.setCurrentNode(_add("Scalar", "empty")),
            "node-without-voxels",
            {"name": "empty"},
        ),
        "constant volume": (lambda p: p.ui.petSelector.setCurrentNode(_filled(7.0)), "node-constant", {"name": "filled"}),
        "not a number": (lambda p: p.ui.petSelector.setCurrentNode(_filled(np.nan)), "node-not-finite", {"name": "filled"}),
        "far away": (lambda p: p.ui.petSelector.setCurrentNode(_far_away()), "nodes-do-not-overlap", {}),
        "output is input": (lambda p: p.ui.fusedSelector.setCurrentNode(_node("MRI")), "output-node-is-input", {}),
        "PET window": (lambda p: _window(p, "pet", 5, 5), "window-not-in-order", {"name": "PET"}),
        "MRI window": (lambda p: _window(p, "mri", 9, 1), "window-not-in-order", {"name": "MRI"}),
        "weights": (lambda p: p.ui.weightsLineEdit.setText("/no/such.safetensors"), "weights-file-unusable", {}),
        "pickle": (lambda p: p.ui.weightsLineEdit.setText(__file__), "weights-file-unusable", {}),
    }


def _add(kind: str, name: str):
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", name)


def _filled(value: float):
    return node_of(volume(np.full((7, 12, 14), value, np.float32), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3)), "filled")


def _far_away():
    return node_of(volume(blobs((7, 12, 14)), origin=(999, 0, 0)), "far")


def _window(panel, name: str, lower: float, upper: float) -> None:
    getattr(panel.ui, f"{name}WindowCheckBox").setChecked(False)
    getattr(panel.ui, f"{name}LowerSpinBox").setValue(lower)
    getattr(panel.ui, f"{name}UpperSpinBox").setValue(upper)


@pytest.mark.parametrize("name", _obstacles())
def test_apply_is_disabled_and_its_tooltip_says_why(panel, name: str) -> None:
    hinder, identifier, fields = _obstacles()[name]
    assert panel.ui.applyButton.isEnabled()
    hinder(panel)
    assert not panel.ui.applyButton.isEnabled()
    assert says(panel.ui.applyButton.toolTip(), identifier, **fields)


def test_names_that_look_like_html_are_shown_as_they_are(panel) -> None:
    import qt

    from CSpADNFusionLib.panel.qt_helpers import plainText

    name = "<img src='/etc/passwd'> & <b>PET</b>"
    far = _far_away()
    far.SetName(name)
    panel.ui.petSelector.setCurrentNode(far)
    label = panel.ui.pairLabel
    assert label.textFormat() == qt.Qt.PlainText
    panel._runView.showStatus(name)
    assert (panel.ui.statusLabel.textFormat(), panel.ui.statusLabel.text()) == (qt.Qt.PlainText, name)
    assert plainText(name) == "<qt>&lt;img src=&#x27;/etc/passwd&#x27;&gt; &amp; &lt;b&gt;PET&lt;/b&gt;</qt>"
    assert plainText("a & b\nc") == "a & b\nc"
    panel.ui.fusedSelector.setCurrentNode(far)
    records.answers.append(False)
    panel.ui.applyButton.click()
    assert "<img" not in "".join(str(each["text"]) for each in records.messages) + panel.ui.applyButton.toolTip()


def test_an_output_that_is_not_made_is_no_obstacle(panel) -> None:
    panel.ui.fusedSelector.setCurrentNode(None)
    color = _add("Vector", "colours")
    panel._parameterNode.colorVolume = color
    assert panel.ui.applyButton.isEnabled()
    nodes = _node("PET"), _node("MRI"), None
    assert panel.logic.obstacle(*nodes, _node("MRI")).identifier == "colour-node-not-a-vector-volume"
    assert panel.logic.obstacle(*nodes, None, color).identifier == "metrics-node-not-a-table"


def test_everything_is_made_named_and_shown(panel) -> None:
    import slicer

    from cspadn.metrics import TABLE_NAMES

    for name in ("PET", "MRI"):  # as Slicer does when it loads a volume
        _node(name).CreateDefaultDisplayNodes()
        _node(name).GetDisplayNode().SetAutoWindowLevel(False)
    pet_display = _display_state(_node("PET")), _display_state(_node("MRI"))
    _apply(panel)
    fused, color = _node("Fused MRI-PET"), _node("Fused MRI-PET color")
    table = fused.GetNodeReference("CSpADNFusionMetrics")
    assert fused.GetNodeReference("CSpADNFusionColor") is color
    assert table.GetName() == "Fused MRI-PET metrics"
    assert [table.GetColumnName(i) for i in range(table.GetNumberOfColumns())] == ["slice", "position_mm", *TABLE_NAMES]
    assert panel._parameterNode.lastFusedVolume is fused
    shown = {"background": color, "foreground": _node("PET"), "foregroundOpacity": 0.0}
    assert records.sliceViewerLayers[-1] == shown
    assert (_display_state(_node("PET")), _display_state(_node("MRI"))) == pet_display
    _apply(panel)  # once more: to new nodes, without a question
    assert _node("Fused MRI-PET_1 color") is not None
    assert _node("Fused MRI-PET_1 metrics mean") is not None
    assert panel._parameterNode.lastFusedVolume is slicer.util.getNode("Fused MRI-PET_1")


def _display_state(node) -> tuple:
    display = node.GetDisplayNode()
    return (display.GetWindow(), display.GetLevel(), display.GetColorNodeID(), display.GetMTime()) if display else ()


def test_what_exists_is_replaced_only_after_a_question(quick_panel) -> None:
    import slicer

    output = node_of(volume(blobs((3, 4, 5))), "precious")
    quick_panel.ui.fusedSelector.setCurrentNode(output)
    before = slicer.util.arrayFromVolume(output).copy()
    records.answers.append(False)
    quick_panel.ui.applyButton.click()
    assert not quick_panel.logic.isFusing()
    assert says(records.messages[-1]["text"], "replace-outputs", names="precious")
    assert records.messages[-1]["default"].name == "No"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(output), before)
    records.answers.append(True)
    _apply(quick_panel)
    assert slicer.util.arrayFromVolume(output).shape == slicer.util.arrayFromVolume(_node("MRI")).shape
    assert _node("Fused MRI-PET") is None


def test_settings_of_the_panel_reach_the_result(quick_panel) -> None:
    parameters = quick_panel._parameterNode
    quick_panel.ui.modelComboBox.setCurrentText("cspadn-paper")
    quick_panel.ui.gridComboBox.setCurrentText("PET")
    quick_panel.ui.deviceComboBox.setCurrentIndex(1)
    _window(quick_panel, "pet", 1.5, 55.25)
    assert (parameters.model, parameters.grid, parameters.device) == ("cspadn-paper", "PET", "cpu")
    _apply(quick_panel)
    fused = _node("Fused MRI-PET")
    attributes = [fused.GetAttribute(f"CSpADNFusion.{name}") for name in ("model", "grid", "device", "pet_window")]
    assert attributes == ["cspadn-paper", "pet", "cpu", "[1.5, 55.25]"]
    assert fused.GetSpacing() == _node("PET").GetSpacing()
    assert _node("Fused MRI-PET color") is None


def test_a_weights_file_takes_the_place_of_the_model(quick_panel, tmp_path) -> None:
    import shutil

    folder = tmp_path / "Wörter 'and' \"quotes\""
    folder.mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copy(ROOT / "CSpADNFusion/Resources/Models" / f"cspadn-paper{suffix}", folder / f"mine{suffix}")
    quick_panel.ui.weightsLineEdit.setText(str(folder / "mine.safetensors"))
    assert not quick_panel.ui.modelComboBox.isEnabled()
    _apply(quick_panel)
    assert _node("Fused MRI-PET").GetAttribute("CSpADNFusion.model") == "cspadn-paper"


def test_a_damaged_weights_file_gets_the_workers_sentence(quick_panel, tmp_path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    quick_panel.ui.weightsLineEdit.setText(str(tmp_path / "bad.safetensors"))
    quick_panel.ui.applyButton.click()
    wait_for_fusion(quick_panel)
    (message,) = records.texts("error")
    assert "bad" in message
    assert "Traceback" not in message


@pytest.mark.processes
def test_temporary_paths_with_spaces_quotes_and_other_letters(quick_panel, tmp_path, monkeypatch) -> None:
    import slicer

    folder = tmp_path / "Übung 'eins' \"zwei\" 日本"
    folder.mkdir()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(folder))
    _apply(quick_panel)
    assert _node("Fused MRI-PET") is not None
    assert list(folder.iterdir()) == []


def test_no_room_for_the_workers_files_is_one_message(quick_panel, tmp_path, monkeypatch) -> None:
    import slicer

    (tmp_path / "no folder").touch()
    monkeypatch.setattr(slicer.app, "temporaryPath", str(tmp_path / "no folder"))
    quick_panel.ui.applyButton.click()
    assert len(records.texts("error")) == 1
    assert quick_panel.ui.statusLabel.text() == "Not started."
    assert quick_panel.ui.applyButton.text() == "Apply"


def test_progress_tells_slices_and_time_left(panel, monkeypatch) -> None:
    from CSpADNFusionLib.panel import run as parts

    now = [100.0]
    monkeypatch.setattr(parts.time, "monotonic", lambda: now[0])
    panel._runView.start()
    panel._runView.showProgress(1, 94, "Fusing")
    assert panel.ui.statusLabel.text() == slicer_message("slices-done", step="Fusing", done=1, total=94)
    now[0] += 10
    panel._runView.showProgress(11, 94, "Fusing")
    assert says(panel.ui.statusLabel.text(), "slices-done", step="Fusing", done=11, total=94)
    assert "83 s" in panel.ui.statusLabel.text()
    assert (panel.ui.progressBar.value(), panel.ui.progressBar.maximum()) == (11, 94)
    now[0] += 100
    panel._runView.showProgress(12, 94, "Fusing")
    assert "14 min" in panel.ui.statusLabel.text()
    panel._runView.showProgress(1, 94, "Measuring")
    assert panel.ui.statusLabel.text() == slicer_message("slices-done", step="Measuring", done=1, total=94)


# Inputs


def test_the_line_under_the_inputs(panel, scene) -> None:
    import slicer

    assert panel.ui.pairLabel.text() == slicer_message(
        "panel-pair-summary",
        pet="14 x 12 x 7 (3.5 x 3.5 x 4 mm)",
        units="units not known",
        mri="24 x 20 x 8 (2 x 2 x 3 mm)",
        share=1.0,
    )
    shift = transform_of(rigid(0, (12, 0, 0)))
    _node("PET").SetAndObserveTransformNodeID(shift.GetID())
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(rigid(0, (24, 0, 0))))  # it is dragged
    application.processEvents(until=lambda: says(panel.ui.pairLabel.text(), "panel-pair-summary", share=0.5))
    tilt = np.eye(4)
    tilt[1:3, 1:3] = rigid(30, (0, 0, 0))[:2, :2]
    matrix = slicer.util.vtkMatrixFromArray(tilt @ np.diag([-2, -2, 3, 1]))
    _node("MRI").SetIJKToRASMatrix(matrix)
    panel.ui.gridComboBox.setCurrentText("PET")
    assert not says(panel.ui.pairLabel.text(), "panel-slices-tilted")
    panel.ui.gridComboBox.setCurrentText("MRI")
    assert says(panel.ui.pairLabel.text(), "panel-slices-tilted", angle=30)
    panel.ui.petSelector.setCurrentNode(None)
    assert says(panel.ui.pairLabel.text(), "panel-select-pair")


@pytest.mark.parametrize(
    "move", [lambda pet: pet.SetOrigin(12, 21, 3), lambda pet: pet.SetSpacing(1.75, 3.5, 4), lambda pet: _shift(pet, 12)]
)
def test_the_line_follows_the_position_of_the_voxels(panel, move) -> None:
    """The console changes the origin of the node, without a transform."""
    assert says(panel.ui.pairLabel.text(), "panel-pair-summary", share=1)
    move(_node("PET"))
    application.processEvents(until=lambda: not says(panel.ui.pairLabel.text(), "panel-pair-summary", share=1))
    _node("PET").SetOrigin(5000, 0, 0)
    application.processEvents(until=lambda: says(panel.ui.applyButton.toolTip(), "nodes-do-not-overlap"))


def _shift(node, millimetres: float) -> None:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    matrix.SetElement(0, 3, matrix.GetElement(0, 3) - millimetres)
    node.SetIJKToRASMatrix(matrix)


def test_a_long_line_is_shown_whole_in_a_small_window(panel) -> None:
    import qt

    area = qt.QScrollArea()
    area.setWidgetResizable(True)
    area.setWidget(panel.parent)
    area.resize(300, 200)
    area.show()
    application.processEvents()
    for label, show in (
        (panel.ui.pairLabel, panel._inputsView.showAlignment),
        (panel.ui.statusLabel, panel._runView.showStatus),
    ):
        show("words " * 60)
        application.processEvents()
        assert label.height() >= label.heightForWidth(label.width()) > 60
    panel.ui.metricsCollapsibleButton.setProperty("collapsed", False)
    application.processEvents()
    label = panel.ui.metricsLabel
    assert label.minimumHeight() == label.heightForWidth(label.width()) > 30  # or Qt takes the height from the other widgets
    assert panel.ui.legendLowerLabel.geometry().top() > panel.ui.legendPictureLabel.geometry().bottom()
    area.takeWidget().show()


def test_on_a_high_screen_nothing_grows(panel) -> None:
    panel.parent.resize(400, 1800)
    application.processEvents()
    for selector in (panel.ui.petSelector, panel.ui.mriSelector):
        assert selector.height() < 40


def test_the_units_of_the_pet(panel) -> None:
    import slicer

    from CSpADNFusionLib.panel.input_summary import unitsOf

    assert unitsOf(_node("PET")) is None
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
    _node("PET").SetVoxelValueUnits(units)
    assert unitsOf(_node("PET")) == "Standardized Uptake Value body weight"


def test_overlap_goes_through_awarp_of(panel) -> None:
    from CSpADNFusionLib.panel.input_summary import overlap
    from nodes import warp_of

    _node("PET").SetAndObserveTransformNodeID(warp_of(_node("PET").GetScene(), lambda _: np.array([24.0, 0, 0])))
    assert overlap(_node("PET"), _node("MRI")) == pytest.approx(0.5, abs=0.03)


def test_automatic_windows_are_those_that_the_fusion_takes(quick_panel) -> None:
    import json

    assert quick_panel.ui.petUpperSpinBox.value() == 1  # nobody looks: nothing is computed
    quick_panel.ui.windowsCollapsibleButton.setCollapsed(False)
    _apply(quick_panel)
    fused = _node("Fused MRI-PET")
    for name in ("pet", "mri"):
        shown = [getattr(quick_panel.ui, f"{name}{end}SpinBox").value() for end in ("Lower", "Upper")]
        assert shown == pytest.approx(json.loads(fused.GetAttribute(f"CSpADNFusion.{name}_window")), abs=0.01)
        assert not getattr(quick_panel.ui, f"{name}LowerSpinBox").isEnabled()
    quick_panel.ui.petWindowCheckBox.setChecked(False)
    assert quick_panel.ui.petLowerSpinBox.isEnabled()
    assert quick_panel._parameterNode.window("pet") == pytest.approx(shown_window(fused, "pet"), abs=0.01)


def shown_window(fused, name: str) -> list[float]:
    import json

    return json.loads(fused.GetAttribute(f"CSpADNFusion.{name}_window"))


def test_small_values_get_more_decimals() -> None:
    pytest.importorskip("slicer")
    from CSpADNFusionLib.panel.inputs import decimalsOf

    assert [decimalsOf(window) for window in ((0, 20000), (0, 8), (0, 0.002), (0, 0))] == [1, 3, 6, 12]


def test_devices_are_looked_for_when_somebody_looks(panel) -> None:
    assert says(panel.ui.torchLabel.text(), "torch-and-device", device="auto")
    assert panel.ui.torchLabel.text().startswith("PyTorch 2.")
    panel._parameterNode.device = "cuda:7"  # chosen on another machine
    assert says(panel.ui.torchLabel.text(), "torch-and-device", device="cuda:7")
    assert panel.ui.deviceComboBox.currentText() == "cuda:7 (not found here)"
    panel.ui.advancedCollapsibleButton.setCollapsed(False)
    application.processEvents(until=lambda: says(panel.ui.torchLabel.text(), "torch-and-devices"), timeout=TIMEOUT)
    assert says(panel.ui.torchLabel.text(), "torch-and-devices", devices="CPU")
    assert panel._parameterNode.device == "cuda:7"
    panel.ui.deviceComboBox.setCurrentIndex(0)
    assert panel._parameterNode.device == "auto"


@pytest.mark.processes
def test_devices_are_found_between_warnings(panel) -> None:
    found: list = []
    from CSpADNFusionLib.worker.device_search import DeviceSearch

    search = DeviceSearch(found.append)
    search._process.terminate()
    for lines, code in ((["UserWarning: old driver", "{", '"devices": {"cpu": "CPU"}', "}", "bye"], 0), (["no"], 0), ([], 1)):
        search._lines[:] = lines
        search._onExit(code)
    assert found == [{"cpu": "CPU"}, None, None]


@pytest.mark.processes
def test_the_panel_goes_away_while_devices_are_looked_for(panel) -> None:
    panel.ui.advancedCollapsibleButton.setCollapsed(False)
    process = panel._deviceView._search._process
    application.closeModules()
    assert process.wait(timeout=TIMEOUT) != 0
    application.processEvents()
    assert records.messages == []


def test_without_torch_all_else_works(scene, monkeypatch) -> None:
    import importlib.metadata

    from CSpADNFusionLib.worker import torch_setup

    def absent(_name):
        raise importlib.metadata.PackageNotFoundError

    panel = application.openModule(MODULE_FILE)
    monkeypatch.setattr(torch_setup.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(importlib.metadata, "version", absent)
    panel._deviceView.showTorch()
    assert says(panel.ui.torchLabel.text(), "torch-not-installed")
    panel.ui.sampleDataButton.click()
    panel.ui.advancedCollapsibleButton.setCollapsed(False)
    panel.ui.windowsCollapsibleButton.setCollapsed(False)
    assert panel._deviceView._search is None
    assert panel.ui.applyButton.isEnabled()
    assert panel.ui.petUpperSpinBox.value() > 1000
    panel.ui.compareButton.click()
    assert _views()["Blend"].GetSliceCompositeNode().GetForegroundVolumeID() == panel._parameterNode.petVolume.GetID()
    assert records.messages == []


def test_sample_data_fill_the_selectors(scene) -> None:
    panel = application.openModule(MODULE_FILE)
    panel.ui.sampleDataButton.click()
    assert panel.ui.petSelector.currentNode().GetName() == "SimulatedHead_FDG"
    assert panel.ui.mriSelector.currentNode().GetName() == "SimulatedHead_T1"
    assert panel.ui.petSelector.currentNode().GetDisplayNode().GetColorNode().GetName() == "Heated"
    assert panel.ui.applyButton.isEnabled()
    assert _red()[1].GetSliceOffset() == pytest.approx(45, abs=1)  # where the lesions are


def test_the_panel_does_not_jump_when_the_sample_button_goes(scene) -> None:
    panel = application.openModule(MODULE_FILE)
    panel.parent.activateWindow()
    application.processEvents()
    panel.ui.sampleDataButton.setFocus()
    panel.ui.sampleDataButton.click()
    application.processEvents()
    assert not panel.ui.sampleDataButton.isVisible()
    assert panel.ui.petSelector.isAncestorOf(slicer_focus())


@pytest.mark.parametrize("name", PALETTES)
def test_the_pet_takes_the_palette_when_asked(panel, name: str) -> None:
    panel.ui.paletteComboBox.setCurrentText(name)
    panel.ui.petPaletteButton.click()
    assert _node("PET").GetDisplayNode().GetColorNode().GetName() == name


# The legend


def _legend_pixels(panel) -> np.ndarray:
    image = panel.ui.legendPictureLabel.pixmap().toImage()
    colors = [[image.pixelColor(x, y) for x in range(image.width())] for y in range(image.height())]
    return np.array([[(color.red(), color.green(), color.blue()) for color in row] for row in colors], np.uint8)


def _legend_axis(panel) -> tuple[str, str, str]:
    return tuple(getattr(panel.ui, f"legend{name}Label").text() for name in ("Lower", "Uptake", "Upper"))


@pytest.mark.parametrize("name", PALETTES)
def test_the_legend_shows_the_palette(panel, name: str) -> None:
    from cspadn.imaging import color

    panel.ui.paletteComboBox.setCurrentText(name)
    np.testing.assert_array_equal(_legend_pixels(panel), color.legend(name, 64))


# The picture of the last result


def _pixels(name: str) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromVolume(_node(name)).astype(int)


@pytest.fixture
def colored_panel(panel):
    """Return a result with a colour volume."""
    panel.ui.metricsCheckBox.setChecked(False)
    _apply(panel)
    return panel


def test_another_palette_changes_the_picture_at_once(colored_panel, pair, monkeypatch) -> None:
    """Recolouring gives the result of a fusion with that palette, without a fusion."""
    import cspadn

    monkeypatch.setattr(colored_panel.logic, "startFusion", lambda *_args, **_more: pytest.fail("it fuses again"))
    before = _pixels("Fused MRI-PET color")
    colored_panel.ui.paletteComboBox.setCurrentText("PET-DICOM")
    after = _pixels("Fused MRI-PET color")
    expected = sitk.GetArrayFromImage(cspadn.fuse(*pair, cspadn.FusionSettings(palette="PET-DICOM")).color).astype(int)
    assert np.abs(after - before).max() > 30
    assert np.abs(after - expected).max() <= 6
    for name in ("Fused MRI-PET", "Fused MRI-PET color"):
        assert _node(name).GetAttribute("CSpADNFusion.palette") == "PET-DICOM"
    np.testing.assert_array_equal(_legend_pixels(colored_panel), color_legend("PET-DICOM"))
    from CSpADNFusionLib.scene.color_legend import legendOf

    assert "PET-DICOM" in legendOf(_node("Fused MRI-PET color")).GetAttribute("CSpADNFusion.legend")


def color_legend(name: str, weight: float = 1.0) -> np.ndarray:
    from cspadn.imaging import color

    return color.legend(name, 64, weight=weight)


def test_the_weight_of_the_pet_changes_the_picture_and_the_legend_at_once(colored_panel) -> None:
    colored_panel.ui.petWeightSlider.setValue(0)
    assert np.ptp(_pixels("Fused MRI-PET color"), axis=-1).max() <= 2
    np.testing.assert_array_equal(_legend_pixels(colored_panel), color_legend("Heated", 0.0))
    colored_panel.ui.petWeightSlider.setValue(1)
    assert np.ptp(_pixels("Fused MRI-PET color"), axis=-1).max() > 30


def test_the_palette_that_is_shown_is_that_of_the_picture(colored_panel) -> None:
    """This also holds for a result of the console, and for a loaded scene."""
    import slicer

    panel = colored_panel
    panel.logic.fuse(_node("PET"), _node("MRI"), palette="PET-Rainbow")
    assert panel.ui.paletteComboBox.currentText() == "PET-Rainbow"
    panel.ui.petWeightSlider.setValue(0.5)
    scene = slicer.mrmlScene
    parameters = panel._parameterNode.parameterNode
    application.exitModule(panel)
    parameters.SetParameter("palette", "PET-Heat")  # as of a scene that an earlier version saved
    panel._resultView.forget()
    application.enterModule(panel)
    assert panel.ui.paletteComboBox.currentText() == "PET-Rainbow"
    assert panel._parameterNode.petWeight == 0.5
    assert scene.GetNumberOfNodesByClass("vtkMRMLVectorVolumeNode") == 2


def test_what_cannot_be_coloured_anew_is_said(colored_panel) -> None:
    panel, before = colored_panel, _pixels("Fused MRI-PET color")
    shift = transform_of(rigid(0, (9, 0, 0)))
    _node("PET").SetAndObserveTransformNodeID(shift.GetID())
    panel.ui.paletteComboBox.setCurrentText("PET-Heat")
    assert says(panel.ui.statusLabel.text(), "recolouring-after-move")
    np.testing.assert_array_equal(_pixels("Fused MRI-PET color"), before)
    _node("PET").SetAndObserveTransformNodeID(None)
    _node("PET").GetScene().RemoveNode(_node("PET"))
    panel.ui.paletteComboBox.setCurrentText("PET-Rainbow")
    assert says(panel.ui.statusLabel.text(), "recolouring-needs-inputs")


def _red():
    """Return the composite node and the slice node of the slice view Red."""
    import slicer

    logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red")
    return logic.GetSliceCompositeNode(), logic.GetSliceNode()


def test_the_result_keeps_slice_zoom_and_layout_of_the_reader(panel) -> None:
    import slicer

    panel.ui.metricsCheckBox.setChecked(False)
    slicer.util.setSliceViewerLayers(background=_node("MRI"), foreground=_node("PET"), fit=True)
    composite, view = _red()
    view.SetFieldOfView(17, 18, 1)
    view.SetSliceOffset(11.0)
    place = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()).tolist()
    layout = _layout()
    _apply(panel)
    assert composite.GetBackgroundVolumeID() == _node("Fused MRI-PET color").GetID()
    assert (composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()) == (_node("PET").GetID(), 0)
    assert slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()).tolist() == place
    assert view.GetFieldOfView() == (17, 18, 1)
    assert _layout() == layout


def test_grey_is_one_click_away(colored_panel) -> None:
    composite, _view = _red()
    colored_panel.ui.greyRadioButton.click()
    assert composite.GetBackgroundVolumeID() == _node("Fused MRI-PET").GetID()
    colored_panel.ui.colorRadioButton.click()
    assert composite.GetBackgroundVolumeID() == _node("Fused MRI-PET color").GetID()
    composite.SetBackgroundVolumeID(_node("MRI").GetID())  # the reader's own choice
    for name in ("Green", "Yellow"):
        import slicer

        logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)
        logic.GetSliceCompositeNode().SetBackgroundVolumeID(_node("MRI").GetID())
    colored_panel.ui.greyRadioButton.click()
    assert composite.GetBackgroundVolumeID() == _node("MRI").GetID()


def test_the_nodes_of_a_run_are_in_one_folder_of_the_study(panel) -> None:
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(_node("MRI")), study)
    _apply(panel)
    fused = _node("Fused MRI-PET")
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(fused))
    assert (hierarchy.GetItemName(folder), hierarchy.GetItemParent(folder)) == ("Fused MRI-PET", study)
    names = [hierarchy.GetItemName(hierarchy.GetItemByPositionUnderParent(folder, i)) for i in range(4)]
    assert {"Fused MRI-PET", "Fused MRI-PET color", "Fused MRI-PET metrics"} <= set(names)
    loose = hierarchy.GetNumberOfItemChildren(study) if hasattr(hierarchy, "GetNumberOfItemChildren") else None
    assert loose in (None, 2)  # the MRI and the folder
    panel.ui.fusedSelector.setCurrentNode(fused)
    records.answers.append(True)
    _apply(panel)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(fused)) == folder


def test_the_legend_names_the_window_where_it_is_known(quick_panel) -> None:
    import slicer

    panel = quick_panel
    assert _legend_axis(panel) == ("low", "uptake →", "high")
    _apply(panel)
    window = _node("Fused MRI-PET").GetAttribute("CSpADNFusion.pet_window")
    expected = [f"{end:.6g}" for end in json.loads(window)]
    assert _legend_axis(panel) == (expected[0], "uptake →", expected[1])
    _window(panel, "pet", 2, 9)
    assert _legend_axis(panel) == ("2", "uptake →", "9")
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("{SUVbw}g/ml", "UCUM", "SUVbw")
    _node("PET").SetVoxelValueUnits(units)
    panel.onParametersModified()
    assert _legend_axis(panel) == ("2", "uptake (SUVbw) →", "9")
    application.processEvents()
    picture, lower, uptake = (getattr(panel.ui, f"legend{name}Label").geometry() for name in ("Picture", "Lower", "Uptake"))
    assert picture.bottom() < lower.top() <= lower.bottom() < uptake.top()
    panel.ui.petSelector.setCurrentNode(None)
    assert _legend_axis(panel) == ("low", "uptake →", "high")


def test_the_legend_shows_the_automatic_window_when_it_is_computed(panel) -> None:
    panel.ui.windowsCollapsibleButton.setCollapsed(False)
    expected = panel._parameterNode.petWindowLower, panel._parameterNode.petWindowUpper
    assert _legend_axis(panel) == (f"{expected[0]:.6g}", "uptake →", f"{expected[1]:.6g}")


# The scene


def test_choices_survive_a_saved_scene(panel) -> None:
    import slicer

    output = node_of(volume(blobs((3, 4, 5))), "output")
    parameters = panel._parameterNode
    panel.ui.fusedSelector.setCurrentNode(output)
    panel.ui.colorCheckBox.setChecked(False)
    panel.ui.paletteComboBox.setCurrentText("PET-Rainbow")
    panel.ui.petOpacitySlider.setValue(0.25)
    panel.ui.gridComboBox.setCurrentText("PET")
    _window(panel, "mri", 2.5, 77.25)
    parameters.device, parameters.weightsFile = "cpu", "/some where/ö.safetensors"
    scene = slicer.mrmlScene
    saved = scene_as_text(scene)
    scene.Clear(0)
    assert panel.ui.petSelector.currentNode() is None
    assert panel.ui.colorCheckBox.isChecked()
    assert says(panel.ui.applyButton.toolTip(), "select-pet-and-mri")
    import_scene(scene, saved)
    application.processEvents()
    assert [s.currentNode().GetName() for s in (panel.ui.petSelector, panel.ui.mriSelector, panel.ui.fusedSelector)] == [
        "PET",
        "MRI",
        "output",
    ]
    assert not panel.ui.colorCheckBox.isChecked()
    assert panel.ui.paletteComboBox.currentText() == "PET-Rainbow"
    assert panel.ui.petOpacitySlider.property("value") == 0.25
    assert panel.ui.gridComboBox.currentText() == "PET"
    assert (panel.ui.mriLowerSpinBox.value(), panel.ui.mriUpperSpinBox.value()) == (2.5, 77.25)
    assert panel.ui.deviceComboBox.currentText() == "CPU (cpu)"
    assert panel.ui.weightsLineEdit.text() == "/some where/ö.safetensors"


def test_a_saved_result_can_be_compared_and_plotted(panel) -> None:
    import slicer

    _apply(panel)
    panel.ui.modelComboBox.setCurrentText("cspadn-paper")
    panel.ui.metricsCheckBox.setChecked(False)
    scene = slicer.mrmlScene
    saved = scene_as_text(scene)
    scene.Clear(0)
    import_scene(scene, saved)
    assert panel.ui.modelComboBox.currentText() == "cspadn-paper"
    assert not panel.ui.metricsCheckBox.isChecked()
    assert panel._parameterNode.lastFusedVolume.GetName() == "Fused MRI-PET"
    for name, size in (("PET", (7, 12, 14)), ("MRI", (8, 20, 24)), ("Fused MRI-PET", (8, 20, 24))):  # the text has no voxels
        slicer.util.updateVolumeFromArray(_node(name), blobs(size))
    application.processEvents(until=panel.ui.compareButton.isEnabled)
    panel.ui.compareButton.click()
    assert _shown("Fused") == ("Fused MRI-PET", None)
    assert _shown("Color") == ("Fused MRI-PET color", None)
    assert panel.ui.plotButton.isEnabled()


def test_a_scene_that_is_added_changes_no_choice(panel) -> None:
    import slicer

    other = slicer.vtkMRMLScene()
    other.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    import_scene(slicer.mrmlScene, scene_as_text(other))
    assert _node("other") is not None
    assert panel.ui.petSelector.currentNode().GetName() == "PET"
    assert panel._parameterNode.mriVolume.GetName() == "MRI"
    assert panel.ui.applyButton.isEnabled()


def test_choices_that_this_version_does_not_have_become_the_default(panel) -> None:
    node = panel._parameterNode.parameterNode
    application.exitModule(panel)
    node.SetParameter("palette", "PET-Future")
    node.SetParameter("model", "cspadn-9")
    application.enterModule(panel)
    assert panel.ui.paletteComboBox.currentText() == DEFAULT_PALETTE
    assert panel.ui.modelComboBox.currentText() == "cspadn"
    assert panel.ui.applyButton.isEnabled()


def test_a_volume_that_is_removed_is_let_go(panel, scene) -> None:
    node_of(volume(blobs((3, 4, 5))), "next in the list")
    gone = weakref.ref(_node("PET"))
    scene.RemoveNode(_node("PET"))
    gc.collect()
    assert gone() is None
    assert panel.ui.petSelector.currentNode() is None
    assert not panel.ui.applyButton.isEnabled()


def test_what_was_moved_since_it_was_fused_is_not_compared(panel) -> None:
    import slicer

    shift = transform_of(rigid(0, (1, 0, 0)))
    _node("PET").SetAndObserveTransformNodeID(shift.GetID())
    _apply(panel)
    panel.ui.compareButton.click()
    fused = _views()["Fused"].GetSliceCompositeNode()
    assert fused.GetBackgroundVolumeID() == _node("Fused MRI-PET").GetID()
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(rigid(0, (9, 0, 0))))
    application.processEvents(until=lambda: fused.GetBackgroundVolumeID() is None)
    panel.ui.compareButton.click()
    assert says(panel.ui.statusLabel.text(), "result-outdated")
    shift.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(rigid(0, (1, 0, 0))))
    application.processEvents(until=lambda: fused.GetBackgroundVolumeID() is not None)


def test_a_window_chosen_for_one_volume_is_not_taken_for_another(panel) -> None:
    _window(panel, "pet", 2, 9)
    _window(panel, "mri", 3, 8)
    node_of(volume(blobs((6, 12, 14))), "another PET")
    panel.ui.petSelector.setCurrentNode(_node("another PET"))
    assert panel._parameterNode.window("pet") is None
    assert panel._parameterNode.window("mri") == (3, 8)


def test_what_the_console_fused_is_compared_and_plotted(panel) -> None:
    panel.logic.fuse(_node("PET"), _node("MRI"), metrics=True)
    assert panel.ui.plotButton.isEnabled()
    panel.ui.compareButton.click()
    assert _views()["Fused"].GetSliceCompositeNode().GetBackgroundVolumeID() == _node("Fused MRI-PET").GetID()


def test_no_observer_stays_behind(panel, scene) -> None:
    import slicer

    node = panel._parameterNode.parameterNode
    for _ in range(3):
        application.exitModule(panel)
        application.enterModule(panel)
    application.exitModule(panel)
    gc.collect()
    assert not node.HasObserver("ModifiedEvent")
    assert not any(_node(name).HasObserver(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent) for name in ("PET", "MRI"))
    application.enterModule(panel)
    application.closeModules()
    gc.collect()
    assert panel.Observations == []
    assert not node.HasObserver("ModifiedEvent")


def test_reloading_the_module_reloads_its_library(panel) -> None:
    old = sys.modules["CSpADNFusionLib.panel.run"], sys.modules["cspadn.settings"]
    try:
        panel.onReload()
        reloaded = application.openWidget("CSpADNFusion")
        assert reloaded is not panel
        assert sys.modules["CSpADNFusionLib.panel.run"] is not old[0]
        assert sys.modules["cspadn.settings"] is not old[1]
        assert reloaded.ui.petSelector.currentNode().GetName() == "PET"
        assert reloaded.ui.applyButton.isEnabled()
    finally:
        _restore_library()


@pytest.fixture(autouse=True)
def _library():
    """Return the imported library, and restore it after a test that reloads it: other tests compare the same classes."""
    _saved.clear()
    _saved.update({n: m for n, m in sys.modules.items() if n.split(".")[0] in ("cspadn", "CSpADNFusionLib", "CSpADNFusion")})


_saved: dict = {}


def _restore_library() -> None:
    application.closeModules()
    for name in [n for n in sys.modules if n.split(".")[0] in ("cspadn", "CSpADNFusionLib", "CSpADNFusion")]:
        del sys.modules[name]
    sys.modules.update(_saved)


# Comparison, table, plot


def _views() -> dict:
    """Return the logics of the comparison's slice views; those of colours and outlines are None until all six are shown."""
    import slicer

    logic = slicer.app.applicationLogic()
    names = ("FusionPET", "FusionMRI", "FusionBlend", "FusionFused", "FusionColor", "FusionOutlines")
    return {name.removeprefix("Fusion"): logic.GetSliceLogicByLayoutName(name) for name in names}


def _shown(name: str) -> tuple:
    """Return the names of the background and foreground volumes in a view of the comparison."""
    import slicer

    composite = _views()[name].GetSliceCompositeNode()
    ids = composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()
    return tuple(slicer.mrmlScene.GetNodeByID(each).GetName() if each else None for each in ids)


def _layout() -> int:
    import slicer

    return slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetViewArrangement()


def _places() -> list:
    """Return the slice, the field of view and the group of each view of the comparison."""
    import slicer

    nodes = [view.GetSliceNode() for view in _views().values() if view]
    matrices = [slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()).tolist() for node in nodes]
    return [(matrix, node.GetFieldOfView(), node.GetViewGroup()) for matrix, node in zip(matrices, nodes, strict=True)]


def _slice_nodes() -> list:
    """Return the nodes of the slice views of the layout that is shown."""
    import slicer

    from CSpADNFusionLib.scene import layouts

    logic = slicer.app.applicationLogic()
    return [logic.GetSliceLogicByLayoutName(name).GetSliceNode() for name in layouts.SLICE_VIEWS[_layout()]]


def test_the_comparison_shows_all_six_at_one_place(panel) -> None:
    from CSpADNFusionLib.scene import layouts

    for name in ("PET", "MRI"):
        _node(name).CreateDefaultDisplayNodes()
        _node(name).GetDisplayNode().SetAutoWindowLevel(False)
    before = _display_state(_node("PET")), _display_state(_node("MRI"))
    _apply(panel)
    panel.ui.compareButton.click()
    assert _layout() == layouts.COLOR_COMPARISON
    composites = {name: view.GetSliceCompositeNode() for name, view in _views().items()}
    assert _shown("PET") == ("PET", None)
    assert _shown("MRI") == ("MRI", None)
    assert _shown("Blend") == ("MRI", "PET")
    assert _shown("Fused") == ("Fused MRI-PET", None)
    assert _shown("Color") == ("Fused MRI-PET color", None)
    assert _shown("Outlines") == ("PET", None)
    labels = {name: composite.GetLabelVolumeID() for name, composite in composites.items()}
    outlined = labels.pop("Outlines")
    assert _node("MRI outlines").GetID() == outlined
    assert _node("MRI outlines").GetDisplayNode().GetSliceIntersectionThickness() == 1
    assert not any(labels.values())
    assert all(composite.GetLinkedControl() for composite in composites.values())
    places = _places()
    assert len(places) == 6
    assert all(place == places[0] for place in places)
    assert places[0][2] == 1
    assert _views()["MRI"].GetSliceNode().GetOrientation() == "Axial"
    panel.ui.petOpacitySlider.setValue(0.3)
    assert composites["Blend"].GetForegroundOpacity() == pytest.approx(0.3)
    assert (_display_state(_node("PET")), _display_state(_node("MRI"))) == before
    _apply(panel)  # the next result comes into the comparison
    assert _shown("Fused") == ("Fused MRI-PET_1", None)
    assert _shown("Color") == ("Fused MRI-PET_1 color", None)
    node_of(volume(blobs((5, 9, 9))), "another PET")
    panel.ui.petSelector.setCurrentNode(
        _node("another PET")
    )  # so does another input, but not beside the fused volume of the first
    assert _shown("PET") == ("another PET", None)
    assert _shown("Fused") == _shown("Color") == (None, None)
    assert _layout() == layouts.COLOR_COMPARISON
    panel.ui.compareButton.click()
    assert says(panel.ui.statusLabel.text(), "result-outdated")
    composites["Fused"].SetBackgroundVolumeID(_node("MRI").GetID())  # the user's own choice
    panel.ui.petOpacitySlider.setValue(0.6)
    assert _shown("Fused") == ("MRI", None)


def test_the_comparison_opens_at_the_slice_that_the_reader_sees(quick_panel) -> None:
    import slicer

    from CSpADNFusionLib.comparisons import OUTLINES_AND_CHECKERBOARD, OVERLAY_AND_FUSED

    panel, red = quick_panel, slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red").GetSliceNode()
    red.SetOrientationToAxial()
    red.SetSliceOffset(8.7)  # between two slices
    panel.ui.compareButton.click()
    assert [node.GetSliceOffset() for node in _slice_nodes()] == pytest.approx([8.7] * len(_slice_nodes()))
    places = _places()
    assert all(place == places[0] for place in places)
    for node in _slice_nodes():
        node.SetSliceOffset(13.3)
    for other in (OUTLINES_AND_CHECKERBOARD, OVERLAY_AND_FUSED):
        panel.ui.comparisonComboBox.setCurrentText(other)
        assert [node.GetSliceOffset() for node in _slice_nodes()] == pytest.approx([13.3, 13.3])
    panel.ui.compareButton.click()
    assert [node.GetSliceOffset() for node in _slice_nodes()] == pytest.approx([13.3, 13.3])
    panel.ui.backButton.click()
    assert red.GetSliceOffset() == pytest.approx(8.7)


@pytest.mark.parametrize("kind", ["beyond the MRI", "sagittal"])
def test_elsewhere_the_comparison_opens_in_the_middle(quick_panel, kind: str) -> None:
    import slicer

    red = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red").GetSliceNode()
    red.SetOrientationToAxial() if kind == "beyond the MRI" else red.SetOrientationToSagittal()
    red.SetSliceOffset(500.0 if kind == "beyond the MRI" else 8.7)
    quick_panel.ui.compareButton.click()
    assert [node.GetSliceOffset() for node in _slice_nodes()] == pytest.approx([15.5] * len(_slice_nodes()), abs=1.6)


def test_without_a_colour_volume_the_comparison_has_four_views(quick_panel) -> None:
    """The next run adds the fifth view, at the slice of the other views."""
    from CSpADNFusionLib.scene import layouts

    panel = quick_panel
    _apply(panel)
    panel.ui.compareButton.click()
    assert _layout() == layouts.COMPARISON
    assert _shown("Fused") == ("Fused MRI-PET", None)
    assert _views()["Color"] is None
    for view in _views().values():
        if view:
            view.SetSliceOffset(11.0)
    panel.ui.colorCheckBox.setChecked(True)
    _apply(panel)
    assert _layout() == layouts.COLOR_COMPARISON
    assert _shown("Fused") == ("Fused MRI-PET_1", None)
    assert _shown("Color") == ("Fused MRI-PET_1 color", None)
    assert [view.GetSliceOffset() for view in _views().values()] == pytest.approx([11.0] * 6)
    places = _places()
    assert all(place == places[0] for place in places)
    panel.ui.colorCheckBox.setChecked(False)
    _apply(panel)
    assert _layout() == layouts.COMPARISON
    assert _shown("Fused") == ("Fused MRI-PET_2", None)


def test_the_views_of_the_comparison_have_equal_cells(panel) -> None:
    """Linked views share the displayed width, not the zoom: views of different sizes would have different zooms."""
    import slicer

    from CSpADNFusionLib.scene import layouts

    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    for layout, columns in ((layouts.COMPARISON, 2), (layouts.COLOR_COMPARISON, 3), (layouts.OVERLAY, 2)):
        grid = ElementTree.fromstring(node.GetLayoutDescription(layout))
        items = list(grid)
        assert grid.get("type") == "grid"
        assert [(int(item.get("row")), int(item.get("column"))) for item in items] == [
            divmod(index, columns) for index in range(len(layouts.SLICE_VIEWS[layout]))
        ]
        assert {(item[0].get("horizontalStretch"), item[0].get("verticalStretch")) for item in items} == {("1", "1")}


def test_before_there_is_a_result_the_comparison_has_an_empty_view(panel) -> None:
    panel.ui.compareButton.click()
    assert _views()["Fused"].GetSliceCompositeNode().GetBackgroundVolumeID() is None


def test_back_returns_to_the_layout_before(panel) -> None:
    import slicer

    manager = slicer.app.layoutManager()
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    _apply(panel)
    assert not panel.ui.backButton.isEnabled()
    for button in (panel.ui.compareButton, panel.ui.plotButton):
        button.click()
    panel.ui.backButton.click()
    assert _layout() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    assert not panel.ui.backButton.isEnabled()
    panel.ui.compareButton.click()
    slicer.mrmlScene.Clear(0)
    assert _layout() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView  # nothing black for the next patient


def test_the_overlay_stands_beside_the_fused_picture(panel) -> None:
    from CSpADNFusionLib.scene import layouts

    panel.ui.metricsCheckBox.setChecked(False)
    _apply(panel)
    panel.ui.comparisonComboBox.setCurrentText("Overlay | fused")
    panel.ui.compareButton.click()
    assert _layout() == layouts.OVERLAY
    assert _shown("Blend") == ("MRI", "PET")
    assert _shown("Fused") == ("Fused MRI-PET color", None)
    panel.ui.greyRadioButton.click()
    assert _shown("Fused") == ("Fused MRI-PET", None)
    panel.ui.petOpacitySlider.setValue(0.2)
    assert _views()["Blend"].GetSliceCompositeNode().GetForegroundOpacity() == pytest.approx(0.2)
    panel.ui.comparisonComboBox.setCurrentText("All volumes")
    assert _layout() == layouts.COLOR_COMPARISON


def test_the_value_of_the_pet_below_the_pointer(panel, pair) -> None:
    import slicer

    crosshair = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    panel.onParametersModified()
    index = 6, 5, 3
    x, y, z = pair[0].TransformIndexToPhysicalPoint(index)
    crosshair.SetCursorPositionRAS([-x, -y, z])
    expected = float(pair[0][index])
    assert says(panel.ui.pointerLabel.text(), "pet-below-pointer", value=expected)
    shift = transform_of(rigid(0, (30, 0, 0)))
    _node("PET").SetAndObserveTransformNodeID(shift.GetID())
    crosshair.SetCursorPositionRAS([-x + 30, -y, z])
    assert says(panel.ui.pointerLabel.text(), "pet-below-pointer", value=expected)
    crosshair.SetCursorPositionRAS([-x - 500, -y, z])
    assert panel.ui.pointerLabel.text() == ""


def test_one_cursor_in_all_views_of_the_comparison(panel) -> None:
    import slicer

    crosshair = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    panel.onParametersModified()
    crosshair.SetCursorPositionRAS([1, 2, 3])
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair
    panel.ui.compareButton.click()
    crosshair.SetCursorPositionRAS([4, 5, 6])
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic
    assert tuple(crosshair.GetCrosshairRAS()) == (4, 5, 6)
    panel.ui.backButton.click()
    crosshair.SetCursorPositionRAS([7, 8, 9])
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair


def test_the_layout_is_known_from_the_start(panel) -> None:
    """A scene that was saved with the comparison layout opens with it."""
    import slicer

    from CSpADNFusionLib.scene import layouts

    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    assert all(node.IsLayoutDescription(layout) for layout in (layouts.COMPARISON, layouts.COLOR_COMPARISON, layouts.METRICS))


@pytest.mark.parametrize("name", ["Overlay | fused", "Outlines | checkerboard", "All volumes"])
def test_labels_of_the_views_are_not_shortened(quick_panel, name: str) -> None:
    """In a window of 1000 pixels, each of three views in a row is about 190 pixels wide."""
    import qt
    import slicer

    from CSpADNFusionLib.scene import layouts

    quick_panel.ui.comparisonComboBox.setCurrentText(name)
    quick_panel.ui.compareButton.click()
    for view in layouts.SLICE_VIEWS[layouts.shown()]:
        bar = slicer.app.layoutManager().sliceWidget(view)
        bar.resize(190, bar.sizeHint().height())
        bar.show()
        application.processEvents()
        label = bar.findChild(qt.QLabel, "ViewLabel")
        assert label.width() >= label.fontMetrics().horizontalAdvance(label.text()) > 0
        bar.hide()


def test_three_views_in_a_row_show_no_numbers(scene) -> None:
    """Three bars with numbers would widen Slicer's window beyond 1400 pixels."""
    import qt
    import slicer

    from CSpADNFusionLib.scene import layouts

    for layout, numbers in ((layouts.COLOR_COMPARISON, False), (layouts.COMPARISON, True), (layouts.OVERLAY, True)):
        layouts.show(layout)
        for view in layouts.SLICE_VIEWS[layout]:
            box = slicer.app.layoutManager().sliceWidget(view).findChild(qt.QSpinBox)
            assert box.isVisibleTo(box.parent()) == numbers


def test_without_a_window_there_is_no_comparison_but_a_word(panel, monkeypatch) -> None:
    import slicer

    monkeypatch.setattr(slicer.app, "hasMainWindow", False)
    panel.ui.compareButton.click()
    assert says(panel.ui.statusLabel.text(), "no-window-for-comparison")
    _apply(panel)
    panel.ui.plotButton.click()
    assert says(panel.ui.statusLabel.text(), "no-window-for-plot")


def test_the_table_holds_what_the_command_measures(panel, pair) -> None:
    import cspadn
    from cspadn.metrics import measure_fusion
    from CSpADNFusionLib.scene import metrics

    _apply(panel)
    expected = measure_fusion(*pair, cspadn.fuse(*pair))
    table = _node("Fused MRI-PET metrics")
    rows = [row for row in expected.slices if row.counted]
    for i, row in enumerate(rows):
        assert table.GetTable().GetValue(i, 0).ToInt() == row.index
        assert table.GetTable().GetValue(i, 1).ToDouble() == pytest.approx(row.position, abs=1e-3)
        for j, name in enumerate(row.scores):
            assert table.GetTable().GetValueByName(i, name).ToDouble() == pytest.approx(row.scores[name], abs=2e-4), (j, name)
    assert table.GetNumberOfRows() == len(rows)
    assert metrics.meanOf(table) == pytest.approx(expected.mean, abs=2e-4)


def test_the_plot_shows_each_metric_over_the_slices(panel) -> None:
    import slicer

    assert not panel.ui.plotButton.isEnabled()
    _apply(panel)
    panel.ui.plotButton.click()
    scene, table = slicer.mrmlScene, _node("Fused MRI-PET metrics")
    charts = [
        scene.GetNodeByID(scene.GetSingletonNode(name, "vtkMRMLPlotViewNode").GetPlotChartNodeID())
        for name in ("FusionPlot1", "FusionPlot2")
    ]
    series = [[chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())] for chart in charts]
    first = next(metric.unit for metric in TABLE_METRICS if metric.unit)
    assert [[each.GetYColumnName() for each in some] for some in series] == [
        [metric.name for metric in TABLE_METRICS if metric.unit == unit] for unit in (first, "")
    ]
    assert all((each.GetXColumnName(), each.GetTableNode()) == ("position_mm", table) for some in series for each in some)
    assert scene.GetSingletonNode("FusionTable", "vtkMRMLTableViewNode").GetTableNodeID() == table.GetID()
    scene.RemoveNode(table)
    panel.ui.plotButton.click()
    assert says(panel.ui.statusLabel.text(), "metrics-table-deleted")


def test_the_legend_of_a_plot_is_right_of_the_curves(panel) -> None:
    from CSpADNFusionLib.scene import metrics

    _apply(panel)
    table = _node("Fused MRI-PET metrics")
    positions = [table.GetTable().GetValueByName(row, "position_mm").ToDouble() for row in range(table.GetNumberOfRows())]
    for chart in metrics.chartsOf(table):
        assert not chart.GetXAxisRangeAuto()
        first, last = chart.GetXAxisRange()
        assert first == pytest.approx(min(positions))
        assert (last - first) / (max(positions) - min(positions)) == pytest.approx(1.4)


def test_tables_plots_and_tooltip_explain_the_metrics(panel) -> None:
    from CSpADNFusionLib.scene import metrics

    _apply(panel)
    table = _node("Fused MRI-PET metrics")
    assert not set(re.findall(r"\w+", panel.ui.statusLabel.text())) & {metric.name for metric in TABLE_METRICS}
    mean = table.GetNodeReference(metrics.MEAN_ROLE).GetTable()
    series = [node for node in metrics.companionsOf(table) if node.IsA("vtkMRMLPlotSeriesNode")]
    assert sorted(node.GetDescription() for node in series) == sorted(metric.explanation for metric in TABLE_METRICS)
    for i, metric in enumerate(TABLE_METRICS):
        assert table.GetColumnDescription(metric.name) == metric.explanation
        assert mean.GetValueByName(i, "title").ToString() == metric.title
        assert f"{metric.name}: {metric.explanation}" in panel.ui.metricsCheckBox.toolTip()


def test_measuring_into_the_same_table_keeps_its_plots(panel) -> None:
    import slicer

    logic, scene = panel.logic, slicer.mrmlScene
    table = scene.AddNewNodeByClass("vtkMRMLTableNode", "mine")
    for _ in range(2):
        logic.fuse(_node("PET"), _node("MRI"), metricsTableNode=table)
        assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == len({metric.unit for metric in TABLE_METRICS})
        assert scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == len(TABLE_METRICS)


def test_a_saved_table_comes_back_as_numbers(panel, tmp_path) -> None:
    import slicer

    panel.logic.fuse(_node("PET"), _node("MRI"), metrics=True)
    table = _node("Fused MRI-PET metrics")
    storage = slicer.vtkMRMLTableStorageNode()
    storage.SetFileName(str(tmp_path / "metrics.tsv"))
    assert storage.WriteData(table)
    back = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "back")
    assert storage.ReadData(back)
    assert back.GetTable().GetColumnByName("Qabf").GetDataTypeAsString() == "double"
    assert back.GetTable().GetColumnByName("position_mm").GetTuple1(1) == table.GetTable().GetColumnByName(
        "position_mm"
    ).GetTuple1(1)


# Console


def test_the_example_in_the_logics_docstring(panel) -> None:
    import CSpADNFusion

    globs = {"CSpADNFusionLogic": CSpADNFusion.CSpADNFusionLogic, "petNode": _node("PET"), "mriNode": _node("MRI")}
    parser = doctest.DocTestParser()
    test = parser.get_doctest(CSpADNFusion.CSpADNFusionLogic.__doc__, globs, "CSpADNFusionLogic", str(MODULE_FILE), 0)
    result = doctest.DocTestRunner().run(test)
    assert result.attempted >= 6
    assert result.failed == 0


def test_a_cancelled_console_run_leaves_nothing(panel, scene) -> None:
    from cspadn.errors import CancelledError

    before = scene.GetNumberOfNodes()
    for last in (2, 10):  # while it is fused (8 slices), and while it is measured
        done: list = []
        with pytest.raises(CancelledError):
            panel.logic.fuse(
                _node("PET"),
                _node("MRI"),
                metrics=True,
                progress=lambda *count: done.append(count),  # noqa: B023
                cancelled=lambda: len(done) >= last,  # noqa: B023
            )
        assert len(done) == last
        assert scene.GetNumberOfNodes() == before


def test_a_result_that_cannot_be_stored_leaves_nothing(panel, scene, monkeypatch) -> None:
    from CSpADNFusionLib.scene import metrics

    monkeypatch.setattr(metrics, "updateMetricsNodes", lambda *_: 1 / 0)
    before = scene.GetNumberOfNodes()
    with pytest.raises(ZeroDivisionError):
        panel.logic.fuse(_node("PET"), _node("MRI"), palette="PET-Heat", metrics=True)
    assert scene.GetNumberOfNodes() == before


def test_the_shipped_models_are_those_on_offer() -> None:
    from cspadn.models.weights import list_models
    from cspadn.settings import MODELS

    assert sorted(MODELS) == [card.name for card in list_models()]


# Looks


def _ui():
    import xml.etree.ElementTree as ElementTree

    return ElementTree.parse(ROOT / "CSpADNFusion/Resources/UI/CSpADNFusion.ui").getroot()


def test_every_widget_explains_itself(panel) -> None:
    names = [widget.get("name") for widget in _ui().iter("widget") if widget.get("class") != "qMRMLWidget"]
    assert len(names) > 40
    for name in names:
        assert getattr(panel.ui, name).toolTip(), name


def test_the_keyboard_reaches_every_widget_in_its_order(panel) -> None:
    """The tab key reaches all widgets, from the first to the last."""
    import qt
    from PySide6.QtTest import QTest

    for name in ("windows", "outputs", "metrics", "advanced", "log"):
        getattr(panel.ui, f"{name}CollapsibleButton").setCollapsed(False)
    panel.ui.petWindowCheckBox.setChecked(False)
    panel.ui.mriWindowCheckBox.setChecked(False)
    panel.parent.activateWindow()
    application.processEvents()
    stops = [stop.text for stop in _ui().iter("tabstop")]
    getattr(panel.ui, stops[0]).setFocus()
    reached = []
    while len(reached) < 150 and (not reached or reached[-1] != "logTextEdit"):
        reached += [_stop_of(slicer_focus())]
        QTest.keyClick(slicer_focus(), qt.Qt.Key_Tab)
    distinct = [name for i, name in enumerate(reached) if i == 0 or name != reached[i - 1]]
    hidden = [
        "sampleDataButton",
        "undoButton",
        "databaseButton",
        "exportButton",
        "plotButton",
    ]  # or greyed, before the first result
    hidden += ["colorRadioButton", "greyRadioButton", "petWeightSlider", "backButton", "beforeCheckBox"]
    assert distinct == [name for name in stops if name not in hidden]


def slicer_focus():
    import slicer

    return slicer.app.focusWidget()


def _stop_of(widget) -> str:
    """Return the name of the tab stop to which a widget belongs."""
    stops = {stop.text for stop in _ui().iter("tabstop")}
    while widget is not None and widget.objectName() not in stops:
        widget = widget.parentWidget()
    return widget.objectName() if widget else ""


def test_no_two_widgets_have_one_shortcut(panel) -> None:
    import qt

    texts = [w.text() for w in panel.parent.findChildren(qt.QWidget) if isinstance(w, (qt.QLabel, qt.QCheckBox)) and w.text()]
    keys = [text[text.index("&") + 1].lower() for text in texts if "&" in text]
    assert len(keys) > 10
    assert len(keys) == len(set(keys)), sorted(keys)


@pytest.mark.parametrize(
    ("scale", "theme"),
    [(2, "dark"), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((1, "light"), (1, "dark"), (2, "light")))],
)
@pytest.mark.ci
def test_the_panel_in_both_scales_and_themes(tmp_path, scale: int, theme: str) -> None:
    """A process of its own draws the panel, because Qt reads the scale when it starts."""
    pytest.importorskip("slicer")
    pytest.importorskip("PySide6")
    import subprocess

    picture = tmp_path / "panel.png"
    script = TOOLS / "screenshots.py"
    subprocess.run(
        [sys.executable, str(script), "panel", str(picture), theme], check=True, env=_scaled(scale), timeout=TIMEOUT
    )
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(picture)))
    assert pixels.shape[1] == 420 * scale
    background = pixels[3, 3, :3].mean()
    assert (background < 100) == (theme == "dark")
    assert pixels.std() > 10  # something is drawn


def _scaled(scale: int) -> dict[str, str]:
    import os

    return {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(scale)}
