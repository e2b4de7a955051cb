"""Images that :mod:`cspadn` has read as volume nodes: its readers say in a sentence what is wrong with a file."""

import numpy as np
import SimpleITK as sitk
import slicer

from cspadn.imaging.geometry import check_volume
from cspadn.imaging.metadata import FRAME_UID, MODALITY, SERIES_UID, UNITS, value_of

LABELS = (SERIES_UID, FRAME_UID, MODALITY, UNITS)  # of an image, kept as attributes of its node under the same names


def volumeNodeFromImage(image, name):
    """A new scalar volume node with the voxels, the place in space and the DICOM labels of an image.

    :param image: SimpleITK image.
    :param name: of the node, also where another has it already.
    :raises cspadn.errors.InputError: it is no scalar volume.
    """
    check_volume(image, f"The volume '{name}'")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetName(name)
    slicer.util.updateVolumeFromArray(node, _storable(sitk.GetArrayViewFromImage(image)))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(_ijkToRas(image)))
    for label in LABELS:
        if value := value_of(image, label):
            node.SetAttribute(label, value)
    return node


def _storable(voxels):
    """A volume node holds no integers of 64 bits."""
    return voxels.astype(np.float64) if voxels.dtype.kind in "iu" and voxels.dtype.itemsize == 8 else voxels


def _ijkToRas(image):
    ijkToLps = np.eye(4)
    ijkToLps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ijkToLps[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijkToLps
