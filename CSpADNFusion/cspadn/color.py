"""Colour: full-range BT.601 luma and chroma of a pseudo-coloured PET, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LUMA = np.array([0.299, 0.587, 0.114])
_CB_SCALE, _CR_SCALE = 1.772, 1.402  # 2 (1 - Kb), 2 (1 - Kr)


def luma(rgb: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Y of BT.601, full range.

    Args:
        rgb: (..., 3), any scale.

    Returns:
        (...), on the scale of the input.
    """
    result: NDArray[np.float64] = rgb @ _LUMA
    return result


def replace_luma(rgb: NDArray[np.floating] | NDArray[np.integer], new_luma: NDArray[np.floating]) -> NDArray[np.float64]:
    """Keep the chroma of ``rgb`` (..., 3) and give it ``new_luma`` (...), both on one scale; the result is not clipped."""
    old = luma(rgb)
    blue_difference = (rgb[..., 2] - old) / _CB_SCALE
    red_difference = (rgb[..., 0] - old) / _CR_SCALE
    red = new_luma + _CR_SCALE * red_difference
    blue = new_luma + _CB_SCALE * blue_difference
    green = (new_luma - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
    return np.stack([red, green, blue], axis=-1)
