"""What a network answers to flat slices, and the bounds that keep its answers safe to read.

Two promises hold for every fused pixel of every model, whatever it was trained on (docs/adr/0020):

* **No holes.** The fused value is never below the darker source by more than :data:`DEPTH`.
* **Order.** Where both sources are flat, the fused value does not fall when either of them rises, and it is not below the
  darker source by more than :data:`TOLERANCE`. The network's own answers to flat slices are measured once, on a grid of
  :data:`LEVELS` levels of each source; what they lack is added at each pixel, interpolated between the levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cspadn.imaging.windowing import from_network_range, to_network_range

DEPTH, TOLERANCE = 0.08, 0.015
LEVELS = 21
_SIDE = 2  # pixels of a flat slice: its answer does not depend on its size


@dataclass(frozen=True)
class FlatResponse:
    """A network's answers to flat slices.

    Attributes:
        answers: (LEVELS, LEVELS) in [0, 1], by PET level and MRI level.
        lacking: what must be added so that they rise with both sources and stay near the darker one; 0 or more.
    """

    answers: NDArray[np.float32]
    lacking: NDArray[np.float32]

    @classmethod
    @torch.inference_mode()
    def of(cls, network: nn.Module) -> FlatResponse:
        """Measure a network in evaluation mode, on its device."""
        levels = torch.linspace(0, 1, LEVELS)
        sources = torch.cartesian_prod(levels, levels).reshape(-1, 2, 1, 1).expand(-1, -1, _SIDE, _SIDE)
        device = next(network.parameters()).device
        fused = from_network_range(network(to_network_range(sources.to(device)))).clamp(0, 1)
        answers = fused[:, 0, 0, 0].float().cpu().numpy().reshape(LEVELS, LEVELS)
        grid = levels.numpy()
        least = np.maximum(answers, np.minimum(grid[:, np.newaxis], grid) - TOLERANCE)
        rising = np.maximum.accumulate(np.maximum.accumulate(least, axis=0), axis=1)
        return cls(answers, (rising - answers).astype(np.float32))

    def bounded(self, fused: NDArray[np.float32], sources: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fused slices (N, H, W) in [0, 1] of sources (N, 2, H, W) in [0, 1], with both promises kept."""
        if self.lacking.any():
            fused = np.minimum(fused + _interpolated(self.lacking, sources[:, 0], sources[:, 1]), 1)
        bounded: NDArray[np.float32] = np.maximum(fused, sources.min(axis=1) - np.float32(DEPTH))
        return bounded


def _interpolated(table: NDArray[np.float32], pet: NDArray[np.float32], mri: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of the table between its levels, bilinear."""
    last = LEVELS - 1
    row, column = (np.clip(np.floor(source * last), 0, last - 1).astype(np.intp) for source in (pet, mri))
    down, right = (np.clip(source * np.float32(last) - base, 0, 1) for source, base in ((pet, row), (mri, column)))
    down, right = down.astype(np.float32), right.astype(np.float32)
    upper = table[row, column] * (1 - right) + table[row, column + 1] * right
    lower = table[row + 1, column] * (1 - right) + table[row + 1, column + 1] * right
    result: NDArray[np.float32] = upper * (1 - down) + lower * down
    return result
