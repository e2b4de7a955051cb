"""Comparison of PET, MRI, overlay and fused volume, or of outlines and checkerboard, in linked slice views.

The display nodes of the volumes are not changed.
"""

import slicer
import vtk

from CSpADNFusionLib.comparisons import ALL_VOLUMES, OUTLINES_AND_CHECKERBOARD
from CSpADNFusionLib.scene import layouts, slice_views
from CSpADNFusionLib.scene.layouts import BLEND, CHECKERBOARD, COLOR, FUSED, MRI, OUTLINES, PET
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, MRI_ROLE, PET_ROLE, RELATIVE_POSITIONS

_GROUP = 1  # view group: linked with each other, not with Slicer's own views; a saved scene keeps no other number
_READERS = "Red"  # Slicer's axial view
_FIELD = "CSpADNFusion.shown"  # attribute of the first view: what the module last showed


class Comparison:
    """Show the comparison that the parameters ask for."""

    def __init__(self):
        self._alignment = None

    def show(self, parameters):
        """Switch to the layout and fill its views, at the slice that the reader sees.

        :param parameters: the parameter node.
        :returns: False if there is no main window.
        """
        offset = _offset(_views()[0] if isShown() else _READERS, parameters.mriVolume)
        if not layouts.show(_wantedLayout(parameters)):
            return False
        _firstComposite().RemoveAttribute(_FIELD)
        self.update(parameters)
        _sliceLogic(_views()[0]).GetSliceNode().SetOrientationToAxial()
        _fit(parameters.mriVolume, offset=offset)
        return True

    def update(self, parameters):
        """Show the selected volumes at the current slice; keep what the user has changed in the views meanwhile."""
        if layouts.shown() != _wantedLayout(parameters):
            place = _copyOf(_sliceLogic(_views()[0]).GetSliceNode().GetSliceToRAS())
            layouts.show(_wantedLayout(parameters))
            _fit(parameters.mriVolume, place)
        if BLEND in _views():
            _composite(BLEND).SetForegroundOpacity(parameters.petOpacity)
        chosen = _stateOf(parameters)
        if _firstComposite().GetAttribute(_FIELD) == chosen:
            return
        _firstComposite().SetAttribute(_FIELD, chosen)
        layers = self._layers(parameters)
        outlines = self._outlines(parameters)
        for name in _views():
            _fill(_composite(name), *layers[name], outlines if parameters.showOutlines or name == OUTLINES else None)
            _sliceLogic(name).GetSliceNode().SetUseLabelOutline(True)
        slice_views.updateLegends()

    def close(self):
        """Leave the comparison and remove its hidden volumes, because another scene comes."""
        if isShown():
            layouts.back()
        if self._alignment:
            self._alignment.forget()

    def _layers(self, parameters):
        """Return background and foreground of each view."""
        pet, mri, fused = parameters.petVolume, parameters.mriVolume, fusedNodeOf(parameters)
        color = _colorNodeOf(fused)
        if layouts.shown() == layouts.ALIGNMENT:
            return self._alignmentLayers(parameters)
        result = fused if layouts.shown() != layouts.OVERLAY or parameters.showGrey else color or fused
        single = {PET: pet, MRI: mri, FUSED: result, COLOR: color, OUTLINES: pet}
        return {BLEND: (mri, pet), **{view: (node, None) for view, node in single.items()}}

    def _alignmentLayers(self, parameters):
        pet, mri, before = parameters.petVolume, parameters.mriVolume, parameters.showBefore
        if not pet or not mri:
            return {OUTLINES: (pet, None), CHECKERBOARD: (mri, None)}
        made = self._alignmentVolumes()
        board = made.checkerboard(pet, mri, parameters.palette, parameters.checkerboardShift, before)
        return {OUTLINES: (made.petBefore(pet) if before else pet, None), CHECKERBOARD: (board, None)}

    def _outlines(self, parameters):
        """Return the outlines of the MRI if a view shows them, otherwise None."""
        wanted = parameters.showOutlines or OUTLINES in _views()
        return self._alignmentVolumes().outlines(parameters.mriVolume) if wanted and parameters.mriVolume else None

    def _alignmentVolumes(self):
        if self._alignment is None:
            from CSpADNFusionLib.scene.alignment_views import AlignmentVolumes

            self._alignment = AlignmentVolumes()
        return self._alignment


def isShown():
    """Return whether Slicer shows a comparison."""
    return layouts.shown() in layouts.SLICE_VIEWS


def fusedNodeOf(parameters):
    """Return the last fused volume, or None if it does not belong to the selected pair.

    It does not belong to the pair if it was computed from other volumes, or if PET, MRI or the fused volume was moved.
    """
    from CSpADNFusionLib.scene.transforms import relativePositions

    fused, pet, mri = parameters.lastFusedVolume, parameters.petVolume, parameters.mriVolume
    if not fused or [fused.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE)] != [pet, mri]:
        return None
    return fused if fused.GetAttribute(RELATIVE_POSITIONS) == relativePositions(pet, fused, mri) else None


def _stateOf(parameters):
    """Return what tells one content of the views from another."""
    pet, mri, fused = parameters.petVolume, parameters.mriVolume, fusedNodeOf(parameters)
    ids = [node.GetID() if node else "-" for node in (pet, mri, fused, _colorNodeOf(fused))]
    flags = [str(parameters.showOutlines), str(parameters.showGrey)]
    if layouts.shown() == layouts.ALIGNMENT:
        from CSpADNFusionLib.scene.transforms import relativePositions

        flags += [str(parameters.showBefore), str(parameters.checkerboardShift), parameters.palette]
        flags += [relativePositions(pet, mri, mri)] if pet and mri else []
    return " ".join((*ids, *flags))


def _colorNodeOf(fusedNode):
    return fusedNode.GetNodeReference(COLOR_ROLE) if fusedNode else None


def _wantedLayout(parameters):
    """Return the layout for the parameters; without a fused volume, all volumes keep the layout that they have."""
    if parameters.comparison == OUTLINES_AND_CHECKERBOARD:
        return layouts.ALIGNMENT
    if parameters.comparison != ALL_VOLUMES:
        return layouts.OVERLAY
    fused, own = fusedNodeOf(parameters), (layouts.COMPARISON, layouts.COLOR_COMPARISON)
    if fused is None and layouts.shown() in own:
        return layouts.shown()
    return layouts.COLOR_COMPARISON if _colorNodeOf(fused) else layouts.COMPARISON


def _views():
    return layouts.SLICE_VIEWS[layouts.shown()]


def _firstComposite():
    return _composite(_views()[0])


def _fill(composite, background, foreground, label):
    with slicer.util.NodeModify(composite):
        composite.SetBackgroundVolumeID(background.GetID() if background else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetLabelVolumeID(label.GetID() if label else None)
        composite.SetLabelOpacity(1.0)
        composite.SetLinkedControl(True)


def _offset(view, mriNode):
    """Return the height of the axial slice of a view, in mm, or None if it shows no axial slice of the MRI."""
    logic, bounds = _sliceLogic(view), [0.0] * 6
    if logic is None or mriNode is None or logic.GetSliceNode().GetOrientation() != "Axial":
        return None
    mriNode.GetRASBounds(bounds)
    offset = logic.GetSliceNode().GetSliceOffset()
    return offset if bounds[4] < offset < bounds[5] else None


def _copyOf(matrix):
    copy = vtk.vtkMatrix4x4()
    copy.DeepCopy(matrix)
    return copy


def _fit(mriNode, place=None, offset=None):
    """Show the same slice and zoom in all views, fitted to the MRI, whatever field of view the other volumes have.

    :param place: where the slice lies (slice to RAS); None: in the middle of the MRI.
    :param offset: height of the slice in mm; None: as above.
    """
    first = _sliceLogic(_views()[0])
    reference = first.GetSliceNode()
    if mriNode:
        first.FitSliceToVolume(mriNode, *reference.GetDimensions()[:2])
    if place:
        reference.GetSliceToRAS().DeepCopy(place)
        reference.UpdateMatrices()
    elif offset is not None:
        reference.SetSliceOffset(offset)
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
