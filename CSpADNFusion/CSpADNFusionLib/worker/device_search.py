"""Which processors fusing could use. Asked of a process beside Slicer: to import torch would freeze the window for seconds."""

import importlib.metadata
import json

import slicer

from CSpADNFusionLib.worker import process


def torchVersion():
    """The version of the installed torch, found without importing it; None where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


class DeviceSearch:
    """Looks for the devices that compute, once.

    :param onFound: called with their names by torch's identifiers, best first, such as {"cuda:0": "NVIDIA ...", "cpu": "CPU"};
        with None where they could not be found out; not after :meth:`close`.
    """

    def __init__(self, onFound):
        self._onFound = onFound
        self._lines = []
        self._process = process.launch(["info", "--json"], slicer.app.temporaryPath, self._lines.append, self._onExit)

    def close(self):
        """Give up: the panel is going away."""
        self._onFound = None
        self._process.terminate()

    def _onExit(self, code):
        if self._onFound:
            self._onFound(None if code else self._devices())

    def _devices(self):
        """The JSON may stand between warnings of torch about a driver."""
        text = "\n".join(self._lines)
        try:
            return json.loads(text[text.index("{") : text.rindex("}") + 1])["devices"]
        except (ValueError, KeyError):
            return None
