"""The panel in the stand-in for the application: the real .ui, the real widget, the real worker process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError, MissingPackageError
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.units import shown_units
from message_calls import raises, says
from nodes import node_of
from panel_steps import TIMEOUT, select_inputs, wait_for_fusion
from repository import LIBRARY, MODULE_FILE, ROOT, STAND_IN
from slicer_application import application, records
from volumes import blobs, volume

REQUIREMENTS = ROOT / "CSpADNFusion" / "Resources" / "requirements.txt"


def test_apply_says_what_is_missing(panel) -> None:
    import slicer

    button = panel.ui.applyButton
    panel.ui.petSelector.setCurrentNode(None)
    assert not button.isEnabled()
    assert says(button.toolTip(), "select-pet-and-mri")
    select_inputs(panel)
    assert button.isEnabled()
    panel.ui.mriSelector.setCurrentNode(slicer.util.getNode("PET"))
    assert not button.isEnabled()
    assert says(button.toolTip(), "select-two-volumes")
    select_inputs(panel)
    panel.ui.fusedSelector.setCurrentNode(slicer.util.getNode("MRI"))
    assert not button.isEnabled()
    assert says(button.toolTip(), "output-node-is-input")


def test_apply_fuses_in_a_worker(panel, pair, tmp_path) -> None:
    import slicer

    import cspadn

    select_inputs(panel)
    panel.ui.applyButton.click()
    assert panel.logic.isFusing()
    assert panel.ui.applyButton.text() == "Cancel"
    wait_for_fusion(panel)
    assert records.texts("error") == []
    fused = slicer.util.getNode("Fused MRI-PET")
    expected = sitk.GetArrayFromImage(cspadn.fuse(*pair).image)
    np.testing.assert_allclose(slicer.util.arrayFromVolume(fused), expected, atol=1e-4 * FUSED_MAXIMUM)
    assert panel.ui.statusLabel.text().splitlines()[0] == "Done: Fused MRI-PET"
    assert panel.ui.progressBar.value() == panel.ui.progressBar.maximum() == 8
    assert panel.ui.applyButton.text() == "Apply"
    assert [request["requester"] for request in _pip_requests()] == ["CSpADNFusion"]
    assert records.sliceViewerLayers
    assert _temporary_folders() == []


def _pip_requests() -> list[dict]:
    return [request if isinstance(request, dict) else vars(request) for request in records.pipRequests]


def _temporary_folders() -> list[Path]:
    """Return the folders left after the check of the alignment, which continues after a run, has ended."""
    import slicer

    def found() -> list[Path]:
        return list(Path(slicer.app.temporaryPath).glob("CSpADNFusion-*"))

    with suppress(TimeoutError):
        application.processEvents(until=lambda: not found(), timeout=TIMEOUT)
    return found()


def test_worker_and_console_make_the_same_volume(panel) -> None:
    import slicer

    select_inputs(panel)
    panel.ui.applyButton.click()
    wait_for_fusion(panel)
    in_process = panel.logic.fuse(slicer.util.getNode("PET"), slicer.util.getNode("MRI"))
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(in_process), slicer.util.arrayFromVolume(slicer.util.getNode("Fused MRI-PET"))
    )


def _volumes(scene) -> list[str]:
    nodes = [scene.GetNthNodeByClass(i, "vtkMRMLScalarVolumeNode") for i in range(9)]
    return [node.GetName() for node in nodes if node]


@pytest.fixture
def long_panel(scene):
    return _long_panel()


def _long_panel():
    """Open the module and start a fusion that takes long enough to be interrupted."""
    node_of(volume(blobs((12, 40, 40), seed=1), spacing=(3, 3, 10)), "PET")
    node_of(volume(blobs((120, 96, 96), seed=2), spacing=(1.25, 1.25, 1)), "MRI")
    panel = application.openModule(MODULE_FILE)
    select_inputs(panel)
    panel.ui.applyButton.click()
    application.processEvents(until=lambda: panel.ui.progressBar.value() >= 2, timeout=TIMEOUT)
    return panel


def _assert_interrupted(panel, process) -> None:
    """The worker itself stopped before its last slice; the panel did not merely discard its result."""
    assert process.wait(timeout=TIMEOUT) == 130
    assert 2 <= panel.ui.progressBar.value() < 120
    assert records.texts("error") == []
    assert _temporary_folders() == []


def test_cancel_leaves_the_scene_as_it_was(long_panel, scene) -> None:
    process = long_panel.logic._worker._process
    before = _volumes(scene)
    long_panel.ui.applyButton.click()
    assert says(long_panel.ui.statusLabel.text(), "fusion-stopping")
    wait_for_fusion(long_panel)
    _assert_interrupted(long_panel, process)
    assert long_panel.ui.statusLabel.text() == "Cancelled."
    assert _volumes(scene) == before


def test_a_second_press_ends_a_worker_that_does_not_listen(long_panel, scene, monkeypatch) -> None:
    from CSpADNFusionLib.worker.fusion import FusionWorker

    process = long_panel.logic._worker._process
    monkeypatch.setattr(FusionWorker, "cancel", lambda self: setattr(self, "_cancelled", True))  # the worker hears nothing
    before = _volumes(scene)
    long_panel.ui.applyButton.click()
    long_panel.ui.applyButton.click()
    assert not long_panel.logic.isFusing()
    assert process.wait(timeout=TIMEOUT) != 0
    assert long_panel.ui.statusLabel.text() == "Cancelled."
    assert long_panel.ui.applyButton.text() == "Apply"
    application.processEvents()
    assert _volumes(scene) == before
    assert _temporary_folders() == []


@pytest.mark.usefixtures("inline_worker")
def test_a_double_click_does_not_cancel_what_it_starts(panel) -> None:
    select_inputs(panel)
    panel.ui.applyButton.click()
    panel.ui.applyButton.click()
    assert not panel.logic.isCancelling()
    wait_for_fusion(panel)
    assert panel.ui.statusLabel.text().startswith("Done")


@pytest.mark.usefixtures("inline_worker")
def test_a_result_that_comes_while_another_module_is_shown(panel) -> None:
    select_inputs(panel)
    panel.ui.metricsCheckBox.setChecked(True)
    panel.ui.applyButton.click()
    application.exitModule(panel)
    wait_for_fusion(panel)
    application.enterModule(panel)
    assert panel._parameterNode.lastFusedVolume.GetName() == "Fused MRI-PET"
    assert panel.ui.plotButton.isEnabled()


@pytest.mark.usefixtures("inline_worker")
def test_a_result_that_cannot_be_stored_is_a_failure(panel, monkeypatch) -> None:
    from CSpADNFusionLib.scene import metrics

    def full(*_arguments):
        raise MemoryError

    monkeypatch.setattr(metrics, "updateMetricsNodes", full)
    select_inputs(panel)
    panel.ui.metricsCheckBox.setChecked(True)
    panel.ui.applyButton.click()
    wait_for_fusion(panel)
    (message,) = [each for each in records.messages if each["level"] == "error"]
    assert says(message["text"], "result-not-stored")
    assert "MemoryError" in message["detailedText"]
    assert panel.ui.statusLabel.text() == "Failed."


def test_closing_the_scene_stops_the_run(long_panel, scene) -> None:
    process = long_panel.logic._worker._process
    scene.Clear(0)
    assert not long_panel.logic.isFusing()
    assert process.wait(timeout=TIMEOUT) != 0
    assert says(long_panel.ui.statusLabel.text(), "stopped-with-scene")
    application.processEvents()
    assert long_panel.ui.applyButton.text() == "Apply"
    assert records.messages == []
    assert _temporary_folders() == []
    assert _volumes(scene) == []


def _launcher(folder: Path) -> Path:
    """A launcher like PythonSlicer: ending it does not end the Python that it started; it reports a killed process."""
    folder.mkdir()
    file = folder / "PythonSlicer"
    file.write_text(
        f'#!/bin/sh\n"{sys.executable}" "$@" & echo $! > "{folder}/pid"; wait $!; code=$?\n'
        "if [ $code -gt 128 ]; then echo 'error: [python] exit abnormally - Report the problem.'; exit 1; fi; exit $code\n"
    )
    file.chmod(0o755)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="the launcher is a shell script")
@pytest.mark.parametrize("end", ["scene", "module"])
def test_no_worker_survives_behind_a_launcher(scene, tmp_path, monkeypatch, end: str) -> None:
    launcher = _launcher(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{launcher}{os.pathsep}{os.environ['PATH']}")
    panel = _long_panel()
    worker = int((launcher / "pid").read_text())
    assert _runs(worker)
    scene.Clear(0) if end == "scene" else application.closeModules()
    deadline = time.monotonic() + 10
    while _runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(worker)
    assert _temporary_folders() == []
    assert panel.logic._worker is None


def _runs(process: int) -> bool:
    """Return whether a process is alive, and not a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(sys.platform == "win32", reason="signals, and the launcher is a shell script")
@pytest.mark.parametrize("launched", [False, True])
@pytest.mark.ci
def test_a_killed_worker_is_one_clear_message(scene, tmp_path, monkeypatch, launched: bool) -> None:
    launcher = _launcher(tmp_path / "bin")
    if launched:
        monkeypatch.setenv("PATH", f"{launcher}{os.pathsep}{os.environ['PATH']}")
    long_panel = _long_panel()
    before = _volumes(scene)
    os.kill(int((launcher / "pid").read_text()) if launched else long_panel.logic._worker._process.pid, signal.SIGKILL)
    wait_for_fusion(long_panel)
    (message,) = records.texts("error")
    assert says(message, "fusion-killed")
    assert long_panel.ui.statusLabel.text() == "Failed."
    assert long_panel.ui.applyButton.text() == "Apply"
    assert _volumes(scene) == before
    assert _temporary_folders() == []


def test_closing_the_panel_stops_the_worker_and_removes_its_files(long_panel) -> None:
    process = long_panel.logic._worker._process
    application.closeModules()
    assert process.wait(timeout=TIMEOUT) != 0
    assert _temporary_folders() == []
    application.processEvents()
    assert records.texts("error") == []


@pytest.mark.usefixtures("inline_worker")
def test_progress_that_cannot_be_shown_does_not_stop_the_run(panel, monkeypatch) -> None:
    select_inputs(panel)
    panel.ui.applyButton.click()
    monkeypatch.setattr(panel.ui.progressBar, "setValue", lambda *_: 1 / 0)
    wait_for_fusion(panel)
    assert panel.ui.statusLabel.text().splitlines()[0] == "Done: Fused MRI-PET"


@pytest.mark.usefixtures("inline_worker")
def test_a_result_that_cannot_be_read_is_a_failure(panel, monkeypatch) -> None:
    select_inputs(panel)
    panel.ui.applyButton.click()
    monkeypatch.setattr(panel.logic._worker, "result", lambda: 1 / 0)
    wait_for_fusion(panel)
    (text,) = records.texts("error")
    assert says(text, "result-unreadable", error="division by zero")
    assert panel.ui.applyButton.text() == "Apply"
    assert _temporary_folders() == []


@pytest.mark.usefixtures("inline_worker")
def test_an_output_deleted_during_the_run_is_a_failure(panel, scene) -> None:
    select_inputs(panel)
    output = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "mine")
    panel.ui.fusedSelector.setCurrentNode(output)
    panel.ui.applyButton.click()
    scene.RemoveNode(output)
    wait_for_fusion(panel)
    (text,) = records.texts("error")
    assert says(text, "output-node-deleted")
    assert panel.ui.applyButton.text() == "Apply"


@pytest.mark.usefixtures("inline_worker")
def test_the_fused_volume_goes_where_the_mri_was(panel, pair) -> None:
    """If the MRI node is changed during the run, the result keeps the geometry used for the computation."""
    import slicer

    select_inputs(panel)
    panel.ui.applyButton.click()
    slicer.util.getNode("MRI").SetSpacing(9, 9, 9)
    slicer.util.getNode("MRI").SetOrigin(77, 77, 77)
    wait_for_fusion(panel)
    fused = slicer.util.getNode("Fused MRI-PET")
    np.testing.assert_allclose(fused.GetSpacing(), pair[1].GetSpacing())
    np.testing.assert_allclose(fused.GetOrigin(), np.array(pair[1].GetOrigin()) * [-1, -1, 1])


@pytest.mark.usefixtures("inline_worker")
def test_warnings_reach_the_panel_and_the_console(panel, caplog) -> None:
    import slicer

    slicer.util.getNode("PET").SetOrigin(-10, 21, 3)
    select_inputs(panel)
    panel.ui.applyButton.click()
    wait_for_fusion(panel)
    assert says(panel.ui.statusLabel.text(), "overlap-small")
    panel.logic.fuse(slicer.util.getNode("PET"), slicer.util.getNode("MRI"))
    assert says(caplog.text, "overlap-small")


def test_all_settings_reach_the_worker(panel, pair) -> None:
    import slicer

    import cspadn
    from cspadn.cli.common import settings_of
    from cspadn.cli.entry import _parser
    from CSpADNFusionLib.worker.fusion import settingsArguments

    settings = cspadn.FusionSettings(
        model="mine.safetensors", device="cpu", grid="pet", palette="PET-DICOM", pet_window=(-1e-05, 80), half=True
    )
    given = _parser().parse_args(["fuse", "a.nrrd", "b.nrrd", "-o", "c.nrrd", *settingsArguments(settings, "private")])
    assert settings_of(given) == replace(settings, model=str(Path("mine.safetensors").resolve()))
    assert given.color == Path("private/color.nrrd")
    done: list = []
    panel.logic.startFusion(
        slicer.util.getNode("PET"), slicer.util.getNode("MRI"), onProgress=lambda *_: None,
        onFinished=lambda node, _warnings: done.append(node), onFailed=lambda *_: done.append(None), pet_window=(-1e-05, 80),
    )  # fmt: skip
    wait_for_fusion(panel)
    assert done[0].GetAttribute("CSpADNFusion.pet_window") == "[-1e-05, 80.0]"
    with pytest.raises(TypeError, match="windw"):
        panel.logic.startFusion(
            slicer.util.getNode("PET"), slicer.util.getNode("MRI"), onProgress=None, onFinished=None, onFailed=None, windw=1
        )
    assert not panel.logic.isFusing()


def test_the_logic_checks_its_nodes_as_the_panel_does(panel) -> None:
    import slicer

    pet, mri = slicer.util.getNode("PET"), slicer.util.getNode("MRI")
    for nodes, identifier in (
        ((None, mri), "select-pet-and-mri"),
        ((pet, pet), "select-two-volumes"),
        ((pet, mri, pet), "output-node-is-input"),
    ):
        with raises(InputError, identifier):
            panel.logic.fuse(*nodes)


def test_the_console_says_what_is_not_installed(panel, monkeypatch) -> None:
    import slicer

    from CSpADNFusionLib.worker import torch_setup

    monkeypatch.setattr(torch_setup.importlib.util, "find_spec", lambda _name: None)
    with raises(MissingPackageError, "packages-missing", packages="torch, safetensors, filelock"):
        panel.logic.fuse(slicer.util.getNode("PET"), slicer.util.getNode("MRI"))


def test_a_failure_gives_the_workers_sentence(panel, scene, monkeypatch) -> None:
    """The warnings concern faults that the panel has not seen."""
    import slicer

    from CSpADNFusionLib.panel import input_summary

    monkeypatch.setattr(input_summary, "obstacle", lambda *_: None)
    slicer.util.getNode("PET").SetOrigin(9999, 0, 0)
    select_inputs(panel)
    before = _volumes(scene)
    panel.ui.applyButton.click()
    wait_for_fusion(panel)
    (message,) = records.texts("error")
    assert says(message, "no-overlap")
    assert panel.ui.logTextEdit.toPlainText().count(message) == 1
    assert panel.ui.statusLabel.text() == "Failed."
    assert _volumes(scene) == before
    assert _temporary_folders() == []


def test_a_worker_that_dies_is_reported_with_its_last_lines(panel, monkeypatch) -> None:
    from CSpADNFusionLib.worker import fusion

    monkeypatch.setattr(fusion, "settingsArguments", lambda *_: ["--no-such-option"])
    select_inputs(panel)
    panel.ui.applyButton.click()
    wait_for_fusion(panel)
    (message,) = [each for each in records.messages if each["level"] == "error"]
    assert says(message["text"], "fusion-crashed", code=2)
    assert "--no-such-option" in message["detailedText"]
    assert "--no-such-option" in panel.ui.logTextEdit.toPlainText()


def test_choices_survive_leaving_and_entering(panel) -> None:
    select_inputs(panel)
    application.exitModule(panel)
    application.enterModule(panel)
    assert panel.ui.petSelector.currentNode().GetName() == "PET"
    assert panel.ui.applyButton.isEnabled()


def _without_torch(monkeypatch, extension) -> None:
    """Simulate a Slicer without torch in which the PyTorch extension has this logic."""
    from CSpADNFusionLib.worker import torch_setup

    monkeypatch.setattr(torch_setup.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=extension))


def test_missing_torch_and_extension_get_a_clear_word(panel, monkeypatch) -> None:
    from CSpADNFusionLib.worker import torch_setup

    monkeypatch.setattr(torch_setup.importlib.util, "find_spec", lambda _name: None)
    with raises(MissingPackageError, "torch-extension-missing"):
        torch_setup.ensureDependencies(REQUIREMENTS)
    assert records.pipRequests == []


def test_declining_torch_installs_nothing(panel, monkeypatch) -> None:
    from CSpADNFusionLib.worker import torch_setup

    asked: list[dict] = []

    class Declined:
        def installTorch(self, **options):
            asked.append(options)

    _without_torch(monkeypatch, Declined)
    records.answers.append(False)
    assert not torch_setup.ensureDependencies(REQUIREMENTS)
    (question,) = records.messages
    assert "about 200 MB" in question["text"]
    assert asked == []
    records.answers.append(True)
    assert not torch_setup.ensureDependencies(REQUIREMENTS)
    assert asked == [{"torchVersionRequirement": ">=2.2"}]
    assert records.pipRequests == []


def test_nothing_is_installed_while_slicer_is_tested(panel, monkeypatch) -> None:
    """Under --testing Slicer answers every question with yes."""
    import slicer

    from CSpADNFusionLib.worker import torch_setup

    class Installer:
        def installTorch(self, **_options):
            raise AssertionError("it must not be asked to")

    _without_torch(monkeypatch, Installer)
    slicer.app.testing = True
    with pytest.raises(MissingPackageError):
        torch_setup.ensureDependencies(REQUIREMENTS)


def test_a_failed_installation_is_one_sentence(panel, monkeypatch) -> None:
    from CSpADNFusionLib.worker import torch_setup

    class Broken:
        def installTorch(self, **_options):
            raise OSError("no route to host")

    _without_torch(monkeypatch, Broken)
    records.answers.append(True)
    with raises(MissingPackageError, "torch-installation-failed") as caught:
        torch_setup.ensureDependencies(REQUIREMENTS)
    assert "no route to host" in str(caught.value)


def test_a_torch_that_is_too_old_is_refused(panel, monkeypatch) -> None:
    import slicer.packaging

    from CSpADNFusionLib.worker import torch_setup

    monkeypatch.setattr(slicer.packaging, "pip_check", lambda requirement: "torch" not in str(requirement))
    with raises(MissingPackageError, "torch-too-old", version=">=2.2"):
        torch_setup.ensureDependencies(REQUIREMENTS)


def test_declining_is_no_failure(panel, monkeypatch) -> None:

    _without_torch(monkeypatch, None)
    records.answers.append(False)
    select_inputs(panel)
    panel.ui.applyButton.click()
    assert records.texts("error") == []
    assert says(panel.ui.statusLabel.text(), "installation-declined")


def _decline_after(panel, monkeypatch, deed) -> None:
    """Press Apply without torch, and do something while the question is open."""
    from CSpADNFusionLib.worker import torch_setup

    _without_torch(monkeypatch, None)
    asked: list[bool] = []
    monkeypatch.setattr(torch_setup, "confirm", lambda _text: bool(asked.append(True) or deed()))
    select_inputs(panel)
    panel.ui.applyButton.click()
    assert asked == [True]


def test_a_second_press_while_a_question_is_open_does_nothing(panel, monkeypatch) -> None:
    _decline_after(panel, monkeypatch, panel.ui.applyButton.click)


def test_leaving_the_module_while_a_question_is_open(panel, monkeypatch) -> None:
    _decline_after(panel, monkeypatch, lambda: application.exitModule(panel))
    application.enterModule(panel)
    assert panel.ui.applyButton.text() == "Apply"
    assert panel.ui.applyButton.isEnabled()


def test_apply_without_torch_says_what_to_do_and_starts_nothing(panel, monkeypatch) -> None:
    from CSpADNFusionLib.worker import torch_setup

    monkeypatch.setattr(torch_setup.importlib.util, "find_spec", lambda _name: None)
    select_inputs(panel)
    panel.ui.applyButton.click()
    (message,) = records.texts("error")
    assert says(message, "torch-extension-missing")
    assert panel.ui.applyButton.text() == "Apply"
    assert panel.ui.applyButton.isEnabled()
    assert not panel.logic.isFusing()


def test_samples_that_slicer_cannot_read_are_named(scene, monkeypatch) -> None:
    from SampleData import SampleDataLogic

    from CSpADNFusionLib.scene import samples

    monkeypatch.setattr(SampleDataLogic, "downloadSample", lambda _self, _name: [][0])  # as Slicer's, if nothing was loaded
    with raises(InputError, "sample-file-not-read", name=samples.PET):
        samples.loadSamplePair(MODULE_FILE.parent / "Resources")


def test_the_pet_of_the_sample_pair_has_its_units(scene, coarse_resources, monkeypatch) -> None:
    import slicer

    from CSpADNFusionLib.scene import samples
    from CSpADNFusionLib.scene.node_contents import unitsOf

    monkeypatch.setitem(slicer.modules.__dict__, "sampleDataSources", {})
    petNode, mriNode = samples.loadSamplePair(coarse_resources)
    assert shown_units(unitsOf(petNode)) == "Bq/ml"
    assert unitsOf(mriNode) is None


@pytest.mark.ci
def test_the_modules_self_test_passes(panel, coarse_resources, monkeypatch) -> None:
    """Use a coarser sample pair, which takes a quarter of the time; Slicer runs the test on the shipped one."""
    import unittest

    import slicer

    import CSpADNFusion
    from CSpADNFusionLib.scene import samples

    monkeypatch.setitem(slicer.modules.__dict__, "sampleDataSources", {})  # where the shipped pair is registered
    load = samples.loadSamplePair
    monkeypatch.setattr(samples, "loadSamplePair", lambda _resources: load(coarse_resources))
    test = CSpADNFusion.CSpADNFusionTest()
    test.runTest()
    assert isinstance(test, unittest.TestCase)


@pytest.mark.usefixtures("inline_worker")
def test_debug_lines_of_libraries_stay_out_of_the_log(panel, caplog) -> None:
    """Slicer's own log accepts all levels."""
    import logging

    parameters = panel.logic.getParameterNode()
    select_inputs(panel)
    with caplog.at_level(logging.DEBUG):
        panel.logic.fuse(parameters.petVolume, parameters.mriVolume, palette="Heated", metrics=True)
        panel.ui.applyButton.click()
        wait_for_fusion(panel)
        for library in ("highdicom.seg", "PIL.PngImagePlugin"):  # of exports and reports
            logging.getLogger(library).debug("a step")
            logging.getLogger(library).warning("a problem")
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG] == []
    assert caplog.messages.count("a problem") == 2


def test_opening_the_module_imports_nothing_heavy() -> None:
    """In a new process, the panel opens without importing torch, SimpleITK, SciPy or the library's heavy parts."""
    pytest.importorskip("PySide6")
    code = f"""
import sys
sys.path[:0] = [{str(STAND_IN)!r}, {str(LIBRARY)!r}]
from slicer_application import application
application.start()
panel = application.openModule({str(MODULE_FILE)!r})
heavy = ["torch", "SimpleITK", "safetensors", "scipy", "cspadn.models", "cspadn.fusion", "cspadn.imaging.geometry"]
heavy += ["CSpADNFusionLib.scene.volumes", "CSpADNFusionLib.panel.input_summary"]
print(type(panel).__name__, [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["CSpADNFusionWidget []"], done.stderr
