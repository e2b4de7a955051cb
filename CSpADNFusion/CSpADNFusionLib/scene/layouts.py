"""View layouts of the module: comparisons with two, four or six slice views, and the metrics with two plots over a table."""

import qt
import slicer
from slicer.i18n import tr as _

# Slicer reserves the numbers below 500
COMPARISON, METRICS, COLOR_COMPARISON, OVERLAY, ALIGNMENT = 20205, 20206, 20207, 20208, 20209
PET, MRI, BLEND, FUSED, COLOR = ("FusionPET", "FusionMRI", "FusionBlend", "FusionFused", "FusionColor")  # layout names
OUTLINES, CHECKERBOARD = "FusionOutlines", "FusionCheckerboard"
SLICE_VIEWS = {
    COMPARISON: (PET, MRI, BLEND, FUSED),
    COLOR_COMPARISON: (PET, MRI, BLEND, FUSED, COLOR, OUTLINES),
    OVERLAY: (BLEND, FUSED),
    ALIGNMENT: (OUTLINES, CHECKERBOARD),
}
FIRST_PLOT, SECOND_PLOT, TABLE = "FusionPlot1", "FusionPlot2", "FusionTable"
_COLORS = {  # light enough for the black letters of Slicer's labels
    PET: "#D98A00",
    MRI: "#4A90D9",
    BLEND: "#B58CC9",
    FUSED: "#3DA35D",
    COLOR: "#E0796D",
    OUTLINES: "#D98A00",
    CHECKERBOARD: "#B58CC9",
}
_LABEL_MARGIN = 6  # pixels
_MANY_COLUMNS = 3
_COLUMNS = {COMPARISON: 2, COLOR_COMPARISON: 3, OVERLAY: 2, ALIGNMENT: 2}
_BEFORE = "CSpADNFusion.before"  # attribute of the layout node: the layout that the user had


def register():
    """Register the layouts, so that a scene saved in one of them opens in it. Without a main window, do nothing."""
    if slicer.app.layoutManager() is None:
        return
    descriptions = {layout: _comparison(layout) for layout in SLICE_VIEWS} | {METRICS: _metrics()}
    for layout, description in descriptions.items():
        if not _node().IsLayoutDescription(layout):
            _node().AddLayoutDescription(layout, description)


def shown():
    """Return the layout that Slicer shows, or None without a main window."""
    return _node().GetViewArrangement() if slicer.app.layoutManager() else None


def show(layout):
    """Switch to a layout; return False if there is no main window."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return False
    register()
    if not isOwn():
        _node().SetAttribute(_BEFORE, str(shown()))
    _fitBars(layout)  # before their bars are beside each other: Slicer would widen its window
    manager.setLayout(layout)
    _fitBars(layout)
    # Let the views get their size, which determines how slices fit. Exclude clicks: a run may be about to finish.
    slicer.app.processEvents(qt.QEventLoop.ExcludeUserInputEvents)
    return True


def _fitBars(layout):
    """Fit the bars above the slice views of a layout, as far as these exist."""
    for name in SLICE_VIEWS.get(layout, ()):
        view = slicer.app.layoutManager().sliceWidget(name)
        _showPosition(view, _COLUMNS[layout] < _MANY_COLUMNS)
        _showWholeLabel(view)


def _showWholeLabel(view):
    """Keep the label of a slice view as wide as its text: in narrow views, Slicer shortens it to two letters."""
    for label in view.findChildren(qt.QLabel) if view else ():
        if label.property("objectName") == "ViewLabel":
            label.setMinimumWidth(label.fontMetrics().boundingRect(label.property("text")).width() + _LABEL_MARGIN)


def _showPosition(view, visible):
    """Show the position of a slice as a number, or only its slider: three numbers in a row would widen Slicer's window."""
    if view:
        view.sliceController().sliceOffsetSlider().setSpinBoxVisible(visible)


def isOwn():
    """Return whether Slicer shows a layout of this module."""
    return shown() in (*SLICE_VIEWS, METRICS)


def back():
    """Return to the layout before those of this module, if one of them is shown."""
    if isOwn():
        before = _node().GetAttribute(_BEFORE)
        slicer.app.layoutManager().setLayout(int(before) if before else slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def _node():
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode()


def _comparison(layout):
    """Return the XML of a grid with equal cells, in which linked views show the same zoom."""
    labels = {
        PET: _("PET"),
        MRI: _("MRI"),
        BLEND: _("Overlay"),
        FUSED: _("Fused"),
        COLOR: _("Colour"),
        OUTLINES: _("Outlines"),
        CHECKERBOARD: _("Squares"),
    }
    items = []
    for index, name in enumerate(SLICE_VIEWS[layout]):
        row, column = divmod(index, _COLUMNS[layout])
        place = f' row="{row}" column="{column}"'
        items.append(_item("vtkMRMLSliceNode", name, labels[name], _COLORS[name], _AXIAL, place=place, stretch=_EQUAL))
    return f'<layout type="grid">{"".join(items)}</layout>'


def _metrics():
    plots = [_item("vtkMRMLPlotViewNode", name, label) for name, label in ((FIRST_PLOT, "P1"), (SECOND_PLOT, "P2"))]
    return _rows("".join(plots), _item("vtkMRMLTableViewNode", TABLE, "T"))


_AXIAL = '<property name="orientation" action="default">Axial</property>'
_EQUAL = ' horizontalStretch="1" verticalStretch="1"'


def _rows(*rows):
    items = "".join(f'<item><layout type="horizontal">{row}</layout></item>' for row in rows)
    return f'<layout type="vertical">{items}</layout>'


def _item(className, name, label, color="#56B4E9", more="", *, place="", stretch=""):
    return (
        f'<item{place}><view class="{className}" singletontag="{name}"{stretch}>{more}'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{color}</property>'
        "</view></item>"
    )
