"""Fixtures for tests in the stand-in for Slicer."""

from __future__ import annotations

import pytest


@pytest.fixture
def inline_worker(scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the workers of the panel in this process, which saves each the start of Python and torch."""
    from CSpADNFusionLib.worker import process
    from inline_worker import InlineWorker

    monkeypatch.setattr(process, "launch", InlineWorker)
