"""Display of volume nodes in the palettes of :mod:`cspadn.palettes`."""

import slicer

from cspadn.palettes import BY_NAME

_PALETTE = "CSpADNFusion.palette"  # attribute of the colour table nodes that this module creates


def showInPalette(node, palette):
    """Show a volume node in one of :data:`cspadn.palettes.PALETTES`.

    A palette that Slicer lacks becomes a colour table node of the scene, which is saved with the scene and reused.
    """
    node.CreateDefaultDisplayNodes()
    if BY_NAME[palette].in_slicer:
        colorID = f"vtkMRMLPETProceduralColorNode{palette}"
    else:
        colorID = _colorTableNode(node.GetScene(), palette).GetID()
    node.GetDisplayNode().SetAndObserveColorNodeID(colorID)


def _colorTableNode(scene, palette):
    """Return the colour table node of a palette, found by its attribute; create it if the scene has none.

    The colours are always set: a scene that was saved without the node's file has none.
    """
    table = next((node for node in _ownTables(scene) if node.GetAttribute(_PALETTE) == palette), None)
    if table is None:
        table = slicer.vtkMRMLColorTableNode()
        table.SetTypeToUser()
        table.SetName(palette)
        table.SetAttribute(_PALETTE, palette)
        table.SetAttribute("Category", "CSpADNFusion")
        table.SetHideFromEditors(False)
        scene.AddNode(table)
    _setColors(table, palette)
    return table


def restoreColors(scene):
    """Set the colours of the colour table nodes of this module: a scene that was saved without their files has none."""
    for table in _ownTables(scene):
        if table.GetAttribute(_PALETTE) in BY_NAME:
            _setColors(table, table.GetAttribute(_PALETTE))


def _ownTables(scene):
    kind = "vtkMRMLColorTableNode"
    nodes = [scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind))]
    return [node for node in nodes if node.GetAttribute(_PALETTE)]


def _setColors(table, palette):
    from cspadn.imaging.color import palette_of

    colors = palette_of(palette)
    with slicer.util.NodeModify(table):
        table.SetNumberOfColors(len(colors))
        for level, (red, green, blue) in enumerate(colors):
            table.SetColor(level, str(level), red, green, blue, 1.0)
