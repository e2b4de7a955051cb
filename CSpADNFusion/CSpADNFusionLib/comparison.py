"""The comparison: PET | MRI | blend | fused, in four linked slice views. The display of the volumes is not touched."""

import slicer

from CSpADNFusionLib import layouts
from CSpADNFusionLib.layouts import BLEND, FUSED, MRI, PET
from CSpADNFusionLib.roles import COLOR_ROLE, MRI_ROLE, PET_ROLE, PLACES

_GROUP = 1  # linked among themselves, not with Slicer's own views; a saved scene keeps no other number
_FIELD = "CSpADNFusion.shown"  # attribute of the fused view: what the module has put into the four


def isShown():
    """Whether the comparison is what Slicer shows."""
    return layouts.isShown(layouts.COMPARISON)


def show(parameters):
    """Switch to the layout and fill its views.

    :param parameters: the panel's parameter node: PET, MRI, the last fused volume, and the PET's opacity.
    :returns: False where there is no window to show it in.
    """
    if not layouts.show(layouts.COMPARISON):
        return False
    _composite(FUSED).RemoveAttribute(_FIELD)
    update(parameters)
    _fit(parameters.mriVolume)
    return True


def fusedNodeOf(parameters):
    """The last fused volume, in colour where there is one; None where it does not belong to the selected pair any more.

    It was made of another one then, or PET, MRI or itself was moved since.
    """
    from CSpADNFusionLib.nodes import relativePlaces

    fused, pet, mri = parameters.lastFusedVolume, parameters.petVolume, parameters.mriVolume
    if not fused or [fused.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE)] != [pet, mri]:
        return None
    if fused.GetAttribute(PLACES) != relativePlaces(pet, fused, mri):
        return None
    return fused.GetNodeReference(COLOR_ROLE) or fused


def update(parameters):
    """Follow what is selected, at the slice that is shown. What the user has put into the views since then stays."""
    _composite(BLEND).SetForegroundOpacity(parameters.petOpacity)
    pet, mri, fused = parameters.petVolume, parameters.mriVolume, fusedNodeOf(parameters)
    shown = " ".join(node.GetID() if node else "-" for node in (pet, mri, fused))
    if _composite(FUSED).GetAttribute(_FIELD) == shown:
        return
    _composite(FUSED).SetAttribute(_FIELD, shown)
    for name, background, foreground in ((PET, pet, None), (MRI, mri, None), (BLEND, mri, pet), (FUSED, fused, None)):
        composite = _composite(name)
        with slicer.util.NodeModify(composite):
            composite.SetBackgroundVolumeID(background.GetID() if background else None)
            composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
            composite.SetLabelVolumeID(None)
            composite.SetLinkedControl(True)


def _fit(mriNode):
    """The same axial slice and zoom in all four, whatever field of view each volume has: the MRI's."""
    first = _sliceLogic(MRI)
    reference = first.GetSliceNode()
    reference.SetOrientationToAxial()
    first.FitSliceToVolume(mriNode, *reference.GetDimensions()[:2])
    first.SnapSliceOffsetToIJK()
    for name in layouts.SLICE_VIEWS:
        node = _sliceLogic(name).GetSliceNode()
        with slicer.util.NodeModify(node):
            node.SetViewGroup(_GROUP)
            node.GetSliceToRAS().DeepCopy(reference.GetSliceToRAS())
            node.SetFieldOfView(*reference.GetFieldOfView())
            node.UpdateMatrices()


def _composite(name):
    return _sliceLogic(name).GetSliceCompositeNode()


def _sliceLogic(name):
    return slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)
