"""Fixtures for pytest: a test that asks for `scene` runs inside the stand-in for the Slicer application.

VTK and Qt are imported by the fixtures only: unit tests do without them.
"""

import sys

import pytest

from slicer_application import records


@pytest.fixture(scope="session")
def slicer_app():
    """Return slicer.app, started once for all tests; skip where the wheels for it are not installed."""
    pytest.importorskip("slicer")
    pytest.importorskip("PySide6")
    from slicer_application import application

    return application.start()


@pytest.fixture
def scene(slicer_app, monkeypatch):
    """Return a new scene with empty records; afterwards close what is open and fail on uncaught exceptions.

    Qt and VTK only print an exception that leaves a slot or an observer, so the test would pass. A test that expects one
    (slicer.util.tryWithErrorDisplay raises again after it showed the message) clears records.uncaughtErrors at its end.
    """
    from slicer_application import application

    records.clear()
    slicer_app.testing = False
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: records.uncaughtErrors.append(error))
    yield application.newScene()
    application.closeModules()
    slicer_app.processEvents()
    if records.uncaughtErrors:
        raise AssertionError("An exception left a Qt slot or a VTK observer") from records.uncaughtErrors[0]
