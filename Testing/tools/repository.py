"""Where the files of this repository are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"  # evaluation data that the project does not own; may be absent
LIBRARY = ROOT / "CSpADNFusion"
RESOURCES = LIBRARY / "Resources"
MODULE_FILE = LIBRARY / "CSpADNFusion.py"
TOOLS = ROOT / "Testing" / "tools"
STAND_IN = ROOT / "Testing" / "slicer"  # the folder of the package slicer_application
