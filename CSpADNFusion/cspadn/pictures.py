"""A pair of two-dimensional pictures, such as the PNGs of an atlas: fused by the same function as volumes are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from .color import luma, replace_luma
from .errors import InputError
from .fusion import FusionResult, Progress, fuse
from .intensity import FUSED_MAXIMUM
from .settings import FusionSettings

_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


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
        raise InputError(f"The PET picture has {sizes[0]} pixels, the MRI picture {sizes[1]}: pictures must match in size.")
    settings = replace(
        settings or FusionSettings(),
        pet_window=(settings and settings.pet_window) or (0, white_level(pet_pixels)),
        mri_window=(settings and settings.mri_window) or (0, white_level(mri_pixels)),
    )
    result = fuse(_one_slice(pet_pixels), _one_slice(mri_pixels), settings, progress=progress, cancelled=cancelled)
    grey = sitk.GetArrayFromImage(result.image)[0] * (255 / FUSED_MAXIMUM)
    color = None if result.color is None else result.color[:, :, 0]
    return replace(result, image=_as_picture(_colored_like(pet_pixels, grey)), color=color)


def picture_pixels(image: sitk.Image, name: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The levels of a picture without its alpha: (H, W), or (H, W, 3) where it has colour.

    Raises:
        InputError: the image, called ``name``, is not a picture of 8 or 16 bits.
    """
    pixels: NDArray[np.uint8] | NDArray[np.uint16] = sitk.GetArrayFromImage(image)
    if image.GetDimension() != 2 or pixels.dtype not in _WHITE:
        raise InputError(f"{name} is not a picture of 8 or 16 bits: convert it first.")
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    grey = (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if grey else pixels


def white_level(pixels: NDArray[np.generic]) -> int:
    """The level of white: 255 or 65535."""
    return _WHITE[pixels.dtype]


def grey_levels(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W): grey as it is; of colour the luma, rounded to the same levels, as published methods do."""
    if pixels.ndim == 2:
        return pixels
    levels = np.rint(luma(pixels))
    return levels.astype(np.uint8) if pixels.dtype == np.uint8 else levels.astype(np.uint16)


def _one_slice(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> sitk.Image:
    """A volume of one axial slice."""
    return sitk.GetImageFromArray(grey_levels(pixels)[np.newaxis])


def _colored_like(pet_pixels: NDArray[np.generic], grey: NDArray[np.float32]) -> NDArray[np.float64] | NDArray[np.float32]:
    if pet_pixels.ndim == 2:
        return grey
    return replace_luma(pet_pixels.astype(np.float64) * (255 / white_level(pet_pixels)), grey, 255)


def _as_picture(levels: NDArray[np.floating]) -> sitk.Image:
    """Levels 0 to 255, rounded and clipped, never stretched."""
    return sitk.GetImageFromArray(np.clip(np.rint(levels), 0, 255).astype(np.uint8), isVector=levels.ndim == 3)
