"""Fusion in a process beside Slicer, so that its window stays alive: ``python -m cspadn fuse ... --progress json``."""

import json
import logging
import os
import shutil
import sys
import tempfile
from collections import deque
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import slicer

from cspadn.metadata import PREFIX

MODULE_FOLDER = Path(__file__).resolve().parent.parent
FOLDER_PREFIX = "CSpADNFusion-"
COLOR_FILE = "color.nrrd"
_LOG_LINES = 20  # kept for a message about a worker that failed without one


class FusionWorker:
    """One run. The images go over as files in a private folder, which is removed at the end.

    Exactly one of ``onFinished`` and ``onFailed`` is called, once, from Slicer's event loop; neither after :meth:`close`.

    :param pet, mri: images in one space, as from :func:`CSpADNFusionLib.nodes.imagesFromVolumeNodes`.
    :param settings: a :class:`cspadn.settings.FusionSettings`.
    :param onProgress: called with the slices done and the slices in all.
    :param onFinished: called with the fused image, the colour image or None, the provenance and a list of warnings.
    :param onFailed: called with a sentence for the user; "" where the run was cancelled.
    """

    def __init__(self, pet, mri, settings, onProgress, onFinished, onFailed):
        self._onProgress, self._onFinished, self._onFailed = onProgress, onFinished, onFailed
        self._log = deque(maxlen=_LOG_LINES)
        self._warnings = []
        self._error = None
        self._cancelled = self._closed = False
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=slicer.app.temporaryPath))
        try:
            for name, image in (("pet", pet), ("mri", mri)):
                sitk.WriteImage(image, str(self._folder / f"{name}.nrrd"), useCompression=False)
            self._process = self._start(settings)
        except Exception:
            self._removeFolder()
            raise

    def cancel(self):
        """Ask the worker to stop; it does so before its next slice. A result that comes all the same is dropped."""
        self._cancelled = True
        if self._folder.is_dir():
            (self._folder / "cancel").touch()

    def close(self):
        """Stop at once and say nothing more: Slicer or the panel is going away."""
        self._closed = True
        self.cancel()
        self._process.terminate()
        self._removeFolder()  # a worker that outlives its launcher stops when its folder is gone

    def _start(self, settings):
        # Names relative to the private folder: some readers on Windows fail on a user's non-ASCII path.
        arguments = [
            *(pythonExecutable(), "-m", "cspadn", "fuse", "pet.nrrd", "mri.nrrd", "--output", "fused.nrrd"),
            *("--progress", "json", "--cancel-file", "cancel"),
            *settingsArguments(settings),
        ]
        path = os.pathsep.join([str(MODULE_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
        return slicer.util.launchConsoleProcess(
            arguments,
            useStartupEnvironment=False,
            updateEnvironment={"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
            cwd=str(self._folder),
            blocking=False,
            logCallback=self._onLine,
            completedCallback=self._onExit,
        )

    def _onLine(self, line):
        """One line of the worker's output. An exception here would stop Slicer from reading on."""
        try:
            self._onEvent(json.loads(line))
        except (ValueError, TypeError, KeyError):  # no event of ours: something that a library printed
            self._log.append(line)
        except Exception:
            logging.exception("CSpADNFusion: the progress could not be shown")

    def _onEvent(self, event):
        kind = event["event"]
        if kind == "progress" and not self._closed:
            self._onProgress(event["done"], event["total"])
        elif kind == "warning":
            self._warnings.append(event["message"])
        elif kind == "error":
            self._error = event["message"]

    def _onExit(self, code):
        try:
            result = None if self._cancelled or code else self._result()
            failure = "" if self._cancelled else self._failure(code)
        except Exception as error:
            result, failure = None, str(error)
        self._removeFolder()
        if self._closed:
            return
        if result is None:
            self._onFailed(failure)
        else:
            self._onFinished(*result, self._warnings)

    def _result(self):
        image, colorFile = sitk.ReadImage(str(self._folder / "fused.nrrd")), self._folder / COLOR_FILE
        color = sitk.ReadImage(str(colorFile)) if colorFile.exists() else None
        return image, color, provenanceOf(image)

    def _failure(self, code):
        return self._error or "\n".join([f"The fusion stopped unexpectedly (exit code {code}).", *self._log])

    def _removeFolder(self):
        shutil.rmtree(self._folder, ignore_errors=True)


def provenanceOf(image):
    """The provenance that ``cspadn fuse`` wrote into a file, as text by name."""
    keys = [key for key in image.GetMetaDataKeys() if key.startswith(PREFIX)]
    return {key[len(PREFIX) :]: image.GetMetaData(key) for key in keys}


def pythonExecutable():
    """Slicer's Python, with Slicer's libraries; the running interpreter where there is no application."""
    beside = Path(sys.executable).with_name("PythonSlicer" + (".exe" if os.name == "nt" else ""))
    return shutil.which("PythonSlicer") or str(beside if beside.exists() else sys.executable)


def settingsArguments(settings):
    """Settings as arguments of ``cspadn fuse``, which runs in another folder."""
    model = str(Path(settings.model).resolve()) if settings.model.endswith(".safetensors") else settings.model
    arguments = ["--model", model, "--device", settings.device, "--grid", settings.grid]
    if settings.palette is not None:
        arguments += ["--color", COLOR_FILE, "--palette", settings.palette]
    for name in ("pet_window", "mri_window"):
        window = getattr(settings, name)
        if window is not None:  # argparse takes -0.00001 for a number, but not -1e-05
            arguments += ["--" + name.replace("_", "-"), *(np.format_float_positional(end) for end in window)]
    return arguments
