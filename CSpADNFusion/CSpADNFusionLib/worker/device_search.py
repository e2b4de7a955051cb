"""Search for torch and the devices it can use, in a process beside Slicer: importing torch freezes the window for seconds."""

import importlib.metadata
import json

from cspadn.runtime.processes import PACKAGE
from CSpADNFusionLib.worker import process


def torchVersion():
    """Return the version of the installed torch, without importing it, or None if it is not installed."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


class DeviceSearch:
    """Search for the available devices, once.

    :param onFound: called with the names by torch's identifiers, best first, such as {"cuda:0": "NVIDIA ...", "cpu": "CPU"};
        with None if the search failed; not called after :meth:`close`.
    """

    def __init__(self, onFound):
        self._onFound = onFound
        self._lines = []
        self._process = process.launch(["info", "--json"], PACKAGE, self._lines.append, self._onExit)

    def close(self):
        """Stop the search, because the panel is going away."""
        self._onFound = None
        self._process.terminate()

    def _onExit(self, code):
        if self._onFound:
            self._onFound(None if code else self._devices())

    def _devices(self):
        """Return the devices in the output, where warnings of torch may surround the JSON; None if there is no JSON."""
        text = "\n".join(self._lines)
        try:
            return json.loads(text[text.index("{") : text.rindex("}") + 1])["devices"]
        except (ValueError, KeyError):
            return None
