"""Summary of a pair of input nodes before a fusion: sizes, units, overlap, windows. It is quick and needs no torch."""

import numpy as np
import SimpleITK as sitk
from slicer.i18n import tr as _

from cspadn.imaging.alignment import TILT_DEGREES
from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
from cspadn.imaging.geometry import check_volume, tilt, to_axial
from cspadn.units import shown_units
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.node_contents import unitsOf
from CSpADNFusionLib.scene.transforms import ijkToIjk, transformed
from CSpADNFusionLib.scene.volumes import imagesFromVolumeNodes

_LATTICE_POINTS = 24  # largest number of points along each axis of the MRI
_HALF_VOXEL = 0.5


def pairText(petNode, mriNode, grid="mri"):
    """Return a line with sizes, spacings, units, overlap, and the tilt of the slices, if there is one.

    :param grid: "mri" or "pet", the volume whose slices are fused.
    """
    units = shown_units(unitsOf(petNode))
    shown = _("in {units}").format(units=units) if units else _("units not known")
    text = message(
        "panel-pair-summary",
        pet=_volumeText(petNode),
        units=shown,
        mri=_volumeText(mriNode),
        share=overlap(petNode, mriNode),
    )
    angle = tiltOf(petNode if grid == "pet" else mriNode)
    return text if angle <= TILT_DEGREES else f"{text}\n{message('panel-slices-tilted', angle=angle)}"


def obstacle(petNode, mriNode):
    """Return why the two nodes cannot be fused, as far as a quick check shows, or None if nothing prevents it."""
    for node in (petNode, mriNode):
        lowest, highest = node.GetImageData().GetPointData().GetScalars().GetFiniteRange()
        if lowest > highest:
            return message("node-not-finite", name=node.GetName())
        if lowest == highest:
            return message("node-constant", name=node.GetName())
    if overlap(petNode, mriNode) == 0:
        return message("nodes-do-not-overlap")
    return None


def _volumeText(node):
    size = " x ".join(str(extent) for extent in node.GetImageData().GetDimensions())
    spacing = " x ".join(f"{length:.3g}" for length in node.GetSpacing())
    return _("{size} ({spacing} mm)").format(size=size, spacing=spacing)


def overlap(petNode, mriNode):
    """Return the fraction of the MRI's box inside the PET's box, from 0 to 1, through all transforms, sampled on a lattice."""
    ijk = transformed(ijkToIjk(mriNode, petNode), _lattice(mriNode.GetImageData().GetDimensions()))
    last = np.array(petNode.GetImageData().GetDimensions()) - 1
    inside = ((ijk >= -_HALF_VOXEL) & (ijk <= last + _HALF_VOXEL)).all(axis=1)
    return float(inside.mean())


def tiltOf(node):
    """Return the angle, in degrees, between the fused slices of a volume node and the patient's axial plane."""
    directions = np.zeros((3, 3))
    node.GetIJKToRASDirections(directions)
    corner = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    corner.SetDirection((np.diag([-1, -1, 1]) @ directions).ravel().tolist())
    return tilt(to_axial(corner))


def automaticWindows(petNode, mriNode, grid="mri"):
    """Return the windows that a fusion uses by default: two pairs (lower, upper), of the PET and of the MRI.

    :param grid: "mri" or "pet", the volume that defines the grid.
    :raises cspadn.errors.InputError: a volume is empty or cannot be fused.
    """
    pet, mri = imagesFromVolumeNodes(petNode, mriNode, grid)
    for image, name in ((pet, _("The PET")), (mri, _("The MRI"))):
        check_volume(image, name)
    axial = to_axial(mri)
    return automatic_pet_window(pet, axial), automatic_mri_window(axial)


def _lattice(size):
    axes = [np.linspace(0, extent - 1, min(extent, _LATTICE_POINTS)) for extent in size]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
