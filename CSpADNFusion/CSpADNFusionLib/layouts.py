"""Layouts of our own: the comparison of four slice views, and the metrics, two plots over a table."""

import slicer
from slicer.i18n import tr as _

COMPARISON, METRICS = 20205, 20206  # Slicer keeps those below 500 for itself
PET, MRI, BLEND, FUSED = SLICE_VIEWS = ("FusionPET", "FusionMRI", "FusionBlend", "FusionFused")  # layout names
FIRST_PLOT, SECOND_PLOT, TABLE = "FusionPlot1", "FusionPlot2", "FusionTable"
_COLORS = {PET: "#D98A00", MRI: "#4A90D9", BLEND: "#9B59B6", FUSED: "#3DA35D"}


def register():
    """Make both known, so that a scene that was saved in one opens in it. Without a main window there are no layouts."""
    if slicer.app.layoutManager() is None:
        return
    for layout, description in ((COMPARISON, _comparison()), (METRICS, _metrics())):
        if not _node().IsLayoutDescription(layout):
            _node().AddLayoutDescription(layout, description)


def isShown(layout):
    """Whether Slicer shows this layout."""
    return slicer.app.layoutManager() is not None and _node().GetViewArrangement() == layout


def show(layout):
    """Switch to it; False where there is no window."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return False
    register()
    manager.setLayout(layout)
    slicer.app.processEvents()  # the views get their size, which decides how the slices fit
    return True


def _node():
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode()


def _comparison():
    labels = {PET: _("PET"), MRI: _("MRI"), BLEND: _("Blend"), FUSED: _("Fused")}
    items = [_item("vtkMRMLSliceNode", name, label, _COLORS[name], _AXIAL) for name, label in labels.items()]
    return _rows("".join(items[:2]), "".join(items[2:]))


def _metrics():
    plots = [_item("vtkMRMLPlotViewNode", name, label) for name, label in ((FIRST_PLOT, "P1"), (SECOND_PLOT, "P2"))]
    return _rows("".join(plots), _item("vtkMRMLTableViewNode", TABLE, "T"))


_AXIAL = '<property name="orientation" action="default">Axial</property>'


def _rows(*rows):
    items = "".join(f'<item><layout type="horizontal">{row}</layout></item>' for row in rows)
    return f'<layout type="vertical">{items}</layout>'


def _item(className, name, label, color="#56B4E9", more=""):
    return (
        f'<item><view class="{className}" singletontag="{name}">{more}'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{color}</property>'
        "</view></item>"
    )
