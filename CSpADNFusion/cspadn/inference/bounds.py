"""Bounds on the fused values, which hold for every model, whatever it was trained on (docs/adr/0020).

* **No holes.** The fused value is never below the darker source by more than :data:`DEPTH`.
* **Order.** On flat slices, the fused value does not fall when either source rises, and is not below the darker source by more
  than :data:`TOLERANCE`. The response of the network to flat slices is measured once, on a grid of :data:`LEVELS` levels of
  each source. The correction that it needs is added at each pixel, interpolated between the levels, but lifts no pixel above
  the corrected answer to a flat slice: where a network lacks much, hot spots would become white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cspadn.imaging.windowing import from_network_range, to_network_range

if TYPE_CHECKING:
    from torch import nn

DEPTH, TOLERANCE = 0.08, 0.015
LEVELS = 21
_SIDE = 2  # pixels of a flat slice; the response does not depend on its size


@dataclass(frozen=True)
class FlatResponse:
    """The response of a network to flat slices.

    Attributes:
        answers: (LEVELS, LEVELS) in [0, 1], the fused values by PET level and MRI level.
        lacking: (LEVELS, LEVELS), 0 or more: the correction that makes the answers rise with both sources and keeps them near
            the darker one.
    """

    answers: NDArray[np.float32]
    lacking: NDArray[np.float32]

    @classmethod
    def of(cls, network: nn.Module) -> FlatResponse:
        """Measure a network in evaluation mode, on its device."""
        import torch

        levels = torch.linspace(0, 1, LEVELS)
        sources = torch.cartesian_prod(levels, levels).reshape(-1, 2, 1, 1).expand(-1, -1, _SIDE, _SIDE)
        device = next(network.parameters()).device
        with torch.inference_mode():
            fused = from_network_range(network(to_network_range(sources.to(device)))).clamp(0, 1)
        answers = fused[:, 0, 0, 0].float().cpu().numpy().reshape(LEVELS, LEVELS)
        grid = levels.numpy()
        least = np.maximum(answers, np.minimum(grid[:, np.newaxis], grid) - TOLERANCE)
        rising = np.maximum.accumulate(np.maximum.accumulate(least, axis=0), axis=1)
        return cls(answers, (rising - answers).astype(np.float32))

    def bounded(self, fused: NDArray[np.float32], sources: NDArray[np.float32]) -> NDArray[np.float32]:
        """Correct fused slices (N, H, W) of sources (N, 2, H, W), all in [0, 1], so that both bounds hold."""
        if self.lacking.any():
            lacking, answers = (_interpolated(table, sources[:, 0], sources[:, 1]) for table in (self.lacking, self.answers))
            fused = fused + np.clip(answers + lacking - fused, 0, lacking)
        bounded: NDArray[np.float32] = np.maximum(fused, sources.min(axis=1) - np.float32(DEPTH))
        return bounded


def _interpolated(table: NDArray[np.float32], pet: NDArray[np.float32], mri: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate a table of levels bilinearly at each pixel: PET and MRI (N, H, W) to (N, H, W)."""
    last = LEVELS - 1
    row, column = (np.clip(np.floor(source * last), 0, last - 1).astype(np.intp) for source in (pet, mri))
    down, right = (np.clip(source * np.float32(last) - base, 0, 1) for source, base in ((pet, row), (mri, column)))
    down, right = down.astype(np.float32), right.astype(np.float32)
    upper = table[row, column] * (1 - right) + table[row, column + 1] * right
    lower = table[row + 1, column] * (1 - right) + table[row + 1, column + 1] * right
    result: NDArray[np.float32] = upper * (1 - down) + lower * down
    return result
