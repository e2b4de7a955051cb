"""Units of the PET's window in the panel, and the window in SUV where the DICOM headers allow it."""

from cspadn.errors import FusionError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.qt_helpers import showWhole
from CSpADNFusionLib.scene.node_contents import dicomValue, filesOf


class WindowUnits:
    """Say in which units the ends of the PET's window are.

    :param label: widget that shows the sentence.
    """

    def __init__(self, label):
        self._label = label
        self._factors = None, None  # ID of a node, and its factor from Bq/ml to SUV

    def show(self, petNode, window):
        """Describe the window of a PET; this reads the headers of its files once.

        :param petNode: volume node, or None.
        :param window: (lower, upper) in the units of the volume, or None if it is not known yet.
        """
        text = ""
        if petNode and window:
            from CSpADNFusionLib.panel.input_summary import unitsOf

            units, factor = unitsOf(petNode), self._factorOf(petNode)
            text = message("panel-window-units", units=units) if units else message("panel-window-units-unknown")
            if factor:
                lower, upper = (end * factor for end in window)
                text = f"{text} {message('panel-window-suv', lower=lower, upper=upper)}"
        showWhole(self._label, text)

    def _factorOf(self, petNode):
        if self._factors[0] != petNode.GetID():
            self._factors = petNode.GetID(), _suvFactor(petNode)
        return self._factors[1]


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
