"""The panel in the stand-in for the application: the real .ui, the real widget, the real worker process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from conftest import ROOT
from cspadn.intensity import FUSED_MAXIMUM
from slicer_application import application, records
from test_mrml import MODULE_FILE, node_of

TIMEOUT = 120


@pytest.fixture
def panel(scene, pair):
    """The opened module, with a PET and an MRI in the scene."""
    node_of(pair[0], "PET")
    node_of(pair[1], "MRI")
    return application.openModule(MODULE_FILE)


def _select(panel) -> None:
    import slicer

    panel.ui.petSelector.setCurrentNode(slicer.util.getNode("PET"))
    panel.ui.mriSelector.setCurrentNode(slicer.util.getNode("MRI"))


def _wait(panel) -> None:
    application.processEvents(until=lambda: not panel.logic.isFusing(), timeout=TIMEOUT)


def test_apply_says_what_is_missing(panel) -> None:
    import slicer

    button = panel.ui.applyButton
    assert not button.isEnabled()
    assert button.toolTip() == "Select a PET and an MRI volume"
    _select(panel)
    assert button.isEnabled()
    panel.ui.mriSelector.setCurrentNode(slicer.util.getNode("PET"))
    assert not button.isEnabled()
    assert button.toolTip() == "Select two different volumes"
    _select(panel)
    panel.ui.fusedSelector.setCurrentNode(slicer.util.getNode("MRI"))
    assert not button.isEnabled()
    assert "not an input" in button.toolTip()


def test_apply_fuses_in_a_worker(panel, pair, tmp_path) -> None:
    import cspadn
    import slicer

    _select(panel)
    panel.ui.applyButton.click()
    assert panel.logic.isFusing()
    assert panel.ui.applyButton.text() == "Cancel"
    _wait(panel)
    assert records.texts("error") == []
    fused = slicer.util.getNode("MRI-PET fused")
    expected = sitk.GetArrayFromImage(cspadn.fuse(*pair).image)
    np.testing.assert_allclose(slicer.util.arrayFromVolume(fused), expected, atol=1e-4 * FUSED_MAXIMUM)
    assert panel.ui.statusLabel.text() == "Done: MRI-PET fused"
    assert panel.ui.progressBar.value() == panel.ui.progressBar.maximum() == 8
    assert panel.ui.applyButton.text() == "Apply"
    assert [request["requester"] for request in _pip_requests()] == ["CSpADNFusion"]
    assert records.sliceViewerLayers
    assert _temporary_folders() == []


def _pip_requests() -> list[dict]:
    return [request if isinstance(request, dict) else vars(request) for request in records.pipRequests]


def _temporary_folders() -> list[Path]:
    import slicer

    return list(Path(slicer.app.temporaryPath).glob("CSpADNFusion-*"))


def test_worker_and_console_make_the_same_volume(panel) -> None:
    import slicer

    _select(panel)
    panel.ui.applyButton.click()
    _wait(panel)
    in_process = panel.logic.fuse(slicer.util.getNode("PET"), slicer.util.getNode("MRI"))
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(in_process), slicer.util.arrayFromVolume(slicer.util.getNode("MRI-PET fused"))
    )


def _volumes(scene) -> list[str]:
    nodes = [scene.GetNthNodeByClass(i, "vtkMRMLScalarVolumeNode") for i in range(9)]
    return [node.GetName() for node in nodes if node]


def test_cancel_leaves_the_scene_as_it_was(panel, scene) -> None:
    _select(panel)
    before = _volumes(scene)
    panel.ui.applyButton.click()
    panel.ui.applyButton.click()
    _wait(panel)
    assert panel.ui.statusLabel.text() == "Cancelled."
    assert records.texts("error") == []
    assert _volumes(scene) == before
    assert _temporary_folders() == []


def test_a_failure_gives_the_workers_sentence(panel, scene) -> None:
    import slicer

    slicer.util.getNode("PET").SetOrigin(9999, 0, 0)
    _select(panel)
    before = _volumes(scene)
    panel.ui.applyButton.click()
    _wait(panel)
    (message,) = records.texts("error")
    assert message == "The PET and the MRI do not overlap in space: register them first, or check their origins."
    assert panel.ui.statusLabel.text() == "Failed."
    assert _volumes(scene) == before
    assert _temporary_folders() == []


def test_a_worker_that_dies_is_reported_with_its_last_lines(panel, monkeypatch) -> None:
    from CSpADNFusionLib import worker

    monkeypatch.setattr(worker, "_settingsArguments", lambda _settings: ["--no-such-option"])
    _select(panel)
    panel.ui.applyButton.click()
    _wait(panel)
    (message,) = records.texts("error")
    assert message.startswith("The fusion stopped unexpectedly (exit code 2).")
    assert "--no-such-option" in message


def test_closing_the_scene_stops_the_run(panel, scene) -> None:
    _select(panel)
    panel.ui.applyButton.click()
    scene.Clear(0)
    _wait(panel)
    assert _volumes(scene) == []
    assert records.texts("error") == []


def test_choices_survive_leaving_and_entering(panel) -> None:
    _select(panel)
    application.exitModule(panel)
    application.enterModule(panel)
    assert panel.ui.petSelector.currentNode().GetName() == "PET"
    assert panel.ui.applyButton.isEnabled()


def test_missing_torch_and_extension_get_a_clear_word(panel, monkeypatch) -> None:
    from CSpADNFusionLib import dependencies

    monkeypatch.setattr(dependencies.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RuntimeError, match="Install the PyTorch extension"):
        dependencies.ensureDependencies(ROOT / "CSpADNFusion" / "Resources" / "requirements.txt")
    assert records.pipRequests == []


def test_declining_torch_installs_nothing(panel, monkeypatch) -> None:
    import types

    from CSpADNFusionLib import dependencies

    asked: list[dict] = []

    class Declined:
        def installTorch(self, **options):
            asked.append(options)

    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.SimpleNamespace(PyTorchUtilsLogic=Declined))
    monkeypatch.setattr(dependencies.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(RuntimeError, match="was not installed"):
        dependencies.ensureDependencies(ROOT / "CSpADNFusion" / "Resources" / "requirements.txt")
    assert asked == [{"askConfirmation": True, "torchVersionRequirement": ">=2.2"}]
    assert records.pipRequests == []


def test_the_modules_self_test_passes(panel) -> None:
    import unittest

    import CSpADNFusion

    test = CSpADNFusion.CSpADNFusionTest()
    test.runTest()
    assert isinstance(test, unittest.TestCase)


def test_opening_the_module_imports_nothing_heavy() -> None:
    """In a fresh process: the panel opens without torch, SimpleITK or the library's heavy parts."""
    pytest.importorskip("PySide6")
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "Testing")!r}, {str(ROOT / "CSpADNFusion")!r}]
from slicer_application import application
application.start()
panel = application.openModule({str(MODULE_FILE)!r})
heavy = ["torch", "SimpleITK", "safetensors", "cspadn.network", "cspadn.fusion", "cspadn.geometry", "CSpADNFusionLib.nodes"]
print(type(panel).__name__, [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["CSpADNFusionWidget []"], done.stderr


@pytest.mark.parametrize("name", ["petSelector", "mriSelector", "fusedSelector", "applyButton", "progressBar", "statusLabel"])
def test_every_widget_explains_itself(panel, name: str) -> None:
    assert getattr(panel.ui, name).toolTip()
