"""How to fuse. A module of its own, so that Slicer's panel can check settings without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from cspadn.errors import UsageError

DEFAULT_MODEL = "cspadn"
MODELS = (DEFAULT_MODEL, "cspadn-paper")  # shipped, in Resources/Models
AUTOMATIC_DEVICE = "auto"
DEFAULT_PALETTE = "Heated"
GRIDS = ("mri", "pet")
WINDOWS = ("pet_window", "mri_window")  # the fields that are windows
# Slicer's PET palettes, by their names in MRML, and one that Slicer lacks; the values are in cspadn.imaging.color.
SLICER_PALETTES = (
    *("PET-Heat", "PET-Rainbow", "PET-Rainbow2", "PET-DICOM", "PET-HotMetalBlue"),
    "PET-MaximumIntensityProjection",
)
PALETTES = (DEFAULT_PALETTE, *SLICER_PALETTES)


@dataclass(frozen=True)
class FusionSettings:
    """How to fuse. Raises UsageError where grid or palette is none of :data:`GRIDS` or :data:`PALETTES`, or a type is another.

    Attributes:
        model: name of a shipped model, or a .safetensors file with its card beside it.
        device: auto, cpu, cuda, cuda:N or mps.
        grid: whose voxels the result has, mri or pet; the other volume is interpolated there.
        pet_window: (lower, upper) in the volume's own units; None: :func:`cspadn.imaging.windowing.automatic_window`.
        mri_window: likewise.
        palette: one of :data:`PALETTES`: a colour volume is made as well; None: none is.
        half: a GPU computes in half precision, at most 0.003 of the range apart (docs/benchmarks.md); a CPU does not.
    """

    model: str = DEFAULT_MODEL
    device: str = AUTOMATIC_DEVICE
    grid: str = "mri"
    pet_window: tuple[float, float] | None = None
    mri_window: tuple[float, float] | None = None
    palette: str | None = None
    half: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("model", str), ("device", str), ("half", bool)):
            if not isinstance(value := getattr(self, name), kind):
                raise UsageError(f"The setting {name} is of type {type(value).__name__}: it must be {kind.__name__}.")
        for name in WINDOWS:
            if (window := getattr(self, name)) is not None:
                object.__setattr__(self, name, _ends(window, name))
        if self.grid not in GRIDS:
            raise UsageError(f"The grid is '{self.grid}': use one of {', '.join(GRIDS)}.")
        if self.palette is not None and self.palette not in PALETTES:
            raise UsageError(f"There is no palette '{self.palette}': use one of {', '.join(PALETTES)}.")

    def told(self) -> dict[str, object]:
        """What a result depends on, but for model and device, as JSON has it."""
        windows = {name: list(window) if (window := getattr(self, name)) else "automatic" for name in WINDOWS}
        return {"grid": self.grid, "palette": self.palette, "half": self.half, **windows}


def _ends(window: object, name: str) -> tuple[float, float]:
    """Whether they are finite and in order is asked when they are used, by :func:`cspadn.imaging.windowing.check_window`."""
    try:
        lower, upper = (float(end) if isinstance(end, Real) else None for end in window)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError):
        lower = upper = None
    if lower is None or upper is None:
        raise UsageError(f"The setting {name} must be two numbers, the lower and the upper end.")
    return lower, upper
