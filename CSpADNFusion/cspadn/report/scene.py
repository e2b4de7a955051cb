"""Prepare a fusion for a page: MRI, fused volume, brightness of the colours and outlines on one lattice, and the PET."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.color import brightness, color_table, fine_detail, palette_of
from cspadn.imaging.geometry import resample
from cspadn.imaging.metadata import NAN_IS_OUTSIDE
from cspadn.imaging.outlines import tissue_levels, tissues
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit, without_holes
from cspadn.report.lattice import Cut, Lattice, Survey, lattice_of, survey_of

WHITE = 255
OPACITY = 0.5  # of the PET in the blend
TISSUE, BEYOND = 3, 8  # bits of the marks
_SLAB = 16  # slices that are computed at a time

Levels = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A fusion prepared for a page. The arrays are (z, y, x) on the lattice, from the patient's feet, front and right.

    Attributes:
        lattice: the grid along the patient's axes.
        pet: the PET as placed for the fusion, with holes filled by background; NaN is possible beyond the field of view.
        before: the PET as placed before its registration; None: it was not registered.
        pet_window: in the PET's units.
        survey: values for histograms.
        mri, fused: grey levels from 0 to 255; 0 beyond the field of view.
        bright: brightness for the table of the palette, from 0 to 255.
        marks: the tissue of the MRI, from 0 to 3, whose borders are the outlines, in the bits of :data:`TISSUE`; and
            :data:`BEYOND`, a voxel beyond the field of view of the volume that does not give the grid.
    """

    lattice: Lattice
    pet: sitk.Image
    before: sitk.Image | None
    pet_window: Window
    survey: Survey
    mri: Levels
    fused: Levels
    bright: Levels
    marks: Levels

    @property
    def has_border(self) -> bool:
        """Return whether PET or MRI ends within what is shown."""
        return bool((self.marks & BEYOND).any())

    def pet_slice(self, cut: Cut, index: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the PET (rows, columns) in a slice of the lattice, in [0, 1], and where it has a field of view."""
        origin, size = list(self.lattice.origin), list(self.lattice.size)
        origin[cut.axis], size[cut.axis] = self.lattice.position(cut.axis, index), 1
        grid = Lattice((origin[0], origin[1], origin[2]), self.lattice.spacing, (size[0], size[1], size[2])).image()
        values = cut.turned(sitk.GetArrayFromImage(resample(self.pet, grid)))[0]
        return to_unit(values, self.pet_window), np.isfinite(values)


def scene_of(
    pet: sitk.Image,
    mri: sitk.Image,
    fused: sitk.Image,
    provenance: Mapping[str, Any],
    palette: str,
    *,
    before: sitk.Image | None = None,
) -> Scene:
    """Prepare a fusion for a page.

    Args:
        pet: as placed for the fusion (:meth:`cspadn.fusion.FusionResult.placed`).
        mri: as given to the fusion.
        fused: the fused volume.
        provenance: contains the windows, and which volume gave the grid.
        palette: one of :data:`cspadn.palettes.PALETTES`.
        before: the PET before its registration, which changes only its position; None: it was not registered.
    """
    pet_window, mri_window = Window(*provenance["pet_window"]), Window(*provenance["mri_window"])
    volumes = _filled(pet, pet_window.lower), _filled(mri, mri_window.lower), fused
    survey = survey_of(*volumes)
    inside = np.isfinite(survey.fused)
    units = to_unit(survey.pet, pet_window), to_unit(survey.mri, mri_window), to_unit(survey.fused, Window(0, FUSED_MAXIMUM))
    lattice = lattice_of(fused, survey, np.maximum.reduce(units) * inside)
    shape = lattice.size[::-1]
    levels = [np.zeros(shape, np.uint8) for _ in range(4)]
    for first in range(0, shape[0], _SLAB):
        last = min(first + _SLAB, shape[0])
        slab = _Slab.of(volumes, (pet_window, mri_window), lattice.image(first, last))
        for into, part in zip(levels, (*slab.levels(palette, lattice.spacing), slab.beyond(provenance["grid"])), strict=True):
            into[first:last] = part
    marks = levels[3] | tissues(
        levels[0].astype(np.float32) / np.float32(WHITE), tissue_levels(units[1]), lattice.spacing[::-1]
    )
    earlier = None if before is None else _filled(before, pet_window.lower)
    return Scene(lattice, volumes[0], earlier, pet_window, survey, levels[0], levels[1], levels[2], marks)


def _filled(image: sitk.Image, background: float) -> sitk.Image:
    """Fill the holes of a volume as the fusion does."""
    return without_holes(image, background, keep_nan=image.HasMetaDataKey(NAN_IS_OUTSIDE))[0]


@dataclass(frozen=True)
class _Slab:
    """Axial slices of the three volumes in [0, 1], and where they have a field of view."""

    pet: NDArray[np.float32]
    mri: NDArray[np.float32]
    fused: NDArray[np.float32]
    pet_seen: NDArray[np.bool_]
    mri_seen: NDArray[np.bool_]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, volumes: tuple[sitk.Image, sitk.Image, sitk.Image], windows: tuple[Window, Window], grid: sitk.Image) -> _Slab:
        pet, mri, fused = (sitk.GetArrayFromImage(resample(image, grid)) for image in volumes)
        inside = np.isfinite(fused)
        units = to_unit(pet, windows[0]), to_unit(mri, windows[1]), to_unit(fused, Window(0, FUSED_MAXIMUM))
        seen = np.isfinite(pet) & inside, np.isfinite(mri) & inside
        return cls(units[0] * inside, units[1] * inside, units[2], *seen, inside)

    def levels(self, palette: str, spacing: tuple[float, float, float]) -> tuple[Levels, Levels, Levels]:
        """Return the grey levels of MRI, fused volume and brightness."""
        mri = np.where(self.mri_seen, self.mri, self.pet)
        detail = fine_detail(mri, (spacing[1], spacing[0])) * (self.pet_seen & self.mri_seen)
        bright = brightness(palette, mri, self.fused, detail)
        return levels_of(self.mri), levels_of(self.fused), levels_of(bright)

    def beyond(self, grid: str) -> Levels:
        """Return :data:`BEYOND` where the volume that does not give the grid has no field of view."""
        seen = self.pet_seen if grid == "mri" else self.mri_seen
        levels: Levels = np.where(self.inside & ~seen, np.uint8(BEYOND), np.uint8(0))
        return levels


def levels_of(unit: NDArray[np.floating]) -> Levels:
    """Return grey levels from 0 to 255 of values in [0, 1]."""
    levels: Levels = np.rint(unit * WHITE).astype(np.uint8)
    return levels


def inverted(pet: NDArray[np.float32], seen: NDArray[np.bool_]) -> Levels:
    """Return grey levels of a PET in [0, 1], dark where it is hot; black beyond the field of view."""
    return np.where(seen, WHITE - levels_of(pet), np.uint8(0))


def colored(pet: NDArray[np.float32], bright: Levels, palette: str) -> Levels:
    """Return the colours (..., 3) of a PET in [0, 1] and a brightness from 0 to 255."""
    return np.rint(color_table(palette)[levels_of(pet), bright] * WHITE).astype(np.uint8)


def blended(pet: NDArray[np.float32], seen: NDArray[np.bool_], mri: Levels, palette: str) -> Levels:
    """Return the PET's colours over the MRI with the opacity :data:`OPACITY`, where the PET has a field of view."""
    share, grey = (seen * np.float32(OPACITY))[..., np.newaxis], mri[..., np.newaxis]
    colors = levels_of(palette_of(palette))[levels_of(pet)]
    return np.rint(grey + share * (colors - grey.astype(np.float32))).astype(np.uint8)
