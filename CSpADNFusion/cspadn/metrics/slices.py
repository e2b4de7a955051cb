"""Measure one fused slice or picture."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError, UsageError
from cspadn.imaging.windowing import Window, check_window, to_unit
from cspadn.io.png_pairs import grey_levels, picture_pixels, white_level
from cspadn.messages import message
from cspadn.metrics.record import WHITE, Levels, Metric
from cspadn.metrics.registry import BY_NAME, NAMES

Scores = dict[str, float]  # by the names of NAMES


def measure(
    pet: NDArray[np.generic], mri: NDArray[np.generic], fused: NDArray[np.generic], names: Iterable[str] | None = None
) -> Scores:
    """Measure one fused slice.

    Args:
        pet, mri, fused: (H, W), finite grey levels from 0 to 255; they are rounded and clipped first.
        names: some of :data:`cspadn.metrics.NAMES`; None: all.

    Returns:
        The metrics in the order of ``names``; NaN if the image is smaller than a metric's window (VIF: 41 pixels a side).

    Raises:
        InputError: the three are not two-dimensional, differ in size, or hold NaN or infinity.
        UsageError: a name is unknown.
    """
    chosen = chosen_names(names)
    shapes = [np.shape(image) for image in (pet, mri, fused)]
    if len(shapes[0]) != 2 or len(set(shapes)) != 1:
        sizes = [" x ".join(map(str, shape[::-1])) for shape in shapes]
        raise InputError(message("measured-sizes-differ", pet=sizes[0], mri=sizes[1], fused=sizes[2]))
    images = [_levels(pet, "The PET"), _levels(mri, "The MRI"), _levels(fused, "The fused image")]
    return {name: _measured(BY_NAME[name], images) for name in chosen}


def chosen_names(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names as a tuple, all for None.

    Raises:
        UsageError: a name is unknown.
    """
    chosen = NAMES if names is None else tuple(names)
    unknown = [name for name in chosen if name not in BY_NAME]
    if unknown:
        raise UsageError(message("metric-unknown", metric=unknown[0], choices=", ".join(NAMES)))
    return chosen


def _levels(image: NDArray[np.generic], name: str) -> Levels:
    if not np.isfinite(image).all():
        raise InputError(message("levels-not-finite", volume=name))
    return np.clip(np.rint(image.astype(np.float64)), 0, WHITE)


def _measured(metric: Metric, images: list[Levels]) -> float:
    if min(images[0].shape) < metric.smallest_side:
        return math.nan
    return float(metric.function(*images))


def measure_pictures(
    pet: sitk.Image,
    mri: sitk.Image,
    fused: sitk.Image,
    *,
    pet_window: tuple[float, float] | None = None,
    mri_window: tuple[float, float] | None = None,
    fused_window: tuple[float, float] | None = None,
    names: Iterable[str] | None = None,
) -> Scores:
    """Measure one fused picture by its grey levels; of a coloured picture, by its luma.

    Args:
        pet, mri, fused: the inputs and the result of :func:`cspadn.fusion.fuse_pictures`.
        pet_window, mri_window: the windows of the fusion; None: black to white.
        fused_window: the levels of the fused picture that are black and white; None: black to white.
        names: some of :data:`cspadn.metrics.NAMES`; None: all.

    Returns:
        As :func:`measure`.

    Raises:
        InputError: one of the images is not a picture, or the sizes differ.
        UsageError: a window is not valid, or a name is unknown.
    """
    given = ((pet_window, "PET"), (mri_window, "MRI"), (fused_window, "fused"))
    windows = [given_window(window, name) for window, name in given]
    images = ((pet, "The PET"), (mri, "The MRI"), (fused, "The fused picture"))
    levels = [_picture_levels(image, name, window) for (image, name), window in zip(images, windows, strict=True)]
    return measure(levels[0], levels[1], levels[2], names)


def without_nan(scores: Scores) -> dict[str, float | None]:
    """Replace NaN by None, since JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def _picture_levels(image: sitk.Image, name: str, window: Window | None) -> NDArray[np.uint8]:
    pixels = grey_levels(picture_pixels(image, name))
    return to_levels(pixels, window or Window(0, white_level(pixels)))


def to_levels(values: NDArray[np.generic], window: Window) -> NDArray[np.uint8]:
    """Map a window to the grey levels 0 to 255, of the same shape as ``values``."""
    return np.rint(to_unit(values, window) * WHITE).astype(np.uint8)


def given_window(window: tuple[float, float] | None, name: str) -> Window | None:
    """Return a window that the caller gave; UsageError if it is not valid."""
    return None if window is None else check_window(*window, name)
