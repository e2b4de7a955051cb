"""Choice of the device in the panel."""

from slicer.i18n import tr as _

from cspadn.settings import AUTOMATIC_DEVICE
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.worker.device_search import DeviceSearch, torchVersion


class DeviceView:
    """Show the devices in their combo box, and the version of torch.

    :param ui: the widgets of the panel.
    :param onChosen: called with the device that the user chooses, by torch's name.
    """

    def __init__(self, ui, onChosen):
        self._ui, self._onChosen = ui, onChosen
        self._search, self._found, self._chosen = None, False, AUTOMATIC_DEVICE
        self._devices = {"cpu": _("CPU")}  # by torch's names; replaced by the result of the search
        ui.deviceComboBox.currentIndexChanged.connect(self._onIndexChanged)
        self._fill()

    def showTorch(self):
        """Show the version of torch, without importing it, and the devices."""
        version = torchVersion()
        if not version:
            text = message("torch-not-installed")
        elif self._found:
            text = message("torch-and-devices", version=version, devices=", ".join(self._devices.values()))
        else:
            text = message("torch-and-device", version=version, device=self._chosen)
        self._ui.torchLabel.setText(text)

    def show(self, chosen):
        """Show the chosen device. This is called at every change of a parameter.

        :param chosen: torch's name of the device, or :data:`cspadn.settings.AUTOMATIC_DEVICE`.
        """
        if chosen != self._chosen:
            self._chosen = chosen
            self._fill()

    def _fill(self):
        """List the available devices and the chosen one, which may come from another machine."""
        items = {AUTOMATIC_DEVICE: _("Automatic"), **{name: f"{text} ({name})" for name, text in self._devices.items()}}
        items.setdefault(self._chosen, _("{device} (not found here)").format(device=self._chosen))
        comboBox = self._ui.deviceComboBox
        wasBlocked = comboBox.blockSignals(True)
        comboBox.clear()
        for name, text in items.items():
            comboBox.addItem(text, name)
        comboBox.setCurrentIndex(list(items).index(self._chosen))
        comboBox.blockSignals(wasBlocked)
        self.showTorch()

    def search(self):
        """Search for the devices once, in a process beside Slicer."""
        from CSpADNFusionLib.worker.torch_setup import missingPackages

        if self._search is None and not missingPackages():
            self._search = DeviceSearch(self._onFound)

    def close(self):
        """Stop the search, because the panel is going away."""
        if self._search:
            self._search.close()

    def _onFound(self, devices):
        """Show the devices. None means that the search failed; the next call of :meth:`search` tries again."""
        if devices is None:
            self._search = None
            return
        self._devices, self._found = devices, True
        self._fill()

    def _onIndexChanged(self, _index):
        comboBox = self._ui.deviceComboBox
        self._onChosen(comboBox.itemData(comboBox.property("currentIndex")))
