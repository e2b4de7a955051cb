"""Storage of the result of a fusion in nodes of the scene."""

import slicer

from cspadn.errors import InputError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene import color_legend, metrics, volumes
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, METRICS_ROLE, MRI_ROLE, PET_ROLE, RELATIVE_POSITIONS

_FOLDER = "CSpADNFusion.run"  # attribute of the folders that this module makes


def store(output, placement, outputNode, colorOutputNode, metricsTableNode):
    """Store a result in the given nodes, or in new ones, and return the fused volume node.

    If an error occurs, the nodes that were created are removed.

    :param output: a :class:`CSpADNFusionLib.worker.fusion.FusionOutput`.
    :param placement: the :class:`CSpADNFusionLib.scene.volumes.Placement` from the start of the run.
    :param outputNode, colorOutputNode, metricsTableNode: nodes that receive the result, or None for new ones.
    :raises InputError: a given node is no longer in the scene.
    """
    for node in (outputNode, colorOutputNode, metricsTableNode):
        if node and node.GetScene() is None:
            raise InputError(message("output-node-deleted"))
    before = {node.GetID() for node in _allNodes()}
    try:
        return _store(output, placement, outputNode, colorOutputNode, metricsTableNode)
    except Exception:
        for node in _allNodes():
            if node.GetID() not in before:
                slicer.mrmlScene.RemoveNode(node)
        raise


def _allNodes():
    scene = slicer.mrmlScene
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def _store(output, placement, outputNode, colorOutputNode, metricsTableNode):
    fusedNode = outputNode or _newNode("vtkMRMLScalarVolumeNode", placement.fusedName)
    volumes.updateVolumeNodeFromFusion(fusedNode, output.image, placement, output.provenance)
    colorNode = tableNode = None
    if output.color is not None:
        colorNode = colorOutputNode or _newNode("vtkMRMLVectorVolumeNode", f"{fusedNode.GetName()} color")
        volumes.updateVolumeNodeFromFusion(colorNode, output.color, placement, output.provenance)
    if output.metrics is not None:
        tableNode = metricsTableNode or _newNode("vtkMRMLTableNode", f"{fusedNode.GetName()} metrics")
        metrics.updateMetricsNodes(tableNode, output.metrics)
    related = {COLOR_ROLE: colorNode, METRICS_ROLE: tableNode, PET_ROLE: placement.petNode, MRI_ROLE: placement.mriNode}
    for role, node in related.items():
        fusedNode.SetNodeReferenceID(role, node.GetID() if node and node.GetScene() else None)
    fusedNode.SetAttribute(RELATIVE_POSITIONS, placement.relative)
    color_legend.update(fusedNode)
    companions = metrics.companionsOf(tableNode) if tableNode else []
    _putIntoFolder([node for node in (fusedNode, colorNode, tableNode, *companions) if node], placement.mriNode)
    return fusedNode


def _putIntoFolder(nodes, mriNode):
    """Put the nodes of a run into a folder beside the MRI, in its study; a run into an earlier one's nodes keeps its folder.

    Without the application, nodes may have no items.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = [hierarchy.GetItemByDataNode(node) for node in (mriNode, *nodes)] if hierarchy else []
    if not items or hierarchy.GetInvalidItemID() in items[:2]:
        return
    mriItem, fusedItem = items[:2]
    folder = hierarchy.GetItemParent(fusedItem)
    if not hierarchy.HasItemAttribute(folder, _FOLDER):
        folder = hierarchy.CreateFolderItem(hierarchy.GetItemParent(mriItem), nodes[0].GetName())
        hierarchy.SetItemAttribute(folder, _FOLDER, "1")
    for item in items[1:]:
        if item != hierarchy.GetInvalidItemID():
            hierarchy.SetItemParent(item, folder)


def _newNode(className, name):
    return slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))
