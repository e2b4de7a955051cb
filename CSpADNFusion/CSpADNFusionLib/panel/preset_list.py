"""List of window presets in the panel: one click sets the window of the PET."""

import math

import qt
import slicer
from slicer.i18n import tr as _

from cspadn.window_presets import PRESETS
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.inputs import decimalsOf

_FLAGS_ROLE, _ENABLED, _DISABLED = 255, 33, 0  # role and flags of items in a QStandardItemModel; Qt has no name for the role
_NO_PRESET = 0  # index of the first item, for an automatic window, or one that was chosen by hand
_SAME = 1e-3  # relative difference of two windows that count as one: fields round their values


class PresetList:
    """Offer the presets that suit the units of the PET, and set its window.

    :param ui: the widgets of the panel.
    :param parametersOf: function that returns the parameter node, or None while the panel has none.
    :param scaleOf: function that returns the :class:`CSpADNFusionLib.panel.window_units.Scale` of a volume node.
    """

    def __init__(self, ui, parametersOf, scaleOf):
        self._ui, self._parametersOf, self._scaleOf = ui, parametersOf, scaleOf
        comboBox = ui.petPresetComboBox
        comboBox.addItem(_("none"))
        for preset in PRESETS:
            lower, upper = preset.window
            text = _("{tracer} ({quantity} {lower:g} to {upper:g})")
            comboBox.addItem(text.format(tracer=preset.tracer, quantity=preset.quantity, lower=lower, upper=upper))
        comboBox.activated.connect(self._onActivated)

    def show(self, parameters):
        """Enable the presets that the PET allows, and select the one that its window is, if any."""
        petNode = parameters.petVolume
        scale = self._scaleOf(petNode) if petNode else None
        for index, preset in enumerate(PRESETS, start=1):
            obstacle = _obstacle(preset, scale)
            self._ui.petPresetComboBox.setItemData(index, obstacle or f"{preset.source}: {preset.why}", qt.Qt.ToolTipRole)
            self._ui.petPresetComboBox.setItemData(index, _DISABLED if obstacle else _ENABLED, _FLAGS_ROLE)
        window = None if parameters.petWindowAutomatic else parameters.window("pet")
        found = [index for index, preset in enumerate(PRESETS, start=1) if window and scale and _is(preset, scale, window)]
        self._ui.petPresetComboBox.setCurrentIndex(found[0] if found else _NO_PRESET)

    def _onActivated(self, index):
        parameters = self._parametersOf()
        if not isinstance(index, int):  # PythonQt may send the text first
            return
        if parameters and parameters.petVolume and index != _NO_PRESET:
            self._apply(PRESETS[index - 1], parameters)
        if parameters:
            self.show(parameters)

    def _apply(self, preset, parameters):
        scale = self._scaleOf(parameters.petVolume)
        if _obstacle(preset, scale):
            return
        lower, upper = _windowOf(preset, scale)
        for spinBox in (self._ui.petLowerSpinBox, self._ui.petUpperSpinBox):
            spinBox.setDecimals(decimalsOf((lower, upper)))
        with slicer.util.NodeModify(parameters):
            parameters.petWindowAutomatic = False
            parameters.petWindowLower, parameters.petWindowUpper = lower, upper


def _obstacle(preset, scale):
    """Return why a preset cannot be used for a PET, or None."""
    if scale is None:
        return message("select-pet-and-mri")
    if scale.quantity != preset.quantity:
        return message("preset-needs-quantity", quantity=preset.quantity)
    return None


def _windowOf(preset, scale):
    return tuple(end / scale.factor for end in preset.window)


def _is(preset, scale, window):
    """Return whether a window of the PET is that of a preset."""
    if scale.quantity != preset.quantity:
        return False
    expected = _windowOf(preset, scale)
    tolerance = _SAME * (expected[1] - expected[0])
    return all(math.isclose(one, other, abs_tol=tolerance) for one, other in zip(window, expected, strict=True))
