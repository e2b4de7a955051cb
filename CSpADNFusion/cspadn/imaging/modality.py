"""Check by their voxels whether a PET and an MRI are plausible: not swapped, not equal, and not segmentations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.windowing import automatic_window, to_unit
from cspadn.messages import Sentence, message

_SLICES = 24  # of each volume, evenly spaced, are looked at
_NEAR_MM, _FAR_MM = 3.0, 9.0  # two distances: a PET hardly changes over the first, an MRI does
_FOREGROUND = 0.1  # of the window
_LEAST_PAIRS = 2000  # voxels in the foreground; with fewer, nothing is checked
_MARGIN = 0.2  # by which the PET's smoothness must fall below the MRI's to warn (docs/validity.md has the false alarms)
_EQUAL = 0.8  # share of equal neighbours in the foreground, from which a volume looks like a segmentation
_BINARY = 2  # values of a mask


class Texture(NamedTuple):
    """How the intensities of a volume change with distance, within its foreground.

    Attributes:
        smoothness: exponent of the growth of the differences from 3 mm to 9 mm: about 2 for a smooth image, 0 for noise.
        contrast: root mean square difference of voxels at 3 mm, as a share of the window.
        equal: share of neighbours that have the same value, 0 to 1.
    """

    smoothness: float
    contrast: float
    equal: float


def check_modalities(pet: sitk.Image, mri: sitk.Image, *, refuse: bool = True) -> list[Sentence]:
    """Check that a PET and an MRI differ, hold images, and are not swapped.

    Args:
        pet, mri: scalar volumes on any grids, without NaN and infinity.
        refuse: whether equal volumes and masks are errors; otherwise they are warnings.

    Returns:
        Warnings: a volume looks like a segmentation, or the PET shows finer detail than the MRI.

    Raises:
        InputError: both hold the same voxels, or one is a mask of two values, and ``refuse`` is set.
    """
    certain = [message("same-voxels-twice")] if _same_voxels(pet, mri) else []
    volumes = (("The PET", pet), ("The MRI", mri))
    certain += [message("volume-is-mask", volume=name) for name, image in volumes if _is_mask(image)]
    if certain and refuse:
        raise InputError(certain[0])
    textures, warnings = list[Texture | None](), certain
    for name, image in volumes:
        texture = texture_of(image)
        textures.append(texture)
        if texture and texture.equal > _EQUAL:
            warnings.append(message("looks-like-segmentation", volume=name, share=texture.equal))
    if not warnings and look_swapped(*textures):
        warnings.append(message("pet-sharper-than-mri"))
    return warnings


def look_swapped(pet: Texture | None, mri: Texture | None) -> bool:
    """Return whether the PET shows finer detail, and more of it, than the MRI."""
    if pet is None or mri is None:
        return False
    return pet.smoothness < mri.smoothness - _MARGIN and pet.contrast > mri.contrast


def texture_of(image: sitk.Image) -> Texture | None:
    """Measure the texture of a volume in some of its slices; None if it has too little foreground, or too few voxels a side.

    Args:
        image: scalar volume; its slices are those across the axis with the largest spacing.
    """
    spacing = image.GetSpacing()[::-1]
    across = int(np.argmax(spacing))
    voxels = np.moveaxis(sitk.GetArrayViewFromImage(image), across, 0)
    voxels = voxels[:: max(1, len(voxels) // _SLICES)]
    steps_mm = tuple(length for axis, length in enumerate(spacing) if axis != across)
    try:
        window = automatic_window(voxels.ravel(), "The volume")
    except InputError:
        return None
    unit = to_unit(voxels, window)
    near, far, beside = (_differences(unit, steps_mm, distance) for distance in (_NEAR_MM, _FAR_MM, 0.0))
    if min(near.pairs, far.pairs, beside.pairs) < _LEAST_PAIRS or near.square == 0 or near.mm == far.mm:
        return None
    growth = np.log(far.square / near.square) / np.log(far.mm / near.mm)
    return Texture(float(growth), float(np.sqrt(near.square)), beside.equal)


class _Differences(NamedTuple):
    """Mean square difference, share of equal pairs, number of pairs, and their mean distance."""

    square: float
    equal: float
    pairs: int
    mm: float


def _differences(unit: NDArray[np.float32], steps_mm: tuple[float, ...], distance_mm: float) -> _Differences:
    """Compare voxels of the foreground at about a distance along the rows and the columns of slices (N, rows, columns)."""
    total, equal, count, reached = 0.0, 0, 0, list[float]()
    for axis, step_mm in enumerate(steps_mm, start=1):
        steps = max(1, round(distance_mm / step_mm))
        size = unit.shape[axis]
        if steps >= size:
            continue
        first, second = np.take(unit, range(size - steps), axis), np.take(unit, range(steps, size), axis)
        inside = (first > _FOREGROUND) & (second > _FOREGROUND)
        change = (second - first)[inside]
        total, equal, count = total + float(np.square(change).sum()), equal + int((change == 0).sum()), count + change.size
        reached.append(steps * step_mm)
    return _Differences(total / max(count, 1), equal / max(count, 1), count, float(np.mean(reached)) if reached else 0.0)


def _same_voxels(pet: sitk.Image, mri: sitk.Image) -> bool:
    if pet.GetSize() != mri.GetSize():
        return False
    return bool(np.array_equal(sitk.GetArrayViewFromImage(pet), sitk.GetArrayViewFromImage(mri)))


def _is_mask(image: sitk.Image) -> bool:
    voxels = sitk.GetArrayViewFromImage(image)
    lowest, highest = voxels.min(), voxels.max()
    middle = voxels[len(voxels) // 2]  # most volumes have a third value there
    if ((middle != lowest) & (middle != highest)).any() or lowest == highest:
        return False
    return all(bool(((each == lowest) | (each == highest)).all()) for each in voxels)
