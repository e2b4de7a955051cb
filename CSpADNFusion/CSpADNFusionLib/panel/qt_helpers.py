"""Helpers for the widgets of the panel."""

import contextlib
import html

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


def plainText(text):
    """Escape a text for a message box or tooltip, which would show HTML in it: names of nodes may look like HTML."""
    text = str(text)
    return text if "<" not in text else f"<qt>{html.escape(text)}</qt>".replace("\n", "<br>")


def showWhole(label, text):
    """Show a text in a label that wraps words, and make the label as high as the text needs at its present width.

    A panel that is higher than its window gives such a label only a part of the height that it needs.
    """
    label.setTextFormat(qt.Qt.PlainText)  # names of nodes may look like HTML
    label.setText(text)
    fitHeight(label)


def fitHeight(label):
    """Make a label that wraps words as high as its text needs at its present width."""
    label.setMinimumHeight(0)
    if label.property("text"):
        label.setMinimumHeight(label.heightForWidth(label.property("width")))


def fitHeights(ui):
    """Make all visible labels that wrap words as high as their texts need at their present widths."""
    for widget in vars(ui).values():
        if isinstance(widget, qt.QLabel) and widget.property("wordWrap") and widget.isVisible():
            fitHeight(widget)


def makeKeyboardAccessible(ui):
    """Pass the keyboard focus on to the combo box of a node selector, and to the slider of a slider widget."""
    for selector in (ui.petSelector, ui.mriSelector, ui.fusedSelector, ui.colorSelector, ui.metricsSelector):
        comboBox = selector.findChildren(qt.QComboBox)[0]
        comboBox.setFocusProxy(None)
        selector.setFocusProxy(comboBox)
    for slider in (ui.petWeightSlider, ui.petOpacitySlider, ui.checkerboardSlider):
        slider.setFocusProxy(slider.findChildren(qt.QSlider)[0])
