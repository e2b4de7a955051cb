"""The settings of a fusion: name, type, choices, default and help of each, once.

The command line, the worker's arguments, the panel's parameters, the batch script and the cohort are derived from the fields
of :class:`FusionSettings`, so that a new setting is one line here, and a widget in the panel. The module imports nothing
heavy: the panel checks settings without torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

from cspadn.errors import UsageError
from cspadn.messages import message
from cspadn.palettes import DEFAULT_PALETTE, PALETTES

DEFAULT_MODEL = "cspadn"
MODELS = (DEFAULT_MODEL, "cspadn-paper")  # shipped, in Resources/Models
AUTOMATIC_DEVICE = "auto"
GRIDS = ("mri", "pet")
NO_REGISTRATION, RIGID = REGISTRATIONS = ("none", "rigid")

MEAN = "mean"  # of all frames of a dynamic PET
_FRAMES = re.compile(rf"{MEAN}|([1-9]\d{{0,5}})(?::([1-9]\d{{0,5}}))?")

_RECORD = "setting"  # key of a field's metadata


Kind = Literal["text", "choice", "switch", "window", "frames"]


@dataclass(frozen=True)
class Setting:
    """Describe a field of :class:`FusionSettings`.

    Attributes:
        kind: "text"; "choice", one of ``choices``; "switch", true or false; "window", two numbers; "frames", as
            :func:`check_frames` accepts it.
        help: explanation for the command line.
        choices: allowed values of a choice; of a text, the values that the panel offers.
        labels: what the panel calls the choices, and keeps in the scene; empty for the choices themselves.
        metavar: what stands for the value in the help.
        changes_result: whether the result depends on it, so that other values make a finished pair of a batch outdated. The
            model is compared by the hash of its weights instead.
    """

    kind: Kind
    help: str
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    metavar: str | None = None
    changes_result: bool = True

    @property
    def shown(self) -> tuple[str, ...]:
        """Choices as the panel shows them."""
        return self.labels or self.choices


def setting(default: object, kind: Kind, explained: str, **options: Any) -> Any:
    """Return a dataclass field that holds a :class:`Setting`, for :class:`FusionSettings` and classes derived from it."""
    return field(default=default, metadata={_RECORD: Setting(kind, explained, **options)})


_WINDOW_HELP = "black and white, in the volume's units; default: automatic"


@dataclass(frozen=True)
class FusionSettings:
    """Settings of a fusion.

    Attributes:
        model: name of a shipped model, or a .safetensors file with its card beside it.
        device: auto, cpu, cuda, cuda:N or mps.
        grid: volume whose voxels the result has, mri or pet; the other volume is interpolated there.
        pet_window: (lower, upper) in the units of the volume; None: :mod:`cspadn.imaging.automatic_windows`.
        mri_window: likewise.
        frames: which frames of a dynamic PET are fused: mean, all of them, weighted by their durations; N, one of them,
            counted from 1; or A:B, the mean of those from A to B. None: the PET has one frame.
        palette: one of :data:`cspadn.palettes.PALETTES` to make a colour volume as well; None: no colour volume.
        register: none, the volumes are fused where their headers place them; or rigid, the PET is registered to the MRI
            first, by :func:`cspadn.register`.
        skip_alignment_check: do not check whether the two volumes are aligned.
        half: compute in half precision on a GPU; the result differs by at most 0.003 of the range (docs/benchmarks.md). No
            effect on a CPU.

    Raises:
        UsageError: a value has another type, or is not one of the choices.
    """

    model: str = setting(
        DEFAULT_MODEL,
        "text",
        "a name of 'cspadn models', or a .safetensors file",
        choices=MODELS,
        metavar="NAME|FILE",
        changes_result=False,
    )
    device: str = setting(AUTOMATIC_DEVICE, "text", "auto (default), cpu, cuda, cuda:N or mps", changes_result=False)
    grid: str = setting(
        "mri",
        "choice",
        "the volume whose voxel grid the result has; default: mri",
        choices=GRIDS,
        labels=("MRI", "PET"),
        metavar="mri|pet",
    )
    pet_window: tuple[float, float] | None = setting(None, "window", _WINDOW_HELP)
    mri_window: tuple[float, float] | None = setting(None, "window", _WINDOW_HELP)
    frames: str | None = setting(
        None,
        "frames",
        "frames of a dynamic PET: mean of all, weighted by duration; frame N, counted from 1; or mean of frames A to B",
        metavar="mean|N|A:B",
    )
    palette: str | None = setting(
        None,
        "choice",
        f"palette of the colour volume: {', '.join(PALETTES)}; default: {DEFAULT_PALETTE}",
        choices=PALETTES,
        metavar="NAME",
    )
    register: str = setting(
        NO_REGISTRATION,
        "choice",
        "register the PET to the MRI first; default: none",
        choices=REGISTRATIONS,
        metavar="none|rigid",
    )
    skip_alignment_check: bool = setting(False, "switch", "do not check whether PET and MRI are aligned", changes_result=False)
    half: bool = setting(False, "switch", "half precision on a GPU: faster; differs by at most 0.003 of the range")

    def __post_init__(self) -> None:
        for name, record in described(type(self)):
            value = getattr(self, name)
            if record.kind == "window":
                object.__setattr__(self, name, None if value is None else _ends(value, name))
            elif record.kind == "choice" and value is not None:
                _check_choice(name, value, record.choices)
            elif record.kind == "frames" and value is not None:
                check_frames(value)
            elif record.kind in _TYPES and not isinstance(value, kind := _TYPES[record.kind]):
                raise UsageError(message("setting-type", setting=name, type=type(value).__name__, expected=kind.__name__))

    def origin(self) -> dict[str, object]:
        """Return the settings on which a result depends, other than the model, as JSON can hold them."""
        values = {name: getattr(self, name) for name, record in described(type(self)) if record.changes_result}
        windows = {name for name, record in described(type(self)) if record.kind == "window"}
        return {name: _plain(value) if name in windows else value for name, value in values.items()}

    def arguments(self) -> list[str]:
        """Return the command-line arguments that give these settings."""
        arguments = list[str]()
        for name, record in described(type(self)):
            value = getattr(self, name)
            if record.kind == "switch":
                arguments += [flag(name)] if value else []
            elif record.kind == "window":
                # argparse accepts -0.00001 as a number, but not -1e-05
                arguments += [flag(name), *(format(Decimal(repr(end)), "f") for end in value)] if value else []
            elif value is not None:
                arguments += [flag(name), value]
        return arguments


_TYPES: dict[str, type] = {"text": str, "switch": bool}


def described(settings: type[FusionSettings] = FusionSettings) -> Iterator[tuple[str, Setting]]:
    """Yield the name and the record of each setting."""
    return ((each.name, each.metadata[_RECORD]) for each in fields(settings))


def flag(name: str) -> str:
    """Return the command-line option of a setting, such as ``--pet-window``."""
    return "--" + name.replace("_", "-")


def check_frames(frames: object) -> None:
    """UsageError unless a value is "mean", a number from 1 on, or two such numbers "A:B" in order."""
    match = _FRAMES.fullmatch(frames) if isinstance(frames, str) else None
    if match is None or (match[2] and int(match[1]) > int(match[2])):
        raise UsageError(message("setting-not-frames", value=frames))


WINDOWS = tuple(name for name, record in described() if record.kind == "window")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(message("setting-not-a-choice", setting=name, value=value, choices=", ".join(choices)))


def _plain(window: tuple[float, float] | None) -> list[float] | str:
    return list(window) if window else "automatic"


def _ends(window: object, name: str) -> tuple[float, float]:
    """Whether they are finite and in order is asked when they are used, by :func:`cspadn.imaging.windowing.check_window`."""
    try:
        lower, upper = (float(end) if isinstance(end, Real) else None for end in window)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        lower = upper = None
    if lower is None or upper is None:
        raise UsageError(message("setting-not-a-window", setting=name))
    return lower, upper
