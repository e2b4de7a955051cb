"""The automatic windows of a PET and an MRI that are fused (docs/adr/0022)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.focus import hottest_focus
from cspadn.imaging.geometry import resample, thinned
from cspadn.imaging.head_region import head_region, within_region
from cspadn.imaging.padding import without_padding
from cspadn.imaging.windowing import Window, automatic_window, sampled
from cspadn.messages import message

_FOREGROUND = 0.1  # of the PET's window
_NOISE_OF_LOWER = 2.0  # standard deviations of noise about 0 from 0 to the lower end, since much of the head is not air
# Noise raises the end of the tissue's window, by about so many times its square over that end; at most this share is removed.
_EXCESS, _MOST_EXCESS = 2.0, 0.1
_NORMAL_PERCENTILE = 97  # of the PET's foreground: hot tissue, whatever lesions there are


def automatic_pet_window(pet: sitk.Image, axial: sitk.Image) -> Window:
    """Return the automatic window of a PET, from the part of it that lies in the head of the MRI.

    The window of a whole-body PET does not depend on the bladder. It begins at 0 or above, since an activity is never
    negative; values that reach farther below 0 than above have an offset, and keep their range. It ends at the bright end of
    the tissue (:func:`cspadn.imaging.windowing.automatic_window`), less some of what noise adds to it, or at the level of the
    hottest focus where that is hotter than normal tissue (:func:`cspadn.imaging.focus.hottest_focus`).

    Args:
        pet: of any grid and orientation.
        axial: the MRI, in the order of :func:`to_axial`.

    Raises:
        InputError: the PET is empty, in the whole or where the MRI lies.
    """
    pet, axial = without_padding(pet)[0], without_padding(axial)[0]
    region = head_region(axial)
    seen = sitk.GetArrayFromImage(resample(pet, thinned(axial)))
    if not np.isfinite(seen).any():  # too small to be met by the thinned grid, or elsewhere: the overlap will show
        seen = sampled(pet)
        head = seen.ravel()
    else:
        head = seen[sitk.GetArrayViewFromImage(region) > 0]
    window = _tissue_window(head, seen.ravel(), pet)
    if window.upper <= -window.lower:  # an offset, and not noise about 0
        return window
    lower = max(window.lower, 0.0)
    noise = max(-window.lower, 0.0) / _NOISE_OF_LOWER
    upper = window.upper * (1 - min(_MOST_EXCESS, _EXCESS * (noise / window.upper) ** 2))
    return Window(lower, max(upper, _focus_level(pet, region, head, Window(lower, window.upper), noise) or upper))


def _tissue_window(head: NDArray[Any], seen: NDArray[Any], pet: sitk.Image) -> Window:
    """Return the window of the PET in the head, or in all of the MRI's box where the head's place shows nothing."""
    for values in (head, seen):
        with suppress(InputError):
            return automatic_window(values, "The PET")
    automatic_window(sampled(pet), "The PET")  # which may be empty as a whole
    raise InputError(message("pet-empty-in-mri"))


def _focus_level(pet: sitk.Image, region: sitk.Image, head: NDArray[Any], window: Window, noise: float) -> float | None:
    """Return the level of the hottest focus in the head; None without one."""
    foreground = head[np.isfinite(head) & (head > window.lower + _FOREGROUND * (window.upper - window.lower))]
    if not foreground.size:
        return None
    normal = float(np.percentile(foreground, _NORMAL_PERCENTILE))
    left = pet.GetDirection()[:3]  # how far a step along each axis leads to the left
    return hottest_focus(within_region(pet, region), pet.GetSpacing(), window.upper, normal, noise, left)


def automatic_mri_window(axial: sitk.Image) -> Window:
    """Return the automatic window of an MRI; a very large one is sampled on a lattice of its axial view.

    The window therefore does not depend on the stored order.
    """
    return automatic_window(sampled(without_padding(axial)[0]), "The MRI")
