"""What the stand-in would have shown to the user or done to the machine, kept in lists that tests read."""

from __future__ import annotations

from typing import Any

messages: list[dict[str, Any]] = []  # one entry for each message box: level, text, windowTitle and the box's options
answers: list[bool] = []  # a test puts here, in order, what the user answers to the confirmation boxes
sliceViewerLayers: list[dict[str, Any]] = []  # the arguments of each call of slicer.util.setSliceViewerLayers
pipRequests: list[dict[str, Any]] = []  # the arguments of each call of slicer.packaging.pip_ensure
uncaughtErrors: list[BaseException] = []  # exceptions that left a Qt slot or a VTK observer


def texts(level: str | None = None) -> list[str]:
    """Return the texts of the message boxes, of one level ("error", "warning", "info") or of all."""
    return [message["text"] for message in messages if level in (None, message["level"])]


def clear() -> None:
    """Forget everything."""
    for record in (messages, answers, sliceViewerLayers, pipRequests, uncaughtErrors):
        record.clear()
