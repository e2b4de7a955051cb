"""First choice of PET and MRI among the volumes of the scene: by DICOM modality, then by name, then by what they look like."""

import re

import slicer

from CSpADNFusionLib.scene.node_contents import dicomValue, holdsData
from CSpADNFusionLib.scene.node_references import SOFTWARE

_MODALITIES = {"PT": "pet", "MR": "mri"}
_WORDS = {  # parts of names between other characters than letters and digits
    "pet": {"pet", "pt", "suv", "fdg", "fet", "pib", "amyloid", "florbetapir", "florbetaben", "flutemetamol"},
    "mri": {"mri", "mr", "mprage", "flair", "t1", "t1w", "t2", "t2w", "spgr", "swi"},
}


def likelyPair():
    """Return the volumes (PET, MRI) that are most likely meant; None for each that is not clear."""
    kinds = {}
    unknown = []
    for node in _candidates():
        kind = _MODALITIES.get(dicomValue(node, "0008,0060")) or _kindByName(node)
        kinds.setdefault(kind, node) if kind else unknown.append(node)
    if not kinds and len(unknown) == 2:
        return _byTexture(*unknown)
    return kinds.get("pet"), kinds.get("mri")


def _candidates():
    """Return the scalar volumes with voxels that this module has not made."""
    scene, kind = slicer.mrmlScene, "vtkMRMLScalarVolumeNode"
    nodes = [scene.GetNthNodeByClass(index, kind) for index in range(scene.GetNumberOfNodesByClass(kind))]
    return [
        node
        for node in nodes
        if node.GetClassName() == kind
        and not node.GetHideFromEditors()
        and holdsData(node)
        and not node.GetAttribute(SOFTWARE)
    ]


def _kindByName(node):
    """Return "pet" or "mri" if the name of a node has words of one of them alone."""
    words = set(re.split(r"[^a-z0-9]+", node.GetName().lower()))
    found = [kind for kind, known in _WORDS.items() if words & known]
    return found[0] if len(found) == 1 else None


def _byTexture(first, second):
    """Return two volumes as (PET, MRI) if one is clearly smoother than the other, otherwise (None, None)."""
    from cspadn.imaging.modality import look_swapped, texture_of
    from CSpADNFusionLib.scene.volumes import imageFromVolumeNode

    textures = [texture_of(imageFromVolumeNode(node)) for node in (first, second)]
    if look_swapped(textures[1], textures[0]):  # the second is finer
        return first, second
    if look_swapped(*textures):
        return second, first
    return None, None
