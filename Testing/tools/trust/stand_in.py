"""The stand-in for Slicer in a process of its own, with the module found but its panel closed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

TOOLS = Path(__file__).resolve().parents[1]
LIBRARY = TOOLS.parents[1] / "CSpADNFusion"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(TOOLS), str(TOOLS.parent / "slicer"), str(LIBRARY)]

import slicer  # noqa: E402

from slicer_application import application  # noqa: E402


def enter() -> None:
    """Start it, with an empty scene."""
    application.start()
    application.newScene()
    application.openModule(str(LIBRARY / "CSpADNFusion.py"))
    application.closeModules()


def leave(status: int) -> NoReturn:
    """End the process as Slicer does, without the end of the interpreter."""
    sys.stdout.flush()
    slicer.app._temporary.cleanup()
    os._exit(status)
