"""Display of a result in Slicer's own slice views, at the slice and zoom that the reader has."""

from CSpADNFusionLib.scene import slice_views
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, MRI_ROLE, PET_ROLE


def show(fusedNode, grey):
    """Show a result in all slice views, and the PET invisibly above it, so that Slicer's Data Probe tells its values.

    The views keep slice and zoom if one of them shows the result, its PET or its MRI already; otherwise they are fitted.

    :param fusedNode: the fused volume node.
    :param grey: whether to show the fused volume itself instead of its colour volume.
    """
    picture = fusedNode if grey else fusedNode.GetNodeReference(COLOR_ROLE) or fusedNode
    slice_views.show(
        background=picture,
        foreground=fusedNode.GetNodeReference(PET_ROLE),
        foregroundOpacity=0.0,
        fit=not _known(fusedNode) & _shown(),
    )


def isShown(fusedNode):
    """Return whether a slice view shows a result, in grey or in colour."""
    color = fusedNode.GetNodeReference(COLOR_ROLE)
    return bool({node.GetID() for node in (fusedNode, color) if node} & _shown(backgroundOnly=True))


def _known(fusedNode):
    nodes = [fusedNode, *(fusedNode.GetNodeReference(role) for role in (COLOR_ROLE, PET_ROLE, MRI_ROLE))]
    return {node.GetID() for node in nodes if node}


def _shown(backgroundOnly=False):
    composites = slice_views.composites()
    ids = [composite.GetBackgroundVolumeID() for composite in composites]
    if not backgroundOnly:
        ids += [composite.GetForegroundVolumeID() for composite in composites]
    return set(filter(None, ids))
