"""Fuse two volumes slice by slice: the one function in which GUI, console and command line end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray

from . import __version__
from .color import palette_of, recolored
from .device import is_out_of_memory, resolve_device
from .errors import CancelledError, MemoryExhaustedError
from .geometry import axial_view
from .inference import FusionNetwork
from .intensity import FUSED_MAXIMUM, from_network_range, to_network_range
from .metadata import NOTE
from .pair import Pair
from .settings import FusionSettings
from .weights import Model, load_model

Progress = Callable[[int, int], None]  # slices done, slices in all
_CPU_BATCH, _GPU_BATCH = 1, 8  # slices: a CPU gains nothing from more than its caches hold
_GREY_LEVELS = 255  # in a window: what is below the first is on its way to black


@dataclass(frozen=True)
class FusionResult:
    """What came out.

    Attributes:
        image: the fused volume on the grid of the MRI (or of the PET, if the settings say so), float32 from 0 to 4095.
        color: RGB, 8 bits each, on the same grid: brightness of the fused volume, hue of the PET; None without a palette.
        provenance: sources, model, hash, device, windows, grid, software and date, as text and numbers.
        warnings: sentences for the user, with numbers.
    """

    image: sitk.Image
    provenance: dict[str, Any]
    warnings: list[str]
    color: sitk.Image | None = None


def fuse(
    pet: sitk.Image,
    mri: sitk.Image,
    settings: FusionSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FusionResult:
    """Fuse a PET and an MRI volume that are registered in physical space.

    Both are viewed in slices of the grid volume, along the axis of it that is nearest to the patient's; the other volume is
    interpolated linearly at their voxel centres. Each pair of slices goes through the network, and the fused slices are put
    back into the stored order of the grid volume. Where the other volume has no field of view, the grid volume is kept; the
    fusion fades into it over :data:`cspadn.geometry.BLEND_VOXELS` voxels.

    Args:
        pet, mri: scalar volumes of any grid, orientation and real pixel type; they are not changed. NaN and infinity are
            background (but see :data:`cspadn.metadata.NAN_IS_OUTSIDE`).
        settings: None: the defaults.
        progress: called after each batch with the slices done and the slices in all.
        cancelled: asked before each batch; True stops.

    Raises:
        InputError: a volume cannot be fused, or the two overlap in less than 1 % of the MRI's foreground.
        UsageError: an impossible setting.
        ModelError: the model is unknown or damaged.
        MemoryExhaustedError: not even one slice fits into memory.
        CancelledError: ``cancelled`` said so.
    """
    settings = settings or FusionSettings()
    palette = None if settings.palette is None else palette_of(settings.palette)
    model = load_model(settings.model)
    fuser = _SliceFuser(FusionNetwork(model.network), resolve_device(settings.device))
    pair = Pair.of(pet, mri, settings)
    fused = np.empty(pair.shape, np.float32)
    colored = np.empty((*pair.shape, 0 if palette is None else 3), np.uint8)
    fused_slices, colored_slices = (axial_view(voxels, pair.given) for voxels in (fused, colored))
    for first, last in _batches(fuser, pair.slices):
        if cancelled and cancelled():
            raise CancelledError("The fusion was cancelled.")
        slab = pair.slab(first, last)
        unit = _fuse_slab(fuser, slab.sources, slab.kept, slab.weights)
        fused_slices[first:last] = unit * np.float32(FUSED_MAXIMUM)
        if palette is not None:
            colored_slices[first:last] = recolored(palette, slab.pet_shown, unit)
        if progress:
            progress(last, pair.slices)
    image, color = pair.stored(fused), None if palette is None else pair.stored(colored)
    return FusionResult(image, _provenance(model, fuser, pair, settings), pair.warnings + fuser.warnings, color)


def _batches(fuser: _SliceFuser, total: int) -> Iterator[tuple[int, int]]:
    """Ranges of slices; the fuser may have made its batch smaller since the last one."""
    first = 0
    while first < total:
        last = min(first + fuser.batch, total)
        yield first, last
        first = last


def _fuse_slab(
    fuser: _SliceFuser, sources: NDArray[np.float32], kept: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Fuse (N, 2, H, W) in [0, 1] to (N, H, W) in [0, 1]; ``kept`` where the weights (N, H, W) are 0."""
    if not weights.any():
        return kept
    # What is black in both stays black: the network lets edges glow. Faded, so that no rounding error next to 0 decides.
    fused = fuser(sources) * np.minimum(sources.max(axis=1) * _GREY_LEVELS, 1)
    blended: NDArray[np.float32] = kept + weights * (fused - kept)
    return blended


@dataclass
class _SliceFuser:
    """The network on its device. Out of memory, it halves its batch, then moves to the CPU, and says so."""

    network: FusionNetwork
    device: torch.device
    batch: int = 0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._move(self.device)

    def _move(self, device: torch.device) -> None:
        self.device = device
        self.network = self.network.to(device)
        self.batch = _CPU_BATCH if device.type == "cpu" else _GPU_BATCH

    def __call__(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse (N, 2, H, W) in [0, 1] to (N, H, W) in [0, 1]."""
        while True:
            try:
                return np.concatenate([self._run(part) for part in self._parts(sources)])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._retreat()

    def _parts(self, sources: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [sources[i : i + self.batch] for i in range(0, len(sources), self.batch)]

    @torch.inference_mode()
    def _run(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        fused = self.network(to_network_range(torch.from_numpy(sources).to(self.device)))
        unit: NDArray[np.float32] = from_network_range(fused)[:, 0].clamp(0, 1).cpu().numpy()
        return unit

    def _retreat(self) -> None:
        if self.batch > 1:
            self.batch //= 2
            self.warnings.append(f"Out of memory on {self.device}: went on with {self.batch} slices at a time.")
        elif self.device.type != "cpu":
            self.warnings.append(f"Out of memory on {self.device} with one slice: went on with the CPU.")
            self._move(torch.device("cpu"))
        else:
            raise MemoryExhaustedError("There is not enough memory to fuse even one slice: close other programs.")


def _provenance(model: Model, fuser: _SliceFuser, pair: Pair, settings: FusionSettings) -> dict[str, Any]:
    """What made the fused volume: stored with it, so that nobody has to ask."""
    return {
        "software": f"CSpADNFusion {__version__}",
        "model": model.card.name,
        "model_version": model.card.version,
        "model_sha256": model.card.sha256,
        "device": str(fuser.device),
        "grid": pair.grid,
        **pair.sources,
        "pet_window": list(pair.pet.window),
        "mri_window": list(pair.mri.window),
        **({} if settings.palette is None else {"palette": settings.palette}),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "note": NOTE,
    }
