"""A volume under a non-linear transform is prepared step by step, while Slicer stays responsive."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

from message_calls import says
from nodes import warp_of
from panel_steps import select_inputs, wait_for_fusion
from slicer_application import records


@pytest.fixture
def warped(panel, scene, inline_worker):
    import slicer

    slicer.util.getNode("PET").SetAndObserveTransformNodeID(warp_of(scene, lambda _: np.array([2.0, 0, 0])))
    select_inputs(panel)
    panel.ui.skipAlignmentCheckCheckBox.setChecked(True)
    return panel


def test_the_run_starts_before_the_volume_is_interpolated(warped, monkeypatch) -> None:
    import slicer

    from CSpADNFusionLib.scene import volumes

    calls: list[int] = []
    real = volumes.transformed
    monkeypatch.setattr(volumes, "transformed", lambda *given: calls.append(1) or real(*given))
    warped.ui.applyButton.click()
    assert len(calls) == 1  # of eight slices
    assert warped.logic.isFusing()
    assert warped.ui.applyButton.text() == "Cancel"
    wait_for_fusion(warped)
    assert len(calls) == slicer.util.arrayFromVolume(slicer.util.getNode("MRI")).shape[0]
    started = slicer.util.arrayFromVolume(slicer.util.getNode("Fused MRI-PET"))
    parameters = warped.logic.getParameterNode()
    np.testing.assert_array_equal(
        started, slicer.util.arrayFromVolume(warped.logic.fuse(parameters.petVolume, parameters.mriVolume))
    )


def test_the_preparation_can_be_cancelled(warped, monkeypatch) -> None:
    from CSpADNFusionLib.panel import run_control

    monkeypatch.setattr(run_control, "_DOUBLE_CLICK_SECONDS", 0)
    warped.ui.applyButton.click()
    warped.ui.applyButton.click()
    wait_for_fusion(warped)
    assert warped.ui.statusLabel.text() == "Cancelled."
    assert records.texts("error") == []


def test_what_is_moved_meanwhile_ends_the_preparation(warped) -> None:
    import slicer

    warped.ui.applyButton.click()
    slicer.util.getNode("PET").SetOrigin(3, 2, 1)
    wait_for_fusion(warped)
    (text,) = records.texts("error")
    assert says(text, "moved-while-preparing")


def test_closing_the_scene_ends_the_preparation(warped, scene) -> None:
    warped.ui.applyButton.click()
    scene.Clear(0)
    assert not warped.logic.isBusy()
    assert says(warped.ui.statusLabel.text(), "stopped-with-scene")


def test_the_check_of_the_alignment_is_prepared_as_well(warped) -> None:
    warped.ui.skipAlignmentCheckCheckBox.setChecked(False)
    assert warped.logic.isCheckingAlignment()
    assert says(warped.ui.pairLabel.text(), "panel-alignment-running")
