"""Fuse two volumes slice by slice: the one function in which GUI, console and command line end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn import __version__
from cspadn.errors import CancelledError, InputError, UsageError
from cspadn.imaging.alignment import Pair, Slab
from cspadn.imaging.color import TABLE_VERSION, brightness_text, color_table, recolored
from cspadn.imaging.frames import select_frames
from cspadn.imaging.geometry import put_axial
from cspadn.imaging.metadata import NOTE, notes_of
from cspadn.imaging.windowing import FUSED_MAXIMUM, check_window
from cspadn.inference.bounds import FlatResponse
from cspadn.inference.pixel_size import PixelSize
from cspadn.inference.slice_runner import SliceFuser
from cspadn.io.png_pairs import as_picture, colored_like, one_slice, picture_pixels, white_level
from cspadn.messages import message
from cspadn.models.weights import WEIGHTS_SUFFIX, Model, load_model
from cspadn.registration import Alignment, Registration, check_alignment, register
from cspadn.registration.check import NOT_CHECKED, REGISTERED
from cspadn.runtime.allocator import return_freed_memory
from cspadn.runtime.device import resolve_device
from cspadn.runtime.memory import require_memory
from cspadn.settings import NO_REGISTRATION, WINDOWS, FusionSettings

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]  # slices done, slices in all
_BYTES_PER_PIXEL, _OVERHEAD = 1000, 150_000_000  # of one slice that is fused; of kernels, threads and libraries
_GREY_LEVELS = 255  # in a window: what is below the first is on its way to black


@dataclass(frozen=True)
class FusionResult:
    """What came out.

    Attributes:
        image: the fused volume on the grid of the MRI (or of the PET, if the settings say so), float32 from 0 to 4095.
        color: RGB, 8 bits each, on the same grid: hue of the PET, lightness of the fused value and the MRI, from
            :func:`cspadn.imaging.color.color_table`; None without a palette.
        alignment: how far the PET is from where registration would put it, or why this is not known.
        registration: how the PET was registered to the MRI before the fusion; None: it was not.
        frames: which frames of a dynamic PET were fused, as in the settings.
        provenance: sources, model, hash, device, windows, grid, software and date, as text and numbers.
        warnings: sentences for the user, each a :class:`cspadn.messages.Sentence` with an identifier.
    """

    image: sitk.Image
    provenance: dict[str, Any]
    warnings: list[str]
    color: sitk.Image | None = None
    alignment: Alignment = NOT_CHECKED
    registration: Registration | None = None
    frames: str | None = None

    def placed(self, pet: sitk.Image) -> sitk.Image:
        """Return the PET that was given to the fusion, as the fusion had it: its frames, in the space of the MRI."""
        pet = select_frames(pet, self.frames, "The PET")
        return pet if self.registration is None else self.registration.placed(pet)


def fuse(
    pet: sitk.Image,
    mri: sitk.Image,
    settings: FusionSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FusionResult:
    """Fuse a PET and an MRI volume that are registered in physical space, or register them first if the settings say so.

    Both are viewed in slices of the grid volume, along the axis of it that is nearest to the patient's; the other volume is
    interpolated linearly at their voxel centres. Each pair of slices goes through the network, and the fused slices are put
    back into the stored order of the grid volume. Where the other volume has no field of view, the grid volume is kept; the
    fusion fades into it over :data:`cspadn.imaging.geometry.BLEND_VOXELS` voxels.

    On a CPU several slices are fused at the same time, in threads; until it is done, torch starts with one thread in any new
    one (:func:`torch.set_num_threads` is the process's).

    Args:
        pet, mri: scalar volumes of any grid, orientation and real pixel type; they are not changed. NaN and infinity are
            background (but see :data:`cspadn.imaging.metadata.NAN_IS_OUTSIDE`). A dynamic PET has its frames along a fourth
            dimension; the settings choose among them.
        settings: None: the defaults.
        progress: called after each batch with the slices done and the slices in all.
        cancelled: asked before each batch is put into the result; True stops.

    Raises:
        InputError: a volume cannot be fused, or the two overlap in less than 1 % of the MRI's foreground.
        UsageError: an impossible setting.
        ModelError: the model is unknown or damaged.
        MemoryExhaustedError: not even one slice fits into memory.
        CancelledError: ``cancelled`` said so.
    """
    settings = settings or FusionSettings()
    model, device = load_model(settings.model), resolve_device(settings.device)
    if settings.palette is not None:
        color_table(settings.palette)  # computed here, once, and not while threads fuse
    pet = select_frames(pet, settings.frames, "The PET")
    registration = None if settings.register == NO_REGISTRATION else register(pet, mri, cancelled=cancelled)
    pair = Pair.of(pet if registration is None else registration.placed(pet), mri, settings)
    alignment = _alignment(pair, settings)
    return_freed_memory()
    voxels, bytes_per_voxel = pair.slices * pair.pixels, 4 if settings.palette is None else 7
    require_memory(voxels * bytes_per_voxel + pair.pixels * _BYTES_PER_PIXEL + _OVERHEAD)
    from cspadn.inference.fast_network import ready_to_fuse

    fuser = SliceFuser(partial(ready_to_fuse, model.network), device, pair.pixels, half=settings.half)
    pixel_size = PixelSize.of(*pair.pixel_mm)
    work = partial(_fuse_slab, partial(pixel_size.fuse, fuser), FlatResponse.of(model.network))
    fused = _all_slices(pair, fuser.in_order(work, _slabs(pair, fuser), pair.slices), settings.palette, progress, cancelled)
    return_freed_memory()
    provenance = {**_provenance(model, fuser, pair, settings), **pixel_size.provenance(), **_position(alignment, registration)}
    warnings: list[str] = [*notes_of(pet), *notes_of(mri), *pair.warnings, *alignment.warnings(), *fuser.warnings]
    return FusionResult(fused[0], provenance, warnings, fused[1], alignment, registration, settings.frames)


def fuse_pictures(
    pet: sitk.Image,
    mri: sitk.Image,
    settings: FusionSettings | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FusionResult:
    """Fuse two pictures of one size, pixel by pixel.

    Grey levels are taken as they are (the window is black to white, nothing is stretched) unless ``settings`` has windows. Of
    a coloured PET the luma is fused, and its chroma is put back.

    Args:
        pet, mri: 8 or 16 bits, grey or RGB, with or without alpha (which is ignored).

    Returns:
        As :func:`cspadn.fuse`, but the image is 8 bits, grey, or RGB where the PET is coloured.

    Raises:
        InputError: a picture has another form, or the sizes differ; and what :func:`cspadn.fuse` raises.
    """
    pet_pixels, mri_pixels = picture_pixels(pet, "The PET"), picture_pixels(mri, "The MRI")
    if pet_pixels.shape[:2] != mri_pixels.shape[:2]:
        sizes = [f"{p.shape[1]} x {p.shape[0]}" for p in (pet_pixels, mri_pixels)]
        raise InputError(message("picture-sizes-differ", pet=sizes[0], mri=sizes[1]))
    if settings and settings.register != NO_REGISTRATION:
        raise UsageError(message("registration-of-pictures"))
    settings = replace(
        settings or FusionSettings(),
        skip_alignment_check=True,
        pet_window=(settings and settings.pet_window) or (0, white_level(pet_pixels)),
        mri_window=(settings and settings.mri_window) or (0, white_level(mri_pixels)),
    )
    result = fuse(one_slice(pet_pixels), one_slice(mri_pixels), settings, progress=progress, cancelled=cancelled)
    grey = sitk.GetArrayFromImage(result.image)[0] * (255 / FUSED_MAXIMUM)
    color = None if result.color is None else result.color[:, :, 0]
    return replace(result, image=as_picture(colored_like(pet_pixels, grey)), color=color)


def check_settings(settings: FusionSettings) -> Model:
    """Whether many pairs can be fused with some settings, asked before the first is read; the model that they name.

    Raises:
        UsageError, ModelError: they cannot.
    """
    for name in WINDOWS:
        if window := getattr(settings, name):
            check_window(window[0], window[1], name[:3].upper())
    resolve_device(settings.device)
    return load_model(settings.model)


def _alignment(pair: Pair, settings: FusionSettings) -> Alignment:
    """Check whether the two volumes lie on each other, unless this is known or not asked for."""
    if settings.register != NO_REGISTRATION:
        return REGISTERED
    if settings.skip_alignment_check:
        return NOT_CHECKED
    return check_alignment(pair.pet.image, pair.mri.image)


def _position(alignment: Alignment, registration: Registration | None) -> dict[str, Any]:
    """Return how the two volumes lie to each other, for the provenance."""
    return alignment.provenance() if registration is None else registration.provenance()


def _all_slices(
    pair: Pair,
    slices: Iterable[tuple[tuple[slice, Slab], Floats]],
    palette: str | None,
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> tuple[sitk.Image, sitk.Image | None]:
    """Put fused slices into a volume as they come, and into one in colour if there is a palette."""
    image, color = pair.blank(sitk.sitkFloat32), None if palette is None else pair.blank(sitk.sitkVectorUInt8, 3)
    for (places, slab), unit in slices:
        if cancelled and cancelled():
            raise CancelledError(message("fusion-cancelled"))
        put_axial(unit * np.float32(FUSED_MAXIMUM), image, places.start)
        if palette is not None and color is not None:
            rgb = recolored(palette, slab.pet_shown, slab.mri_shown, unit, pair.pixel_mm, slab.weights)
            put_axial(rgb, color, places.start)
        if progress:
            progress(places.stop, pair.slices)
    return image, color


def _slabs(pair: Pair, fuser: SliceFuser) -> Iterator[tuple[slice, Slab]]:
    """The slices in batches; the fuser may have made its batch smaller since the last one."""
    first = 0
    while first < pair.slices:
        last = min(first + fuser.batch, pair.slices)
        yield slice(first, last), pair.slab(first, last)
        first = last


def _fuse_slab(network: Callable[[Floats], Floats], response: FlatResponse, item: tuple[slice, Slab]) -> NDArray[np.float32]:
    """Fuse some slices to (N, H, W) in [0, 1]: what is kept where the weights are 0."""
    _, slab = item
    if not slab.weights.any():
        return slab.kept
    sources = slab.sources
    # What is black in both stays black: the network lets edges glow. Faded, so that no rounding error next to 0 decides.
    fused = response.bounded(network(sources), sources) * np.minimum(sources.max(axis=1) * _GREY_LEVELS, 1)
    blended: NDArray[np.float32] = slab.kept + slab.weights * (fused - slab.kept)
    return blended


def _colors(palette: str) -> dict[str, Any]:
    """The provenance of a colour volume."""
    return {"palette": palette, "color_table": f"version {TABLE_VERSION}", "color_brightness": brightness_text(palette)}


def _provenance(model: Model, fuser: SliceFuser, pair: Pair, settings: FusionSettings) -> dict[str, Any]:
    """What made the fused volume: stored with it, so that nobody has to ask."""
    return {
        "software": f"CSpADNFusion {__version__}",
        "model": model.card.name,
        "model_version": model.card.version,
        "model_sha256": model.card.sha256,
        "model_origin": "given by the user, unverified" if settings.model.endswith(WEIGHTS_SUFFIX) else "shipped",
        "device": str(fuser.device),
        "precision": str(fuser.precision).removeprefix("torch."),
        "grid": pair.grid,
        **pair.sources,
        "pet_window": list(pair.pet.window),
        "mri_window": list(pair.mri.window),
        **({} if settings.palette is None else _colors(settings.palette)),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "note": NOTE,
    }
