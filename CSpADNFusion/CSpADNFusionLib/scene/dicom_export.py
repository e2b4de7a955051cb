"""Export of a fused volume node as a derived DICOM study: new series in the study of its MRI."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import slicer

from cspadn.errors import InputError
from cspadn.settings import FusionSettings
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.node_contents import filesOf
from CSpADNFusionLib.scene.node_references import (
    ADDED,
    COLOR_ROLE,
    MRI_ROLE,
    PALETTE,
    PET_ROLE,
    PET_WEIGHT,
    RELATIVE_POSITIONS,
)

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_OF_COLORS = ("palette", "color_table", "color_brightness")  # keys of the provenance


class Exported(NamedTuple):
    """What was written.

    :ivar count: number of files.
    :ivar notes: sentences on objects that the study cannot have.
    """

    count: int
    notes: list


def obstacle(fusedNode):
    """Return why a volume node cannot be exported, as far as a quick check shows, or None if nothing prevents it."""
    if fusedNode is None:
        return message("nothing-to-export")
    mriNode = fusedNode.GetNodeReference(MRI_ROLE)
    if mriNode is None or fusedNode.IsA("vtkMRMLVectorVolumeNode"):
        return message("node-not-fused-here", name=fusedNode.GetName())
    if filesOf(mriNode, most=1):
        return None
    wasLoaded = mriNode.GetAttribute("DICOM.instanceUIDs")
    return (databaseObstacle() if wasLoaded else None) or message("mri-not-from-database")


def exportStudy(fusedNode, folder):
    """Write a fused volume and its colour volume as a derived study of the MRI's patient, study and frame of reference.

    :param fusedNode: scalar volume node, fused by this module from an MRI of Slicer's DICOM database.
    :param folder: path of the folder that receives the files: new, or empty.
    :returns: what was written, an :class:`Exported`.
    :raises cspadn.errors.FusionError: the study cannot be written; nothing is left in the folder.
    """
    if text := obstacle(fusedNode):
        raise InputError(text)
    from cspadn.io.atomic_output import commit
    from cspadn.io.dicom_writer import check_study_output, missing_objects, stage_study
    from cspadn.io.images import check_storable
    from CSpADNFusionLib.scene import volumes

    folder, provenance = Path(folder), volumes.provenanceOf(fusedNode)
    mri, pet = filesOf(fusedNode.GetNodeReference(MRI_ROLE)), filesOf(fusedNode.GetNodeReference(PET_ROLE))
    _checkFiles(mri, pet, provenance)
    sources = check_study_output(folder, mri, pet)
    toSeries = _matrixToSeries(fusedNode, provenance, sources.mri)
    image = volumes.imageFromVolumeNode(fusedNode, toSeries)
    check_storable(image, folder, series=True)
    colorNode = _colorNodeOf(fusedNode, provenance)
    color = colorNode and volumes.imageFromVolumeNode(colorNode, toSeries)
    if colorNode:
        ofColors = volumes.provenanceOf(colorNode)
        provenance |= {key: ofColors[key] for key in _OF_COLORS if key in ofColors}
    blended = _placePet(fusedNode, sources, provenance)
    commit([lambda: stage_study(image, color, folder, sources, provenance, blended=blended)], overwrite=False)
    notes = missing_objects(sources) or ([] if blended else [message("pet-not-placeable")])
    return Exported(sum(file.is_file() for file in folder.rglob("*")), notes)


def databaseObstacle():
    """Return why nothing can be added to Slicer's DICOM database, or None if nothing prevents it."""
    database = getattr(slicer, "dicomDatabase", None)
    return None if database and database.isOpen else message("database-not-open")


def isInDatabase(fusedNode):
    """Return whether Slicer's DICOM database has a fused volume, in the colours that it has now."""
    added = json.loads((fusedNode and fusedNode.GetAttribute(ADDED)) or "null")
    return bool(added) and added[1] == _stateOf(fusedNode) and bool(slicer.dicomDatabase.fileForInstance(added[0]))


def _stateOf(fusedNode):
    """Return what tells one study of a fused volume node from another: when it was made, and how it is coloured."""
    return [fusedNode.GetAttribute(name) for name in ("CSpADNFusion.date", PALETTE, PET_WEIGHT)]


def addToDatabase(fusedNode):
    """Add a fused volume and its colour volume to Slicer's DICOM database, which copies their files.

    :param fusedNode: as for :func:`exportStudy`.
    :returns: what was added, an :class:`Exported`.
    :raises cspadn.errors.FusionError: the study cannot be written, or the database does not take all of it. Then it keeps
        nothing of it.
    """
    if text := databaseObstacle():
        raise InputError(text)
    from DICOMLib import DICOMUtils

    from cspadn.io.atomic_output import private_folder

    with private_folder("cspadn-study-") as parent:
        folder = parent / "study"
        exported = exportStudy(fusedNode, folder)
        DICOMUtils.importDicom(str(folder), copyFiles=True)
        instances = _instancesIn(folder)
    if not all(slicer.dicomDatabase.fileForInstance(uid) for uid in instances):
        for series in set(instances.values()):
            slicer.dicomDatabase.removeSeries(series)
        raise InputError(message("study-not-added"))
    fusedNode.SetAttribute(ADDED, json.dumps([next(iter(instances)), _stateOf(fusedNode)]))
    return exported


def _instancesIn(folder):
    """Return the UIDs of the series of all images and other objects in a folder, by their own UIDs."""
    import pydicom

    tags = ["SOPInstanceUID", "SeriesInstanceUID"]
    read = (pydicom.dcmread(file, specific_tags=tags) for file in folder.rglob("*") if file.is_file())
    return {each.SOPInstanceUID: each.SeriesInstanceUID for each in read}


def _checkFiles(mri, pet, provenance):
    """Raise InputError if files of a source are missing; the PET need not come from DICOM."""
    if not mri:
        raise InputError(message("mri-not-from-database"))
    if not pet and provenance.get("pet_series_uid"):
        raise InputError(message("pet-series-gone"))
    if gone := [file for file in (*mri, *(pet or ())) if not file.is_file()]:
        raise InputError(message("database-file-gone", file=gone[0]))


def _matrixToSeries(fusedNode, provenance, headers):
    """Return the 4x4 array from the RAS of the fused node to that of the MRI series, without the transforms of the scene."""
    from cspadn.io.dicom_writer import check_in_series
    from CSpADNFusionLib.scene import volumes
    from CSpADNFusionLib.scene.transforms import matrixBetween

    if provenance.get("grid", FusionSettings.grid) == FusionSettings.grid:
        check_in_series(volumes.imageFromVolumeNode(fusedNode), headers)
        return np.eye(4)
    petNode, mriNode = (fusedNode.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE))
    check_in_series(volumes.imageFromVolumeNode(mriNode), headers)
    matrix = matrixBetween(fusedNode, mriNode)
    if matrix is None:
        raise InputError(message("pet-grid-not-linear"))
    if not petNode or _wasMoved(fusedNode):
        raise InputError(message("moved-since-fusion"))
    return matrix


def _wasMoved(fusedNode):
    """Return whether PET, MRI and fused volume lie otherwise to each other than at the time of the fusion."""
    from CSpADNFusionLib.scene.transforms import relativePositions

    petNode, mriNode = (fusedNode.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE))
    return fusedNode.GetAttribute(RELATIVE_POSITIONS) != relativePositions(petNode, fusedNode, mriNode)


def _colorNodeOf(fusedNode, provenance):
    """Return the colour volume node of the same fusion, or None."""
    from CSpADNFusionLib.scene import volumes

    colorNode = fusedNode.GetNodeReference(COLOR_ROLE)
    same = colorNode and volumes.provenanceOf(colorNode).get("date") == provenance.get("date")
    return colorNode if same else None


def _placePet(fusedNode, sources, provenance):
    """Put into the provenance how the PET series lies to the MRI series, and return whether a matrix can say it.

    :raises InputError: the PET was moved since the fusion.
    """
    from cspadn.io.dicom_writer import check_in_series
    from CSpADNFusionLib.scene import volumes
    from CSpADNFusionLib.scene.transforms import matrixBetween

    if not sources.pet:
        return True
    if _wasMoved(fusedNode):
        raise InputError(message("moved-since-fusion"))
    petNode, mriNode = (fusedNode.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE))
    try:
        check_in_series(volumes.imageFromVolumeNode(petNode), sources.pet)
    except InputError:  # a hardened transform, or a crop
        return False
    toPet = matrixBetween(mriNode, petNode)
    if toPet is None:
        return False
    registered = provenance.get("registration_matrix")
    found = np.reshape(json.loads(registered), (4, 4)) if registered else np.eye(4)
    whole = _RAS_TO_LPS @ toPet @ _RAS_TO_LPS
    whole = whole @ found if provenance.get("grid", FusionSettings.grid) == FusionSettings.grid else found @ whole
    provenance["registration_matrix"] = None if np.allclose(whole, np.eye(4)) else whole.ravel().tolist()
    return bool(np.allclose(whole[:3, :3] @ whole[:3, :3].T, np.eye(3), atol=1e-4))
