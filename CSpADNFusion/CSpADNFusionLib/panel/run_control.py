"""Start, cancellation and end of a fusion or a registration, as the buttons of the panel ask for them."""

import logging
import traceback

import slicer
from slicer.i18n import tr as _

from cspadn.errors import FusionError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.qt_helpers import plainText, waitCursor
from CSpADNFusionLib.questions import confirm
from CSpADNFusionLib.scene.node_contents import holdsData

_DOUBLE_CLICK_SECONDS = 0.5  # the second click of a double click that starts a run does not cancel it


class RunControl:
    """Start a fusion or a registration in a worker process, cancel it, and report its end.

    :param logic: the ``CSpADNFusionLogic``.
    :param runView: a :class:`CSpADNFusionLib.panel.run.RunView`.
    :param requirementsFile: path of the list of packages to install before the first run.
    :param onInstalled: called after the packages have been checked or installed.
    :param onStateChanged: called after a run has started, ended, or was not started.
    :param onFused: called with the fused volume node.
    """

    def __init__(self, logic, runView, requirementsFile, *, onInstalled, onStateChanged, onFused):
        self._logic, self._runView, self._requirementsFile = logic, runView, requirementsFile
        self._onInstalled, self._onStateChanged, self._onFused = onInstalled, onStateChanged, onFused
        self._starting = False

    def fuseOrCancel(self, parameters):
        """Start a fusion, or cancel what is running.

        :param parameters: the parameter node.
        """
        self._startOrCancel(self._startFusion, parameters)

    def registerOrCancel(self, parameters):
        """Start a registration, or cancel what is running.

        :param parameters: the parameter node.
        """
        self._startOrCancel(self._startRegistration, parameters)

    def _startOrCancel(self, start, parameters):
        if self._logic.isBusy():
            self._cancel()
        elif not self._starting:  # the button stays enabled while a question is open or an installation runs
            self._starting = True
            try:
                start(parameters)
            except FusionError as error:
                self._showNotStarted(str(error))
            except Exception as error:
                logging.exception("CSpADNFusion: the run could not be started")
                self._showNotStarted(message("fusion-not-started", error=error), traceback.format_exc())
            finally:
                self._starting = False
                self._onStateChanged()

    def _cancel(self):
        """Ask the worker to stop before its next step; at the second call, terminate a worker that has not stopped."""
        if self._runView.seconds() < _DOUBLE_CLICK_SECONDS:
            return
        if self._logic.isCancelling():
            self._logic.closeWorker()
            self._onFailed("")
        else:
            self._logic.cancel()
            self._runView.showStatus(message("fusion-stopping"))

    def _showNotStarted(self, text, details=""):
        self._runView.stop(_("Not started."))
        self._runView.log(text)
        _showError(text, details)

    def _startFusion(self, parameters):
        if not _mayReplace(parameters.outputs()) or not self._hasPackages("fusion"):
            return
        self._onInstalled()
        fused, color, table = parameters.outputs()
        with waitCursor():
            self._logic.startFusion(
                *(parameters.petVolume, parameters.mriVolume, fused, color),
                metricsTableNode=table,
                metrics=parameters.makeMetrics,
                onFinished=self._onFusionFinished,
                **self._callbacks(),
                **parameters.settings(),
            )
        self._runView.start()

    def _startRegistration(self, parameters):
        if not self._hasPackages("registration"):
            return
        with waitCursor():
            self._logic.startRegistration(
                parameters.petVolume, parameters.mriVolume, onFinished=self._onRegistered, **self._callbacks()
            )
        self._runView.start()

    def _callbacks(self):
        return {"onProgress": self._runView.showProgress, "onFailed": self._onFailed, "onLog": self._runView.log}

    def _hasPackages(self, task):
        """Return whether the packages that a task needs are installed, after asking the user for those that are not."""
        from CSpADNFusionLib.worker.torch_setup import ensureDependencies

        if ensureDependencies(self._requirementsFile, task):
            return True
        self._runView.showStatus(message("installation-declined"))
        return False

    def _onFusionFinished(self, fusedNode, warnings):
        self._end([_("Done: {name}").format(name=fusedNode.GetName()), *warnings])
        self._onFused(fusedNode)

    def _onRegistered(self, _transformNode, output):
        moved, turned = (output.provenance[name] for name in ("registration_mm", "registration_degrees"))
        self._end([message("panel-registered", millimetres=moved, degrees=turned)])

    def _end(self, lines):
        self._runView.stop("\n".join(lines))
        for line in lines:
            self._runView.log(line)
        self._onStateChanged()

    def _onFailed(self, text, details=""):
        self._runView.stop(_("Failed.") if text else _("Cancelled."))
        self._onStateChanged()
        if text:
            self._runView.log(text)
            _showError(text, details)


def _mayReplace(outputs):
    """Ask the user before the data of a selected output node is replaced; return False if the user declines."""
    full = [node.GetName() for node in outputs if node and holdsData(node)]
    return not full or confirm(plainText(message("replace-outputs", names=", ".join(full))))


def _showError(text, details):
    slicer.util.errorDisplay(plainText(text), **({"detailedText": details} if details else {}))
