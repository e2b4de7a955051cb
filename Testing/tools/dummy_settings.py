"""Values for all settings, and settings with one extra of each kind, which tests look for wherever settings are given."""

from __future__ import annotations

from dataclasses import dataclass

from cspadn.settings import FusionSettings, Setting, described, setting

# Values that the kind of the setting does not give, or that are hard to pass on
_CHOSEN = {"model": "other.safetensors", "device": "cuda:1", "pet_window": (-0.00001, 30000.5)}


def _other(name: str, record: Setting) -> object:
    """Return a value of a setting other than its default."""
    default = getattr(FusionSettings, name)
    match record.kind:
        case "switch":
            return not default
        case "choice":
            return next(choice for choice in reversed(record.choices) if choice != default)
        case "window":
            return 1.0, 2.0
        case "frames":
            return "2:5"
    return f"other {name}"


VALUES = {name: _CHOSEN.get(name, _other(name, record)) for name, record in described()}


@dataclass(frozen=True)
class WithDummy(FusionSettings):
    """Settings with one more of each kind, each in one line."""

    dummy_text: str = setting("a", "text", "a text")
    dummy_choice: str = setting("x", "choice", "a choice", choices=("x", "y"))
    dummy_switch: bool = setting(False, "switch", "a switch")
    dummy_window: tuple[float, float] | None = setting(None, "window", "a window")


DUMMIES = {"dummy_text": "b", "dummy_choice": "y", "dummy_switch": True, "dummy_window": (0.0, 1e-7)}
