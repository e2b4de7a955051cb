"""Legend of a result in Slicer's slice views: the colours of the uptake at a medium brightness.

It is Slicer's own colour legend, so that the user can move and hide it in the module *Colors*. Slicer takes its colours and
numbers from a display node. That of a colour volume has none, so that a second display node holds them; slice views use the
first one only.
"""

import json
import math

import slicer
from slicer.i18n import tr as _

from cspadn.units import shown_units
from CSpADNFusionLib.scene.node_contents import unitsOf
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, PALETTE, PET_ROLE, PET_WEIGHT, PET_WINDOW

_OWNED = "CSpADNFusion.legend"  # attribute of the nodes that this file makes: what the legend shows
_BRIGHTNESS, _COLORS, _LABELS = 0.65, 256, 5
_SIZE = 0.12, 0.35  # width and height, as shares of the view


def update(fusedNode):
    """Make the legend of the colour volume of a result, or bring it up to date; without a colour volume, do nothing.

    The nodes of the legend are not saved with the scene: it is made again when the result is shown.
    """
    colorNode, window = fusedNode.GetNodeReference(COLOR_ROLE), fusedNode.GetAttribute(PET_WINDOW)
    palette, weight = fusedNode.GetAttribute(PALETTE), float(fusedNode.GetAttribute(PET_WEIGHT) or 1)
    if not colorNode or not window or not palette:
        return
    units = shown_units(unitsOf(fusedNode.GetNodeReference(PET_ROLE)))
    content = json.dumps([palette, weight, window, units])
    legend = legendOf(colorNode) or _newLegend(colorNode)
    if legend is None or legend.GetAttribute(_OWNED) == content:
        return
    legend.SetAttribute(_OWNED, content)
    lower, upper = json.loads(window)
    _setColors(legend.GetPrimaryDisplayNode().GetColorNode(), palette, weight)
    legend.GetPrimaryDisplayNode().SetWindowLevelMinMax(lower, upper)
    legend.SetLabelFormat(f"%.{_decimalsOf(lower, upper)}f")
    legend.SetTitleText("\n".join(filter(None, (_("PET"), units))))


def legendOf(colorNode):
    """Return the legend display node of a colour volume that this module made, or None."""
    nodes = (colorNode.GetNthDisplayNode(index) for index in range(colorNode.GetNumberOfDisplayNodes()))
    return next((node for node in nodes if node and node.IsA("vtkMRMLColorLegendDisplayNode") and _isOwn(node)), None)


def _isOwn(node):
    return node.GetAttribute(_OWNED) is not None


def _newLegend(colorNode):
    """Return a new legend of a colour volume, or None if this Slicer has no colour legends."""
    scene = colorNode.GetScene()
    legend = _newNode(scene, "vtkMRMLColorLegendDisplayNode", f"{colorNode.GetName()} legend")
    if legend is None:
        return None
    colors, display = slicer.vtkMRMLColorTableNode(), slicer.vtkMRMLScalarVolumeDisplayNode()
    colors.SetTypeToUser()
    for node, name in ((colors, "legend colors"), (display, "legend range")):
        node.SetName(f"{colorNode.GetName()} {name}")
        _addNode(scene, node)
    display.SetAutoWindowLevel(False)
    display.SetAndObserveColorNodeID(colors.GetID())
    legend.SetAndObservePrimaryDisplayNode(display)
    legend.SetSize(*_SIZE)
    legend.SetNumberOfLabels(_LABELS)
    for node in (display, legend):
        colorNode.AddAndObserveDisplayNodeID(node.GetID())
    return legend


def _newNode(scene, className, name):
    node = scene.CreateNodeByClass(className)
    if node:
        node.UnRegister(None)
        node.SetName(name)
        _addNode(scene, node)
    return node


def _addNode(scene, node):
    node.SetAttribute(_OWNED, "")
    node.SetSaveWithScene(False)
    node.SetHideFromEditors(True)
    scene.AddNode(node)


def _setColors(table, palette, weight):
    from cspadn.imaging.color import legend

    rows = legend(palette, _COLORS, _COLORS, weight)
    colors = rows[round((1 - _BRIGHTNESS) * (_COLORS - 1))] / 255  # the first row is the brightest
    with slicer.util.NodeModify(table):
        table.SetNumberOfColors(_COLORS)
        for level, (red, green, blue) in enumerate(colors):
            table.SetColor(level, str(level), red, green, blue, 1.0)


def _decimalsOf(lower, upper):
    """Return how many decimals show steps of a tenth of the window."""
    return min(6, max(0, 1 - math.floor(math.log10(max(upper - lower, 1e-9)))))
