"""Colour a fused volume anew, with another palette or another weight of the PET, without fusing again.

What the colours need is kept for the voxels that are not black, so that a change takes a fraction of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.alignment import Pair
from cspadn.imaging.color import brightness, fine_detail, weighted_table
from cspadn.imaging.geometry import put_axial, to_axial
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit
from cspadn.settings import FusionSettings

_SLICES = 16  # that are prepared at a time
_WHITE = 255
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ColorSources:
    """The values from which a fused volume is coloured, at its voxels that are not black, (N,) each.

    Attributes:
        blank: an image in the stored order of the fused volume.
        places: indices of the voxels in the axial order of the volume.
        pet: level of the PET, 0 to 255.
        mri, fused, detail: MRI and fused value in [0, 1], and fine detail of the MRI.
    """

    blank: sitk.Image
    shape: tuple[int, ...]
    places: NDArray[np.int64]
    pet: NDArray[np.uint8]
    mri: Floats
    fused: Floats
    detail: Floats

    @classmethod
    def of(cls, pet: sitk.Image, mri: sitk.Image, fused: sitk.Image, settings: FusionSettings) -> ColorSources:
        """Prepare a fused volume.

        Args:
            pet, mri: as they were fused, in one space.
            fused: the fused volume.
            settings: those of the fusion, with both of its windows.

        Raises:
            InputError: the volumes cannot be fused.
        """
        pair = Pair.of(pet, mri, settings)
        slices = sitk.GetArrayFromImage(to_axial(fused))
        parts = [_part(pair, slices, first) for first in range(0, pair.slices, _SLICES)]
        joined = [np.concatenate(values) for values in zip(*parts, strict=True)]
        return cls(pair.blank(sitk.sitkVectorUInt8, 3), slices.shape, *joined)

    def colored(self, palette: str, weight: float = 1.0) -> sitk.Image:
        """Return the colour image of a palette, as :func:`cspadn.fuse` makes it but for rounding.

        Args:
            palette: one of :data:`cspadn.palettes.PALETTES`.
            weight: of the PET, as in :func:`cspadn.imaging.color.weighted_table`.
        """
        table = np.rint(weighted_table(palette, weight) * _WHITE).astype(np.uint8).reshape(-1, 3)
        bright = brightness(palette, self.mri, self.fused, self.detail)
        column = np.rint(bright * _WHITE).astype(np.uint16)
        rgb = np.zeros((int(np.prod(self.shape)), 3), np.uint8)
        rgb[self.places] = table[(self.pet.astype(np.uint16) << 8) | column]
        image = sitk.Image(self.blank)
        put_axial(rgb.reshape(*self.shape, 3), image, 0)
        return image


def _part(pair: Pair, fused_slices: Floats, first: int) -> tuple[NDArray[np.generic], ...]:
    slab = pair.slab(first, min(first + _SLICES, pair.slices))
    fused = to_unit(fused_slices[first : first + _SLICES], Window(0, FUSED_MAXIMUM))
    detail = fine_detail(slab.mri_shown, pair.pixel_mm) * slab.weights
    shown = (slab.pet_shown > 0) | (slab.mri_shown > 0) | (fused > 0)
    places = np.flatnonzero(shown) + first * fused[0].size
    level = np.rint(slab.pet_shown[shown] * _WHITE).astype(np.uint8)
    return places, level, slab.mri_shown[shown], fused[shown], detail[shown]
