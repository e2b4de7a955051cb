"""MRML volume nodes to SimpleITK images and back.

MRML works in RAS, SimpleITK in LPS. Both images of a pair are expressed in the MRI's own space (before its parent transform),
so that the fused volume can take the MRI's geometry and parent transform as they are.
"""

from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
import slicer
import vtk

from cspadn.errors import InputError
from cspadn.intensity import FUSED_MAXIMUM

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Place(NamedTuple):
    """Where an MRI node is when a run starts: the fused volume goes there, whatever becomes of the node meanwhile."""

    ijkToRas: Any  # 4x4 array
    transformNode: Any
    mriNode: Any
    fusedName: str


def placeOf(petNode, mriNode):
    """Remember the geometry and the parent transform of the MRI, and how the fused volume shall be called."""
    name = f"{mriNode.GetName()}-{petNode.GetName()} fused"
    return Place(_ijkToRas(mriNode).copy(), mriNode.GetParentTransformNode(), mriNode, name)


def imagesFromVolumeNodes(petNode, mriNode):
    """The images (PET, MRI), both in the space of the MRI node; the nodes are not changed.

    :param petNode: scalar volume node under any chain of linear transforms.
    :param mriNode: the same.
    :raises InputError: a node has no voxels, or a non-linear transform lies between the two.
    """
    return imageFromVolumeNode(petNode, _transformBetween(petNode, mriNode)), imageFromVolumeNode(mriNode)


def imageFromVolumeNode(node, rasToTargetRas=None):
    """A copy of the voxels of a volume node as a SimpleITK image.

    :param rasToTargetRas: 4x4 array from the node's RAS to the RAS in which the image shall lie; default: the node's own.
    """
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise InputError(f"The volume '{node.GetName()}' holds no voxels: load it again, or choose another.")
    array = slicer.util.arrayFromVolume(node)
    image = sitk.GetImageFromArray(array, isVector=array.ndim > 3)
    target = np.eye(4) if rasToTargetRas is None else rasToTargetRas
    _setIjkToLps(image, _RAS_TO_LPS @ target @ _ijkToRas(node), node.GetName())
    return image


def updateVolumeNodeFromFusion(node, image, place, provenance):
    """Put the fused image into a volume node, on the MRI's grid and under its parent transform, ready to be looked at.

    :param place: of the MRI, from :func:`placeOf`.
    :param provenance: dictionary that is kept in the node's attributes, with the prefix ``CSpADNFusion.``.
    """
    with slicer.util.NodeModify(node):
        slicer.util.updateVolumeFromArray(node, sitk.GetArrayViewFromImage(image))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(place.ijkToRas))
        parent = place.transformNode
        node.SetAndObserveTransformNodeID(parent.GetID() if parent and parent.GetScene() else None)
        node.SetDescription(provenance["note"])
        for key, value in provenance.items():
            node.SetAttribute(f"CSpADNFusion.{key}", str(value))
    _showAsGrey(node)
    _putBeside(node, place.mriNode)


def _showAsGrey(node):
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, FUSED_MAXIMUM)


def _putBeside(node, mriNode):
    """Put the node into the MRI's study. Without the application there may be no items for either."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    items = [hierarchy.GetItemByDataNode(each) for each in (node, mriNode)] if hierarchy else []
    if items and hierarchy.GetInvalidItemID() not in items:
        hierarchy.SetItemParent(items[0], hierarchy.GetItemParent(items[1]))


def _transformBetween(sourceNode, targetNode):
    """4x4 array from the RAS of one volume node to that of another, through the parent transforms of both."""
    matrix = vtk.vtkMatrix4x4()
    parents = sourceNode.GetParentTransformNode(), targetNode.GetParentTransformNode()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, matrix):
        raise InputError(
            f"A non-linear transform lies between '{sourceNode.GetName()}' and '{targetNode.GetName()}':"
            " harden it on the PET first (Data module, right click on the transform)."
        )
    return slicer.util.arrayFromVTKMatrix(matrix)


def _ijkToRas(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _setIjkToLps(image, ijkToLps, name):
    axes = ijkToLps[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(ijkToLps).all() or abs(np.linalg.det(axes)) < 1e-12:
        raise InputError(f"The position of '{name}' in space is degenerate: check its spacing, directions and transforms.")
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(ijkToLps[:3, 3].tolist())
    image.SetDirection((axes / spacing).ravel().tolist())
