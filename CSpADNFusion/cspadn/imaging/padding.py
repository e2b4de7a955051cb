"""Padding: voxels that hold no measurement but a constant, such as -32768 or -1000, which is not the background."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.metadata import PADDING, value_of, with_metadata
from cspadn.messages import Sentence, message

_LEAST_SHARE, _MOST_SHARE = 0.0005, 0.25  # of the finite voxels that an undeclared padding constant has
_MOST_NEGATIVE_SHARE = 0.75  # likewise, of a negative constant in an image without other negative values
_BELOW_NEGATIVE, _BELOW, _ABOVE = 0.5, 1.0, 2.0  # distances from the other values, as multiples of their range
_NEGATIVE = 0.02  # the same for a negative constant in an image without other negative values; a smaller one does no harm
_DECLARED = 0.1  # the same for a value that the headers call padding: nearer to the rest, it is the background itself
_RIM = 2.0  # padding above the rest is this much more frequent on one of the faces of the volume than in all of it
_PERCENTILES = (0.5, 5, 99.5)  # of the other values: the lowest, the lowest without a blurred edge, and the highest
_BLURRED = 0.2  # of the range: if the lowest two differ by more, interpolation has blurred the edge of the padding
_CONSTANTS = 3  # at each end, at most, that are looked at
_SAMPLED_VOXELS = 2**20  # enough to measure percentiles and shares


class Padding(NamedTuple):
    """A range of values that are padding, and the value that replaces them.

    Attributes:
        lower, upper: the range, inclusive, in the values of the volume.
        background: what a voxel without a measurement gets.
    """

    lower: float
    upper: float
    background: float


def declared_padding(image: sitk.Image) -> tuple[float, float] | None:
    """Return the range of values that the headers of an image call padding (PixelPaddingValue of DICOM), or None."""
    try:
        lower, upper = sorted(float(end) for end in (value_of(image, PADDING) or "").split())
    except ValueError:
        return None
    return lower, upper


def without_padding(image: sitk.Image, *, guess: bool = True) -> tuple[sitk.Image, float]:
    """Replace padding by the background of a volume.

    Args:
        image: scalar, real-valued. Padding is what its metadata declare, or a lone constant far from all other values.
        guess: whether to look for padding that the metadata do not declare.

    Returns:
        The image itself, or a copy of the same type where something was replaced; and the share of voxels that were replaced
        though the metadata do not declare them, 0 to 1.
    """
    voxels, declared = sitk.GetArrayViewFromImage(image), declared_padding(image)
    found = find_padding(voxels, declared, guess=guess)
    if not found:
        return image, 0.0
    result = with_metadata(sitk.GetImageFromArray(fill_padding(voxels, found)), image)
    result.CopyInformation(image)
    undeclared = [each for each in found if (each.lower, each.upper) != declared]
    return result, float(sum(_is_padding(voxels, each).mean() for each in undeclared))


def padding_warnings(share: float, name: str) -> list[Sentence]:
    """Return a warning if a share of the voxels of a volume was replaced though its metadata do not declare them."""
    return [message("padding-taken-as-background", volume=name, share=share)] if share else []


def fill_padding(values: NDArray[Any], found: list[Padding]) -> NDArray[Any]:
    """Return a copy of the values, of the same type, in which the padding is background."""
    filled: NDArray[Any] = np.array(values)
    for each in found:
        filled[_is_padding(values, each)] = each.background
    return filled


def find_padding(values: NDArray[Any], declared: tuple[float, float] | None = None, *, guess: bool = True) -> list[Padding]:
    """Find the padding of a volume.

    A constant is padding if it is the lowest or the highest value, is held by 0.05 % to 25 % of the voxels, and lies below the
    other values by their range (a negative one by half of it), or above them by twice their range. A negative constant in an
    image without other negative values may have up to 75 % of the voxels, at a fiftieth of the range. Values that the headers
    declare are padding at any share, unless they are about as dark as the background of the image: then they are the
    background.

    Args:
        values: of any shape; NaN and infinity are ignored.
        declared: lowest and highest value that the headers call padding.
        guess: whether to look for constants that the headers do not declare.

    Returns:
        The ranges of values; an empty list if there is no padding.
    """
    ranges, rest = list[tuple[float, float]](), _sample(values)
    if declared is not None and rest.size:
        others = rest[(rest < declared[0]) | (rest > declared[1])]
        if others.size < rest.size and _is_apart(declared, others):
            ranges.append(declared)
            rest = others
    lowest, highest = (_extreme_constants(rest, end) if guess else [] for end in (np.min, np.max))
    core = _Core.of(rest[~np.isin(rest, [*lowest, *highest])]) if lowest or highest else None
    if core is not None:
        constants = [each for each in lowest if core.is_far_above(each, float(np.mean(rest == each)))]
        high = [each for each in highest if core.is_far_below(each, float(np.mean(rest == each)))]
        constants += [each for each in high if _is_at_the_rim(each, values)]
        rest = rest[~np.isin(rest, constants)]
        ranges += [(each, each) for each in constants]
    return [_with_background(each, rest) for each in ranges]


def _sample(values: NDArray[Any]) -> NDArray[np.float64]:
    flat = values.ravel()[:: max(1, values.size // _SAMPLED_VOXELS)]
    if flat.dtype.kind != "f":
        return flat.astype(np.float64)
    with np.errstate(over="ignore"):
        return flat[np.isfinite(flat.astype(np.float32))].astype(np.float64)


def _extreme_constants(values: NDArray[np.float64], end: Callable[..., float]) -> list[float]:
    """Return the outermost values at one end, as long as each is held by many voxels; at most :data:`_CONSTANTS`."""
    constants, rest = list[float](), values
    while rest.size and len(constants) < _CONSTANTS:
        constant = float(end(rest))
        if np.count_nonzero(rest == constant) < _LEAST_SHARE * values.size:
            break
        constants.append(constant)
        rest = rest[rest != constant]
    return constants


class _Core(NamedTuple):
    """The range of the values without the constants at both ends."""

    lowest: float
    low: float
    high: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> _Core | None:
        """Return the range; None if there is none."""
        if not values.size or values.min() == values.max():
            return None
        _, low, high = (float(level) for level in np.percentile(values, _PERCENTILES))
        return cls(float(values.min()), low, high) if low < high else None

    def is_far_above(self, constant: float, share: float) -> bool:
        """Return whether a constant at the low end, which a share of the voxels holds, is padding."""
        distance, width = self.low - constant, self.high - self.low
        if constant < 0 <= self.lowest:
            return share <= _MOST_NEGATIVE_SHARE and distance >= _NEGATIVE * width
        return share <= _MOST_SHARE and distance >= (_BELOW_NEGATIVE if constant < 0 else _BELOW) * width

    def is_far_below(self, constant: float, share: float) -> bool:
        """Return the same for a constant at the high end."""
        return share <= _MOST_SHARE and constant - self.high >= _ABOVE * (self.high - self.low)


def _is_at_the_rim(constant: float, values: NDArray[Any]) -> bool:
    """Return whether a constant is more frequent on a face of a volume than in all of it, as bright spots are not."""
    if values.ndim != 3:
        return False
    faces = [np.take(values, end, axis) for axis in range(3) for end in (0, -1) if values.shape[axis] > 1]
    highest = max((float(np.mean(face == constant)) for face in faces), default=0.0)
    return highest >= _RIM * float(np.mean(values == constant))


def _is_apart(declared: tuple[float, float], others: NDArray[np.float64]) -> bool:
    """Return whether declared padding lies outside the range of the other values, so that it is not their background."""
    if not others.size or others.min() == others.max():
        return False
    low, _, high = (float(level) for level in np.percentile(others, _PERCENTILES))
    return declared[1] < 0 <= low or low - declared[1] > _DECLARED * (high - low) or declared[0] > high


def _with_background(padding: tuple[float, float], others: NDArray[np.float64]) -> Padding:
    """Add the background: the darkest usual value, or 0 where padding is negative and nothing else is."""
    lowest, low, high = (float(level) for level in np.percentile(others, _PERCENTILES))
    if padding[1] < 0 <= lowest:
        return Padding(*padding, 0.0)
    if padding[1] < lowest < low - _BLURRED * (high - low):
        return Padding(padding[0], float(np.nextafter(low, lowest)), low)
    return Padding(*padding, lowest)


def _is_padding(values: NDArray[Any], padding: Padding) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (values >= padding.lower) & (values <= padding.upper)
    return inside
