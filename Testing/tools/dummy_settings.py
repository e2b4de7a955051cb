"""Values of all settings, and settings with one more of each kind: tests look for them wherever settings are given."""

from __future__ import annotations

from dataclasses import dataclass

from cspadn.settings import FusionSettings, setting

VALUES = {
    "model": "other.safetensors",
    "device": "cuda:1",
    "grid": "pet",
    "pet_window": (-0.00001, 30000.5),
    "mri_window": (1.0, 2.0),
    "palette": "PET-Heat",
    "register": "rigid",
    "skip_alignment_check": True,
    "half": True,
}


@dataclass(frozen=True)
class WithDummy(FusionSettings):
    """Settings with one more of each kind, each in one line."""

    dummy_text: str = setting("a", "text", "a text")
    dummy_choice: str = setting("x", "choice", "a choice", choices=("x", "y"))
    dummy_switch: bool = setting(False, "switch", "a switch")
    dummy_window: tuple[float, float] | None = setting(None, "window", "a window")


DUMMIES = {"dummy_text": "b", "dummy_choice": "y", "dummy_switch": True, "dummy_window": (0.0, 1e-7)}
