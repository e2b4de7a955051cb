"""The roles in which a fused volume node refers to what came with it, and to what it was made of."""

COLOR_ROLE, METRICS_ROLE = "CSpADNFusionColor", "CSpADNFusionMetrics"
PET_ROLE, MRI_ROLE = "CSpADNFusionPET", "CSpADNFusionMRI"
PLACES = "CSpADNFusionPlaces"  # attribute: how the two lay to each other, from nodes.relativePlaces
