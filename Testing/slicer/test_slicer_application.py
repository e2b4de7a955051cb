"""Tests of the stand-in for the Slicer application: it must behave as the application where the module depends on it."""

import subprocess
import sys
from typing import Annotated

import numpy as np
import pytest

from nodes import import_scene, scene_as_text
from repository import STAND_IN
from slicer_application import application, records
from slicer_application.fixtures import scene, slicer_app  # noqa: F401

pytest.importorskip("slicer")
pytest.importorskip("PySide6")
application.start()

import qt  # noqa: E402
import slicer.packaging  # noqa: E402
import slicer.util  # noqa: E402
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper  # noqa: E402
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic  # noqa: E402
from vtk.util.numpy_support import vtk_to_numpy  # noqa: E402

pytestmark = pytest.mark.usefixtures("scene")

WIDGETS = [
    ("qMRMLNodeComboBox", "mriSelector", "mri", "<property name='noneEnabled'><bool>true</bool></property>"),
    ("QSpinBox", "batchSpinBox", "batch", ""),
    ("QDoubleSpinBox", "levelSpinBox", "level", ""),
    ("QCheckBox", "colorCheckBox", "color", "<property name='text'><string>Color</string></property>"),
    ("QComboBox", "deviceComboBox", "device", ""),
    ("QLineEdit", "nameLineEdit", "outputName", ""),
    ("ctkSliderWidget", "opacitySlider", "opacity", "<property name='singleStep'><double>0.05</double></property>"),
]
CUSTOM = ("qMRMLWidget", "qMRMLNodeComboBox", "ctkSliderWidget")
CONNECTION = """<connection><sender>Fusion</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
 <receiver>mriSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>"""
UI = """<?xml version="1.0" encoding="UTF-8"?><ui version="4.0"><class>Fusion</class>
<widget class="qMRMLWidget" name="Fusion"><layout class="QVBoxLayout">
 <item><widget class="ctkCollapsibleButton" name="inputs"><property name="text"><string>Inputs</string></property>
  <property name="collapsed"><bool>{collapsed}</bool></property><layout class="QFormLayout">{rows}</layout></widget></item>
 <item><widget class="QPushButton" name="applyButton"><property name="text"><string>Apply</string></property></widget></item>
</layout></widget>
<customwidgets>{customWidgets}</customwidgets><connections>{connections}</connections></ui>"""
MODULE = """
import slicer
from slicer.ScriptedLoadableModule import *
class Tiny(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "Tiny"
        slicer.app.connect("startupCompleted()", lambda: setattr(parent, "started", True))
class TinyWidget(ScriptedLoadableModuleWidget):
    calls = []
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.calls += ["setup", self.resourcePath("UI/Tiny.ui")]
    def enter(self):
        self.calls += ["enter", self.parent.isEntered]
    def exit(self):
        self.calls += ["exit", self.parent.isEntered]
    def cleanup(self):
        self.calls += ["cleanup"]
"""


@parameterNodeWrapper
class Parameters:
    """One parameter for each kind of value."""

    mri: slicer.vtkMRMLScalarVolumeNode
    pet: slicer.vtkMRMLScalarVolumeNode | None
    batch: Annotated[int, WithinRange(1, 64)] = 8
    level: Annotated[float, WithinRange(0.0, 1.0), Default(0.5)]
    opacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    color: bool = True
    device: Annotated[str, Choice(["auto", "cpu"])] = "auto"
    outputName: str


class FusionLogic(ScriptedLoadableModuleLogic):
    """A logic without work."""


def parameterNode():
    """Return the wrapped parameter node of the scene."""
    return Parameters(FusionLogic().getParameterNode())


def loadUi(folder, connections=CONNECTION, collapsed="false", customWidgets=CUSTOM, more=""):
    """Write a .ui file, load it and return the top widget and its children by name."""
    rows = "".join(
        f"<item row='{row}' column='0'><widget class='QLabel'><property name='text'><string>{name}:</string></property>"
        f"</widget></item><item row='{row}' column='1'><widget class='{kind}' name='{widget}'>{own}{more}"
        f"<property name='SlicerParameterName' stdset='0'><string>{name}</string></property></widget></item>"
        for row, (kind, widget, name, own) in enumerate(WIDGETS)
    )
    names = (*customWidgets, "ctkCollapsibleButton")
    custom = "".join(f"<customwidget><class>{n}</class><extends>QWidget</extends></customwidget>" for n in names)
    path = folder / "Fusion.ui"
    path.write_text(UI.format(rows=rows, collapsed=collapsed, customWidgets=custom, connections=connections))
    top = slicer.util.loadUI(str(path))
    top.setMRMLScene(slicer.mrmlScene)
    return top, slicer.util.childWidgetVariables(top)


def addVolume(name, className="vtkMRMLScalarVolumeNode"):
    """Add an empty volume node to the scene."""
    return slicer.mrmlScene.AddNewNodeByClass(className, name)


def test_combo_box_gets_the_scene_through_the_connection_of_the_ui_file(tmp_path):
    volume = addVolume("MRI")
    _top, ui = loadUi(tmp_path)
    assert ui.mriSelector.mrmlScene() is slicer.mrmlScene
    assert ui.mriSelector.nodeCount() >= 1
    ui.mriSelector.setCurrentNode(volume)
    assert ui.mriSelector.currentNode() is volume


def test_combo_box_without_a_connection_stays_empty_and_disabled(tmp_path):
    addVolume("MRI")
    _top, ui = loadUi(tmp_path, connections="")
    assert ui.mriSelector.mrmlScene() is None
    assert ui.mriSelector.nodeCount() == 0
    assert not ui.mriSelector.isEnabled()


def test_unknown_widget_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="ctkSomething"):
        loadUi(tmp_path, customWidgets=("qMRMLWidget", "qMRMLNodeComboBox", "ctkSomething"))


def makeComboBox(noneEnabled, **properties):
    """Return a node selector for scalar volumes."""
    comboBox = slicer.qMRMLNodeComboBox()
    comboBox.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    comboBox.noneEnabled = noneEnabled
    for name, value in properties.items():
        setattr(comboBox, name, value)
    comboBox.setMRMLScene(slicer.mrmlScene)
    return comboBox


def test_combo_box_follows_the_scene():
    comboBox, changes = makeComboBox(noneEnabled=True), []
    comboBox.currentNodeChanged.connect(changes.append)
    first, second = addVolume("first"), addVolume("second")
    addVolume("labels", "vtkMRMLLabelMapVolumeNode")
    assert [node.GetName() for node in comboBox.nodes()] == ["first", "second", "labels"]
    assert comboBox.currentNode() is None
    comboBox.showChildNodeTypes = False
    assert comboBox.nodes() == [first, second]
    comboBox.setCurrentNode(first)
    slicer.mrmlScene.RemoveNode(first)
    assert comboBox.currentNode() is second
    assert changes == [first, second]


def test_combo_box_without_none_selects_the_first_node():
    comboBox = makeComboBox(noneEnabled=False)
    assert comboBox.currentNode() is None
    volume = addVolume("first")
    addVolume("second")
    assert comboBox.currentNode() is volume
    comboBox.setCurrentNode(None)
    assert comboBox.currentNode() is None


def test_combo_box_adds_a_node():
    comboBox = makeComboBox(noneEnabled=True, baseName="fused")
    node = comboBox.addNode()
    assert node.GetName() == "fused"
    assert comboBox.currentNode() is node


def test_parameters_start_with_their_defaults_and_refuse_wrong_values():
    node = parameterNode()
    values = (node.mri, node.pet, node.batch, node.level, node.color, node.device, node.outputName)
    assert values == (None, None, 8, 0.5, True, "auto", "")
    for name, wrong in {"batch": 65, "level": 2.0, "device": "gpu", "outputName": None}.items():
        with pytest.raises(ValueError, match="Value must"):
            setattr(node, name, wrong)
    for name, wrong in {"batch": 1.5, "color": "yes", "mri": slicer.vtkMRMLModelNode(), "pet": 3}.items():
        with pytest.raises(TypeError):
            setattr(node, name, wrong)


def test_parameters_and_widgets_follow_each_other(tmp_path):
    volume, node = addVolume("MRI"), parameterNode()
    _top, ui = loadUi(tmp_path)
    tag = node.connectGui(ui)
    assert ui.mriSelector.nodeTypes == ["vtkMRMLScalarVolumeNode"]
    node.mri, node.batch, node.level, node.color, node.device, node.outputName = volume, 16, 0.25, False, "cpu", "fused"
    assert ui.mriSelector.currentNode() is volume
    assert (ui.batchSpinBox.value(), ui.levelSpinBox.value(), ui.colorCheckBox.isChecked()) == (16, 0.25, False)
    assert (ui.deviceComboBox.currentText(), ui.nameLineEdit.text()) == ("cpu", "fused")
    ui.mriSelector.setCurrentNode(None)
    ui.batchSpinBox.setValue(1000)
    ui.levelSpinBox.setValue(0.75)
    ui.colorCheckBox.setChecked(True)
    ui.deviceComboBox.setCurrentIndex(0)
    ui.nameLineEdit.setText("other")
    assert (node.mri, node.batch, node.level, node.color) == (None, 64, 0.75, True)
    assert (node.device, node.outputName) == ("auto", "other")
    node.disconnectGui(tag)
    ui.batchSpinBox.setValue(2)
    node.batch = 3
    assert (ui.batchSpinBox.value(), node.batch) == (2, 3)


def test_parameters_survive_a_scene_save():
    node = parameterNode()
    node.mri, node.pet = addVolume("MRI"), addVolume("PET")
    node.batch, node.color, node.outputName = 32, False, "fused"
    saved = scene_as_text(slicer.mrmlScene)
    application.newScene()
    import_scene(slicer.mrmlScene, saved)
    node = parameterNode()
    assert (node.mri.GetName(), node.pet.GetName()) == ("MRI", "PET")
    assert (node.batch, node.color, node.outputName, node.level) == (32, False, "fused", 0.5)


def test_closing_the_scene_brings_back_the_defaults():
    node = parameterNode()
    node.mri, node.batch = addVolume("MRI"), 32
    slicer.mrmlScene.Clear(False)
    assert (node.mri, node.batch) == (None, 8)
    assert parameterNode().parameterNode is node.parameterNode


def test_observers_of_the_parameter_node_hear_one_event_for_a_group_of_changes():
    node, events = parameterNode(), []
    tag = node.AddObserver("ModifiedEvent", lambda caller, event: events.append(node.batch))
    with slicer.util.NodeModify(node):
        node.batch = 2
        node.batch = 4
    assert events == [4]
    node.RemoveObserver(tag)
    node.Modified()
    assert events == [4]


def test_reserved_names_are_refused():
    with pytest.raises(ValueError, match="default"):
        parameterNodeWrapper(type("Wrong", (), {"__annotations__": {"default": int}}))


def test_slider_and_its_spin_box_move_together(tmp_path):
    node = parameterNode()
    _top, ui = loadUi(tmp_path)
    node.connectGui(ui)
    assert ui.opacitySlider.property("value") == 0.5
    ui.opacitySlider.setValue(2)
    assert node.opacity == 1
    ui.opacitySlider.findChild(qt.QSlider).setValue(5)
    assert node.opacity == 0.25
    node.opacity = 0.3
    assert ui.opacitySlider.findChild(qt.QDoubleSpinBox).value() == pytest.approx(0.3)


def test_a_layout_makes_its_slice_views():
    manager, logic = slicer.app.layoutManager(), slicer.app.applicationLogic()
    assert [logic.GetSliceLogicByLayoutName(name) is None for name in ("Red", "Slice4")] == [False, True]
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourByTwoSliceView)
    view = logic.GetSliceLogicByLayoutName("Slice4")
    volume = addVolume("MRI")
    slicer.util.updateVolumeFromArray(volume, np.full((4, 5, 6), 100, np.int16))
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().SetAutoWindowLevel(False)
    volume.GetDisplayNode().SetWindowLevelMinMax(0, 200)
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    view.GetBlend().Update()
    picture = vtk_to_numpy(view.GetBlend().GetOutput().GetPointData().GetScalars())
    assert picture[:, 0].max() == pytest.approx(127, abs=1)


def test_without_the_main_window_there_is_no_layout_manager(monkeypatch):
    monkeypatch.setattr(slicer.app, "hasMainWindow", False)
    assert slicer.app.layoutManager() is None


def test_a_reloaded_module_has_another_widget(tmp_path):
    path = tmp_path / "Tiny.py"
    path.write_text(MODULE)
    widget = application.openModule(path)
    path.write_text(MODULE + "    edition = 2\n")
    widget.onReload()
    reloaded = application.openWidget("Tiny")
    assert reloaded is not widget
    assert (widget.calls[-1], reloaded.edition) == ("cleanup", 2)
    application.closeModules()
    assert widget.calls.count("cleanup") == 1
    sys.modules.pop("Tiny", None)


def test_collapsible_button_hides_its_contents(tmp_path):
    top, ui = loadUi(tmp_path, collapsed="true")
    top.show()
    assert not ui.batchSpinBox.isVisible()
    ui.nameLineEdit.setVisible(False)
    ui.inputs.click()
    assert ui.batchSpinBox.isVisible()
    ui.inputs.click()
    assert not ui.batchSpinBox.isVisible()


def test_tool_tips_become_rich_text(tmp_path):
    tip = "<property name='toolTip'><string>How opaque</string></property>"
    _top, ui = loadUi(tmp_path, more=tip)
    assert ui.nameLineEdit.toolTip() == "<p>How opaque</p>"
    ui.nameLineEdit.setToolTip("Else")
    assert ui.nameLineEdit.toolTip() == "<p>Else</p>"
    ui.nameLineEdit.setToolTip("PET & MRI")
    assert ui.nameLineEdit.toolTip() == "<p>PET &amp; MRI</p>"
    ui.nameLineEdit.setToolTip("")
    assert ui.nameLineEdit.toolTip() == ""


def test_tab_passes_over_node_selectors_and_sliders_until_told_otherwise(tmp_path):
    _top, ui = loadUi(tmp_path)
    assert ui.mriSelector.findChild(qt.QComboBox).focusProxy() is ui.mriSelector
    assert ui.opacitySlider.focusProxy() is None


def test_combo_box_is_emptied_when_a_scene_is_added():
    first = addVolume("first")
    comboBox = makeComboBox(noneEnabled=True)
    comboBox.setCurrentNode(first)
    slicer.mrmlScene.InvokeEvent(slicer.mrmlScene.EndImportEvent)
    assert comboBox.currentNode() is None
    assert comboBox.nodes() == [first]


def test_data_nodes_get_an_item_in_the_subject_hierarchy():
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = [
        hierarchy.GetItemByDataNode(addVolume("a", f"vtkMRML{kind}Node")) for kind in ("ScalarVolume", "Table", "PlotChart")
    ]
    assert hierarchy.GetInvalidItemID() not in items
    assert {hierarchy.GetItemParent(item) for item in items} == {hierarchy.GetSceneItemID()}
    assert hierarchy.GetItemByDataNode(addVolume("a", "vtkMRMLScriptedModuleNode")) == hierarchy.GetInvalidItemID()


def test_panel_shows_text(tmp_path):
    _top, ui = loadUi(tmp_path)
    ui.applyButton.setFixedSize(200, 40)
    picture = ui.applyButton.grab().toImage()
    ui.applyButton.setText("")
    assert picture != ui.applyButton.grab().toImage()


def test_console_process_streams_its_lines_while_the_event_loop_runs():
    code = "import sys, time\nfor i in range(3): print(i, flush=True); time.sleep(0.2)\nsys.stderr.write('oops'); sys.exit(3)"
    lines, results, ticks = [], [], []
    timer = qt.QTimer()
    timer.timeout.connect(lambda: ticks.append(len(lines)))
    timer.start(20)
    slicer.util.launchConsoleProcess(
        [sys.executable, "-c", code], blocking=False, logCallback=lines.append, completedCallback=results.append
    )
    application.processEvents(until=lambda: results, timeout=30)
    assert lines == ["0", "1", "2", "oops"]
    assert results == [3]
    assert {1, 2} & set(ticks)


def test_messages_are_recorded_and_answered():
    slicer.util.errorDisplay("Too small", windowTitle="Fusion")
    slicer.util.warningDisplay("Odd")
    slicer.util.infoDisplay("Done")
    assert [(message["level"], message["text"]) for message in records.messages] == [
        ("error", "Too small"),
        ("warning", "Odd"),
        ("info", "Done"),
    ]
    records.answers += [True, False]
    assert slicer.util.confirmOkCancelDisplay("Sure?")
    assert not slicer.util.confirmOkCancelDisplay("Sure?")
    with pytest.raises(AssertionError, match=r"Sure\?"):
        slicer.util.confirmOkCancelDisplay("Sure?")


def test_failure_is_displayed_and_raised_again():
    with pytest.raises(ValueError, match="no PET"), slicer.util.tryWithErrorDisplay("Fusion failed.", waitCursor=True):
        raise ValueError("no PET")
    assert records.texts("error") == ["Fusion failed.\n\nno PET"]


def test_exception_in_a_slot_is_recorded():
    button = qt.QPushButton()
    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert [type(error) for error in records.uncaughtErrors] == [ZeroDivisionError]
    records.uncaughtErrors.clear()


def test_slice_viewer_layers_are_recorded():
    slicer.util.setSliceViewerLayers(background="vtkMRMLScalarVolumeNode1", fit=True)
    assert records.sliceViewerLayers == [{"background": "vtkMRMLScalarVolumeNode1", "fit": True}]


def test_packages_are_never_installed(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# needed\npytest>=1\nno-such-package-at-all>=2\n")
    requirements = slicer.packaging.load_requirements(path)
    records.answers.append(False)
    with pytest.raises(RuntimeError, match="declined"):
        slicer.packaging.pip_ensure(requirements, requester="Fusion")
    slicer.app.testing = True
    slicer.packaging.pip_ensure(requirements, requester="Fusion")
    assert [request["missing"] for request in records.pipRequests] == [["no-such-package-at-all>=2"]] * 2


def test_samples_are_registered_once_and_load_from_local_files_only(tmp_path):
    import SampleData
    import SimpleITK as sitk

    path = tmp_path / "sample.nrrd"
    sitk.WriteImage(sitk.Image(3, 4, 5, sitk.sitkInt16) + 7, str(path))
    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    for _ in range(2):
        register(category="Fusion", sampleName="Near", uris=path.as_uri(), fileNames="sample.nrrd", nodeNames="Near")
    register(category="Fusion", sampleName="Far", uris="https://host/a.nrrd", fileNames="a.nrrd", nodeNames="Far")
    register(category="Fusion", sampleName="Bad", uris=path.as_uri(), fileNames="b", nodeNames="Bad", checksums="SHA256:00")
    assert [source.sampleName for source in slicer.modules.sampleDataSources["Fusion"]] == ["Near", "Far", "Bad"]
    node = SampleData.SampleDataLogic().downloadSample("Near")
    assert node.GetName() == "Near"
    assert slicer.util.arrayFromVolume(node).shape == (5, 4, 3)
    with pytest.raises(RuntimeError, match="no network"):
        SampleData.SampleDataLogic().downloadSample("Far")
    with pytest.raises(ValueError, match="checksum"):
        SampleData.SampleDataLogic().downloadSample("Bad")


def test_module_is_opened_as_slicer_does(tmp_path):
    path = tmp_path / "Tiny.py"
    path.write_text(MODULE)
    widget = application.openModule(path)
    assert slicer.modules.tiny.title == "Tiny"
    assert slicer.modules.tiny.started
    application.closeModules()
    resource = str(tmp_path / "Resources" / "UI/Tiny.ui")
    assert widget.calls == ["setup", resource, "enter", True, "exit", False, "cleanup"]


def test_waiting_in_vain_is_an_error():
    with pytest.raises(TimeoutError):
        application.processEvents(until=lambda: False, timeout=0.05)


def test_stand_in_imports_nothing_heavy():
    code = (
        "import sys; from slicer_application import application; application.start()\n"
        "import qt, ctk, SampleData, slicer.packaging, slicer.ScriptedLoadableModule, slicer.parameterNodeWrapper\n"
        "print({'torch', 'SimpleITK', 'cspadn', 'matplotlib'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=STAND_IN, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
