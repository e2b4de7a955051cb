"""One fusion in a process beside Slicer: ``python -m cspadn fuse ... --progress json``."""

import csv
import json
import logging
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
import slicer
from slicer.i18n import tr as _

from cspadn.imaging.metadata import PREFIX
from cspadn.io.atomic_output import PrivateFolder
from CSpADNFusionLib import process

FOLDER_PREFIX = "CSpADNFusion-"
COLOR_FILE, METRICS_FILE = "color.nrrd", "metrics.csv"
_KILLED = (-9, 137)  # by SIGKILL, as the system does when memory is short; 137 from a shell
_LAUNCHER_SAYS = "exit abnormally"  # Slicer's launcher, which itself ends with 1, of a program that was killed
_MOST = 2**31 - 1  # slices, that a progress bar takes
_LOG_LINES = 20  # kept for a message about a worker that failed without one


class Outcome(NamedTuple):
    """What a run made.

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
    """What to call during a run, all from Slicer's event loop.

    :ivar onProgress: with the slices done, the slices in all, and the name of the step.
    :ivar onFinished: with the :class:`Outcome`.
    :ivar onFailed: with a sentence for the user, "" where the run was cancelled, and the last lines of the worker's log.
    :ivar onLog: with a line for the log.
    """

    onProgress: Any
    onFinished: Any
    onFailed: Any
    onLog: Any


class FusionWorker:
    """One run. The images go over as files in a private folder, which is removed at the end.

    Exactly one of ``onFinished`` and ``onFailed`` is called, once; neither after :meth:`close`.

    :param pet, mri: images in one space, as from :func:`CSpADNFusionLib.nodes.imagesFromVolumeNodes`.
    :param settings: a :class:`cspadn.settings.FusionSettings`.
    :param measured: whether to measure the slices as well.
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
        """Whether it was asked to stop."""
        return self._cancelled

    def cancel(self):
        """Ask the worker to stop; it does so before its next slice. A result that comes all the same is dropped."""
        self._cancelled = True
        if self._folder.is_dir():
            (self._folder / "cancel").touch()

    def close(self):
        """Stop at once and say nothing more: Slicer, the scene or the panel is going away.

        To end the process may end only a launcher: the worker itself ends when its folder is gone.
        """
        self._closed = True
        self.cancel()
        self._process.terminate()
        self._removeFolder()

    def _start(self, settings, measured):
        # Relative names: some readers on Windows fail on a user's non-ASCII path. From the folder above, since Windows does
        # not remove a folder that is somebody's working folder, and the worker ends when its folder has gone.
        folder = self._folder.name
        arguments = [
            *("fuse", f"{folder}/pet.nrrd", f"{folder}/mri.nrrd", "--output", f"{folder}/fused.nrrd"),
            *(["--metrics", f"{folder}/{METRICS_FILE}"] if measured else []),
            *("--progress", "json", "--cancel-file", f"{folder}/cancel"),
            *settingsArguments(settings, folder),
        ]
        return process.launch(arguments, self._folder.parent, self._onLine, self._onExit)

    def _onLine(self, line):
        """One line of the worker's output. An exception here would stop Slicer from reading on."""
        try:
            shown = _shown(line)
            if not self._onEvent(_parsed(line)) and shown != f"cspadn: {self._error}":  # said already
                self._log.append(shown)
                self._tell(self._callbacks.onLog, shown)
        except Exception:
            logging.exception("CSpADNFusion: the progress could not be shown")

    def _onEvent(self, event):
        """Whether it is one of ours: all else is something that a library printed."""
        match event:
            case {"event": "progress", "done": int(done), "total": int(total), "step": str(step)}:
                if not self._cancelled and 0 <= done <= total <= _MOST:
                    self._tell(self._callbacks.onProgress, int(done), int(total), _shown(step))
            case {"event": "warning", "message": str(message)}:
                self._warnings.append(_shown(message))
            case {"event": "error", "message": str(message)}:
                self._error = _shown(message)
            case {"event": "finished"}:
                pass
            case _:
                return False
        return True

    def _tell(self, callback, *arguments):
        if not self._closed:
            callback(*arguments)

    def _onExit(self, code):
        try:
            outcome = None if self._cancelled or code else self._result()
            failure = "" if self._cancelled else self._failure(code)
        except Exception as error:
            outcome, failure = None, _("The result cannot be read: {error}").format(error=error)
        self._removeFolder()
        if outcome is None:
            self._tell(self._callbacks.onFailed, failure, "\n".join(self._log))
        else:
            self._tell(self._callbacks.onFinished, outcome)

    def _result(self):
        image, colorFile = sitk.ReadImage(str(self._folder / "fused.nrrd")), self._folder / COLOR_FILE
        color = sitk.ReadImage(str(colorFile)) if colorFile.exists() else None
        return Outcome(image, color, self._rows(), provenanceOf(image), self._warnings)

    def _rows(self):
        file = self._folder / METRICS_FILE
        return list(csv.reader(file.read_text(encoding="utf-8").splitlines())) if file.exists() else None

    def _failure(self, code):
        if self._error:
            return self._error
        if code in _KILLED or any(_LAUNCHER_SAYS in line for line in self._log):
            return _("The fusion was ended from outside, perhaps for lack of memory: close other programs and try again.")
        return _("The fusion stopped unexpectedly (exit code {code}).").format(code=code)

    def _removeFolder(self):
        self._private.remove()


def _parsed(line):
    """None where it is no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _shown(text):
    """JSON may hold halves of characters, which Qt cannot show."""
    return text.encode(errors="backslashreplace").decode()


def provenanceOf(image):
    """The provenance that ``cspadn fuse`` wrote into a file, as text by name."""
    keys = [key for key in image.GetMetaDataKeys() if key.startswith(PREFIX)]
    return {key[len(PREFIX) :]: image.GetMetaData(key) for key in keys}


def settingsArguments(settings, folder):
    """Settings as arguments of ``cspadn fuse``, which runs elsewhere and puts a colour volume into ``folder``."""
    model = str(Path(settings.model).resolve()) if settings.model.endswith(".safetensors") else settings.model
    arguments = ["--model", model, "--device", settings.device, "--grid", settings.grid]
    arguments += ["--half"] if settings.half else []
    if settings.palette is not None:
        arguments += ["--color", f"{folder}/{COLOR_FILE}", "--palette", settings.palette]
    for name in ("pet_window", "mri_window"):
        window = getattr(settings, name)
        if window is not None:  # argparse takes -0.00001 for a number, but not -1e-05
            arguments += ["--" + name.replace("_", "-"), *(np.format_float_positional(end) for end in window)]
    return arguments
