"""Parts of the panel, each of which keeps some widgets up to date. None of them needs torch."""

import contextlib
import math
import time

import qt
import slicer
from slicer.i18n import tr as _

from cspadn.errors import FusionError
from cspadn.settings import AUTOMATIC_DEVICE


class PairView:
    """The line under the inputs, and the windows that the fusion would take, in the fields of those that are automatic."""

    def __init__(self, ui):
        self._ui = ui
        self.forget()

    def forget(self):
        """The inputs have changed: look again."""
        self._described = self._windowed = self._obstacle = None

    def obstacle(self):
        """Why the pair that was shown last cannot be fused, as far as can be seen so quickly; None where nothing is seen."""
        return self._obstacle

    def petWindow(self, parameters):
        """Return the window of the PET (lower, upper): the chosen one, or the automatic one; None: not computed yet."""
        if parameters.petWindowAutomatic and (self._windowed is None or self._windowed != self._described):
            return None
        return parameters.petWindowLower, parameters.petWindowUpper

    def show(self, nodes, parameters):
        """
        :param nodes: PET and MRI; None where they cannot be fused.
        :param parameters: the panel's parameter node, which receives the automatic windows.
        """
        state = (*(node.GetID() for node in nodes), parameters.grid) if nodes else None
        if not nodes:
            self._obstacle = None
            self._ui.pairLabel.setText(_("Select a PET and an MRI of the same head, registered to each other."))
        elif state != self._described:
            self._describe(nodes, parameters.grid.lower())
        self._described = state
        automatic = parameters.petWindowAutomatic or parameters.mriWindowAutomatic
        # Windows take a moment: only when somebody can see them.
        if nodes and automatic and state != self._windowed and not self._ui.advancedCollapsibleButton.property("collapsed"):
            self._windowed = state
            self._showWindows(nodes, parameters)

    def _describe(self, nodes, grid):
        from CSpADNFusionLib.panel import input_summary as overview

        try:
            self._ui.pairLabel.setText(overview.pairText(*nodes, grid))
            self._obstacle = overview.obstacle(*nodes)
        except FusionError as error:
            self._ui.pairLabel.setText(str(error))
            self._obstacle = str(error)

    def _showWindows(self, nodes, parameters):
        from CSpADNFusionLib.panel import input_summary as overview

        try:
            with waitCursor():
                windows = overview.automaticWindows(*nodes, parameters.grid.lower())
        except FusionError as error:
            self._ui.pairLabel.setText(str(error))
            return
        with slicer.util.NodeModify(parameters):
            for name, window in zip(("pet", "mri"), windows, strict=True):
                if getattr(parameters, f"{name}WindowAutomatic"):
                    self._showWindow(name, window, parameters)

    def _showWindow(self, name, window, parameters):
        for end, value in zip(("Lower", "Upper"), window, strict=True):
            getattr(self._ui, f"{name}{end}SpinBox").setDecimals(decimalsOf(window))
            setattr(parameters, f"{name}Window{end}", float(value))


class DeviceView:
    """The devices in their combo box, and which torch computes."""

    def __init__(self, ui, onChosen):
        self._ui, self._onChosen = ui, onChosen
        self._search, self._found, self._chosen = None, False, AUTOMATIC_DEVICE
        self._devices = {"cpu": _("CPU")}  # by torch's names, until they have been looked for
        ui.deviceComboBox.currentIndexChanged.connect(self._onIndexChanged)
        self._fill()

    def showTorch(self):
        """Its version, found without importing it."""
        from CSpADNFusionLib.worker.device_search import torchVersion

        version = torchVersion()
        absent = _("PyTorch is not installed yet: Apply asks before it installs it.")
        devices = ", ".join(self._devices.values())
        present = _("PyTorch {version}; here: {devices}") if self._found else _("PyTorch {version}; device: {chosen}")
        self._ui.torchLabel.setText(
            present.format(version=version, devices=devices, chosen=self._chosen) if version else absent
        )

    def show(self, chosen):
        """Another one was chosen; this is asked at every change of any choice."""
        if chosen != self._chosen:
            self._chosen = chosen
            self._fill()

    def _fill(self):
        """With those that compute here, and the chosen one, which may have been chosen on another machine."""
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
        """Look for the devices, once, beside Slicer."""
        from CSpADNFusionLib.worker.device_search import DeviceSearch
        from CSpADNFusionLib.worker.torch_setup import missingPackages

        if self._search is None and not missingPackages():
            self._search = DeviceSearch(self._onFound)

    def close(self):
        """The panel is going away."""
        if self._search:
            self._search.close()

    def _onFound(self, devices):
        """None: they could not be found out; the next look tries again."""
        if devices is None:
            self._search = None
            return
        self._devices, self._found = devices, True
        self._fill()

    def _onIndexChanged(self, _index):
        comboBox = self._ui.deviceComboBox
        self._onChosen(comboBox.itemData(comboBox.property("currentIndex")))


class RunView:
    """Progress bar, status line and log of a run."""

    def __init__(self, ui):
        self._ui = ui
        self._step = None
        self._started = float("-inf")
        ui.progressBar.setVisible(False)

    def start(self):
        """Busy, until the worker knows how many slices there are."""
        self._step, self._started = None, time.monotonic()
        self._ui.progressBar.setMaximum(0)
        self._ui.progressBar.setVisible(True)
        self.say(_("Starting..."))

    def seconds(self):
        """Since the last start."""
        return time.monotonic() - self._started

    def progress(self, done, total, step):
        """So many slices of a step are done; after some of them, how long the rest will take."""
        if step != self._step:
            self._step, self._start, self._first = step, time.monotonic(), done
        self._ui.progressBar.setMaximum(total)
        self._ui.progressBar.setValue(done)
        text = _("{step}: {done} of {total} slices").format(step=_STEPS.get(step, step), done=done, total=total)
        if self._first < done < total:
            left = (time.monotonic() - self._start) / (done - self._first) * (total - done)
            text = _("{progress}, about {duration} left").format(progress=text, duration=durationText(left))
        self.say(text)

    def stop(self, status):
        """The run is over."""
        self._ui.progressBar.setVisible(False)
        self.say(status)

    def say(self, status):
        """Show a sentence in the status line."""
        self._ui.statusLabel.setText(status)

    def log(self, line):
        """Add a line to the log."""
        self._ui.logTextEdit.appendPlainText(line)


@contextlib.contextmanager
def waitCursor():
    """Slicer's own lets the user's clicks through when it begins: a second Apply would start before the first has."""
    slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
    try:
        yield
    finally:
        slicer.app.restoreOverrideCursor()


def makeReachable(ui):
    """By the keyboard: a node selector keeps the focus from its combo box, and a slider widget does not pass it on."""
    for selector in (ui.petSelector, ui.mriSelector, ui.fusedSelector, ui.colorSelector, ui.metricsSelector):
        comboBox = selector.findChildren(qt.QComboBox)[0]
        comboBox.setFocusProxy(None)
        selector.setFocusProxy(comboBox)
    ui.petOpacitySlider.setFocusProxy(ui.petOpacitySlider.findChildren(qt.QSlider)[0])


_STEPS = {"Fusing": _("Fusing"), "Measuring": _("Measuring")}


def decimalsOf(window):
    """How many decimals show the ends of a window to about four digits of its width."""
    width = max(window[1] - window[0], 1e-9)
    return min(12, max(1, 3 - math.floor(math.log10(width))))


def durationText(seconds):
    """Seconds in words, as exact as a guess can be."""
    if seconds < 90:
        return _("{count} s").format(count=max(1, round(seconds)))
    return _("{count} min").format(count=round(seconds / 60))
