"""Presets of the PET's window in the panel."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

from cspadn.window_presets import PRESETS
from dicom_database import load
from dicom_files import write_pair
from message_calls import says, slicer_message
from panel_steps import select_inputs
from slicer_application import application

NAMES = [preset.tracer for preset in PRESETS]


@pytest.fixture(autouse=True)
def _in_this_process(inline_worker) -> None:
    """Run what the panel starts in this process."""


@pytest.fixture
def opened(panel):
    select_inputs(panel)
    panel.ui.skipAlignmentCheckCheckBox.setChecked(True)
    panel.ui.windowsCollapsibleButton.setCollapsed(False)
    return panel


def _give_units(panel, code: str) -> None:
    import slicer

    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning(code, "UCUM", code)
    slicer.util.getNode("PET").SetVoxelValueUnits(units)
    panel.onParametersModified()


def _enabled(panel) -> list[str]:
    import qt

    model = panel.ui.petPresetComboBox.model()
    flags = [model.index(row, 0).flags() for row in range(1, model.rowCount())]
    return [name for name, flag in zip(NAMES, flags, strict=True) if flag & qt.Qt.ItemIsEnabled]


def _choose(panel, tracer: str) -> None:
    """Choose an item as the user does."""
    index = 1 + NAMES.index(tracer)
    panel.ui.petPresetComboBox.setCurrentIndex(index)
    panel.ui.petPresetComboBox.activated.emit(index)


def _window(panel) -> tuple[float, float]:
    return panel.ui.petLowerSpinBox.value(), panel.ui.petUpperSpinBox.value()


def test_without_units_no_preset_is_enabled_and_it_says_why(opened) -> None:
    import qt

    assert _enabled(opened) == []
    assert says(opened.ui.windowUnitsLabel.text(), "presets-without-units")
    tooltip = opened.ui.petPresetComboBox.itemData(1, qt.Qt.ToolTipRole)
    assert tooltip == slicer_message("preset-needs-quantity", quantity="SUV")
    before = _window(opened)
    _choose(opened, "FDG")
    assert (_window(opened), opened.ui.petWindowCheckBox.isChecked()) == (before, True)
    assert opened.ui.petPresetComboBox.currentIndex() == 0


@pytest.mark.parametrize(
    ("units", "quantity", "tracer", "window"),
    [("{SUVbw}g/ml", "SUV", "FDG", (0, 15)), ("SUVR", "SUVr", "Amyloid", (0, 2.5))],
)
def test_units_enable_the_presets_of_their_quantity(opened, units: str, quantity: str, tracer: str, window) -> None:
    import qt

    _give_units(opened, units)
    assert _enabled(opened) == [preset.tracer for preset in PRESETS if preset.quantity == quantity]
    assert says(opened.ui.windowUnitsLabel.text(), "presets-of-other-quantity", quantity=quantity)
    (preset,) = (preset for preset in PRESETS if preset.tracer == tracer)
    assert preset.source in opened.ui.petPresetComboBox.itemData(1 + NAMES.index(tracer), qt.Qt.ToolTipRole)
    _choose(opened, tracer)
    assert _window(opened) == window
    assert opened._parameterNode.window("pet") == window
    assert opened.ui.petPresetComboBox.currentText().startswith(tracer)
    opened.ui.petUpperSpinBox.setValue(2)
    assert opened.ui.petPresetComboBox.currentIndex() == 0
    opened.ui.petUpperSpinBox.setValue(window[1])
    assert opened.ui.petPresetComboBox.currentText().startswith(tracer)
    opened.ui.petWindowCheckBox.setChecked(True)
    assert opened.ui.petPresetComboBox.currentIndex() == 0


def test_suv_by_lean_body_mass_is_another_quantity(opened, monkeypatch) -> None:
    from CSpADNFusionLib.panel import window_units

    monkeypatch.setattr(window_units, "dicomValue", lambda _node, tag: "LBM" if tag == "0054,1006" else None)
    _give_units(opened, "GML")
    assert _enabled(opened) == []


def test_a_pet_in_becquerel_takes_the_preset_in_its_own_units(scene, pair, tmp_path, monkeypatch) -> None:
    load(list(write_pair(tmp_path, pair).values()), monkeypatch)
    panel = application.openWidget("CSpADNFusion")
    panel.ui.windowsCollapsibleButton.setCollapsed(False)
    assert _enabled(panel) == ["FDG", "FET, FDOPA"]
    _choose(panel, "FDG")
    becquerel_per_suv = 185e6 * 2 ** (-45 * 60 / 6586.2) / 70000
    np.testing.assert_allclose(_window(panel), (0, 15 * becquerel_per_suv), rtol=1e-3)
    assert says(panel.ui.windowUnitsLabel.text(), "panel-window-suv", lower=0, upper=15)
    assert panel.ui.petPresetComboBox.currentText().startswith("FDG")


def test_another_pet_does_not_keep_the_preset(opened) -> None:
    import slicer

    _give_units(opened, "SUV")
    _choose(opened, "FDG")
    other = slicer.mrmlScene.CopyNode(slicer.util.getNode("PET"))
    opened.ui.petSelector.setCurrentNode(other)
    assert opened.ui.petWindowCheckBox.isChecked()
    assert opened.ui.petPresetComboBox.currentIndex() == 0
