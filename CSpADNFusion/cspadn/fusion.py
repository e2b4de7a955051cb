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
from .device import is_out_of_memory, resolve_device
from .errors import CancelledError, InputError, MemoryExhaustedError
from .geometry import check_volume, from_axial, resample, thinned, to_axial
from .intensity import FUSED_MAXIMUM, Window, automatic_window, check_window, from_network_range, to_network_range, to_unit
from .network import CSpADN
from .settings import FusionSettings
from .weights import Model, load_model

Progress = Callable[[int, int], None]  # slices done, slices in all
_CPU_BATCH, _GPU_BATCH = 1, 8  # slices: a CPU gains nothing from more than its caches hold
_LOW_COVERAGE = 0.5  # below this share of the MRI's foreground, the user is warned
_FOREGROUND = 0.1  # of the MRI's window
_GREY_LEVELS = 255  # in a window: what is below the first is on its way to black


@dataclass(frozen=True)
class FusionResult:
    """What came out.

    Attributes:
        image: the fused volume on the MRI's grid, float32 from 0 to 4095.
        provenance: model, hash, device, windows, software and date, as text and numbers.
        warnings: sentences for the user, with numbers.
    """

    image: sitk.Image
    provenance: dict[str, Any]
    warnings: list[str]


def fuse(
    pet: sitk.Image,
    mri: sitk.Image,
    settings: FusionSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FusionResult:
    """Fuse a PET and an MRI volume that are registered in physical space.

    The PET is resampled to the MRI's grid; both are viewed patient-axially; each pair of slices goes through the network;
    the fused slices are put back into the MRI's stored order. Where the PET has no field of view, the MRI is kept.

    Args:
        pet, mri: scalar volumes of any grid, orientation and real pixel type; they are not changed.
        settings: None: the defaults.
        progress: called after each batch with the slices done and the slices in all.
        cancelled: asked before each batch; True stops.

    Raises:
        InputError: a volume cannot be fused, or the two do not overlap.
        UsageError: an impossible setting.
        ModelError: the model is unknown or damaged.
        MemoryExhaustedError: not even one slice fits into memory.
        CancelledError: ``cancelled`` said so.
    """
    settings = settings or FusionSettings()
    check_volume(pet, "The PET")
    check_volume(mri, "The MRI")
    axial = to_axial(mri)
    pet_window, mri_window = _pet_window(pet, axial, settings), _mri_window(mri, settings)
    model = load_model(settings.model)
    fuser = _SliceFuser(model.network, resolve_device(settings.device))
    fused = np.empty(axial.GetSize()[::-1], np.float32)
    coverage = _Coverage()
    for first, last in _batches(fuser, len(fused)):
        if cancelled and cancelled():
            raise CancelledError("The fusion was cancelled.")
        pet_slab = sitk.GetArrayFromImage(resample(pet, axial[:, :, first:last]))  # a copy: a view dies with its image
        mri_unit = to_unit(sitk.GetArrayFromImage(axial[:, :, first:last]), mri_window)
        fused[first:last] = _fuse_slab(fuser, pet_slab, pet_window, mri_unit, coverage)
        if progress:
            progress(last, len(fused))
    fused *= np.float32(FUSED_MAXIMUM)
    image = from_axial(sitk.GetImageFromArray(fused), axial, mri)
    return FusionResult(image, _provenance(model, fuser, pet_window, mri_window), coverage.warnings() + fuser.warnings)


def _pet_window(pet: sitk.Image, axial_mri: sitk.Image, settings: FusionSettings) -> Window:
    """By what the MRI sees of the PET: in a whole-body PET the bladder must not decide how the brain looks."""
    if settings.pet_window is not None:
        return check_window(*settings.pet_window, "PET")
    seen = sitk.GetArrayFromImage(resample(pet, thinned(axial_mri)))
    if not np.isfinite(seen).any():  # too small to be met by the thinned grid, or elsewhere: the slices will show
        seen = sitk.GetArrayFromImage(pet)
    return automatic_window(seen, "The PET")


def _mri_window(mri: sitk.Image, settings: FusionSettings) -> Window:
    if settings.mri_window is not None:
        return check_window(*settings.mri_window, "MRI")
    return automatic_window(sitk.GetArrayViewFromImage(mri), "The MRI")


@dataclass
class _Coverage:
    """How much of the MRI's foreground the PET's field of view covers, counted slab by slab."""

    voxels: int = 0
    foreground: int = 0
    covered: int = 0

    def add(self, seen: NDArray[np.bool_], mri_unit: NDArray[np.float32]) -> None:
        foreground = mri_unit > _FOREGROUND
        self.voxels += int(seen.sum())
        self.foreground += int(foreground.sum())
        self.covered += int((foreground & seen).sum())

    def warnings(self) -> list[str]:
        """Raises InputError where there is no overlap at all."""
        if not self.voxels:
            raise InputError("The PET and the MRI do not overlap in space: register them first, or check their origins.")
        share = self.covered / max(self.foreground, 1)
        if share >= _LOW_COVERAGE:
            return []
        return [f"The PET covers only {share:.0%} of the MRI's foreground: elsewhere the MRI was kept."]


def _batches(fuser: _SliceFuser, total: int) -> Iterator[tuple[int, int]]:
    """Ranges of slices; the fuser may have made its batch smaller since the last one."""
    first = 0
    while first < total:
        last = min(first + fuser.batch, total)
        yield first, last
        first = last


def _fuse_slab(
    fuser: _SliceFuser, pet: NDArray[np.float32], window: Window, mri_unit: NDArray[np.float32], coverage: _Coverage
) -> NDArray[np.float32]:
    """Fuse some slices, (N, H, W) in [0, 1]; PET in its own units, NaN outside its field of view."""
    seen = np.isfinite(pet)
    coverage.add(seen, mri_unit)
    if not seen.any():
        return mri_unit
    sources = np.stack([to_unit(pet, window), mri_unit], axis=1)
    # What is black in both stays black: the network lets edges glow. Faded, so that no rounding error next to 0 decides.
    fused = fuser(sources) * np.minimum(sources.max(axis=1) * _GREY_LEVELS, 1)
    return np.where(seen, fused, mri_unit)


@dataclass
class _SliceFuser:
    """The network on its device. Out of memory, it halves its batch, then moves to the CPU, and says so."""

    network: CSpADN
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


def _provenance(model: Model, fuser: _SliceFuser, pet_window: Window, mri_window: Window) -> dict[str, Any]:
    """What made the fused volume: stored with it, so that nobody has to ask."""
    return {
        "software": f"CSpADNFusion {__version__}",
        "model": model.card.name,
        "model_version": model.card.version,
        "model_sha256": model.card.sha256,
        "device": str(fuser.device),
        "pet_window": list(pet_window),
        "mri_window": list(mri_window),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "note": "Research use only, not for diagnosis.",
    }
