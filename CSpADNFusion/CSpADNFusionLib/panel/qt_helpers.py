"""Helpers for the widgets of the panel."""

import contextlib

import qt
import slicer


@contextlib.contextmanager
def waitCursor():
    """Show the wait cursor.

    Slicer's own function processes clicks at its start, so that a second click on Apply would start a second run.
    """
    slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
    try:
        yield
    finally:
        slicer.app.restoreOverrideCursor()


def makeKeyboardAccessible(ui):
    """Pass the keyboard focus on to the combo box of a node selector, and to the slider of a slider widget."""
    for selector in (ui.petSelector, ui.mriSelector, ui.fusedSelector, ui.colorSelector, ui.metricsSelector):
        comboBox = selector.findChildren(qt.QComboBox)[0]
        comboBox.setFocusProxy(None)
        selector.setFocusProxy(comboBox)
    ui.petOpacitySlider.setFocusProxy(ui.petOpacitySlider.findChildren(qt.QSlider)[0])
