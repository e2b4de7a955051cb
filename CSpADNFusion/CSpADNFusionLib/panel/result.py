"""Display of the last result in the panel: colour or grey, palette, weight of the PET; all follow the picture."""

from cspadn.palettes import PALETTES
from CSpADNFusionLib.panel.qt_helpers import waitCursor
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, PALETTE, PET_WEIGHT


class ResultView:
    """Colour the last result as the parameters say, or set the parameters as it is coloured.

    :param ui: the widgets of the panel.
    :param onTold: called with a sentence if the colours cannot be changed.
    """

    def __init__(self, ui, onTold):
        self._ui, self._onTold = ui, onTold
        self._recoloring = None
        self._followed = None  # ID of the result that the parameters follow
        self._refused = None  # palette and weight that the picture could not take

    def forget(self):
        """Release what belongs to the scene, because another one comes."""
        self._followed = self._refused = None
        if self._recoloring:
            self._recoloring.forget()

    def show(self, parameters):
        """Update the picture after the parameters have changed, or the parameters after the result has changed."""
        fused = parameters.lastFusedVolume
        color = fused.GetNodeReference(COLOR_ROLE) if fused else None
        self._ui.colorRadioButton.setEnabled(color is not None)
        self._ui.greyRadioButton.setEnabled(fused is not None)
        self._ui.petWeightSlider.setEnabled(color is not None)
        (self._ui.greyRadioButton if parameters.showGrey else self._ui.colorRadioButton).setChecked(True)
        if color is None:
            return
        if fused.GetID() != self._followed:
            self._followed = fused.GetID()
            self._follow(fused, color, parameters)
        elif _shownBy(color) != (parameters.palette, parameters.petWeight):
            self._recolor(fused, parameters)

    def _follow(self, fused, color, parameters):
        from CSpADNFusionLib.scene import color_legend

        color_legend.update(fused)  # a saved scene has none
        palette, weight = _shownBy(color)
        if palette in PALETTES:
            parameters.palette = palette
        parameters.petWeight = weight

    def _recolor(self, fused, parameters):
        from CSpADNFusionLib.scene.recoloring import Recoloring

        wanted = parameters.palette, parameters.petWeight
        if wanted == self._refused:
            return
        self._recoloring = self._recoloring or Recoloring()
        with waitCursor():
            text = self._recoloring.apply(fused, *wanted)
        self._refused = wanted if text else None
        if text:
            self._onTold(text)


def _shownBy(color):
    return color.GetAttribute(PALETTE), float(color.GetAttribute(PET_WEIGHT) or 1)
