"""Legend of the colour volume in the panel: its colours over uptake and brightness."""

import json

import qt
from slicer.i18n import tr as _

from CSpADNFusionLib.scene.node_contents import unitsOf
from CSpADNFusionLib.scene.node_references import PET_ROLE, PET_WINDOW

_SIZE = 64  # pixels along each side; the panel stretches the picture


class LegendView:
    """Show the colours of the palette, and the ends of the uptake axis. This needs no torch."""

    def __init__(self, ui):
        self._ui = ui
        self._palette = self._axis = None

    def show(self, parameters, window):
        """Show the legend of the selected palette and PET.

        :param parameters: the parameter node.
        :param window: (lower, upper) of the PET, in its units, or None if it is not known yet.
        """
        palette = parameters.palette, parameters.petWeight
        if palette != self._palette:
            self._palette = palette
            self._ui.legendPictureLabel.setPixmap(pixmapOf(*palette))
        petNode = parameters.petVolume
        axis = window, petNode and (petNode.GetID(), petNode.GetMTime())
        if axis != self._axis:
            self._axis = axis
            self._showAxis(window, petNode)

    def _showAxis(self, window, petNode):
        units, lower, upper = None, _("low"), _("high")
        if window:  # not before there is a result: the import loads numpy
            from cspadn.imaging.windowing import end_texts
            from cspadn.units import shown_units

            units, (lower, upper) = shown_units(unitsOf(petNode)), end_texts(window)
        self._ui.legendLowerLabel.setText(lower)
        self._ui.legendUpperLabel.setText(upper)
        self._ui.legendUptakeLabel.setTextFormat(qt.Qt.PlainText)
        self._ui.legendUptakeLabel.setText(_("uptake ({units}) →").format(units=units) if units else _("uptake →"))


def windowOfLastResult(parameters):
    """Return the PET window (lower, upper) of the last fused volume, or None if another PET was fused."""
    fused = parameters.lastFusedVolume
    if not fused or not parameters.petVolume or fused.GetNodeReference(PET_ROLE) is not parameters.petVolume:
        return None
    text = fused.GetAttribute(PET_WINDOW)
    return tuple(json.loads(text)) if text else None


def pixmapOf(palette, weight=1.0):
    """Return a pixmap of the legend of one of :data:`cspadn.palettes.PALETTES`: uptake to the right, brightness upwards.

    :param weight: of the PET, from 0 to 1.

    The pixels are set one by one: PythonQt cannot create an image from an array, and PySide6 expects other arguments.
    """
    from cspadn.imaging.color import legend

    image = qt.QImage(_SIZE, _SIZE, qt.QImage.Format_RGB32)
    for y, row in enumerate(legend(palette, _SIZE, weight=weight).tolist()):
        for x, (red, green, blue) in enumerate(row):
            image.setPixel(x, y, red << 16 | green << 8 | blue)
    return qt.QPixmap.fromImage(image)
