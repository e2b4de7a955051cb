"""Export of a fused volume node as a derived DICOM series in the study of its MRI."""

from pathlib import Path

import slicer

from cspadn.errors import InputError
from cspadn.settings import FusionSettings
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.node_references import MRI_ROLE, PET_ROLE, RELATIVE_POSITIONS


def obstacle(fusedNode):
    """Return why a volume node cannot be exported, as far as a quick check shows, or None if nothing prevents it."""
    if fusedNode is None:
        return message("nothing-to-export")
    mriNode = fusedNode.GetNodeReference(MRI_ROLE)
    if mriNode is None or fusedNode.IsA("vtkMRMLVectorVolumeNode"):
        return message("node-not-fused-here", name=fusedNode.GetName())
    return None if _filesOf(mriNode, most=1) else message("mri-not-from-database")


def exportSeries(fusedNode, folder):
    """Write a fused volume as a derived MR series of the MRI's patient, study and frame of reference.

    :param fusedNode: scalar volume node, fused by this module from an MRI of Slicer's DICOM database.
    :param folder: path of the folder that receives the files: new, or empty.
    :returns: the number of files.
    :raises cspadn.errors.FusionError: the series cannot be written; nothing is left in the folder.
    """
    if text := obstacle(fusedNode):
        raise InputError(text)
    from cspadn.io.atomic_output import commit
    from cspadn.io.dicom_writer import check_series_output, stage_series
    from cspadn.io.images import check_storable
    from CSpADNFusionLib.scene import volumes

    folder, provenance = Path(folder), volumes.provenanceOf(fusedNode)
    mri, pet = _filesOf(fusedNode.GetNodeReference(MRI_ROLE)), _filesOf(fusedNode.GetNodeReference(PET_ROLE))
    _checkFiles(mri, pet, provenance)
    sources = check_series_output(folder, mri, pet)
    image = _imageInSeries(fusedNode, provenance, sources[0])
    check_storable(image, folder, series=True)
    commit([lambda: stage_series(image, folder, sources, provenance)], overwrite=False)
    return image.GetDepth()


def _checkFiles(mri, pet, provenance):
    """Raise InputError if files of a source are missing; the PET need not come from DICOM."""
    if not mri:
        raise InputError(message("mri-not-from-database"))
    if not pet and provenance.get("pet_series_uid"):
        raise InputError(message("pet-series-gone"))
    if gone := [file for file in (*mri, *(pet or ())) if not file.is_file()]:
        raise InputError(message("database-file-gone", file=gone[0]))


def _filesOf(node, most=None):
    """Return the files that a node was loaded from, or None if Slicer's DICOM database does not have all of them.

    :param most: largest number of files to look up; None: all.
    """
    database = getattr(slicer, "dicomDatabase", None)
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()[:most] if node else []
    files = [database.fileForInstance(uid) for uid in uids] if database else []
    return [Path(file) for file in files] if files and all(files) else None


def _imageInSeries(fusedNode, provenance, headers):
    """Return the fused image in the space of the MRI series, without the transforms of the scene."""
    from cspadn.io.dicom_writer import check_in_series
    from CSpADNFusionLib.scene import volumes
    from CSpADNFusionLib.scene.transforms import matrixBetween, relativePositions

    if provenance.get("grid", FusionSettings.grid) == FusionSettings.grid:
        image = volumes.imageFromVolumeNode(fusedNode)
        check_in_series(image, headers)
        return image
    petNode, mriNode = (fusedNode.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE))
    check_in_series(volumes.imageFromVolumeNode(mriNode), headers)
    matrix = matrixBetween(fusedNode, mriNode)
    if matrix is None:
        raise InputError(message("pet-grid-not-linear"))
    if not petNode or fusedNode.GetAttribute(RELATIVE_POSITIONS) != relativePositions(petNode, fusedNode, mriNode):
        raise InputError(message("moved-since-fusion"))
    return volumes.imageFromVolumeNode(fusedNode, matrix)
