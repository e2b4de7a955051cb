"""Fusion in a process beside Slicer, so that its window stays alive: ``python -m cspadn fuse ... --progress json``."""

import json
import os
import shutil
import sys
import tempfile
from collections import deque
from pathlib import Path

import SimpleITK as sitk

import slicer

MODULE_FOLDER = Path(__file__).resolve().parent.parent
_LOG_LINES = 20  # kept for a message about a worker that failed without one


class FusionWorker:
    """One run. The images go over as files in a private folder, which is removed at the end.

    Exactly one of ``onFinished`` and ``onFailed`` is called, once, from Slicer's event loop.

    :param pet, mri: images in one space, as from :func:`CSpADNFusionLib.nodes.imagesFromVolumeNodes`.
    :param settings: fields of :class:`cspadn.FusionSettings`.
    :param onProgress: called with the slices done and the slices in all.
    :param onFinished: called with the fused image and the provenance.
    :param onFailed: called with a sentence for the user; "" where the run was cancelled.
    """

    def __init__(self, pet, mri, settings, onProgress, onFinished, onFailed):
        self._onProgress, self._onFinished, self._onFailed = onProgress, onFinished, onFailed
        self._log = deque(maxlen=_LOG_LINES)
        self._error = None
        self._cancelled = False
        self._folder = Path(tempfile.mkdtemp(prefix="CSpADNFusion-", dir=slicer.app.temporaryPath))
        try:
            for name, image in (("pet", pet), ("mri", mri)):
                sitk.WriteImage(image, str(self._folder / f"{name}.nrrd"), useCompression=False)
            self._start(settings)
        except Exception:
            self._removeFolder()
            raise

    def cancel(self):
        """Ask the worker to stop; it does so before its next slice. A result that comes all the same is dropped."""
        self._cancelled = True
        (self._folder / "cancel").touch()

    def _start(self, settings):
        files = {name: str(self._folder / f"{name}.nrrd") for name in ("pet", "mri", "fused")}
        arguments = [
            *(pythonExecutable(), "-m", "cspadn", "fuse", files["pet"], files["mri"], "--output", files["fused"]),
            *("--progress", "json", "--cancel-file", str(self._folder / "cancel")),
            *_settingsArguments(settings),
        ]
        slicer.util.launchConsoleProcess(
            arguments,
            useStartupEnvironment=False,
            updateEnvironment={"PYTHONIOENCODING": "utf-8"},
            cwd=str(MODULE_FOLDER),  # puts cspadn on the path of 'python -m'
            blocking=False,
            logCallback=self._onLine,
            completedCallback=self._onExit,
        )

    def _onLine(self, line):
        """One line of the worker's output: an event as JSON, or anything that a library printed."""
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            self._log.append(line)
            return
        if kind == "progress":
            self._onProgress(event["done"], event["total"])
        elif kind == "error":
            self._error = event["message"]

    def _onExit(self, code):
        try:
            outcome = self._outcome(code)
        finally:
            self._removeFolder()
        if isinstance(outcome, str):
            self._onFailed(outcome)
        else:
            self._onFinished(*outcome)

    def _outcome(self, code):
        """The fused image and its provenance, or why there is none."""
        if self._cancelled:
            return ""
        if code == 0:
            image = sitk.ReadImage(str(self._folder / "fused.nrrd"))
            return image, provenanceOf(image)
        return self._error or "\n".join([f"The fusion stopped unexpectedly (exit code {code}).", *self._log])

    def _removeFolder(self):
        shutil.rmtree(self._folder, ignore_errors=True)


def provenanceOf(image):
    """The provenance that ``cspadn fuse`` wrote into a file, as text by name."""
    prefix = "CSpADNFusion."
    keys = [key for key in image.GetMetaDataKeys() if key.startswith(prefix)]
    return {key[len(prefix) :]: image.GetMetaData(key) for key in keys}


def pythonExecutable():
    """Slicer's Python, with Slicer's libraries; the running interpreter where there is no application."""
    beside = Path(sys.executable).with_name("PythonSlicer" + (".exe" if os.name == "nt" else ""))
    return shutil.which("PythonSlicer") or str(beside if beside.exists() else sys.executable)


def _settingsArguments(settings):
    arguments = []
    for name, value in settings.items():
        values = value if isinstance(value, (tuple, list)) else (value,)
        if value is not None:
            arguments += ["--" + name.replace("_", "-"), *map(str, values)]
    return arguments
