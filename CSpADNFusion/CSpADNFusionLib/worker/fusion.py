"""Client of a worker process that runs one fusion: ``python -m cspadn fuse ... --progress json``."""

import csv
import json
import logging
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import SimpleITK as sitk
import slicer

from cspadn.imaging.metadata import PREFIX
from cspadn.io.atomic_output import PrivateFolder
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.worker import process

FOLDER_PREFIX = "CSpADNFusion-"
COLOR_FILE, METRICS_FILE = "color.nrrd", "metrics.csv"
_KILLED = (-9, 137)  # exit codes after SIGKILL, which the system sends when memory is short; 137 from a shell
_LAUNCHER_SAYS = "exit abnormally"  # printed by Slicer's launcher, which exits with 1, when its program was killed
_MOST = 2**31 - 1  # largest number of slices that a progress bar can show
_LOG_LINES = 20  # kept for the message about a worker that fails without a message


class FusionOutput(NamedTuple):
    """Images, metrics and warnings of a fusion.

    :ivar image: the fused volume, a SimpleITK image.
    :ivar color: RGB image, or None.
    :ivar metrics: rows of :meth:`cspadn.metrics.VolumeScores.to_rows`, or None.
    :ivar provenance: dictionary.
    :ivar warnings: list of sentences.
    """

    image: Any
    color: Any
    metrics: Any
    provenance: Any
    warnings: Any


class Callbacks(NamedTuple):
    """Functions that are called during a run, from Slicer's event loop.

    :ivar onProgress: called with the number of slices done, the total, and the name of the step.
    :ivar onFinished: called with the :class:`FusionOutput`.
    :ivar onFailed: called with a message for the user ("" after a cancel) and the last lines of the worker's log.
    :ivar onLog: called with a line for the log.
    """

    onProgress: Any
    onFinished: Any
    onFailed: Any
    onLog: Any


class FusionWorker:
    """Run one fusion in a worker process. The images are passed as files in a private folder, which is removed at the end.

    Either ``onFinished`` or ``onFailed`` is called, once; neither is called after :meth:`close`.

    :param pet, mri: images in one space, as from :func:`CSpADNFusionLib.scene.volumes.imagesFromVolumeNodes`.
    :param settings: a :class:`cspadn.settings.FusionSettings`.
    :param measured: whether to compute the metrics of the slices.
    :param callbacks: a :class:`Callbacks`.
    """

    def __init__(self, pet, mri, settings, measured, callbacks):
        self._callbacks = callbacks
        self._log = deque(maxlen=_LOG_LINES)
        self._warnings = []
        self._error = None
        self._cancelled = self._closed = False
        self._private = PrivateFolder(Path(slicer.app.temporaryPath), FOLDER_PREFIX)
        self._folder = self._private.path
        try:
            for name, image in (("pet", pet), ("mri", mri)):
                (file := self._folder / f"{name}.nrrd").touch(mode=0o600)
                sitk.WriteImage(image, str(file), useCompression=False)
            self._process = self._start(settings, measured)
        except Exception:
            self._removeFolder()
            raise

    def isCancelled(self):
        """Return whether the worker was asked to stop."""
        return self._cancelled

    def cancel(self):
        """Ask the worker to stop before its next slice. If it still finishes, its result is discarded."""
        self._cancelled = True
        if self._folder.is_dir():
            (self._folder / "cancel").touch()

    def close(self):
        """Stop at once without further callbacks, because Slicer, the scene or the panel is going away.

        Terminating the process may only end a launcher; the worker itself ends when its folder has been removed.
        """
        self._closed = True
        self.cancel()
        self._process.terminate()
        self._removeFolder()

    def _start(self, settings, measured):
        # Relative names: some readers on Windows fail on a non-ASCII path. The working folder is the parent, since Windows
        # does not remove the working folder of a process, and the worker ends when its folder has been removed.
        folder = self._folder.name
        arguments = [
            *("fuse", f"{folder}/pet.nrrd", f"{folder}/mri.nrrd", "--output", f"{folder}/fused.nrrd"),
            *(["--metrics", f"{folder}/{METRICS_FILE}"] if measured else []),
            *("--progress", "json", "--cancel-file", f"{folder}/cancel"),
            *settingsArguments(settings, folder),
        ]
        return process.launch(arguments, self._folder.parent, self._onLine, self._onExit)

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
                self._warnings.append(_shown(text))
            case {"event": "error", "message": str(text)}:
                self._error = _shown(text)
            case {"event": "finished"}:
                pass
            case _:
                return False
        return True

    def _call(self, callback, *arguments):
        if not self._closed:
            callback(*arguments)

    def _onExit(self, code):
        try:
            output = None if self._cancelled or code else self._result()
            failure = "" if self._cancelled else self._failure(code)
        except Exception as error:
            output, failure = None, message("result-unreadable", error=error)
        self._removeFolder()
        if output is None:
            self._call(self._callbacks.onFailed, failure, "\n".join(self._log))
        else:
            self._call(self._callbacks.onFinished, output)

    def _result(self):
        image, colorFile = sitk.ReadImage(str(self._folder / "fused.nrrd")), self._folder / COLOR_FILE
        color = sitk.ReadImage(str(colorFile)) if colorFile.exists() else None
        return FusionOutput(image, color, self._rows(), provenanceOf(image), self._warnings)

    def _rows(self):
        file = self._folder / METRICS_FILE
        return list(csv.reader(file.read_text(encoding="utf-8").splitlines())) if file.exists() else None

    def _failure(self, code):
        if self._error:
            return self._error
        if code in _KILLED or any(_LAUNCHER_SAYS in line for line in self._log):
            return message("fusion-killed")
        return message("fusion-crashed", code=code)

    def _removeFolder(self):
        self._private.remove()


def _parsed(line):
    """Return the parsed line, or None if it is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _shown(text):
    """Escape surrogates, which JSON may contain and Qt cannot show."""
    return text.encode(errors="backslashreplace").decode()


def provenanceOf(image):
    """Return the provenance that ``cspadn fuse`` wrote into a file, as a dictionary of texts."""
    keys = [key for key in image.GetMetaDataKeys() if key.startswith(PREFIX)]
    return {key[len(PREFIX) :]: image.GetMetaData(key) for key in keys}


def settingsArguments(settings, folder):
    """Return the arguments of ``cspadn fuse`` for some settings.

    :param settings: a :class:`cspadn.settings.FusionSettings`.
    :param folder: folder of the colour volume; the worker runs in another working folder.
    """
    if settings.model.endswith(".safetensors"):
        settings = replace(settings, model=str(Path(settings.model).resolve()))
    color = [] if settings.palette is None else ["--color", f"{folder}/{COLOR_FILE}"]
    return [*settings.arguments(), *color]
