"""The panel's parameters are those of the settings, and scenes that were saved with earlier versions still load."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from cspadn.settings import FusionSettings, described
from dummy_settings import DUMMIES, VALUES, WithDummy
from repository import LIBRARY

_UI = LIBRARY / "Resources" / "UI" / "CSpADNFusion.ui"
_BY_CODE = {"device"}  # parameters whose widget is filled and read by the panel's code

# Parameters, with their values in a scene that was saved before they were derived from the settings.
_SAVED = {
    "palette": "PET-Rainbow",
    "model": "cspadn-paper",
    "weightsFile": "",
    "device": "cpu",
    "grid": "PET",
    "makeColor": "True",
    "petWindowAutomatic": "False",
    "petWindowLower": "-1.5",
    "petWindowUpper": "7.0",
    "mriWindowAutomatic": "True",
    "mriWindowLower": "0.0",
    "mriWindowUpper": "1.0",
}


@pytest.fixture
def node(scene):
    """Return an empty parameter node."""
    import slicer

    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", "parameters")


def _class_with_dummy():
    """Return a parameter node with the settings of the panel and one more of each kind."""
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    from CSpADNFusionLib.parameters import SettingsMethods, withSettings

    @parameterNodeWrapper
    @withSettings(WithDummy)
    class Parameters(SettingsMethods):
        makeColor: bool = True
        weightsFile: str = ""

    return Parameters


def test_a_new_setting_is_a_parameter(node) -> None:
    parameters = _class_with_dummy()(node)
    assert FusionSettings(**{name: value for name, value in parameters.settings().items() if name not in DUMMIES})
    assert WithDummy(**parameters.settings()) == WithDummy(palette="Heated")
    parameters.dummyText, parameters.dummyChoice, parameters.dummySwitch = "b", "y", True
    parameters.dummyWindowAutomatic, parameters.dummyWindowLower, parameters.dummyWindowUpper = False, 0.0, 1e-7
    assert {name: value for name, value in parameters.settings().items() if name in DUMMIES} == DUMMIES
    with pytest.raises(ValueError, match="one of"):
        parameters.dummyChoice = "z"


def test_every_setting_can_be_given(node) -> None:
    from CSpADNFusionLib.parameters import CSpADNFusionParameterNode, parameterOf

    parameters = CSpADNFusionParameterNode(node)
    parameters.weightsFile = VALUES["model"]
    for setting, record in described():
        name, value = parameterOf(setting), VALUES[setting]
        if record.kind == "window":
            given = {f"{name}Automatic": False, f"{name}Lower": value[0], f"{name}Upper": value[1]}
        else:
            given = {name: dict(zip(record.choices, record.shown, strict=True)).get(value, value)}
        for each, shown in given.items():
            if setting != "model":  # which the weights file replaces
                setattr(parameters, each, shown)
    assert parameters.settings() == VALUES


def test_every_setting_has_a_widget(scene) -> None:
    from CSpADNFusionLib.parameters import CSpADNFusionParameterNode, parametersOf

    properties = ElementTree.parse(_UI).iterfind(".//property[@name='SlicerParameterName']/string")
    connected = {text.text for text in properties}
    settings = ((name, record, getattr(FusionSettings, name)) for name, record in described())
    names = {name for each in settings for name, *_ in parametersOf(*each)}
    assert names - connected == _BY_CODE
    assert connected <= set(CSpADNFusionParameterNode.allParameters)


def test_a_scene_of_an_earlier_version_keeps_its_settings(node) -> None:
    from CSpADNFusionLib.parameters import CSpADNFusionParameterNode

    for name, value in _SAVED.items():
        node.SetParameter(name, value)
    parameters = CSpADNFusionParameterNode(node)
    parameters.repair()
    expected = FusionSettings("cspadn-paper", "cpu", "pet", pet_window=(-1.5, 7.0), palette="PET-Rainbow")
    assert FusionSettings(**parameters.settings()) == expected


def test_choices_that_are_gone_become_the_default(node) -> None:
    from CSpADNFusionLib.parameters import CSpADNFusionParameterNode

    for name in ("palette", "model", "grid"):
        node.SetParameter(name, "gone")
    parameters = CSpADNFusionParameterNode(node)
    parameters.repair()
    assert (parameters.palette, parameters.model, parameters.grid) == ("Heated", "cspadn", "MRI")
