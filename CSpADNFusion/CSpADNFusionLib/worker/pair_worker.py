"""Client of a worker process that runs one command of ``python -m cspadn`` on a PET and an MRI."""

import json
import logging
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import SimpleITK as sitk
import slicer

from cspadn.io.atomic_output import PrivateFolder
from cspadn.runtime.private_folders import temporary_folder
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.worker import process

FOLDER_PREFIX = "CSpADNFusion-"
_KILLED = (-9, 137)  # exit codes after SIGKILL, which the system sends when memory is short; 137 from a shell
_LAUNCHER_SAYS = "exit abnormally"  # printed by Slicer's launcher, which exits with 1, when its program was killed
_MOST = 2**31 - 1  # largest number of steps that a progress bar can show
_LOG_LINES = 20  # kept for the message about a worker that fails without a message


class Callbacks(NamedTuple):
    """Functions that are called during a run, from Slicer's event loop.

    :ivar onProgress: called with the number of steps done, the total, and the name of what is done.
    :ivar onFinished: called with the result of the worker.
    :ivar onFailed: called with a message for the user ("" after a cancel) and the last lines of the worker's log.
    :ivar onLog: called with a line for the log.
    """

    onProgress: Any
    onFinished: Any
    onFailed: Any
    onLog: Any


class PairWorker:
    """Run one command in a worker process. The images are passed as files in a private folder, which is removed at the end.

    Either ``onFinished`` or ``onFailed`` is called, once; neither is called after :meth:`close`.

    A derived class gives the command, reads what it leaves, and has the sentences for a process that fails without one.

    :param pet, mri: images in one space, as from :func:`CSpADNFusionLib.scene.volumes.imagesFromVolumeNodes`.
    :param callbacks: a :class:`Callbacks`.
    """

    def __init__(self, pet, mri, callbacks):
        self._callbacks = callbacks
        self._log = deque(maxlen=_LOG_LINES)
        self.warnings = []
        self.finished = {}  # last event of the command
        self._error = None
        self._cancelled = self._closed = False
        self._private = PrivateFolder(temporary_folder(Path(slicer.app.temporaryPath)), FOLDER_PREFIX)
        self.folder = self._private.path
        try:
            for name, image in (("pet", pet), ("mri", mri)):
                (file := self.folder / f"{name}.nrrd").touch(mode=0o600)
                sitk.WriteImage(image, str(file), useCompression=False)
            self._process = self._start()
        except Exception:
            self._private.remove()
            raise

    def arguments(self, pet, mri, folder):
        """Return the arguments of the command.

        :param pet, mri: paths of the files.
        :param folder: name of the folder for the results.
        """
        raise NotImplementedError

    def result(self):
        """Return what the command has left in ``self.folder``."""
        raise NotImplementedError

    def killed(self):
        """Return the sentence for the user about a process that the system has killed."""
        raise NotImplementedError

    def crashed(self, code):
        """Return the sentence for the user about a process that has ended with a code and without a message."""
        raise NotImplementedError

    def isCancelled(self):
        """Return whether the worker was asked to stop."""
        return self._cancelled

    def cancel(self):
        """Ask the worker to stop before its next step. If it still finishes, its result is discarded."""
        self._cancelled = True
        if self.folder.is_dir():
            (self.folder / "cancel").touch()

    def close(self):
        """Stop at once without further callbacks, because Slicer, the scene or the panel is going away.

        Terminating the process may only end a launcher; the worker itself ends when its folder has been removed.
        """
        self._closed = True
        self.cancel()
        self._process.terminate()
        self._private.remove()

    def _start(self):
        # Relative names: some readers on Windows fail on a non-ASCII path. The working folder is the parent, since Windows
        # does not remove the working folder of a process, and the worker ends when its folder has been removed.
        folder = self.folder.name
        arguments = [
            *self.arguments(f"{folder}/pet.nrrd", f"{folder}/mri.nrrd", folder),
            *("--progress", "json", "--cancel-file", f"{folder}/cancel"),
        ]
        return process.launch(arguments, self.folder.parent, self._onLine, self._onExit)

    def _onLine(self, line):
        """Handle one line of output. An exception here would stop Slicer from reading further lines."""
        try:
            shown = _shown(line)
            if not self._onEvent(_parsed(line)) and shown != f"cspadn: {self._error}":  # already reported
                self._log.append(shown)
                self._call(self._callbacks.onLog, shown)
        except Exception:
            logging.exception("CSpADNFusion: the progress could not be shown")

    def _onEvent(self, event):
        """Handle an event of the worker; return False for anything else, which a library has printed."""
        match event:
            case {"event": "progress", "done": int(done), "total": int(total), "step": str(step)}:
                if not self._cancelled and 0 <= done <= total <= _MOST:
                    self._call(self._callbacks.onProgress, int(done), int(total), _shown(step))
            case {"event": "warning", "message": str(text)}:
                self.warnings.append(_shown(text))
            case {"event": "error", "message": str(text)}:
                self._error = _shown(text)
            case {"event": "alignment"}:  # which the provenance has as well
                pass
            case {"event": "finished"}:
                self.finished = event
            case _:
                return False
        return True

    def _call(self, callback, *arguments):
        if not self._closed:
            callback(*arguments)

    def _onExit(self, code):
        try:
            output = None if self._cancelled or code else self.result()
            failure = "" if self._cancelled else self._failure(code)
        except Exception as error:
            output, failure = None, message("result-unreadable", error=error)
        self._private.remove()
        if output is None:
            self._call(self._callbacks.onFailed, failure, "\n".join(self._log))
        else:
            self._call(self._callbacks.onFinished, output)

    def _failure(self, code):
        if self._error:
            return self._error
        killed = code in _KILLED or any(_LAUNCHER_SAYS in line for line in self._log)
        return self.killed() if killed else self.crashed(code)


def _parsed(line):
    """Return the parsed line, or None if it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _shown(text):
    """Escape surrogates, which JSON may contain and Qt cannot show."""
    return text.encode(errors="backslashreplace").decode()
