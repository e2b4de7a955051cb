"""Padding of a DICOM series: voxels that its headers declare to hold no measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cspadn.io.dicom_tags import tag_numbers, tag_value

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_ROUNDING = 1e-6  # of a rescaled value in single precision


def mark_padding(voxels: NDArray[Any], headers: Sequence[Dataset], name: str) -> tuple[float, float] | None:
    """Find the padding of a series, from PixelPaddingValue and PixelPaddingRangeLimit, and give it one range of values.

    The tags hold stored values, which the slices of a PET rescale by different slopes. Where their padding therefore differs,
    all of it is set to the lowest of the values, in place.

    Args:
        voxels: (slices, rows, columns), rescaled.
        headers: of each slice, in the same order.
        name: the volume's name in error messages, such as "The PET".

    Returns:
        Lowest and highest value of padding in ``voxels``, inclusive; None if no slice declares padding.

    Raises:
        InputError: a tag of the rescaling is damaged.
    """
    ranges = [_rescaled_range(header, name) for header in headers]
    declared = [each for each in ranges if each is not None]
    if not declared:
        return None
    if ranges == [ranges[0]] * len(ranges):
        return declared[0]
    lowest = min(lower for lower, _ in declared)
    for values, each in zip(voxels, ranges, strict=True):
        if each is not None:
            values[(values >= each[0]) & (values <= each[1])] = lowest
    return lowest - _ROUNDING * abs(lowest), lowest + _ROUNDING * abs(lowest)


def _rescaled_range(header: Dataset, name: str) -> tuple[float, float] | None:
    """Return the padding of a slice after rescaling, a little widened for rounding; None if it declares none or damages it."""
    ends = [_stored(header, keyword, name) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    value, limit = ends[0], ends[1] if ends[1] is not None else ends[0]
    if value is None or limit is None:
        return None
    slope, intercept = (
        tag_numbers(header, keyword, 1, name)[0] if tag_value(header, keyword, name) is not None else default
        for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    lower, upper = sorted((slope * value + intercept, slope * limit + intercept))
    return lower - _ROUNDING * abs(lower), upper + _ROUNDING * abs(upper)


def _stored(header: Dataset, keyword: str, name: str) -> float | None:
    """Return a stored value; writers that confuse signed and unsigned numbers are corrected by PixelRepresentation."""
    try:
        value = int(tag_value(header, keyword, name))
        bits, signed = int(header.BitsStored), int(header.PixelRepresentation) == 1
    except (TypeError, ValueError, AttributeError):
        return None
    allocated = int(header.get("BitsAllocated") or bits)
    if signed and value >= 2 ** (allocated - 1):
        return float(value - 2**allocated)
    return float(value + 2**allocated) if value < 0 and not signed else float(value)
