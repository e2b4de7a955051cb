"""Fuse slices of fine pixels at a pixel size that the networks have learned.

The networks were trained on pixels of 0.75 to 1.45 mm, and cannot know how large a pixel is. On pixels of half that size, a
lesion of 3 mm looks like a coarse structure and nearly vanishes (docs/adr/0021). A slice of fine pixels is therefore averaged
over blocks of pixels, fused, and enlarged; the MRI detail that the average lost is added at its own contrast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Slices = NDArray[np.float32]
FINEST_MM, USUAL_MM = 0.7, 1.0  # smaller pixels are averaged, to pixels of about this size
_LIMIT = 0.14  # of the window: stronger detail is compressed, as the default model compresses strong edges
_WHITE = 0.988  # brightest value that detail reaches


@dataclass(frozen=True)
class PixelSize:
    """How many pixels of a slice form one pixel of the network.

    Attributes:
        rows, columns: pixels along each side of a block; 1 where pixels are large enough.
    """

    rows: int
    columns: int

    @classmethod
    def of(cls, row_mm: float, column_mm: float) -> PixelSize:
        """Choose the blocks for pixels with these distances of rows and of columns, in mm."""
        return cls(*(max(1, round(USUAL_MM / mm)) if mm < FINEST_MM else 1 for mm in (row_mm, column_mm)))

    def provenance(self) -> dict[str, str]:
        """Say how many pixels were averaged before the network, (rows x columns); nothing where none were."""
        return {} if self.rows == self.columns == 1 else {"pixels_averaged": f"{self.rows} x {self.columns}"}

    def fuse(self, fuse: Callable[[Slices], Slices], sources: Slices) -> Slices:
        """Fuse slices.

        Args:
            fuse: the network, (N, 2, H, W) to (N, H, W), both in [0, 1].
            sources: (N, 2, H, W) in [0, 1], PET then MRI.

        Returns:
            (N, H, W) in [0, 1].
        """
        if self.rows == self.columns == 1:
            return fuse(sources)
        coarse = self._averaged(sources)
        shape = sources.shape[-2:]
        fused = self._enlarged(fuse(coarse), shape)
        lost = sources[:, 1] - self._enlarged(coarse[:, 1], shape)
        detail = np.float32(_LIMIT) * np.tanh(lost / np.float32(_LIMIT))
        room = np.maximum(np.float32(_WHITE) - fused, 0)
        result: Slices = np.where(
            detail > 0, fused + room * np.tanh(detail / np.maximum(room, np.float32(1e-3))), np.maximum(fused + detail, 0)
        )
        return result

    def _averaged(self, sources: Slices) -> Slices:
        """Average (N, 2, H, W) over blocks to (N, 2, h, w); the last row and column are repeated to fill the last blocks."""
        height, width = sources.shape[-2:]
        padded = np.pad(sources, ((0, 0), (0, 0), (0, -height % self.rows), (0, -width % self.columns)), mode="edge")
        blocks = padded.reshape(*padded.shape[:2], -1, self.rows, padded.shape[-1] // self.columns, self.columns)
        averaged: Slices = blocks.mean((3, 5))
        return averaged

    def _enlarged(self, slices: Slices, shape: tuple[int, ...]) -> Slices:
        """Enlarge (N, h, w) to (N, H, W), interpolated linearly."""
        import torch
        from torch.nn import functional

        size = slices.shape[-2] * self.rows, slices.shape[-1] * self.columns
        image = torch.from_numpy(np.ascontiguousarray(slices))[:, None]
        large = functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
        enlarged: Slices = large[:, 0, : shape[0], : shape[1]].numpy()
        return enlarged
