"""What the comparison can show, as the panel calls it and the scene keeps it."""

OVERLAY_AND_FUSED, OUTLINES_AND_CHECKERBOARD, ALL_VOLUMES = COMPARISONS = (
    "Overlay | fused",
    "Outlines | checkerboard",
    "All volumes",
)
