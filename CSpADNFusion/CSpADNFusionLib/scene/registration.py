"""Registration of a PET node to an MRI node: a linear transform node on the PET, which can be taken off again."""

from typing import Any, NamedTuple

import numpy as np
import slicer

from cspadn.errors import InputError
from cspadn.imaging.metadata import PREFIX
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene import volumes
from CSpADNFusionLib.scene.node_references import MRI_ROLE, PET_ROLE, registrationOf
from CSpADNFusionLib.scene.transforms import matrixBetweenTransforms, relativePositions

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Start(NamedTuple):
    """Where PET and MRI were at the start of a registration.

    :ivar petNode, mriNode: the inputs.
    :ivar parent: parent transform node of the PET without an earlier registration, or None.
    :ivar petToMri: 4x4 array from the RAS of the PET to that of the MRI, without an earlier registration.
    :ivar relative: text from :func:`CSpADNFusionLib.scene.transforms.relativePositions`, with it.
    """

    petNode: Any
    mriNode: Any
    parent: Any
    petToMri: Any
    relative: str


def startOf(petNode, mriNode):
    """Return the :class:`Start` of a registration.

    :raises InputError: a non-linear transform lies between the two.
    """
    earlier = registrationOf(petNode)
    parent = (earlier or petNode).GetParentTransformNode()
    matrix = matrixBetweenTransforms(parent, mriNode.GetParentTransformNode())
    if matrix is None:
        raise InputError(message("registration-not-linear"))
    return Start(petNode, mriNode, parent, matrix, relativePositions(petNode, mriNode, mriNode))


def imagesOf(start):
    """Return the images (PET, MRI) in the space of the MRI, without an earlier registration.

    :raises InputError: a node has no voxels, or a degenerate geometry.
    """
    return volumes.labelledImage(start.petNode, start.petToMri), volumes.labelledImage(start.mriNode)


def store(start, matrix, provenance):
    """Put the PET under a transform node with the result, which replaces an earlier one, and return the node.

    :param start: a :class:`Start`.
    :param matrix: 16 numbers, from a point of the MRI to the point of the PET, mm, LPS.
    :param provenance: dictionary that is stored in attributes of the node, with the prefix ``CSpADNFusion.``.
    :raises InputError: PET or MRI was removed, or moved since the start.
    """
    pet, mri = start.petNode, start.mriNode
    if pet.GetScene() is None or mri.GetScene() is None:
        raise InputError(message("registration-node-deleted"))
    if relativePositions(pet, mri, mri) != start.relative:
        raise InputError(message("registration-node-moved"))
    node = registrationOf(pet) or _newNode(pet, mri)
    petInMri = start.petToMri
    moved = np.linalg.inv(_LPS_TO_RAS @ np.reshape(matrix, (4, 4)) @ _LPS_TO_RAS)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.linalg.inv(petInMri) @ moved @ petInMri))
    node.SetAndObserveTransformNodeID(start.parent.GetID() if start.parent and start.parent.GetScene() else None)
    for key, value in provenance.items():
        node.SetAttribute(PREFIX + key, str(value))
    for role, each in ((PET_ROLE, pet), (MRI_ROLE, mri)):
        node.SetNodeReferenceID(role, each.GetID())
    pet.SetAndObserveTransformNodeID(node.GetID())
    return node


def undo(petNode):
    """Take the PET out of the transform node of this module, and remove the node if no other node is under it."""
    node = registrationOf(petNode)
    if node is None:
        return
    parent = node.GetParentTransformNode()
    petNode.SetAndObserveTransformNodeID(parent.GetID() if parent else None)
    if not _hasChildren(node):
        node.GetScene().RemoveNode(node)


def _newNode(petNode, mriNode):
    name = f"{petNode.GetName()} registered to {mriNode.GetName()}"
    scene = petNode.GetScene()
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", scene.GenerateUniqueName(name))
    volumes.moveToStudyOf(node, petNode)
    return node


def _hasChildren(node):
    scene = node.GetScene()
    others = (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
    return any(other.IsA("vtkMRMLTransformableNode") and other.GetParentTransformNode() is node for other in others)
