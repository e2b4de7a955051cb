"""Contents of volume and table nodes."""


def holdsData(node):
    """Return whether a volume node has voxels, or a table node has columns."""
    if node.IsA("vtkMRMLTableNode"):
        return node.GetNumberOfColumns() > 0
    return node.GetImageData() is not None and node.GetImageData().GetNumberOfPoints() > 0
