"""The part of `ctk` that the module's user interface needs."""

from slicer_application.widgets import ctkCollapsibleButton, ctkSliderWidget  # noqa: F401
