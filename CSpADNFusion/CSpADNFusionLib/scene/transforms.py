"""Positions of volume nodes relative to each other, through their parent transforms."""

import json

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


def ijkToRas(node):
    """Return the 4x4 array from the voxels of a volume node to its own RAS, before its parent transform."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def ijkToIjk(sourceNode, targetNode):
    """Return the VTK transform from the voxels of one volume node to those of another, through both parent transforms."""
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


def matrixBetween(sourceNode, targetNode):
    """Return the 4x4 array from the RAS of one volume node to that of another, through both parent transforms.

    Return None if a non-linear transform lies between them.
    """
    return matrixBetweenTransforms(sourceNode.GetParentTransformNode(), targetNode.GetParentTransformNode())


def matrixBetweenTransforms(*parents):
    """Return the 4x4 array from the RAS below one transform node to that below another; None as a node stands for the world.

    Return None if a non-linear transform lies between them.
    """
    if parents[0] is parents[1]:
        return np.eye(4)
    if not all(parent is None or parent.IsTransformToWorldLinear() for parent in parents):
        return None
    matrix = vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def ijkAtWorld(node, position):
    """Return the voxel coordinates (3,) of a volume node at a point of the world, RAS, through its parent transforms."""
    fromWorld, toIjk = vtk.vtkGeneralTransform(), vtk.vtkMatrix4x4()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), fromWorld)
    node.GetRASToIJKMatrix(toIjk)
    local = [*fromWorld.TransformPoint(position), 1.0]
    return np.array(toIjk.MultiplyPoint(local)[:3])


def transformed(transform, points):
    """Apply a VTK transform to points, an array of shape (N, 3), and return the new array."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetData(numpy_to_vtk(points, deep=True))
    target.SetDataTypeToDouble()
    transform.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData()).copy()


def relativePositions(petNode, gridNode, mriNode):
    """Return the corners of the PET and of the grid volume in voxels of the MRI, rounded to a tenth, as JSON text.

    All parent transforms are applied. Comparing two texts shows whether a volume was moved after a fusion.
    """
    positions = [transformed(ijkToIjk(node, mriNode), _corners(node)) for node in (petNode, gridNode)]
    return json.dumps((np.concatenate(positions).round(1) + 0.0).tolist())


def _corners(node):
    last = np.array(node.GetImageData().GetDimensions()) - 1.0 if node.GetImageData() else np.zeros(3)
    return np.array(list(np.ndindex(2, 2, 2))) * last
