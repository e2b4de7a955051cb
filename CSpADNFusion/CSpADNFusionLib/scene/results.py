"""Storage of the result of a fusion in nodes of the scene."""

import slicer

from cspadn.errors import InputError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene import metrics, volumes
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, METRICS_ROLE, MRI_ROLE, PET_ROLE, RELATIVE_POSITIONS


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
        _storeMetrics(tableNode, output.metrics, placement)
    related = {COLOR_ROLE: colorNode, METRICS_ROLE: tableNode, PET_ROLE: placement.petNode, MRI_ROLE: placement.mriNode}
    for role, node in related.items():
        fusedNode.SetNodeReferenceID(role, node.GetID() if node and node.GetScene() else None)
    fusedNode.SetAttribute(RELATIVE_POSITIONS, placement.relative)
    return fusedNode


def _storeMetrics(tableNode, rows, placement):
    metrics.updateMetricsNodes(tableNode, rows)
    for node in (tableNode, *metrics.companionsOf(tableNode)):
        volumes.moveToStudyOf(node, placement.mriNode)


def _newNode(className, name):
    return slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))
