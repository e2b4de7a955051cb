"""The comparison layout: PET | MRI | blend | fused, in four linked slice views."""

import slicer

from CSpADNFusionLib.roles import COLOR_ROLE

LAYOUT_ID = 20205  # of our own: Slicer keeps those below 500 for itself
PET, MRI, BLEND, FUSED = VIEWS = ("FusionPET", "FusionMRI", "FusionBlend", "FusionFused")  # layout names of the slice views
_LABELS = {PET: "PET", MRI: "MRI", BLEND: "Blend", FUSED: "Fused"}
_COLORS = {PET: "#D98A00", MRI: "#4A90D9", BLEND: "#9B59B6", FUSED: "#3DA35D"}
_GROUP = 1  # linked among themselves, not with Slicer's own views; a saved scene keeps no other number


def registerLayout():
    """Make the layout known, so that a scene that was saved in it opens in it. Without a main window there are no layouts."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(LAYOUT_ID):
        node.AddLayoutDescription(LAYOUT_ID, _description())


def isShown():
    """Whether the comparison is what Slicer shows."""
    manager = slicer.app.layoutManager()
    return manager is not None and manager.layoutLogic().GetLayoutNode().GetViewArrangement() == LAYOUT_ID


def show(parameters):
    """Switch to the layout and fill its views. The display of the volumes is not touched.

    :param parameters: the panel's parameter node: PET, MRI, the last fused volume, of which the colour volume is shown if
        there is one, and the PET's opacity.
    :returns: False where there is no window to show it in.
    """
    manager = slicer.app.layoutManager()
    if manager is None:
        return False
    registerLayout()
    manager.setLayout(LAYOUT_ID)
    slicer.app.processEvents()  # the views get their size, which decides how the slices fit
    update(parameters)
    _fit(parameters.mriVolume)
    return True


def update(parameters):
    """Put other volumes into the views, at the slice they show."""
    pet, mri, fused = parameters.petVolume, parameters.mriVolume, parameters.lastFusedVolume
    shown = (fused.GetNodeReference(COLOR_ROLE) or fused) if fused else None
    for name, background, foreground in ((PET, pet, None), (MRI, mri, None), (BLEND, mri, pet), (FUSED, shown, None)):
        composite = _sliceLogic(name).GetSliceCompositeNode()
        with slicer.util.NodeModify(composite):
            composite.SetBackgroundVolumeID(background.GetID() if background else None)
            composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
            composite.SetLabelVolumeID(None)
            composite.SetLinkedControl(True)
    setPetOpacity(parameters.petOpacity)


def setPetOpacity(opacity):
    """How opaque, from 0 to 1, the PET lies over the MRI in the blend."""
    logic = _sliceLogic(BLEND)
    if logic:
        logic.GetSliceCompositeNode().SetForegroundOpacity(opacity)


def _fit(mriNode):
    """The same axial slice and zoom in all four, whatever field of view each volume has: the MRI's."""
    first = _sliceLogic(MRI)
    reference = first.GetSliceNode()
    reference.SetOrientationToAxial()
    first.FitSliceToVolume(mriNode, *reference.GetDimensions()[:2])
    first.SnapSliceOffsetToIJK()
    for name in VIEWS:
        node = _sliceLogic(name).GetSliceNode()
        with slicer.util.NodeModify(node):
            node.SetViewGroup(_GROUP)
            node.GetSliceToRAS().DeepCopy(reference.GetSliceToRAS())
            node.SetFieldOfView(*reference.GetFieldOfView())
            node.UpdateMatrices()


def _sliceLogic(name):
    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)


def _description():
    rows = "".join(f'<item><layout type="horizontal">{_item(a)}{_item(b)}</layout></item>' for a, b in (VIEWS[:2], VIEWS[2:]))
    return f'<layout type="vertical">{rows}</layout>'


def _item(name):
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{_LABELS[name]}</property>'
        f'<property name="viewcolor" action="default">{_COLORS[name]}</property>'
        "</view></item>"
    )
