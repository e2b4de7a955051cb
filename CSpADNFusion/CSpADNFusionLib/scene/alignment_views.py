"""Volumes for looking at an alignment: outlines of the MRI, a checkerboard, and the PET before its registration.

They are hidden from the selectors, and not saved with the scene: :class:`AlignmentVolumes` makes them when they are shown.
"""

import numpy as np
import SimpleITK as sitk
import slicer

from cspadn.errors import InputError
from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
from cspadn.imaging.color import palette_of
from cspadn.imaging.geometry import resample, to_axial
from cspadn.imaging.outlines import squares, tissue_levels, tissues
from cspadn.imaging.windowing import automatic_window, sampled, to_unit
from CSpADNFusionLib.scene import volumes
from CSpADNFusionLib.scene.node_references import registrationOf
from CSpADNFusionLib.scene.transforms import ijkToRas, matrixBetweenTransforms, relativePositions

_ROLE = "CSpADNFusionHidden"  # attribute: what a hidden volume is for
_SQUARE_MM = 30.0
_WHITE = 255
_OUTLINE_COLOR = (0.3, 0.85, 1.0)  # light blue: no hue of the default palette, and readable on the grey of an MRI
_TISSUES = 2  # whose outlines are drawn: with more, the lines cover the PET
_SAMPLES = 64  # along each axis, from which the levels of tissues are found


class AlignmentVolumes:
    """Make and keep the hidden volumes of one pair."""

    def __init__(self):
        self._key = self._pet = self._mri = None

    def forget(self):
        """Remove the hidden volumes, because another pair or scene comes."""
        self._key = self._pet = self._mri = None
        for node in _hidden():
            slicer.mrmlScene.RemoveNode(node)

    def outlines(self, mriNode):
        """Return the label map node with the tissues of an MRI, on its voxels, of which slice views draw the outlines."""
        found = _find("outlines", mriNode)
        if found is None:
            unit, spacing = _mriUnit(mriNode)
            steps = [max(1, length // _SAMPLES) for length in unit.shape]
            levels = tissue_levels(unit[:: steps[0], :: steps[1], :: steps[2]], _TISSUES)
            found = _newNode("vtkMRMLLabelMapVolumeNode", "outlines", mriNode)
            _fill(found, tissues(unit, levels, spacing[::-1]), mriNode)
            found.GetDisplayNode().SetAndObserveColorNodeID(_outlineColors().GetID())
            found.GetDisplayNode().SetSliceIntersectionThickness(1)  # pixels; Slicer's three would cover the cortex
        return found

    def checkerboard(self, petNode, mriNode, palette, shift, before):
        """Return the colour volume node with cubes of PET and MRI in turns, on the voxels of the MRI.

        :param palette: of the PET, one of :data:`cspadn.palettes.PALETTES`.
        :param shift: share of two cubes by which they are moved along each axis, from 0 to 1.
        :param before: whether the PET is shown where it was before its registration.
        """
        key = petNode.GetID(), mriNode.GetID(), relativePositions(petNode, mriNode, mriNode), palette, before
        if key != self._key:
            self._key, self._pet, self._mri = key, *_colored(petNode, mriNode, palette, before)
        spacing = mriNode.GetSpacing()[::-1]
        side = [max(1, round(_SQUARE_MM / step)) for step in spacing]
        moved = [round(2 * shift * length) for length in side]
        chosen = squares(self._mri.shape, side, moved)
        rgb = np.where(chosen[..., np.newaxis], self._pet, self._mri[..., np.newaxis])
        node = _find("checkerboard", mriNode) or _newNode("vtkMRMLVectorVolumeNode", "checkerboard", mriNode)
        _fill(node, rgb, mriNode)
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevelMinMax(0, _WHITE)
        return node

    def petBefore(self, petNode):
        """Return a volume node with the voxels and the display of a PET, where it was before its registration."""
        registration = registrationOf(petNode)
        node = _find("before", petNode) or _newNode("vtkMRMLScalarVolumeNode", "before", petNode)
        node.SetAndObserveImageData(petNode.GetImageData())  # shared, no copy
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRas(petNode)))
        if petNode.GetDisplayNode():
            node.GetDisplayNode().CopyContent(petNode.GetDisplayNode())
        parent = registration.GetParentTransformNode() if registration else petNode.GetParentTransformNode()
        node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
        return node


def _hidden():
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLVolumeNode") for index in range(_count(scene))]
    return [node for node in nodes if node.GetAttribute(_ROLE)]


def _count(scene):
    return scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")


def _find(role, ownerNode):
    text = f"{role} {ownerNode.GetID()}"
    return next((node for node in _hidden() if node.GetAttribute(_ROLE) == text), None)


def _newNode(className, role, ownerNode):
    """Add a hidden volume node that belongs to another node."""
    node = slicer.mrmlScene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetName(f"{ownerNode.GetName()} {role}")
    node.SetAttribute(_ROLE, f"{role} {ownerNode.GetID()}")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    return node


def _fill(node, voxels, placeNode):
    """Put voxels into a node where another volume node is."""
    with slicer.util.NodeModify(node):
        slicer.util.updateVolumeFromArray(node, voxels)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRas(placeNode)))
        parent = placeNode.GetParentTransformNode()
        node.SetAndObserveTransformNodeID(parent.GetID() if parent else None)


def _mriUnit(mriNode):
    image = volumes.labelledImage(mriNode)
    return to_unit(sitk.GetArrayViewFromImage(image), automatic_mri_window(to_axial(image))), image.GetSpacing()


def _colored(petNode, mriNode, palette, before):
    """Return the PET in colours (slices, rows, columns, 3), and the MRI in grey levels, on the voxels of the MRI."""
    if before and registrationOf(petNode):
        parents = registrationOf(petNode).GetParentTransformNode(), mriNode.GetParentTransformNode()
        pet, mri = volumes.labelledImage(petNode, matrixBetweenTransforms(*parents)), volumes.labelledImage(mriNode)
    else:
        pet, mri = volumes.imagesFromVolumeNodes(petNode, mriNode)
    axial = to_axial(mri)
    uptake = to_unit(sitk.GetArrayFromImage(resample(pet, mri)), _petWindow(pet, axial))
    grey = np.rint(to_unit(sitk.GetArrayFromImage(mri), automatic_mri_window(axial)) * _WHITE).astype(np.uint8)
    colors = np.rint(palette_of(palette) * _WHITE).astype(np.uint8)
    return colors[np.rint(uptake * _WHITE).astype(np.uint8)], grey


def _petWindow(pet, axial):
    """Return the automatic window of a PET, which may lie elsewhere than the MRI before its registration."""
    try:
        return automatic_pet_window(pet, axial)
    except InputError:
        return automatic_window(sampled(pet), "The PET")


def _outlineColors():
    """Return the colour table of the outlines; create it if the scene has none."""
    scene, kind = slicer.mrmlScene, "vtkMRMLColorTableNode"
    tables = (scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind)))
    table = next((node for node in tables if node.GetAttribute(_ROLE)), None)
    if table is None:
        table = slicer.vtkMRMLColorTableNode()
        table.SetTypeToUser()
        table.SetName("Outlines")
        table.SetAttribute(_ROLE, "colors")
        table.SetHideFromEditors(True)
        table.SetSaveWithScene(False)
        scene.AddNode(table)
        table.SetNumberOfColors(_TISSUES + 1)
        table.SetColor(0, "background", 0, 0, 0, 0)
        for label in range(1, _TISSUES + 1):
            table.SetColor(label, str(label), *_OUTLINE_COLOR, 1)
    return table
