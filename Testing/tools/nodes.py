"""Nodes of a MRML scene, made independently of the code under test."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ijk_to_lps(image: sitk.Image) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    matrix[:3, 3] = image.GetOrigin()
    return matrix


def node_of(image: sitk.Image, name: str):
    """Return a volume node made from an image, independently of the code under test."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, sitk.GetArrayFromImage(image))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(RAS_TO_LPS @ ijk_to_lps(image)))
    return node


def transform_of(matrix: np.ndarray, name: str = "transform"):
    """Return a linear transform node that maps the node's RAS to its parent's RAS."""
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def rigid(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    """Rotation about the third axis, then a shift."""
    angle = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def warp_of(scene, displace) -> str:
    """A thin plate spline that moves eight corners to where ``displace`` says; the ID of its transform node."""
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    spline = vtk.vtkThinPlateSplineTransform()
    points = [vtk.vtkPoints(), vtk.vtkPoints()]
    for i, corner in enumerate(np.ndindex(2, 2, 2)):
        place = np.array(corner) * 50.0 - 25
        points[0].InsertNextPoint(*place)
        points[1].InsertNextPoint(*(place + displace(i)))
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    spline.SetBasisToR()
    node.SetAndObserveTransformToParent(spline)
    assert not node.IsLinear()
    return node.GetID()


def scene_as_text(scene) -> str:
    """Save a scene as XML, without the files of its data."""
    scene.SetSaveToXMLString(1)
    scene.Commit()
    return scene.GetSceneXMLString()


def import_scene(scene, text: str) -> None:
    """Add a scene that :func:`scene_as_text` has saved."""
    scene.SetLoadFromXMLString(1)
    scene.SetSceneXMLString(text)
    scene.Import()
