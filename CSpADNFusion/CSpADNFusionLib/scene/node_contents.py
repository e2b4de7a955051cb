"""Contents of volume and table nodes, and of the DICOM series that they come from."""

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
