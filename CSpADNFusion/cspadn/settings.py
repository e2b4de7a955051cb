"""How to fuse. A module of its own, so that Slicer's panel can check settings without importing torch."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MODEL = "cspadn"
AUTOMATIC_DEVICE = "auto"


@dataclass(frozen=True)
class FusionSettings:
    """How to fuse.

    Attributes:
        model: name of a shipped model, or a .safetensors file with its card beside it.
        device: auto, cpu, cuda, cuda:N or mps.
        pet_window, mri_window: (lower, upper) in the volume's own units; None: :func:`cspadn.intensity.automatic_window`.
    """

    model: str = DEFAULT_MODEL
    device: str = AUTOMATIC_DEVICE
    pet_window: tuple[float, float] | None = None
    mri_window: tuple[float, float] | None = None
