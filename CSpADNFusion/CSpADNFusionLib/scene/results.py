"""What a run made, as nodes of the scene: all of it, or nothing."""

import slicer
from slicer.i18n import tr as _

from cspadn.errors import InputError
from CSpADNFusionLib.scene import metrics
from CSpADNFusionLib.scene import volumes as nodes
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, METRICS_ROLE, MRI_ROLE, PET_ROLE, PLACES


def store(outcome, place, outputNode, colorOutputNode, metricsTableNode):
    """Put a result into the given nodes, or into new ones, and return the fused volume node.

    :param outcome: a :class:`CSpADNFusionLib.worker.fusion.Outcome`.
    :param place: from :func:`CSpADNFusionLib.scene.volumes.placeOf`, when the run started.
    :raises InputError: a given node has left the scene.
    """
    for node in (outputNode, colorOutputNode, metricsTableNode):
        if node and node.GetScene() is None:
            raise InputError(_("The output was deleted while the fusion ran: press Apply again."))
    before = {node.GetID() for node in _allNodes()}
    try:
        return _store(outcome, place, outputNode, colorOutputNode, metricsTableNode)
    except Exception:
        for node in _allNodes():
            if node.GetID() not in before:
                slicer.mrmlScene.RemoveNode(node)
        raise


def _allNodes():
    scene = slicer.mrmlScene
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def _store(outcome, place, outputNode, colorOutputNode, metricsTableNode):
    fusedNode = outputNode or _newNode("vtkMRMLScalarVolumeNode", place.fusedName)
    nodes.updateVolumeNodeFromFusion(fusedNode, outcome.image, place, outcome.provenance)
    colorNode = tableNode = None
    if outcome.color is not None:
        colorNode = colorOutputNode or _newNode("vtkMRMLVectorVolumeNode", f"{fusedNode.GetName()} color")
        nodes.updateVolumeNodeFromFusion(colorNode, outcome.color, place, outcome.provenance)
    if outcome.metrics is not None:
        tableNode = metricsTableNode or _newNode("vtkMRMLTableNode", f"{fusedNode.GetName()} metrics")
        _storeMetrics(tableNode, outcome.metrics, place)
    related = {COLOR_ROLE: colorNode, METRICS_ROLE: tableNode, PET_ROLE: place.petNode, MRI_ROLE: place.mriNode}
    for role, node in related.items():
        fusedNode.SetNodeReferenceID(role, node.GetID() if node and node.GetScene() else None)
    fusedNode.SetAttribute(PLACES, place.relative)
    return fusedNode


def _storeMetrics(tableNode, rows, place):
    metrics.updateMetricsNodes(tableNode, rows)
    for node in (tableNode, *metrics.companionsOf(tableNode)):
        nodes.putBeside(node, place.mriNode)


def _newNode(className, name):
    return slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))
