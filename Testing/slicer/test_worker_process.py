"""The process of the panel's worker: it imports nothing from its working folder, Slicer's temporary folder."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from trust.hostile_folder import make_hostile

pytest.importorskip("slicer")

_SECONDS = 300  # on a busy machine


def _run(arguments: list[str], folder: Path) -> tuple[int, list[str]]:
    """Run the worker, and return its exit code and its lines."""
    import slicer

    from CSpADNFusionLib.worker import process

    lines: list[str] = []
    codes: list[int] = []
    worker = process.launch(arguments, folder, lines.append, codes.append)
    end = time.monotonic() + _SECONDS
    while not codes and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.02)
    if not codes:
        worker.terminate()
    return codes[0], lines


@pytest.mark.parametrize("given", ["", os.pathsep.join(["", "."])])
def test_the_worker_imports_nothing_from_its_folder(
    given: str, scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, mark = make_hostile(tmp_path / "Slicer-user", tmp_path / "mark"), tmp_path / "mark"
    monkeypatch.setenv("PYTHONPATH", given)
    code, lines = _run(["info", "--json"], folder)  # imports torch
    assert code == 0, lines
    assert json.loads("\n".join(lines))["devices"]
    assert not mark.exists(), mark.read_text()
