"""Progress bar, status line and log of a run in the panel."""

import time

from slicer.i18n import tr as _

from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.qt_helpers import showWhole

_STEPS = {"Preparing": _("Preparing"), "Fusing": _("Fusing"), "Measuring": _("Measuring")}
_REGISTERING = "Registering"  # whose steps are no slices, and of different length


class RunView:
    """Show the progress, the status and the log of a run."""

    def __init__(self, ui):
        self._ui = ui
        self._step = None
        self._started = float("-inf")
        ui.progressBar.setVisible(False)

    def start(self):
        """Show a busy progress bar until the worker reports the number of slices."""
        self._step, self._started = None, time.monotonic()
        self._ui.progressBar.setMaximum(0)
        self._ui.progressBar.setVisible(True)
        self.showStatus(_("Starting..."))
        self._scrollToStatus()

    def _scrollToStatus(self):
        """Scroll to the status line if the panel is higher than its window."""
        area = self._ui.statusLabel
        while area and not hasattr(area, "ensureWidgetVisible"):
            area = area.parentWidget()
        if area:
            area.ensureWidgetVisible(self._ui.statusLabel)

    def seconds(self):
        """Return the seconds since the last start."""
        return time.monotonic() - self._started

    def showProgress(self, done, total, step):
        """Show the number of slices done and, after some slices, the remaining time.

        :param step: "Fusing", "Measuring" or "Registering".
        """
        if step != self._step:
            self._step, self._start, self._first = step, time.monotonic(), done
        self._ui.progressBar.setMaximum(total)
        self._ui.progressBar.setValue(done)
        if step == _REGISTERING:
            self.showStatus(message("registration-running"))
            return
        text = message("slices-done", step=_STEPS.get(step, step), done=done, total=total)
        if self._first < done < total:
            left = (time.monotonic() - self._start) / (done - self._first) * (total - done)
            text = _("{progress}, about {duration} left").format(progress=text, duration=durationText(left))
        self.showStatus(text)

    def stop(self, status):
        """Hide the progress bar and show the final status."""
        self._ui.progressBar.setVisible(False)
        self.showStatus(status)

    def showStatus(self, status):
        """Show a text in the status line."""
        showWhole(self._ui.statusLabel, status)

    def log(self, line):
        """Add a line to the log."""
        self._ui.logTextEdit.appendPlainText(line)


def durationText(seconds):
    """Return an estimated duration as text, in seconds below 90 s, otherwise in minutes."""
    if seconds < 90:
        return _("{count} s").format(count=max(1, round(seconds)))
    return _("{count} min").format(count=round(seconds / 60))
