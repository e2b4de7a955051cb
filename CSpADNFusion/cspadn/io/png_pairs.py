"""Pairs of two-dimensional pictures, such as the PNGs of an atlas: their levels, and their fusion as a picture."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.color import luma, replace_luma
from cspadn.messages import message

_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


def picture_pixels(image: sitk.Image, name: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The levels of a picture without its alpha: (H, W), or (H, W, 3) where it has colour.

    Raises:
        InputError: the image, called ``name``, is not a picture of 8 or 16 bits.
    """
    pixels: NDArray[np.uint8] | NDArray[np.uint16] = sitk.GetArrayFromImage(image)
    if image.GetDimension() != 2 or pixels.dtype not in _WHITE:
        raise InputError(message("picture-type", volume=name))
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


def one_slice(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> sitk.Image:
    """A volume of one axial slice."""
    return sitk.GetImageFromArray(grey_levels(pixels)[np.newaxis])


def colored_like(pet_pixels: NDArray[np.generic], grey: NDArray[np.float32]) -> NDArray[np.float64] | NDArray[np.float32]:
    """Give fused grey levels, (H, W) from 0 to 255, the chroma of the PET's picture, if it has any: (H, W) or (H, W, 3)."""
    if pet_pixels.ndim == 2:
        return grey
    return replace_luma(pet_pixels.astype(np.float64) * (255 / white_level(pet_pixels)), grey, 255)


def as_picture(levels: NDArray[np.floating]) -> sitk.Image:
    """Levels 0 to 255, rounded and clipped, never stretched."""
    return sitk.GetImageFromArray(np.clip(np.rint(levels), 0, 255).astype(np.uint8), isVector=levels.ndim == 3)
