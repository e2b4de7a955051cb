"""Warnings on volume nodes from NIfTI files, which Slicer may have placed otherwise than SPM, FSL and nibabel."""

from pathlib import Path

import numpy as np

from cspadn.io.formats.nifti import place_of_file
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.transforms import ijkToRas

_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz", ".hdr.gz")
_WARNED = ("nifti-without-position", "analyze-position")  # also by the reader of files
_SAME_MM = 0.1


def fileNotes(node):
    """Return warnings on the position of a volume node, if its file is NIfTI or Analyze: a list of sentences.

    Slicer reads with ITK, which uses the qform of a file unless the code of its sform is 1.
    """
    storage = node.GetStorageNode()
    name = (storage.GetFileName() if storage else None) or ""
    if not name.lower().endswith(_SUFFIXES):
        return []
    place = place_of_file(Path(name))
    if place is None or place.note is None:
        return []
    if place.note.identifier in _WARNED:
        return [message("node-without-position", name=node.GetName())]
    distance = _distance(node, place.affine)
    if distance <= _SAME_MM:
        return []
    return [message("node-not-at-sform", name=node.GetName(), millimetres=distance)]


def _distance(node, affine):
    """Return the largest distance, in mm, between the corners of a volume node and their places by another matrix."""
    ends = [(0, extent - 1) for extent in node.GetImageData().GetDimensions()]
    corners = np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], float)
    return float(np.linalg.norm((corners @ (ijkToRas(node) - affine).T)[:, :3], axis=1).max())
