"""Contents of Slicer's slice views."""

import slicer


def show(background, foreground, foregroundOpacity, fit):
    """Show two volumes in all slice views.

    :param background, foreground: volume nodes; the foreground may be None.
    :param foregroundOpacity: from 0 to 1.
    :param fit: whether to fit the views to the background, if there is a main window. Slicer's own function would fit them to
        both, unless the views clip to the background, and the field of view of a PET is often twice as wide as a head.
    """
    slicer.util.setSliceViewerLayers(background=background, foreground=foreground, foregroundOpacity=foregroundOpacity)
    for logic in _logics() if fit else ():
        logic.FitSliceToVolume(background, *logic.GetSliceNode().GetDimensions()[:2])
        logic.SnapSliceOffsetToIJK()
    updateLegends()


def jumpTo(position):
    """Move all slice views to the slices nearest to a position, RAS in mm."""
    for logic in _logics():
        logic.GetSliceNode().JumpSliceByOffsetting(*position)
        logic.SnapSliceOffsetToIJK()


def _logics():
    manager = slicer.app.layoutManager()
    logics = manager.mrmlSliceLogics() if manager else None
    return [logics.GetItemAsObject(index) for index in range(logics.GetNumberOfItems())] if logics else []


def composites():
    """Return the nodes that hold what the slice views show."""
    scene, kind = slicer.mrmlScene, "vtkMRMLSliceCompositeNode"
    return [scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind))]


def updateLegends():
    """Show the colour legends of the volumes that the slice views show now, and hide the others.

    Slicer looks after its legends only when a user has chosen a volume in the bar of a view: this says that it was so.
    """
    for composite in composites():
        before = composite.GetInteractionFlags()
        composite.SetInteractionFlags(
            composite.BackgroundVolumeFlag | composite.ForegroundVolumeFlag | composite.LabelVolumeFlag
        )
        composite.Modified()
        composite.SetInteractionFlags(before)
