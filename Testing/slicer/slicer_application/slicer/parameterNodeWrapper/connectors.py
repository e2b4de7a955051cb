"""Adapters between widgets and typed values, for the same pairs of widget and type as in Slicer."""

from __future__ import annotations

import ctk
import qt
import slicer

from .storage import Choice, WithinRange, nodeTypes, splitAnnotations

LARGEST_INT = 2**31 - 1


class GuiConnector:
    """Reads, writes and observes one widget. The functions for it are chosen by createGuiConnector."""

    def __init__(self, widget, read, write, signal):
        self.widget, self.read, self.write, self.signal = widget, read, write, signal
        self.callback = None

    def onChanged(self, callback):
        """Call the function after each change of the widget; None ends that."""
        if self.signal is not None and (callback is None) != (self.callback is None):
            (self.signal.disconnect if callback is None else self.signal.connect)(self.changed)
        self.callback = callback

    def changed(self):
        """Tell that the widget changed; widgets' own arguments are left out."""
        if self.callback:
            self.callback()


def _find(annotations, kind):
    """Return the first annotation of a class, or None."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)


def _setRange(widget, annotations, unbounded):
    """Give the widget the parameter's range; a slider without one is refused."""
    withinRange = _find(annotations, WithinRange)
    if withinRange is None and isinstance(widget, qt.QSlider):
        raise RuntimeError("A slider needs a parameter with WithinRange")
    low, high = (withinRange.minimum, withinRange.maximum) if withinRange else (-unbounded, unbounded)
    widget.setRange(low, high)


def _checkable(widget, datatype):
    """Connect a check box or a checkable push button."""
    if isinstance(widget, qt.QPushButton):
        widget.setCheckable(True)
    signal = widget.stateChanged if isinstance(widget, qt.QCheckBox) else widget.toggled
    return GuiConnector(widget, widget.isChecked, widget.setChecked, signal)


def _integer(widget, datatype):
    """Connect a slider or spin box of whole numbers."""
    _setRange(widget, splitAnnotations(datatype)[1], LARGEST_INT)
    return GuiConnector(widget, widget.value, widget.setValue, widget.valueChanged)


def _double(widget, datatype):
    """Connect a spin box of decimal numbers."""
    plain, annotations = splitAnnotations(datatype)
    if plain is int:
        widget.setDecimals(0)
    _setRange(widget, annotations, float("inf"))

    def write(value):
        widget.setValue(plain(value))

    return GuiConnector(widget, lambda: plain(widget.property("value")), write, widget.valueChanged)


def _choice(widget, datatype):
    """Connect a combo box; its items become the choices of the parameter."""
    choice = _find(splitAnnotations(datatype)[1], Choice)
    if choice is None:
        raise RuntimeError("A combo box needs a parameter with Choice")
    choices = list(choice.choices)
    widget.clear()
    widget.addItems([str(value) for value in choices])
    return GuiConnector(
        widget,
        lambda: choices[widget.currentIndex()],
        lambda value: widget.setCurrentIndex(choices.index(value)),
        widget.currentIndexChanged,
    )


def _text(widget, datatype):
    """Connect a line edit, or a label, which only shows."""

    def write(value):
        if value != widget.text():  # writing an equal text would move the cursor of a line edit
            widget.setText(value)

    return GuiConnector(widget, widget.text, write, getattr(widget, "textChanged", None))


def _node(widget, datatype):
    """Connect a node selector; it offers the node types of the parameter, whatever its .ui file says."""
    widget.nodeTypes = nodeTypes(datatype)
    return GuiConnector(widget, widget.currentNode, widget.setCurrentNode, widget.currentNodeChanged)


def createGuiConnector(widget, datatype):
    """Return the connector of a widget and an annotated type; RuntimeError for a pair that has none."""
    plain = splitAnnotations(datatype)[0]
    table = [
        ((qt.QCheckBox, qt.QPushButton), plain is bool, _checkable),
        ((qt.QSlider, qt.QSpinBox), plain is int, _integer),
        ((qt.QDoubleSpinBox, ctk.ctkSliderWidget), plain in (float, int), _double),
        ((qt.QComboBox,), plain in (int, float, str, bool), _choice),
        ((qt.QLineEdit, qt.QLabel), plain is str, _text),
        ((slicer.qMRMLNodeComboBox,), bool(nodeTypes(datatype)), _node),
    ]
    for widgetTypes, suits, create in table:
        if type(widget) in widgetTypes and suits:
            return create(widget, datatype)
    raise RuntimeError(f"Unable to connect {datatype} to a widget of type {type(widget)}")
