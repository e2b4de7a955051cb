"""Metrics of edges: how many of them the fused image keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics.record import Levels, Metric

_Array = NDArray[np.float64]


_STRENGTH = (0.9994, -15.0, 0.5)  # gain, slope, centre of Qabf's sigmoid: Tg, kg, Dg
_ORIENTATION = (0.9879, -22.0, 0.8)  # Ta, ka, Da


def edge_transfer(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return Qabf, the share of the sources' edges that the fused image keeps, in [0, 1]; 0 if neither source has an edge.

    As in the code behind published tables, the image is padded with black, and where a source's edge is exactly as strong as
    the fused edge, that strength replaces their ratio of 1.

    Source: Xydeas, Petrovic, Electronics Letters 36 (2000).
    """
    fused_edges = _edges(fused)
    kept = total = 0.0
    for source in (pet, mri):
        strength, angle = _edges(source)
        kept += float((_preserved((strength, angle), fused_edges) * strength).sum())
        total += float(strength.sum())
    return kept / total if total else 0.0


def fusion_artefacts(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Return N, how much the fused image exaggerates or bends edges, in [0, 1]; 0 is best. It is not in the registry.

    A pixel counts if its fused edge is stronger than the edges of both sources, as at halos. Pixels are weighted by the edges
    of the sources, so a fused edge has no weight where neither source has one. N is 0 if neither source has an edge at all.

    Source: Petrovic, Xydeas, ICCV (2005).
    """
    fused_edges = _edges(fused)
    sources = [_edges(source) for source in (pet, mri)]
    stronger = (fused_edges[0] > sources[0][0]) & (fused_edges[0] > sources[1][0])
    added = sum(float(((1 - _preserved(edges, fused_edges)) * edges[0])[stronger].sum()) for edges in sources)
    total = sum(float(edges[0].sum()) for edges in sources)
    return added / total if total else 0.0


def _edges(image: Levels) -> tuple[_Array, _Array]:
    """Return the strength and the orientation, -pi/2 to pi/2, of the Sobel gradient, each (H, W)."""
    from scipy import ndimage

    down, right = (ndimage.sobel(image, axis, mode="constant") for axis in (0, 1))
    slope = np.divide(-down, right, out=np.full_like(down, np.inf), where=right != 0)
    return np.hypot(down, right), np.arctan(slope)


def _preserved(source: tuple[_Array, _Array], fused: tuple[_Array, _Array]) -> _Array:
    """Return how well the fused edges preserve strength and orientation of the source's edges, (H, W), in [0, 1]."""
    weak, strong = np.minimum(source[0], fused[0]), np.maximum(source[0], fused[0])
    ratio = np.divide(weak, strong, out=weak.copy(), where=weak != strong)
    alignment = 1 - np.abs(source[1] - fused[1]) / (np.pi / 2)
    return _sigmoid(ratio, _STRENGTH) * _sigmoid(alignment, _ORIENTATION)


def _sigmoid(value: _Array, parameters: tuple[float, float, float]) -> _Array:
    gain, slope, centre = parameters
    curve: _Array = gain / (1 + np.exp(slope * (value - centre)))
    return curve


METRICS = (
    Metric(
        "Qabf",
        edge_transfer,
        range=(0, 1),
        label="edge transfer",
        doc="Share of the edges of both sources that the fused image keeps.",
        in_table=True,
        in_results=True,
        caution="The pixel maximum of both sources and a copy of the MRI have high values.",
    ),
)
