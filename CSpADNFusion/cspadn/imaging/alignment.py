"""A PET and an MRI on one grid: their windows, their overlap, and their slices side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
from cspadn.imaging.geometry import SlicesOnGrid, check_volume, tilt, to_axial
from cspadn.imaging.metadata import FRAME_UID, FRAMES, MODALITY, NAN_IS_OUTSIDE, SERIES_UID, SOURCE_NAME, UNITS, value_of
from cspadn.imaging.modality import check_modalities
from cspadn.imaging.padding import padding_warnings, without_padding
from cspadn.imaging.patient import check_patient
from cspadn.imaging.windowing import Window, check_window, to_unit, without_holes
from cspadn.messages import Sentence, message
from cspadn.settings import NO_REGISTRATION, FusionSettings

_LOW_COVERAGE, _NO_COVERAGE = 0.5, 0.01  # below these shares of the MRI's foreground, the user is warned, or refused
_FOREGROUND = 0.1  # of the MRI's window
TILT_DEGREES = 5.0  # from here on the user is warned


@dataclass(frozen=True)
class Source:
    """A volume without holes, its window, and what is to be told of it."""

    image: sitk.Image
    window: Window
    warnings: list[Sentence]

    @classmethod
    def of(cls, image: sitk.Image, name: str, window: Window, keep_nan: bool) -> Source:
        """Holes, which are NaN and infinities, become the black of the window; ``keep_nan``: but for NaN."""
        filled, count = without_holes(image, window.lower, keep_nan=keep_nan)
        warnings = [message("voxels-not-finite", volume=name, count=count)] if count else []
        return cls(filled, window, [*warnings, *_brightness_warnings(filled, window, name)])


@dataclass(frozen=True)
class Slab:
    """Some slices of the grid, (N, H, W), in [0, 1].

    Attributes:
        pet, mri: beyond the field of view, as :meth:`SlicesOnGrid.slab` goes on.
        kept: that of the two which has the grid.
        weights: of the fusion of both, against what is kept.
        pet_shown: the PET, fading out with its field of view.
        mri_shown: the MRI; on the grid of the PET, fading into the PET with the field of view of the MRI.
    """

    pet: NDArray[np.float32]
    mri: NDArray[np.float32]
    kept: NDArray[np.float32]
    weights: NDArray[np.float32]
    pet_shown: NDArray[np.float32]
    mri_shown: NDArray[np.float32]

    @property
    def sources(self) -> NDArray[np.float32]:
        """(N, 2, H, W), PET then MRI."""
        return np.stack([self.pet, self.mri], axis=1)


@dataclass(frozen=True)
class Pair:
    """PET and MRI, one of which has the grid; the other is interpolated there, slice by slice."""

    pet: Source
    mri: Source
    grid: str
    axial: sitk.Image
    given: sitk.Image
    moving: SlicesOnGrid
    sources: dict[str, str]
    warnings: list[Sentence]

    @classmethod
    def of(cls, pet_image: sitk.Image, mri_image: sitk.Image, settings: FusionSettings) -> Pair:
        """Check the two and bring them together; InputError where they cannot be fused."""
        check_volume(pet_image, "The PET")
        check_volume(mri_image, "The MRI")
        _check_modalities(pet_image, mri_image)
        patient = check_patient(pet_image, mri_image)
        # A given window says what is black and white: then nothing is guessed about the values.
        pet_image, pet_padding = without_padding(pet_image, guess=settings.pet_window is None)
        mri_image, mri_padding = without_padding(mri_image, guess=settings.mri_window is None)
        axial = to_axial(mri_image)
        outside = [image.HasMetaDataKey(NAN_IS_OUTSIDE) for image in (pet_image, mri_image)]
        pet = Source.of(pet_image, "The PET", _pet_window(pet_image, axial, settings), outside[0])
        mri = Source.of(axial, "The MRI", _mri_window(axial, settings), outside[1])
        reached, warnings = _overlap(pet.image, mri)
        if settings.grid == "mri":
            axial, given, moving = mri.image, mri_image, SlicesOnGrid(pet.image, mri.image, reached)
        else:
            axial, given = to_axial(pet.image), pet_image
            moving = SlicesOnGrid(mri.image, axial, _reached(mri.image, axial))
        named = _named(pet_image, mri_image)
        padding = [*padding_warnings(pet_padding, "The PET"), *padding_warnings(mri_padding, "The MRI")]
        # Whoever gives both windows has looked at the values: flat volumes and shapes of two values are fused, with a warning.
        automatic = settings.pet_window is None or settings.mri_window is None
        warnings = [*padding, *check_modalities(pet.image, mri.image, refuse=automatic), *warnings]
        frames = _frame_warnings(named) if settings.register == NO_REGISTRATION else []
        told = [*patient, *pet.warnings, *mri.warnings, *warnings, *_tilt_warnings(axial), *frames]
        return cls(pet, mri, settings.grid, axial, given, moving, named, told)

    @property
    def pixels(self) -> int:
        """How many an axial slice has."""
        width, height, _ = self.axial.GetSize()
        return int(width * height)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Return the distances of the rows and of the columns of an axial slice, in mm."""
        columns, rows, _ = self.axial.GetSpacing()
        return float(rows), float(columns)

    @property
    def slices(self) -> int:
        """How many axial slices there are."""
        return int(self.axial.GetSize()[2])

    def slab(self, first: int, last: int) -> Slab:
        """The slices from ``first`` to before ``last``; asked for in their order."""
        moved, weights = self.moving.slab(first, last), self.moving.weights(first, last)
        own = sitk.GetArrayFromImage(self.axial[:, :, first:last])  # a copy: a view dies with its image
        if self.grid == "mri":
            pet, mri = to_unit(moved, self.pet.window), to_unit(own, self.mri.window)
            return Slab(pet, mri, mri, weights, pet * weights, mri)
        pet, mri = to_unit(own, self.pet.window), to_unit(moved, self.mri.window)
        return Slab(pet, mri, pet, weights, pet, pet + weights * (mri - pet))

    def blank(self, pixel_type: int, components: int = 0) -> sitk.Image:
        """A black image in the stored order of the grid volume, with its geometry, exactly."""
        image = sitk.Image(self.given.GetSize(), pixel_type, components)
        image.CopyInformation(self.given)
        return image


def _check_modalities(pet: sitk.Image, mri: sitk.Image) -> None:
    """As far as their DICOM series said what they are."""
    for name, image, other in (("PET", pet, "MR"), ("MRI", mri, "PT")):
        if value_of(image, MODALITY) == other:
            raise InputError(message("pet-and-mri-swapped", name=name, modality=other))


def _brightness_warnings(image: sitk.Image, window: Window, name: str) -> list[Sentence]:
    """Check that a window shows something of a volume.

    Raises:
        InputError: all of the volume is black, or all of it is white, although its values differ.
    """
    values = sitk.GetArrayViewFromImage(image)
    lowest, highest = (float(end.reduce(values, axis=None)) for end in (np.fmin, np.fmax))  # these ignore NaN
    if not lowest < highest:
        return []
    lower, upper = window
    if highest <= lower:
        raise InputError(message("window-above-volume", volume=name, lower=lower, upper=upper, highest=highest))
    if lowest >= upper:
        raise InputError(message("window-below-volume", volume=name, lower=lower, upper=upper, lowest=lowest))
    if highest <= lower + _FOREGROUND * (upper - lower):
        return [message("window-hardly-reached", volume=name, lower=lower, upper=upper, highest=highest)]
    return []


def _named(pet: sitk.Image, mri: sitk.Image) -> dict[str, str]:
    """Names, UIDs and units of the sources, as far as they are known."""
    keys = {
        "source": SOURCE_NAME,
        "frames": FRAMES,
        "series_uid": SERIES_UID,
        "frame_of_reference_uid": FRAME_UID,
        "units": UNITS,
    }
    known = {
        f"{kind}_{name}": value_of(image, key) for kind, image in (("pet", pet), ("mri", mri)) for name, key in keys.items()
    }
    return {name: value for name, value in known.items() if value}


def _frame_warnings(named: dict[str, str]) -> list[Sentence]:
    frames = {named[key] for key in ("pet_frame_of_reference_uid", "mri_frame_of_reference_uid") if key in named}
    if len(frames) < 2:
        return []
    return [message("frames-of-reference-differ")]


def _pet_window(pet: sitk.Image, axial_mri: sitk.Image, settings: FusionSettings) -> Window:
    if settings.pet_window is not None:
        return check_window(*settings.pet_window, "PET")
    return automatic_pet_window(pet, axial_mri)


def _mri_window(axial: sitk.Image, settings: FusionSettings) -> Window:
    if settings.mri_window is not None:
        return check_window(*settings.mri_window, "MRI")
    return automatic_mri_window(axial)


def _overlap(pet: sitk.Image, mri: Source) -> tuple[range, list[Sentence]]:
    """The slices of the MRI that the PET reaches, and a warning where it covers little of the MRI's foreground."""
    slices = SlicesOnGrid(pet, mri.image)
    reached, foreground, covered = [], 0, 0
    for index, voxels in enumerate(sitk.GetArrayViewFromImage(mri.image)):
        seen, bright = slices.seen(index), to_unit(voxels, mri.window) > _FOREGROUND
        reached += [index] if seen.any() else []
        foreground, covered = foreground + int(bright.sum()), covered + int((bright & seen).sum())
    if not reached:
        raise InputError(message("no-overlap"))
    if not foreground:
        raise _empty_foreground(mri)
    return range(reached[0], reached[-1] + 1), _coverage_warnings(covered / foreground)


def _empty_foreground(mri: Source) -> InputError:
    """Return the error for an MRI without a voxel above a tenth of its window: the window or the volume is at fault."""
    values = sitk.GetArrayViewFromImage(mri.image)
    lowest, highest = (float(end.reduce(values, axis=None)) for end in (np.fmin, np.fmax))
    if not lowest < highest:
        return InputError(message("volume-constant", volume="The MRI"))
    lower, upper = mri.window
    return InputError(message("window-above-volume", volume="The MRI", lower=lower, upper=upper, highest=highest))


def _reached(image: sitk.Image, grid: sitk.Image) -> range:
    """From the first to the last slice of the grid that the field of view of an image reaches."""
    slices = SlicesOnGrid(image, grid)
    reached = [index for index in range(grid.GetSize()[2]) if slices.seen(index).any()]
    return range(reached[0], reached[-1] + 1) if reached else range(0)


def _tilt_warnings(axial: sitk.Image) -> list[Sentence]:
    angle = tilt(axial)
    if angle <= TILT_DEGREES:
        return []
    return [message("slices-tilted", angle=angle)]


def _coverage_warnings(share: float) -> list[Sentence]:
    if share < _NO_COVERAGE:
        raise InputError(message("overlap-too-small", share=share))
    if share >= _LOW_COVERAGE:
        return []
    return [message("overlap-small", share=share)]
