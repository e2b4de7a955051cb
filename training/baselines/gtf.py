"""GTF: gradient transfer fusion (J. Ma, C. Chen, C. Li, J. Huang: Infrared and visible image fusion via gradient transfer and
total variation minimization. Information Fusion 31, 2016, pages 100 to 109).

The solver is iteratively reweighted least squares, as in the authors' published code (P. Rodriguez, B. Wohlberg: Efficient
minimization method for a generalized total variation functional. IEEE Transactions on Image Processing 18, 2009, pages 322 to
332). It stops early, so its settings belong to the method.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg

from training.baselines.form import Image, check_pair

LAMBDA = 4.0
_ROUNDS = 5  # of new weights
_GAIN, _MOST_STEPS = 5, 500  # conjugate gradients stop when the residual of the round has fallen by this factor
_DISTANCE_SHARE, _SLOPE_SHARE = 0.05, 0.01  # of the pixels, whose weights would be the greatest: they are bounded
_LEVELS = 1000  # of the histogram in which that share is found
_FIRST_DISTANCE = 0.8  # for the first round, which starts from the target
_SMALLEST = 1e-12  # smallest divisor

Vector = NDArray[np.float64]  # the pixels of an image in a row


def gtf(pet: Image, mri: Image) -> Image:
    """Combine the PET's intensities with the MRI's gradients: minimise |f - PET|_1 + 4 TV(f - MRI).

    The PET replaces the infrared image of the publication, and the MRI the visible one. Any size; the result is clipped.

    Raises:
        ValueError: the sizes differ.
    """
    pet, mri = check_pair(pet, mri)
    difference = _smooth_l1((pet - mri).ravel(), _gradient(*pet.shape))
    return (difference.reshape(mri.shape) + mri).clip(0, 1)


def _smooth_l1(target: Vector, gradient: sparse.csr_array) -> Vector:
    """Return an image that approximately minimises |image - target|_1 + 4 TV(image).

    Each round solves a least squares problem with weights 2 / distance and 2 / slope from the round before:
    (I + 4 S G' W G S) y = target / S, where G is the gradient, W the weights of the slopes, S the root of the inverse weights
    of the distances, and image = S y.
    """
    image = target
    for round_ in range(_ROUNDS):
        distance = abs(image - target) if round_ else np.full_like(target, _FIRST_DISTANCE)
        scale = np.sqrt(_bounded(distance, _DISTANCE_SHARE) / 2)
        system = _normal_matrix(scale, _slope_weights(gradient @ image), gradient)
        start, right = image / scale, target / scale
        residual = float(np.linalg.norm(system @ start - right))
        if residual == 0:
            break
        solution, _ = cg(system, right, start, rtol=0, atol=residual / _GAIN, maxiter=_MOST_STEPS)
        image = scale * solution
    return image


def _normal_matrix(scale: Vector, weights: Vector, gradient: sparse.csr_array) -> sparse.csr_array:
    scaled = gradient @ sparse.diags_array(scale)
    return sparse.eye_array(scale.size, format="csr") + LAMBDA * (scaled.T @ sparse.diags_array(weights) @ scaled)


def _slope_weights(gradient: Vector) -> Vector:
    """Return 2 / slope for both directions; the slope of a pixel is the length of its gradient."""
    squares = (gradient.reshape(2, -1) ** 2).sum(axis=0)
    return np.tile(2 / np.sqrt(_bounded(squares, _SLOPE_SHARE)), 2)


def _gradient(height: int, width: int) -> sparse.csr_array:
    """Return the matrix that maps pixels to all differences along rows, then along columns; 0 at the far border."""
    along_rows = sparse.kron(sparse.eye_array(height), _differences(width))
    along_columns = sparse.kron(_differences(height), sparse.eye_array(width))
    return sparse.vstack([along_rows, along_columns], format="csr")


def _differences(length: int) -> sparse.csr_array:
    """Return the next element minus this one; 0 for the last."""
    inner = sparse.diags_array((np.arange(length) < length - 1).astype(float))
    return (inner @ (sparse.eye_array(length, k=1) - sparse.eye_array(length))).tocsr()


def _bounded(values: Vector, share: float) -> Vector:
    """Raise the smallest values to a lower bound: the level below which the given share of the pixels lies."""
    levels = np.linspace(values.min(), values.max(), _LEVELS)
    places = np.rint((values - levels[0]) / max(levels[1] - levels[0], _SMALLEST)).astype(int)
    counts = np.cumsum(np.bincount(places, minlength=_LEVELS))
    place = int(np.searchsorted(counts, share * values.size, side="right"))
    return np.maximum(values, max(levels[min(place + 1, _LEVELS - 1)], _SMALLEST))
