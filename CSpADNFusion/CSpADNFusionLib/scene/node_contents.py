"""Contents of volume and table nodes, and of the DICOM series that they come from."""

from pathlib import Path

import slicer


def holdsData(node):
    """Return whether a volume node has voxels, or a table node has columns."""
    if node.IsA("vtkMRMLTableNode"):
        return node.GetNumberOfColumns() > 0
    return node.GetImageData() is not None and node.GetImageData().GetNumberOfPoints() > 0


def dicomValue(node, tag):
    """Return a value of the DICOM series that a node was loaded from, or None if it is not known."""
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    return (database.instanceValue(uids[0], tag) or None) if uids and database else None


def unitsOf(node):
    """Return the units of the voxels of a PET, from the node or from its DICOM series, or None if neither has them."""
    entry = node.GetVoxelValueUnits() if node else None
    if entry and (entry.GetCodeMeaning() or entry.GetCodeValue()):
        return entry.GetCodeMeaning() or entry.GetCodeValue()
    return dicomValue(node, "0054,1001") if node else None


def filesOf(node, most=None):
    """Return the files that a node was loaded from, or None if Slicer's DICOM database does not have all of them.

    :param most: largest number of files to look up; None: all.
    """
    database = getattr(slicer, "dicomDatabase", None)
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()[:most] if node else []
    files = [database.fileForInstance(uid) for uid in uids] if database else []
    return [Path(file) for file in files] if files and all(files) else None
