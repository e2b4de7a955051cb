"""MRML volume nodes to SimpleITK images and back.

MRML works in RAS, SimpleITK in LPS. Both images of a pair are expressed in the own space (before its parent transform) of that
volume which gives the grid, the MRI unless the PET is chosen, so that the fused volume can take its geometry and parent
transform as they are.
"""

import json
import logging
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
import slicer
import vtk
from scipy import ndimage
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from cspadn.errors import InputError
from cspadn.imaging.color import palette_of
from cspadn.imaging.geometry import check_volume
from cspadn.imaging.metadata import FRAME_UID, MODALITY, NAN_IS_OUTSIDE, PREFIX, SERIES_UID, SOURCE_NAME, UNITS
from cspadn.imaging.windowing import FUSED_MAXIMUM, without_holes
from cspadn.settings import SLICER_PALETTES, WINDOWS

_WHITE = 255
_PALETTE = f"{PREFIX}palette"  # attribute of the colour table nodes that this module makes
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Place(NamedTuple):
    """Where the node that gives the grid is when a run starts: the result goes there, whatever happens to the node later."""

    ijkToRas: Any  # 4x4 array
    transformNode: Any
    petNode: Any
    mriNode: Any
    fusedName: str
    relative: str  # where PET and grid lie in the MRI, as :func:`relativePlaces` has it


def placeOf(petNode, mriNode, grid="mri"):
    """Remember geometry and parent transform of the node that gives the grid, and how the fused volume shall be called."""
    name = f"{mriNode.GetName()}-{petNode.GetName()} fused"
    gridNode = petNode if grid == "pet" else mriNode
    return Place(
        _ijkToRas(gridNode).copy(),
        gridNode.GetParentTransformNode(),
        petNode,
        mriNode,
        name,
        relativePlaces(petNode, gridNode, mriNode),
    )


def relativePlaces(petNode, gridNode, mriNode):
    """Where the corners of the PET and of the grid lie in the MRI, in its voxels, to a tenth, through all transforms: as text,
    which says later whether anything was moved since a fusion.
    """
    places = [transformed(ijkToIjk(node, mriNode), _corners(node)) for node in (petNode, gridNode)]
    return json.dumps((np.concatenate(places).round(1) + 0.0).tolist())


def _corners(node):
    last = np.array(node.GetImageData().GetDimensions()) - 1.0 if node.GetImageData() else np.zeros(3)
    return np.array(list(np.ndindex(2, 2, 2))) * last


def ijkToIjk(sourceNode, targetNode):
    """From the voxels of one volume node to those of another, through the parent transforms of both."""
    ends = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    sourceNode.GetIJKToRASMatrix(ends[0])
    targetNode.GetRASToIJKMatrix(ends[1])
    between = vtk.vtkGeneralTransform()
    parents = sourceNode.GetParentTransformNode(), targetNode.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, between)
    whole = vtk.vtkGeneralTransform()
    whole.Concatenate(ends[1])
    whole.Concatenate(between)
    whole.Concatenate(ends[0])
    return whole


def imagesFromVolumeNodes(petNode, mriNode, grid="mri"):
    """The images (PET, MRI), both in the space of the node that gives the grid; the nodes are not changed.

    :param petNode, mriNode: scalar volume nodes, each under any chain of linear or non-linear transforms. Where a non-linear
        one lies between the two, the volume without the grid is interpolated on the grid's voxels here, in double precision;
        with the PET's grid, automatic windows are then those of the parts on it.
    :raises InputError: a node has no voxels, or a degenerate geometry.
    """
    gridNode, movingNode = (petNode, mriNode) if grid == "pet" else (mriNode, petNode)
    gridImage = imageFromVolumeNode(gridNode)
    matrix = matrixBetween(movingNode, gridNode)
    movingImage = _warped(movingNode, gridNode, gridImage) if matrix is None else imageFromVolumeNode(movingNode, matrix)
    for node, image in ((gridNode, gridImage), (movingNode, movingImage)):
        _label(image, node)
    return (gridImage, movingImage) if grid == "pet" else (movingImage, gridImage)


def _label(image, node):
    """What the result's provenance shall know: the node's name, and the DICOM series and frame that it was loaded from."""
    image.SetMetaData(SOURCE_NAME, node.GetName())
    for key in (SERIES_UID, FRAME_UID, MODALITY, UNITS):  # of a node that was made of an image
        if value := node.GetAttribute(key):
            image.SetMetaData(key, value)
    for key, tag in ((SERIES_UID, "0020,000e"), (FRAME_UID, "0020,0052"), (MODALITY, "0008,0060")):
        if value := dicomValue(node, tag):
            image.SetMetaData(key, value)


def dicomValue(node, tag):
    """A value of the DICOM series that a node was loaded from; None where that is not known."""
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    return (database.instanceValue(uids[0], tag) or None) if uids and database else None


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


def provenanceOf(node):
    """As :attr:`cspadn.fusion.FusionResult.provenance` has it, from the attributes of a fused volume node."""
    keys = [key for key in node.GetAttributeNames() if key.startswith(PREFIX)]
    provenance = {key[len(PREFIX) :]: node.GetAttribute(key) for key in keys}
    return {name: json.loads(value) if name in WINDOWS else value for name, value in provenance.items()}


def updateVolumeNodeFromFusion(node, image, place, provenance):
    """Put a fused or a colour image into a volume node, on the grid and under its parent transform, ready to be looked at.

    :param node: scalar volume node; for a colour image, vector volume node.
    :param place: of the grid, from :func:`placeOf`.
    :param provenance: dictionary that is kept in the node's attributes, with the prefix ``CSpADNFusion.``.
    """
    with slicer.util.NodeModify(node):
        slicer.util.updateVolumeFromArray(node, sitk.GetArrayViewFromImage(image))
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(place.ijkToRas))
        parent = place.transformNode
        node.SetAndObserveTransformNodeID(parent.GetID() if parent and parent.GetScene() else None)
        node.SetDescription(provenance["note"])
        for key in [key for key in node.GetAttributeNames() if key.startswith(PREFIX)]:
            node.RemoveAttribute(key)  # of an earlier run, with other sources
        for key, value in provenance.items():
            node.SetAttribute(PREFIX + key, str(value))
    _show(node, image.GetNumberOfComponentsPerPixel() > 1)
    putBeside(node, place.mriNode)


def _show(node, colored):
    """Black to white as the values say: an automatic window would change the brightness, of colours as well."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if not colored:
        display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0, _WHITE if colored else FUSED_MAXIMUM)


def showInPalette(node, palette):
    """Show a volume node in one of :data:`cspadn.settings.PALETTES`.

    A palette that Slicer lacks becomes a colour table node of the scene, saved with it and used again.
    """
    node.CreateDefaultDisplayNodes()
    if palette in SLICER_PALETTES:
        colorID = f"vtkMRMLPETProceduralColorNode{palette}"
    else:
        colorID = _colorTableNode(node.GetScene(), palette).GetID()
    node.GetDisplayNode().SetAndObserveColorNodeID(colorID)


def _colorTableNode(scene, palette):
    """The colour table node that this module made for a palette, recognised by its attribute; a new one if there is none.

    Its colours are set in any case: a scene that was saved without the node's file has none.
    """
    nodes = (
        scene.GetNthNodeByClass(index, "vtkMRMLColorTableNode")
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLColorTableNode"))
    )
    table = next((node for node in nodes if node.GetAttribute(_PALETTE) == palette), None)
    if table is None:
        table = slicer.vtkMRMLColorTableNode()
        table.SetTypeToUser()
        table.SetName(palette)
        table.SetAttribute(_PALETTE, palette)
        table.SetAttribute("Category", "CSpADNFusion")
        table.SetHideFromEditors(False)
        scene.AddNode(table)
    colors = palette_of(palette)
    with slicer.util.NodeModify(table):
        table.SetNumberOfColors(len(colors))
        for level, (red, green, blue) in enumerate(colors):
            table.SetColor(level, str(level), red, green, blue, 1.0)
    return table


def putBeside(node, mriNode):
    """Put a node into the MRI's study. Without the application there may be no items for either."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    items = [hierarchy.GetItemByDataNode(each) for each in (node, mriNode)] if hierarchy else []
    if items and hierarchy.GetInvalidItemID() not in items:
        hierarchy.SetItemParent(items[0], hierarchy.GetItemParent(items[1]))


def matrixBetween(sourceNode, targetNode):
    """4x4 array from the RAS of one volume node to that of another, through the parent transforms of both.

    None where a non-linear transform lies between them.
    """
    parents = sourceNode.GetParentTransformNode(), targetNode.GetParentTransformNode()
    if parents[0] is parents[1]:
        return np.eye(4)
    if not all(parent is None or parent.IsTransformToWorldLinear() for parent in parents):
        return None
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _warped(movingNode, gridNode, gridImage):
    """The moving volume at the grid's voxel centres, through non-linear transforms: linear, NaN outside, slice by slice."""
    transform = vtk.vtkGeneralTransform()
    parents = gridNode.GetParentTransformNode(), movingNode.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, transform)
    image = imageFromVolumeNode(movingNode)
    check_volume(image, f"The volume '{movingNode.GetName()}'")
    image, holes = without_holes(image, _lowest(image))  # before they spread to their neighbours
    if holes:
        logging.warning(
            f"CSpADNFusion: '{movingNode.GetName()}' holds {holes} voxels that are NaN or infinite: taken as background."
        )
    voxels, rasToIjk = sitk.GetArrayViewFromImage(image), np.linalg.inv(_ijkToRas(movingNode))
    warped = np.empty(gridImage.GetSize()[::-1], np.float32)
    for index, points in enumerate(_voxelCentres(gridNode, warped.shape)):
        ijk = transformed(transform, points) @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
        values = ndimage.map_coordinates(voxels, ijk[:, ::-1].T, np.float64, order=1, mode="nearest")
        inside = ((ijk >= -0.5) & (ijk <= np.array(voxels.shape[::-1]) - 0.5)).all(axis=1)
        warped[index] = np.where(inside, values, np.nan).reshape(warped.shape[1:])
    result = sitk.GetImageFromArray(warped)
    result.CopyInformation(gridImage)
    result.SetMetaData(NAN_IS_OUTSIDE, "1")
    return result


def _lowest(image):
    values = sitk.GetArrayViewFromImage(image)
    return float(np.min(values, where=np.isfinite(values), initial=0))


def _voxelCentres(node, shape):
    """RAS points (N, 3) of each slice of a volume node, before its parent transform; ``shape`` is (slices, rows, columns)."""
    ijkToRas = _ijkToRas(node)
    row, column = (places.ravel() for places in np.mgrid[: shape[1], : shape[2]])
    for index in range(shape[0]):
        yield np.stack([column, row, np.full_like(row, index)], axis=1) @ ijkToRas[:3, :3].T + ijkToRas[:3, 3]


def transformed(transform, points):
    """Points (N, 3) through a VTK transform."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetData(numpy_to_vtk(points, deep=True))
    target.SetDataTypeToDouble()
    transform.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData()).copy()


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
