"""Read single values of DICOM headers: tags, directions of a slice and its thickness."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_NUMBER = {1: "a usable number", 2: "two positive numbers", 3: "three numbers", 6: "six numbers"}


def tag_value(dataset: Dataset, keyword: str, name: str) -> Any:
    """Return the value of a tag, or None if the dataset does not have it.

    Args:
        dataset: the headers of a file, or an item of a sequence.
        keyword: the tag's DICOM keyword, such as ``Rows``.
        name: the volume's name in error messages, such as "The PET".

    Raises:
        InputError: the value cannot be read. The message names the tag; it never quotes the value, which may be personal.
    """
    from pydicom.datadict import dictionary_VR
    from pydicom.sequence import Sequence

    try:
        value = dataset.get(keyword)
        if isinstance(value, Sequence) and dictionary_VR(keyword) != "SQ":
            raise ValueError("A sequence stands in place of a value.")
        return value
    except Exception:  # pydicom converts values on access, and its error messages quote them
        raise InputError(message("dicom-tag-damaged", volume=name, tag=keyword)) from None


def tag_numbers(dataset: Dataset, keyword: str, count: int, name: str, *, positive: bool = False) -> list[float]:
    """Return the numbers of a tag.

    Args:
        dataset: the headers of a file, or an item of a sequence.
        keyword: the tag's DICOM keyword.
        count: how many numbers the tag must have: 1, 2, 3 or 6.
        name: the volume's name in error messages.
        positive: refuse zero and negative numbers.

    Raises:
        InputError: the tag is missing, or does not hold ``count`` finite numbers. The message does not quote the value.
    """
    try:
        values = [float(value) for value in np.atleast_1d(dataset[keyword].value)]
    except Exception:
        values = []
    if len(values) != count or not all(math.isfinite(value) and (value > 0 or not positive) for value in values):
        raise InputError(message("dicom-tag-invalid", volume=name, tag=keyword, expected=_NUMBER[count]))
    return values


def slice_axes(header: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions along a row, along a column, and of the slice normal, each a (3,) vector in LPS."""
    along_row, along_column = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
    return along_row, along_column, np.cross(along_row, along_column)


def slice_thickness(header: Dataset) -> float:
    """Return the thickness of a slice in millimetres; 1 if the headers do not give a positive number."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            value = abs(float(header.get(keyword) or 0))
        except (TypeError, ValueError, NotImplementedError):
            continue
        if math.isfinite(value) and value > 0:
            return value
    return 1.0
