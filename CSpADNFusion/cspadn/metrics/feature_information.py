"""Feature mutual information (FMI) of one slice, and the features that it takes.

FMI differs from the published MATLAB code, which overwrites a window and so depends on the order of the sources. FMI of edges
rests on an interpretation of MATLAB's ``edge``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from cspadn.metrics.record import Function, Levels, Metric

WINDOW_SIDE = 3  # pixels
_Array = NDArray[np.float64]
_CELLS = WINDOW_SIDE * WINDOW_SIDE
_PLACES = np.arange(_CELLS, dtype=np.float64)[:, np.newaxis]
_STEPS = 2 * _CELLS - 1  # a staircase from the first to the last cell of two windows
_CHUNK = 4096  # windows at a time: what a processor's cache holds
_TINY = 1e-300  # keeps the logarithm of 0 finite; lost in any other number


def feature_information(pet: _Array, mri: _Array, fused: _Array) -> float:
    """Return FMI, from 0 to 1: the mean over all 3x3 windows and both sources, in the fast form.

    A window, scaled to its own range, is a probability distribution over its nine cells, counted column by column. The joint
    distribution of two windows is a mixture of independence and of the most (or the least) correlated distribution within
    Frechet's bounds; the weights of the mixture reproduce the correlation of the windows. A window scores
    2 I / (H + H) of that joint distribution, with the mutual information I and the two entropies H. Equal windows score 1.

    Args:
        pet, mri, fused: (H, W), features such as grey levels, :func:`sobel_edge_map` or :func:`frequencies`; 3 pixels a side
            or more.

    Source: Haghighat, Aghagolzadeh, Seyedarabi, Computers and Electrical Engineering 37 (2011); Haghighat, Razian, AICT
    (2014).
    """
    fused_windows = _windows(fused)
    return (_mean_score(_windows(pet), fused_windows) + _mean_score(_windows(mri), fused_windows)) / 2


def _windows(feature: _Array) -> _Array:
    """Return all 3x3 windows, each column by column: (9, windows)."""
    rows, columns = (extent - WINDOW_SIDE + 1 for extent in feature.shape)
    shifted = [feature[i : i + rows, j : j + columns].ravel() for j in range(WINDOW_SIDE) for i in range(WINDOW_SIDE)]
    return np.stack(shifted)


def _mean_score(source: _Array, fused: _Array) -> float:
    """Return the mean score of all windows.

    Most windows of a slice of a head are flat, or have one cell above eight equal ones; their score is known in advance.
    """
    risen, fused_risen = _cells_above_lowest(source), _cells_above_lowest(fused)
    # Two flat windows are the same distribution; one flat window correlates with nothing; one cell alone has no entropy.
    equal = (source == fused).all(axis=0) | ((risen == 0) & (fused_risen == 0))
    scores = equal.astype(np.float64)
    open_windows = np.flatnonzero(~equal & (risen > 1) & (fused_risen > 1))
    for start in range(0, len(open_windows), _CHUNK):
        chunk = open_windows[start : start + _CHUNK]
        scores[chunk] = _shared_share(_distribution(source[:, chunk]), _distribution(fused[:, chunk]))
    return float(scores.mean())


def _cells_above_lowest(windows: _Array) -> NDArray[np.intp]:
    """Count the cells of each window that exceed its lowest value."""
    count: NDArray[np.intp] = (windows > windows.min(axis=0)).sum(axis=0)
    return count


def _distribution(windows: _Array) -> _Array:
    """Scale windows, (9, windows), to probabilities of their cells; the lowest value has probability 0."""
    risen = windows - windows.min(axis=0)
    share: _Array = risen / risen.sum(axis=0)
    return share


def _shared_share(source: _Array, fused: _Array) -> _Array:
    """Return 2 I / (H + H) of two distributions, (9, windows) each; none may be uniform or have a cell of probability 1."""
    correlation = _correlation_of_windows(source, fused)
    source = np.where(correlation < 0, source[::-1], source)  # Frechet's lower bound is the upper one of the mirrored window
    cells, products, covariance = _staircase(source, fused)
    spread = _deviation(source) * _deviation(fused)
    weight = np.divide(np.abs(correlation) * spread, covariance, out=np.zeros_like(spread), where=covariance > 0)
    entropies = -_sum_x_log_x(source) - _sum_x_log_x(fused)
    return 2 * (1 - _joint_entropy(cells, products, weight, entropies) / entropies)


def _correlation_of_windows(source: _Array, fused: _Array) -> _Array:
    a, b = source - 1 / _CELLS, fused - 1 / _CELLS
    correlation: _Array = _sum_product(a, b) / np.sqrt(_sum_product(a, a) * _sum_product(b, b))
    return correlation


def _deviation(distribution: _Array) -> _Array:
    """Return the standard deviation of the cell index."""
    place = (_PLACES * distribution).sum(axis=0)
    deviation: _Array = np.sqrt(_sum_product((_PLACES - place) ** 2, distribution))
    return deviation


def _staircase(source: _Array, fused: _Array) -> tuple[_Array, _Array, _Array]:
    """Return the most correlated joint distribution of two given ones; it is a staircase through the 9 x 9 cells.

    Returns:
        The probabilities of the 17 cells of the staircase, (17, windows); those under independence, (17, windows); the
        covariance of the two cell indices, (windows,).
    """
    count = source.shape[1]
    reached, fused_reached = source.cumsum(axis=0), fused.cumsum(axis=0)
    reached[-1] = fused_reached[-1] = np.inf  # the stairs end in the last cell, whatever rounding says
    mean, fused_mean = ((_PLACES * window).sum(axis=0) for window in (source, fused))
    cells, products = np.empty((_STEPS, count)), np.empty((_STEPS, count))
    place, covariance, passed = np.zeros(count), np.zeros(count), np.zeros(count)
    at, fused_at = np.arange(count), np.arange(count)  # where the places are in the flattened arrays
    for step in range(_STEPS):
        ends, fused_ends = reached.take(at), fused_reached.take(fused_at)
        end = np.minimum(ends, fused_ends) if step < _STEPS - 1 else np.ones(count)
        np.subtract(end, passed, out=cells[step])
        np.multiply(source.take(at), fused.take(fused_at), out=products[step])
        covariance += cells[step] * (place - mean) * (step - place - fused_mean)
        moves = ends <= fused_ends
        place += moves
        at += moves * count
        fused_at += ~moves * count
        passed = end
    return cells, products, covariance


def _joint_entropy(cells: _Array, products: _Array, weight: _Array, entropies: _Array) -> _Array:
    """Return the entropy of weight x staircase + (1 - weight) x independence, in nats.

    The entropy of the second term is known for all 81 cells; it is corrected on the 17 cells of the staircase. A weight above
    1 makes some probabilities negative; -p log|p| is added for them, as in the published code.
    """
    rest = 1 - weight
    independent = rest * products
    mixed = weight * cells + independent
    alone: _Array = rest * entropies - rest * np.log(np.abs(rest) + _TINY)
    return alone + _sum_x_log_x(independent) - _sum_x_log_x(mixed)


def _sum_x_log_x(values: _Array) -> _Array:
    return _sum_product(values, np.log(np.abs(values) + _TINY))


def _sum_product(a: _Array, b: _Array) -> _Array:
    total: _Array = np.einsum("ij,ij->j", a, b)
    return total


def sobel_edge_map(image: Levels) -> Levels:
    """Return 1 at thinned Sobel edges and 0 elsewhere, (H, W), by the rules of MATLAB's ``edge``.

    At an edge, the squared gradient exceeds four times its mean, and is not below its neighbours across the edge.
    """
    from scipy import ndimage

    down, right = (ndimage.sobel(image, axis, mode="nearest") / 8 for axis in (0, 1))
    power = down**2 + right**2
    framed = np.pad(power, 1, constant_values=-1)  # beyond the border nothing is stronger
    ridge_along_row = (framed[1:-1, :-2] <= power) & (power > framed[1:-1, 2:])
    ridge_along_column = (framed[:-2, 1:-1] <= power) & (power > framed[2:, 1:-1])
    lead = np.abs(right) - np.abs(down)  # which direction the gradient has, with room for rounding
    room = 100 * np.finfo(np.float64).eps
    ridge = (ridge_along_row & (lead >= -room)) | (ridge_along_column & (lead <= room))
    edges: Levels = (ridge & (power > 4 * power.mean())).astype(np.float64)
    return edges


def frequencies(image: Levels) -> _Array:
    """Return the orthonormal two-dimensional DCT-II of the whole image, (H, W)."""
    from scipy import fft

    transformed: _Array = fft.dctn(image, norm="ortho")
    return transformed


def _of_feature(feature: Callable[[Levels], Levels]) -> Function:
    """Return a metric function that measures the feature mutual information of a feature."""
    return lambda pet, mri, fused: feature_information(feature(pet), feature(mri), feature(fused))


METRICS = (
    Metric(
        "FMI_edge",
        _of_feature(sobel_edge_map),
        range=(0, 1),
        label="feature mutual information, edges",
        doc="Feature mutual information on Sobel edges, mean over both sources.",
        smallest_side=WINDOW_SIDE,
        in_results=True,
        caution="A copy of the MRI has a high value.",
    ),
    Metric(
        "FMI_pixel",
        feature_information,
        range=(0, 1),
        label="feature mutual information, grey levels",
        doc="Feature mutual information on grey levels, mean over both sources.",
        smallest_side=WINDOW_SIDE,
        in_table=True,
        in_results=True,
        caution="A copy of the MRI has a high value.",
    ),
    Metric(
        "FMI_dct",
        _of_feature(frequencies),
        range=(0, 1),
        label="feature mutual information, DCT",
        doc="Feature mutual information on the discrete cosine transform, mean over both sources.",
        smallest_side=WINDOW_SIDE,
        in_table=True,
        in_results=True,
        caution="A copy of the MRI has a high value.",
    ),
)
