"""Which processors fusing could use. Asked of a process beside Slicer: to import torch would freeze the window for seconds."""

import importlib.metadata
import json

import slicer

from CSpADNFusionLib import process


def torchVersion():
    """The version of the installed torch, found without importing it; None where there is none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


class DeviceSearch:
    """Looks for the devices that compute, once.

    :param onFound: called with their names by torch's identifiers, best first, such as {"cuda:0": "NVIDIA ...", "cpu": "CPU"};
        never where they could not be found out, or after :meth:`close`.
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
        if code or not self._onFound:
            return
        try:
            devices = json.loads("\n".join(self._lines))["devices"]
        except (ValueError, KeyError, TypeError):  # something that a library printed in between
            return
        self._onFound(devices)
