"""A fused volume of the scene as a derived DICOM series, in the study of the MRI that it was made of."""

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from cspadn.errors import InputError
from cspadn.settings import FusionSettings
from CSpADNFusionLib.roles import MRI_ROLE


def obstacle(fusedNode):
    """Why a volume node cannot be written as a DICOM series, as far as its node tells; None where nothing is in the way."""
    if fusedNode is None:
        return _("Fuse two volumes first")
    from cspadn.metadata import PREFIX

    if not fusedNode.GetAttribute(PREFIX + "model") or fusedNode.IsA("vtkMRMLVectorVolumeNode"):
        return _("The volume '{name}' is none that this module has fused in grey").format(name=fusedNode.GetName())
    if not _filesOf(fusedNode, "mri"):
        return _("The MRI was not loaded from Slicer's DICOM database: patient and study of a series would be unknown")
    return None


def exportSeries(fusedNode, folder):
    """Write a fused volume as a derived MR series of the MRI's patient, study and frame of reference.

    :param fusedNode: scalar volume node that the module has made of an MRI of Slicer's DICOM database.
    :param folder: path of the folder that receives the files: new, or empty.
    :returns: how many there are.
    :raises cspadn.errors.FusionError: with a sentence that says what is wrong; nothing is left in the folder.
    """
    if text := obstacle(fusedNode):
        raise InputError(text + ".")
    from cspadn.dicom import check_in_series, check_series_output, stage_series
    from cspadn.files import commit
    from CSpADNFusionLib import nodes

    folder, mri, pet = Path(folder), _filesOf(fusedNode, "mri"), _filesOf(fusedNode, "pet")
    check_series_output(folder, mri, pet)
    provenance = nodes.provenanceOf(fusedNode)
    onMri = provenance.get("grid", FusionSettings.grid) == FusionSettings.grid
    image = nodes.imageFromVolumeNode(fusedNode, None if onMri else _toMri(fusedNode))
    if onMri:
        check_in_series(image, mri)
    commit([lambda: stage_series(image, folder, mri, pet, provenance)], overwrite=False)
    return image.GetDepth()


def _filesOf(fusedNode, kind):
    """Of the series of a source, in Slicer's DICOM database; None where it has none."""
    from cspadn.metadata import PREFIX

    uid = fusedNode.GetAttribute(f"{PREFIX}{kind}_series_uid")
    database = getattr(slicer, "dicomDatabase", None)
    return [Path(file) for file in database.filesForSeries(uid)] or None if uid and database else None


def _toMri(fusedNode):
    """4x4 array from the RAS of a volume on the PET's grid to that of the MRI, which is the series' own."""
    from CSpADNFusionLib import nodes

    mriNode = fusedNode.GetNodeReference(MRI_ROLE)
    matrix = nodes.matrixBetween(fusedNode, mriNode) if mriNode else None
    if matrix is None:
        text = _(
            "The PET's grid lies behind a non-linear transform, or the MRI is no longer in the scene: fuse on the MRI's grid."
        )
        raise InputError(text)
    return matrix
