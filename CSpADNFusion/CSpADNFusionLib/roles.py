"""The roles in which a fused volume node refers to what came with it."""

COLOR_ROLE, METRICS_ROLE = "CSpADNFusionColor", "CSpADNFusionMetrics"
