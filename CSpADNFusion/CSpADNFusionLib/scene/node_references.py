"""Names of the node references and attributes that link nodes of this module to their inputs and companion nodes."""

COLOR_ROLE, METRICS_ROLE = "CSpADNFusionColor", "CSpADNFusionMetrics"
PET_ROLE, MRI_ROLE = "CSpADNFusionPET", "CSpADNFusionMRI"
RELATIVE_POSITIONS = "CSpADNFusionPlaces"  # attribute with the text from transforms.relativePositions; saved in scenes
PET_WINDOW = "CSpADNFusion.pet_window"  # attribute of a fused volume: the window of its PET, as JSON text
PALETTE, PET_WEIGHT = "CSpADNFusion.palette", "CSpADNFusion.pet_weight"  # attributes: what the colour volume shows
ALIGNMENT_MM, ALIGNMENT_DEGREES = "CSpADNFusion.alignment_mm", "CSpADNFusion.alignment_degrees"  # what a fusion measured
ADDED = "CSpADNFusion.added"  # attribute of a fused volume: what of it was added to Slicer's DICOM database
SOFTWARE = "CSpADNFusion.software"  # attribute of the volumes that this module makes
REGISTRATION = "CSpADNFusion.registration"  # attribute of the transform nodes that the registration makes


def registrationOf(petNode):
    """Return the transform node of a registration by this module that the PET is directly under, or None."""
    parent = petNode.GetParentTransformNode() if petNode else None
    return parent if parent and parent.GetAttribute(REGISTRATION) else None
