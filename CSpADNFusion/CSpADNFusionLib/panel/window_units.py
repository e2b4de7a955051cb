"""Units of the PET's window in the panel, and the window in SUV where the DICOM headers allow it."""

from typing import Any, NamedTuple

from cspadn.errors import FusionError
from cspadn.units import shown_units
from cspadn.window_presets import PRESETS, SUV, quantity_of
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.qt_helpers import showWhole
from CSpADNFusionLib.scene.node_contents import dicomValue, filesOf, unitsOf

_SUV_TYPE = "0054,1006"


class Scale(NamedTuple):
    """What the values of a PET are.

    :ivar units: units of the volume, or None.
    :ivar quantity: one of the quantities of :mod:`cspadn.window_presets`, or None.
    :ivar factor: factor from the values to the quantity; 1 without one.
    """

    units: Any
    quantity: Any
    factor: float


class WindowUnits:
    """Say in which units the ends of the PET's window are, and why presets cannot be used.

    :param label: widget that shows the sentences.
    """

    def __init__(self, label):
        self._label = label
        self._key = self._scale = None

    def show(self, petNode, window):
        """Describe the window of a PET.

        :param petNode: volume node, or None.
        :param window: (lower, upper) in the units of the volume, or None if it is not known yet.
        """
        showWhole(self._label, " ".join(_sentences(self.scaleOf(petNode), window)) if petNode and window else "")

    def scaleOf(self, petNode):
        """Return the :class:`Scale` of a PET; this reads the headers of its files once."""
        units = unitsOf(petNode)
        key = petNode.GetID(), units
        if key != self._key:
            self._key, self._scale = key, _scale(petNode, units)
        return self._scale


def _sentences(scale, window):
    units = shown_units(scale.units)
    yield message("panel-window-units", units=units) if units else message("panel-window-units-unknown")
    if scale.quantity == SUV and scale.factor != 1:
        lower, upper = (end * scale.factor for end in window)
        yield message("panel-window-suv", lower=lower, upper=upper)
    missing = dict.fromkeys(preset.quantity for preset in PRESETS if preset.quantity != scale.quantity)
    if scale.quantity is None:
        yield message("presets-without-units")
    elif missing:
        yield message("presets-of-other-quantity", quantity=scale.quantity)


def _scale(petNode, units):
    quantity = quantity_of(units)
    if quantity == SUV and dicomValue(petNode, _SUV_TYPE) not in (None, "BW"):  # by lean body mass, for example
        quantity = None
    factor = 1.0 if quantity else _suvFactor(petNode)
    return Scale(units, quantity or (SUV if factor else None), factor or 1.0)


def _suvFactor(petNode):
    """Return the factor that converts the voxels of a PET to SUV by body weight, or None if it is not known."""
    files = filesOf(petNode) if dicomValue(petNode, "0008,0060") == "PT" else None
    if not files:
        return None
    try:
        import pydicom

        from cspadn.io.suv import suv_factor

        headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
        return suv_factor(headers, petNode.GetName())
    except (FusionError, OSError, ImportError, ValueError):  # nothing that a fusion needs
        return None
