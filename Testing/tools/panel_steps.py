"""Steps that tests take in the panel of the module."""

from __future__ import annotations

from slicer_application import application

TIMEOUT = 120  # seconds


def select_inputs(panel) -> None:
    import slicer

    panel.ui.petSelector.setCurrentNode(slicer.util.getNode("PET"))
    panel.ui.mriSelector.setCurrentNode(slicer.util.getNode("MRI"))


def wait_for_fusion(panel) -> None:
    application.processEvents(until=lambda: not panel.logic.isFusing(), timeout=TIMEOUT)
