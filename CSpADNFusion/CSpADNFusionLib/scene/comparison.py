"""Comparison of PET, MRI, their blend, the fused volume and its colour volume, if any, in linked slice views.

The display nodes of the volumes are not changed.
"""

import slicer
import vtk

from CSpADNFusionLib.scene import layouts
from CSpADNFusionLib.scene.layouts import BLEND, COLOR, COLOR_COMPARISON, COMPARISON, FUSED, MRI, PET
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, MRI_ROLE, PET_ROLE, RELATIVE_POSITIONS

_GROUP = 1  # view group: linked with each other, not with Slicer's own views; a saved scene keeps no other number
_FIELD = "CSpADNFusion.shown"  # attribute of the fused view: the volumes that the module last showed


def isShown():
    """Return whether Slicer shows the comparison."""
    return layouts.shown() in layouts.SLICE_VIEWS


def show(parameters):
    """Switch to the layout and fill its views.

    :param parameters: the parameter node: PET, MRI, the last fused volume, and the opacity of the PET.
    :returns: False if there is no main window.
    """
    if not layouts.show(_wantedLayout(fusedNodeOf(parameters))):
        return False
    _composite(FUSED).RemoveAttribute(_FIELD)
    update(parameters)
    _sliceLogic(MRI).GetSliceNode().SetOrientationToAxial()
    _fit(parameters.mriVolume)
    return True


def fusedNodeOf(parameters):
    """Return the last fused volume, or None if it does not belong to the selected pair.

    It does not belong to the pair if it was computed from other volumes, or if PET, MRI or the fused volume was moved.
    """
    from CSpADNFusionLib.scene.transforms import relativePositions

    fused, pet, mri = parameters.lastFusedVolume, parameters.petVolume, parameters.mriVolume
    if not fused or [fused.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE)] != [pet, mri]:
        return None
    return fused if fused.GetAttribute(RELATIVE_POSITIONS) == relativePositions(pet, fused, mri) else None


def update(parameters):
    """Show the selected volumes at the current slice; keep what the user has changed in the views meanwhile.

    The fifth view is shown if the fused volume has a colour volume.
    """
    _composite(BLEND).SetForegroundOpacity(parameters.petOpacity)
    pet, mri, fused = parameters.petVolume, parameters.mriVolume, fusedNodeOf(parameters)
    color = _colorNodeOf(fused)
    chosen = " ".join(node.GetID() if node else "-" for node in (pet, mri, fused, color))
    if _composite(FUSED).GetAttribute(_FIELD) == chosen:
        return
    _composite(FUSED).SetAttribute(_FIELD, chosen)
    if layouts.shown() != _wantedLayout(fused):
        layouts.show(_wantedLayout(fused))
        _fit(mri, keepSlice=True)
    layers = {PET: (pet, None), MRI: (mri, None), BLEND: (mri, pet), FUSED: (fused, None), COLOR: (color, None)}
    for name in _views():
        _fill(_composite(name), *layers[name])


def _colorNodeOf(fusedNode):
    return fusedNode.GetNodeReference(COLOR_ROLE) if fusedNode else None


def _wantedLayout(fusedNode):
    """Return the layout for a fused volume; without one, a shown comparison keeps its layout."""
    if fusedNode is None and isShown():
        return layouts.shown()
    return COLOR_COMPARISON if _colorNodeOf(fusedNode) else COMPARISON


def _views():
    return layouts.SLICE_VIEWS[layouts.shown()]


def _fill(composite, background, foreground):
    with slicer.util.NodeModify(composite):
        composite.SetBackgroundVolumeID(background.GetID() if background else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetLabelVolumeID(None)
        composite.SetLinkedControl(True)


def _fit(mriNode, keepSlice=False):
    """Show the same slice and zoom in all views, fitted to the MRI, whatever field of view the other volumes have."""
    first = _sliceLogic(MRI)
    reference = first.GetSliceNode()
    place = vtk.vtkMatrix4x4()
    place.DeepCopy(reference.GetSliceToRAS())
    if mriNode:
        first.FitSliceToVolume(mriNode, *reference.GetDimensions()[:2])
    if keepSlice:
        reference.GetSliceToRAS().DeepCopy(place)
        reference.UpdateMatrices()
    else:
        first.SnapSliceOffsetToIJK()
    for name in _views():
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
