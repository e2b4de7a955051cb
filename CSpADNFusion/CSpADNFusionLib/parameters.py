"""Typed parameter node of the module."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTableNode, vtkMRMLVectorVolumeNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from cspadn.settings import FusionSettings, described
from CSpADNFusionLib.comparisons import COMPARISONS

_NODES = ("petVolume", "mriVolume", "fusedVolume", "colorVolume", "metricsTable", "lastFusedVolume")


def withSettings(settingsClass):
    """Return a class decorator that adds the parameters of all settings; use it under :func:`parameterNodeWrapper`.

    A setting ``new_name`` becomes the parameter ``newName``; a choice, or a text with choices, has the labels of its choices
    as values; a window becomes ``newNameAutomatic``, ``newNameLower`` and ``newNameUpper``.

    :param settingsClass: :class:`cspadn.FusionSettings`, or a class derived from it.
    """

    def decorate(parametersClass):
        parametersClass.settingsClass = settingsClass
        for setting, record in described(settingsClass):
            for name, kind, default in parametersOf(setting, record, getattr(settingsClass, setting)):
                parametersClass.__annotations__[name] = kind
                setattr(parametersClass, name, default)
        return parametersClass

    return decorate


def parametersOf(setting, record, default):
    """Return name, type and default of each parameter of a setting."""
    name = parameterOf(setting)
    if record.kind == "window":
        return [(f"{name}Automatic", bool, True), (f"{name}Lower", float, 0.0), (f"{name}Upper", float, 1.0)]
    if record.kind == "switch":
        return [(name, bool, default)]
    if record.choices:
        return [
            (
                name,
                Annotated[str, Choice(list(record.shown))],
                record.shown[record.choices.index(default or record.choices[0])],
            )
        ]
    return [(name, str, default or "")]


def parameterOf(setting):
    """Return the name of the parameter of a setting: "petWindow" of "pet_window"."""
    first, *others = setting.split("_")
    return first + "".join(word.capitalize() for word in others)


class SettingsMethods:
    """Methods of a parameter node with the parameters of :func:`withSettings`, ``makeColor`` and ``weightsFile``."""

    def repair(self):
        """Replace values of the scene that this version does not offer, such as a model or a palette, by the default."""
        for setting, record in described(self.settingsClass):
            name = parameterOf(setting)
            if record.choices and getattr(self, name) not in record.shown:
                setattr(self, name, self.default(name).value)

    def window(self, name):
        """Return the window of "pet" or "mri" as (lower, upper), or None if it is automatic."""
        return self._valueOfWindow(f"{name}_window")

    def settings(self):
        """Return the fields of the settings as a dictionary."""
        values = {setting: self._valueOf(setting, record) for setting, record in described(self.settingsClass)}
        return {
            **values,
            "model": self.weightsFile or values["model"],
            "palette": values["palette"] if self.makeColor else None,
        }

    def windows(self):
        """Return the windows by their settings: (lower, upper), or None if automatic."""
        names = (setting for setting, record in described(self.settingsClass) if record.kind == "window")
        return {setting: self._valueOfWindow(setting) for setting in names}

    def _valueOf(self, setting, record):
        if record.kind == "window":
            return self._valueOfWindow(setting)
        value = getattr(self, parameterOf(setting))
        if record.kind == "frames":
            return value.strip() or None
        return record.choices[record.shown.index(value)] if record.choices else value

    def _valueOfWindow(self, setting):
        name = parameterOf(setting)
        if getattr(self, f"{name}Automatic"):
            return None
        return getattr(self, f"{name}Lower"), getattr(self, f"{name}Upper")


@parameterNodeWrapper
@withSettings(FusionSettings)
class CSpADNFusionParameterNode(SettingsMethods):
    """Parameters of the module, stored in the scene: those below, and those of :class:`cspadn.FusionSettings`.

    petVolume, mriVolume - The two input volumes, scalar.
    fusedVolume - The volume that receives the result; None for a new one.
    makeColor, colorVolume - Whether to create a colour volume, and which node receives it; None for a new one.
    makeMetrics, metricsTable - Whether to compute metrics of the slices, and which table receives them; None for a new one.
    lastFusedVolume - The result of the last run, which comparison, plot and export use.
    petOpacity - Opacity of the PET over the MRI in the overlay of the comparison.
    petWeight - How strongly the PET colours the colour volume of the last result; 0 leaves greys.
    comparison - What the comparison shows, one of :data:`CSpADNFusionLib.comparisons.COMPARISONS`.
    showGrey - Whether the last result is shown in grey.
    showOutlines - Whether outlines of the MRI are drawn in all views of the comparison.
    showBefore - Whether outlines and checkerboard show the PET where it was before its registration.
    checkerboardShift - By which share of two squares the checkerboard is moved.
    weightsFile - A weights file that replaces the shipped model; empty for none.
    """

    petVolume: vtkMRMLScalarVolumeNode
    mriVolume: vtkMRMLScalarVolumeNode
    fusedVolume: vtkMRMLScalarVolumeNode
    makeColor: bool = True
    colorVolume: vtkMRMLVectorVolumeNode
    makeMetrics: bool = False
    metricsTable: vtkMRMLTableNode
    lastFusedVolume: vtkMRMLScalarVolumeNode
    petOpacity: Annotated[float, WithinRange(0, 1)] = 0.5
    petWeight: Annotated[float, WithinRange(0, 1)] = 1.0
    comparison: Annotated[str, Choice(list(COMPARISONS))] = COMPARISONS[0]
    showGrey: bool = False
    showOutlines: bool = False
    showBefore: bool = False
    checkerboardShift: Annotated[float, WithinRange(0, 1)] = 0.0
    weightsFile: str = ""

    def clearNode(self, node):
        """Clear each parameter that refers to this node."""
        for name in _NODES:
            if getattr(self, name) is node:
                setattr(self, name, None)

    def outputs(self):
        """Return fused volume, colour volume and table; None for each that is to be created or is not wanted."""
        color = self.colorVolume if self.makeColor else None
        return self.fusedVolume, color, self.metricsTable if self.makeMetrics else None
