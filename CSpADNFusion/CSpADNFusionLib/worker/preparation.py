"""Preparation of images in Slicer before a worker starts: in steps, between which Slicer stays responsive."""

import logging
import traceback

import qt

from cspadn.errors import FusionError
from CSpADNFusionLib.messages import message

PREPARING = "Preparing"  # name of the step in the progress


def startPrepared(steps, start, callbacks):
    """Start a worker after its images were prepared, and return it, or a :class:`PreparedWorker` in its place.

    Images that need no step are passed on at once: what prevents the start is then raised here. Later errors go to
    ``onFailed``.

    :param steps: generator that yields the number of steps done and the total, and returns the images.
    :param start: function that starts the worker with the images, and returns it.
    :param callbacks: a :class:`CSpADNFusionLib.worker.pair_worker.Callbacks`.
    """
    try:
        next(steps)
    except StopIteration as stopped:
        return start(*stopped.value)
    return PreparedWorker(steps, start, callbacks)


class PreparedWorker:
    """Take the other steps from Slicer's event loop, then start the worker. It can be cancelled and closed like a worker."""

    def __init__(self, steps, start, callbacks):
        self._steps, self._start, self._callbacks = steps, start, callbacks
        self._worker, self._cancelled = None, False
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._onTimeout)
        self._timer.start()

    def isCancelled(self):
        """Return whether the worker was asked to stop."""
        return self._worker.isCancelled() if self._worker else self._cancelled

    def cancel(self):
        """Ask the worker to stop before its next step."""
        self._cancelled = True
        if self._worker:
            self._worker.cancel()

    def close(self):
        """Stop at once, without further callbacks."""
        self._timer.stop()
        self._steps.close()
        if self._worker:
            self._worker.close()

    def _advance(self):
        """Take one step, or start the worker after the last one; return whether it was started."""
        try:
            done, total = next(self._steps)
        except StopIteration as stopped:
            self._worker = self._start(*stopped.value)
            return True
        self._callbacks.onProgress(done, total, PREPARING)
        return False

    def _onTimeout(self):
        if self._cancelled:
            self._fail("")
            return
        try:
            if self._advance():
                self._timer.stop()
        except FusionError as error:
            self._fail(str(error))
        except Exception as error:
            logging.exception("CSpADNFusion: the run could not be started")
            self._fail(message("fusion-not-started", error=error), traceback.format_exc())

    def _fail(self, text, details=""):
        self._timer.stop()
        self._callbacks.onFailed(text, details)
