"""Grey values of DICOM series that are stored as a negative (MONOCHROME1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    Range = tuple[float, float]

NEGATIVE = "MONOCHROME1"


def inverted_if_negative(
    voxels: NDArray[Any], header: Dataset, padding: Range | None
) -> tuple[NDArray[Any], Range | None, bool]:
    """Invert the grey values of an image whose lowest value is meant to be white.

    A PET with units holds activity, and its PhotometricInterpretation only says how to show it: it is not inverted. Other
    images are, if their air, at the border of the slices, is indeed bright: some writers name MONOCHROME1 by mistake.

    Args:
        voxels: (slices, rows, columns).
        header: of a slice.
        padding: lowest and highest value of voxels without a measurement; None if there are none.

    Returns:
        The voxels, 0 for what was brightest; the range of their padding, which becomes 0, the air; and whether they were
        inverted.
    """
    if header.get("PhotometricInterpretation") != NEGATIVE or header.get("Units"):
        return voxels, padding, False
    missing = np.zeros(voxels.shape, bool) if padding is None else (voxels >= padding[0]) & (voxels <= padding[1])
    seen = voxels[~missing]
    if seen.size == 0:
        return voxels, padding, False
    lowest, highest = seen.min(), seen.max()
    border = np.ones(voxels.shape[1:], bool)
    border[1:-1, 1:-1] = False
    air = voxels[:, border][~missing[:, border]]
    if air.size == 0 or np.median(air) <= (float(lowest) + float(highest)) / 2:
        return voxels, padding, False
    inverted = highest - np.where(missing, highest, voxels)
    return inverted, None, True
