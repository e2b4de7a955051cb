"""A numerical observer that measures how well a lesion of one source can be detected in a display of both.

The channelised Hotelling observer of medical imaging (Barrett and Myers, Foundations of Image Science, 2004), with the dense
difference-of-Gaussians channels of Abbey and Barrett (J. Opt. Soc. Am. A 18, 2001). It looks at a patch around a known place,
with and without a lesion, through a few channels, and forms the best linear template of their outputs. It works on the
lightness of OKLab (Ottosson, 2020) and, for colour displays, on its two colour axes. The display adds noise to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PATCH = 48  # pixels along each side
CHANNELS = 10
PARTS = 8  # of the planes; with two, the template of 30 colour channels lacked places to learn from: .05 lower
_FIRST, _FACTOR, _Q = 0.005, 1.4, 1.67  # cycles per pixel; ratio of successive channels; ratio of the two Gaussians
LIGHTNESS_NOISE = 0.02  # standard deviation per pixel, of a lightness from 0 to 1
_COLOR_NOISE = 2.0  # that of the colour axes, as a multiple


@lru_cache(maxsize=4)
def channels(size: int = PATCH) -> Floats:
    """Return the templates of the channels, (CHANNELS, size * size), centred on the pixel ``size // 2``."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, np.newaxis], frequency)
    templates = []
    for index in range(CHANNELS):
        sigma = _FIRST * _FACTOR**index
        spectrum = np.exp(-0.5 * (radius / (_Q * sigma)) ** 2) - np.exp(-0.5 * (radius / sigma) ** 2)
        templates.append(np.fft.fftshift(np.fft.ifft2(spectrum).real).ravel())
    return np.stack(templates)


def responses(patches: NDArray[np.floating]) -> Floats:
    """Return the outputs of the channels (N, axes * CHANNELS) for patches (N, axes, size, size)."""
    count, axes, size = patches.shape[:3]
    outputs = patches.reshape(count * axes, -1).astype(np.float64) @ channels(size).T
    return outputs.reshape(count, axes * CHANNELS)


def noise_covariance(axes: int, noise: float = LIGHTNESS_NOISE, size: int = PATCH) -> Floats:
    """Return the covariance of the channel outputs for independent display noise in each pixel."""
    gram = channels(size) @ channels(size).T
    variances = [noise**2] + [(_COLOR_NOISE * noise) ** 2] * (axes - 1)
    return np.asarray(np.kron(np.diag(variances), gram), np.float64)


@dataclass(frozen=True)
class Absent:
    """Outputs of the channels without a lesion.

    Attributes:
        outputs: (places, channels), at the places where lesions are put.
        part: (places,), the part of each place: a part is read with a template made from all other parts.
        background: (more places, channels), a denser set from which the covariance is estimated. With the places of the
            lesions alone, the efficiency for 30 colour channels was too low: .84 with 130 places, .75 with 65.
        background_part: (more places,); patches of different parts do not overlap.
    """

    outputs: Floats
    part: NDArray[np.int64]
    background: Floats
    background_part: NDArray[np.int64]


def detectability(absent: Absent, present: Floats, noise: Floats) -> float:
    """Compute the detectability index d' of the Hotelling template.

    The template for each part is made from all other parts, so no place is read with a template that was made from it. A
    template that responds in the wrong direction gives a negative index. The index is 0 without a lesion.

    Args:
        present: (places, channels), at the places of ``absent.outputs`` with a lesion.
        noise: covariance of the outputs due to display noise.
    """
    without, with_lesion, display = np.empty(len(present)), np.empty(len(present)), 0.0
    for index in np.unique(absent.part):
        read, known = absent.part == index, absent.part != index
        covariance = np.cov(absent.background[absent.background_part != index].T) + noise
        template = np.linalg.solve(covariance, (present[known] - absent.outputs[known]).mean(0))
        without[read], with_lesion[read] = absent.outputs[read] @ template, present[read] @ template
        display += float(template @ noise @ template) * read.mean()
    variance = (without.var(ddof=1) + with_lesion.var(ddof=1)) / 2 + display
    return float((with_lesion.mean() - without.mean()) / np.sqrt(variance)) if variance > 0 else 0.0


def patches(planes: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """Cut patches (M, PATCH, PATCH) of planes (N, H, W) around places (M, 3) of plane, row and column."""
    return np.stack([cut(planes[plane], row, column) for plane, row, column in places])


def cut(image: NDArray[Any], row: int, column: int, size: int = PATCH) -> NDArray[Any]:
    """Cut the patch of (..., H, W) around a place; beyond the image, its edges are repeated."""
    rows = np.clip(np.arange(row - size // 2, row - size // 2 + size), 0, image.shape[-2] - 1)
    columns = np.clip(np.arange(column - size // 2, column - size // 2 + size), 0, image.shape[-1] - 1)
    return image[..., rows[:, np.newaxis], columns]
