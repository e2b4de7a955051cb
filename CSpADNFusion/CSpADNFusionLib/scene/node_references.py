"""Names of the node references and attributes that link a fused volume node to its inputs and companion nodes."""

COLOR_ROLE, METRICS_ROLE = "CSpADNFusionColor", "CSpADNFusionMetrics"
PET_ROLE, MRI_ROLE = "CSpADNFusionPET", "CSpADNFusionMRI"
RELATIVE_POSITIONS = "CSpADNFusionPlaces"  # attribute with the text from transforms.relativePositions; saved in scenes
