"""Volumes before they are fused: where they lie, their windows, PET and MRI on one grid, colours."""
