"""A numerical observer: how well a lesion of a source can still be detected in a display of both.

The channelised Hotelling observer of medical imaging (Barrett and Myers, Foundations of Image Science, 2004), with the dense
difference-of-Gaussians channels of Abbey and Barrett (J. Opt. Soc. Am. A 18, 2001). It looks at a patch around a known place,
with and without a lesion, through a few channels, and forms the best linear template of their outputs. Lightness, and the two
colour axes where there are colours, are those of OKLab (Ottosson, 2020), to which the display adds noise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PATCH = 48  # pixels along each side
CHANNELS = 10
PARTS = 8  # with two, the template of 30 colour channels lacked places to learn from: .05 lower
_FIRST, _FACTOR, _Q = 0.005, 1.4, 1.67  # cycles per pixel; ratio of successive channels; ratio of the two Gaussians
LIGHTNESS_NOISE = 0.02  # standard deviation per pixel, of a lightness from 0 to 1
_COLOR_NOISE = 2.0  # that of the colour axes, as a multiple


@lru_cache(maxsize=4)
def channels(size: int = PATCH) -> Floats:
    """The templates of the channels, (CHANNELS, size * size), centred on the pixel ``size // 2``."""
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, np.newaxis], frequency)
    templates = []
    for index in range(CHANNELS):
        sigma = _FIRST * _FACTOR**index
        spectrum = np.exp(-0.5 * (radius / (_Q * sigma)) ** 2) - np.exp(-0.5 * (radius / sigma) ** 2)
        templates.append(np.fft.fftshift(np.fft.ifft2(spectrum).real).ravel())
    return np.stack(templates)


def responses(patches: NDArray[np.floating]) -> Floats:
    """Outputs of the channels for patches (N, axes, size, size): (N, axes * CHANNELS)."""
    count, axes, size = patches.shape[:3]
    outputs = patches.reshape(count * axes, -1).astype(np.float64) @ channels(size).T
    return outputs.reshape(count, axes * CHANNELS)


def noise_covariance(axes: int, noise: float = LIGHTNESS_NOISE, size: int = PATCH) -> Floats:
    """Covariance of the channel outputs that independent display noise in each pixel gives."""
    gram = channels(size) @ channels(size).T
    variances = [noise**2] + [(_COLOR_NOISE * noise) ** 2] * (axes - 1)
    return np.asarray(np.kron(np.diag(variances), gram), np.float64)


def detectability(absent: Floats, present: Floats, noise: Floats) -> float:
    """Detectability index d' of the Hotelling template, for outputs (N, channels) at places without and with a lesion.

    The places are divided into :data:`PARTS`. The template for each part is made on all others, so that no place is read with
    a template that knows it. The display noise enters as its covariance ``noise``. A template that answers the wrong way round
    gives a negative index; 0 where there is no lesion.
    """
    part = np.arange(len(absent)) % PARTS
    without, with_lesion, display = np.empty(len(absent)), np.empty(len(absent)), 0.0
    for index in range(PARTS):
        read, known = part == index, part != index
        covariance = (np.cov(absent[known].T) + np.cov(present[known].T)) / 2 + noise
        template = np.linalg.solve(covariance, (present[known] - absent[known]).mean(0))
        without[read], with_lesion[read] = absent[read] @ template, present[read] @ template
        display += float(template @ noise @ template) / PARTS
    variance = (without.var(ddof=1) + with_lesion.var(ddof=1)) / 2 + display
    return float((with_lesion.mean() - without.mean()) / np.sqrt(variance)) if variance > 0 else 0.0


def cut(image: NDArray[Any], row: int, column: int, size: int = PATCH) -> NDArray[Any]:
    """The patch of (..., H, W) around a place, the edges of the image repeated where it leaves it."""
    rows = np.clip(np.arange(row - size // 2, row - size // 2 + size), 0, image.shape[-2] - 1)
    columns = np.clip(np.arange(column - size // 2, column - size // 2 + size), 0, image.shape[-1] - 1)
    return image[..., rows[:, np.newaxis], columns]
