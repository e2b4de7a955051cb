"""Unit tests start no process, open no Qt and read no weights of a shipped model: they take seconds."""

from __future__ import annotations

import os
import subprocess
from typing import NoReturn

import pytest

from cspadn.models import weights

_OF_SLICER = {"panel", "run", "scene", "slicer_app", "slicer_without_window"}


@pytest.fixture(autouse=True)
def nothing_slow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test that starts a process, loads a model or uses the stand-in for Slicer."""
    if _OF_SLICER & set(request.fixturenames):
        pytest.fail("A test that uses the stand-in for Slicer belongs into Testing/slicer.")

    def refused(*_: object, **__: object) -> NoReturn:
        pytest.fail("A test that starts a process or loads a model belongs into Testing/integration.")

    monkeypatch.setattr(subprocess, "Popen", refused)
    monkeypatch.setattr(os, "fork", refused, raising=False)
    monkeypatch.setattr(weights, "load_model", refused)
