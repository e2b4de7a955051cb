"""Conversion between MRML volume nodes and SimpleITK images.

MRML works in RAS, SimpleITK in LPS. Both images of a pair are expressed in the space of the volume that defines the grid
(the MRI by default, or the PET), before its parent transform. The fused volume can therefore take its geometry and parent
transform unchanged.
"""

import json
import logging
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from scipy import ndimage

from cspadn.errors import InputError
from cspadn.imaging.geometry import check_volume
from cspadn.imaging.metadata import (
    FRAME_UID,
    MODALITY,
    NAN_IS_OUTSIDE,
    PADDING,
    PREFIX,
    SERIES_UID,
    SOURCE_NAME,
    add_note,
)
from cspadn.imaging.padding import without_padding
from cspadn.imaging.patient import KEYWORDS, PATIENT, fingerprint
from cspadn.imaging.windowing import FUSED_MAXIMUM, without_holes
from cspadn.settings import WINDOWS
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.nifti_files import fileNotes
from CSpADNFusionLib.scene.node_contents import dicomValue
from CSpADNFusionLib.scene.node_references import REGISTRATION, registrationOf
from CSpADNFusionLib.scene.sequences import selectionOf
from CSpADNFusionLib.scene.transforms import ijkToRas, matrixBetween, relativePositions, transformed

_PATIENT_TAGS = dict(zip(KEYWORDS, ("0010,0020", "0010,0021", "0010,0010", "0010,0030"), strict=True))
_WHITE = 255
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Placement(NamedTuple):
    """Geometry and parent transform that the result takes, remembered at the start of a run.

    Later changes of the input nodes do not move the result.

    :ivar ijkToRas: 4x4 array of the node that defines the grid.
    :ivar transformNode: parent transform node of that node, or None.
    :ivar petNode, mriNode: the inputs.
    :ivar fusedName: name of a new fused volume node.
    :ivar relative: text from :func:`CSpADNFusionLib.scene.transforms.relativePositions`.
    :ivar registration: what the transform node of a registration says of it, as entries of the provenance.
    """

    ijkToRas: Any
    transformNode: Any
    petNode: Any
    mriNode: Any
    fusedName: str
    relative: str
    registration: dict


def placementOf(petNode, mriNode, grid="mri"):
    """Return the :class:`Placement` of the result of a fusion.

    :param grid: "mri" or "pet", the volume that defines the grid.
    """
    gridNode = petNode if grid == "pet" else mriNode
    return Placement(
        ijkToRas(gridNode).copy(),
        gridNode.GetParentTransformNode(),
        petNode,
        mriNode,
        f"Fused {mriNode.GetName()}-{petNode.GetName()}",
        relativePositions(petNode, gridNode, mriNode),
        _registrationProvenance(petNode),
    )


def _registrationProvenance(petNode):
    node = registrationOf(petNode)
    keys = [key for key in node.GetAttributeNames() if key.startswith(REGISTRATION)] if node else []
    return {key.removeprefix(PREFIX): node.GetAttribute(key) for key in keys}


def imagesFromVolumeNodes(petNode, mriNode, grid="mri", frames=None):
    """Return the images (PET, MRI), both in the space of the node that defines the grid; the nodes are not changed.

    If a non-linear transform lies between the nodes, the volume that does not define the grid is interpolated on the voxels
    of the grid, in double precision. With the grid of the PET, automatic windows are then computed from the parts on that
    grid.

    :param petNode, mriNode: scalar volume nodes, each under any chain of linear or non-linear transforms.
    :param grid: "mri" or "pet".
    :param frames: which frames of a PET in a sequence are fused, as in the settings; None for the one that is shown.
    :raises InputError: a node has no voxels, or a degenerate geometry; or the sequence does not have these frames.
    """
    return _last(imageSteps(petNode, mriNode, grid, frames))


def imageSteps(petNode, mriNode, grid="mri", frames=None):
    """Do the same in steps: a generator that returns the images.

    Only a non-linear transform needs steps; each of them yields the number of steps done and the total.

    :raises InputError: see :func:`imagesFromVolumeNodes`; also, a node was moved or removed between two steps.
    """
    gridNode, movingNode = (petNode, mriNode) if grid == "pet" else (mriNode, petNode)
    selection = selectionOf(petNode, frames)
    voxels = {petNode: selection.voxels} if selection else {}
    gridImage = imageFromVolumeNode(gridNode, voxels=voxels.get(gridNode))
    matrix, moving = matrixBetween(movingNode, gridNode), voxels.get(movingNode)
    if matrix is None:
        movingImage = yield from _warped(movingNode, gridNode, gridImage, moving)
    else:
        movingImage = imageFromVolumeNode(movingNode, matrix, moving)
    for node, image in ((gridNode, gridImage), (movingNode, movingImage)):
        _label(image, node)
    if selection:
        selection.mark(gridImage if grid == "pet" else movingImage)
    return (gridImage, movingImage) if grid == "pet" else (movingImage, gridImage)


def labelledImage(node, rasToTargetRas=None):
    """Return the image of :func:`imageFromVolumeNode` with the name of the node, and what its DICOM series says of it."""
    image = imageFromVolumeNode(node, rasToTargetRas)
    _label(image, node)
    return image


def _label(image, node):
    """Store the node name and the DICOM series and frame of reference of the node, for the provenance of the result."""
    image.SetMetaData(SOURCE_NAME, node.GetName())
    for key, tag in ((SERIES_UID, "0020,000e"), (FRAME_UID, "0020,0052"), (MODALITY, "0008,0060")):
        if value := dicomValue(node, tag):
            image.SetMetaData(key, value)
    if patient := fingerprint({keyword: dicomValue(node, tag) for keyword, tag in _PATIENT_TAGS.items()}):
        image.SetMetaData(PATIENT, patient)
    if padding := _declaredPadding(node):
        image.SetMetaData(PADDING, padding)
    for note in fileNotes(node):
        add_note(image, note)


def _declaredPadding(node):
    """Return the lowest and the highest value that the DICOM series of a node declares as padding, as text, or None.

    The slices of a PET are rescaled by different slopes, so that no two values hold for all: their padding is then found by
    :mod:`cspadn.imaging.padding` itself.
    """
    value = dicomValue(node, "0028,0120")
    if not value or dicomValue(node, "0008,0060") == "PT":
        return None
    limit, slope, intercept = (
        dicomValue(node, tag) or default for tag, default in (("0028,0121", value), ("0028,1053", 1), ("0028,1052", 0))
    )
    try:
        ends = sorted(float(end) * float(slope) + float(intercept) for end in (value, limit))
    except ValueError:
        return None
    return f"{ends[0]!r} {ends[1]!r}"


def imageFromVolumeNode(node, rasToTargetRas=None, voxels=None):
    """Return a copy of the voxels of a volume node as a SimpleITK image.

    :param rasToTargetRas: 4x4 array from the RAS of the node to the RAS of the image; default: the identity.
    :param voxels: array in place of the voxels of the node.
    :raises InputError: the node has no voxels, or a degenerate geometry.
    """
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise InputError(message("node-without-voxels", name=node.GetName()))
    array = slicer.util.arrayFromVolume(node) if voxels is None else voxels
    image = sitk.GetImageFromArray(array, isVector=array.ndim > 3)
    target = np.eye(4) if rasToTargetRas is None else rasToTargetRas
    _setIjkToLps(image, _RAS_TO_LPS @ target @ ijkToRas(node), node.GetName())
    return image


def _setIjkToLps(image, ijkToLps, name):
    axes = ijkToLps[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.isfinite(ijkToLps).all() or abs(np.linalg.det(axes)) < 1e-12:
        raise InputError(message("node-position-degenerate", name=name))
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(ijkToLps[:3, 3].tolist())
    image.SetDirection((axes / spacing).ravel().tolist())


def provenanceOf(node):
    """Return the provenance in the attributes of a fused volume node, as :attr:`cspadn.fusion.FusionResult.provenance`."""
    keys = [key for key in node.GetAttributeNames() if key.startswith(PREFIX)]
    provenance = {key[len(PREFIX) :]: node.GetAttribute(key) for key in keys}
    return {name: json.loads(value) if name in WINDOWS else value for name, value in provenance.items()}


def updateVolumeNodeFromFusion(node, image, placement, provenance):
    """Store a fused image or a colour image in a volume node, and prepare its display.

    :param node: scalar volume node; for a colour image, vector volume node.
    :param placement: a :class:`Placement`.
    :param provenance: dictionary that is stored in attributes of the node, with the prefix ``CSpADNFusion.``.
    """
    with slicer.util.NodeModify(node):
        slicer.util.updateVolumeFromArray(node, sitk.GetArrayViewFromImage(image))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(placement.ijkToRas))
        parent = placement.transformNode
        node.SetAndObserveTransformNodeID(parent.GetID() if parent and parent.GetScene() else None)
        node.SetDescription(provenance["note"])
        for key in [key for key in node.GetAttributeNames() if key.startswith(PREFIX)]:
            node.RemoveAttribute(key)  # of an earlier run with other inputs
        for key, value in provenance.items():
            node.SetAttribute(PREFIX + key, str(value))
    _show(node, image.GetNumberOfComponentsPerPixel() > 1)


def _show(node, colored):
    """Set the display range to the full range of values: an automatic window would change the brightness, also of colours."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if not colored:
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, _WHITE if colored else FUSED_MAXIMUM)


def moveToStudyOf(node, mriNode):
    """Move a node into the study of the MRI in the subject hierarchy. Without the application, either may have no item."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    items = [hierarchy.GetItemByDataNode(each) for each in (node, mriNode)] if hierarchy else []
    if items and hierarchy.GetInvalidItemID() not in items:
        hierarchy.SetItemParent(items[0], hierarchy.GetItemParent(items[1]))


def _warped(movingNode, gridNode, gridImage, voxels=None):
    """Interpolate the moving volume linearly at the voxel centres of the grid, through non-linear transforms.

    The result is computed slice by slice, a step each, and is NaN outside the moving volume.
    """
    place = relativePositions(movingNode, gridNode, gridNode)
    transform = vtk.vtkGeneralTransform()
    parents = gridNode.GetParentTransformNode(), movingNode.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, transform)
    image = imageFromVolumeNode(movingNode, voxels=voxels)
    check_volume(image, f"The volume '{movingNode.GetName()}'")
    _label(image, movingNode)
    image, _undeclared = without_padding(image)  # before interpolation spreads it to neighbouring voxels, as holes
    image, holes = without_holes(image, _lowest(image))
    if holes:
        logging.warning(
            f"CSpADNFusion: '{movingNode.GetName()}' holds {holes} voxels that are NaN or infinite: taken as background."
        )
    voxels, rasToIjk = sitk.GetArrayViewFromImage(image), np.linalg.inv(ijkToRas(movingNode))
    warped = np.empty(gridImage.GetSize()[::-1], np.float32)
    for index, points in enumerate(_voxelCentres(gridNode, warped.shape)):
        ijk = transformed(transform, points) @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
        values = ndimage.map_coordinates(voxels, ijk[:, ::-1].T, np.float64, order=1, mode="nearest")
        inside = ((ijk >= -0.5) & (ijk <= np.array(voxels.shape[::-1]) - 0.5)).all(axis=1)
        warped[index] = np.where(inside, values, np.nan).reshape(warped.shape[1:])
        yield index + 1, len(warped)
        _checkNotMoved(movingNode, gridNode, place)
    result = sitk.GetImageFromArray(warped)
    result.CopyInformation(gridImage)
    result.SetMetaData(NAN_IS_OUTSIDE, "1")
    return result


def _checkNotMoved(movingNode, gridNode, place):
    """Raise InputError if a node was moved or removed while Slicer handled events."""
    if None in (movingNode.GetScene(), gridNode.GetScene()) or relativePositions(movingNode, gridNode, gridNode) != place:
        raise InputError(message("moved-while-preparing"))


def _last(steps):
    """Take all steps of a generator, and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stopped:
            return stopped.value


def _lowest(image):
    values = sitk.GetArrayViewFromImage(image)
    return float(np.min(values, where=np.isfinite(values), initial=0))


def _voxelCentres(node, shape):
    """Yield the RAS points, shape (N, 3), of each slice of a volume node, before its parent transform.

    :param shape: (slices, rows, columns).
    """
    matrix = ijkToRas(node)
    row, column = (places.ravel() for places in np.mgrid[: shape[1], : shape[2]])
    for index in range(shape[0]):
        yield np.stack([column, row, np.full_like(row, index)], axis=1) @ matrix[:3, :3].T + matrix[:3, 3]
