"""Normalised mutual information of two volumes under a rigid motion, and its gradient.

The measure is that of Studholme et al., Pattern Recognition 32, 1999: the sum of the entropies of both intensities, divided by
their joint entropy. The joint histogram is that of Mattes et al., IEEE Transactions on Medical Imaging 22, 2003: a box for the
MRI and a cubic B-spline for the PET, which makes the gradient exact. All points of a regular lattice count, and every sum is
computed by one thread in a fixed order: the same inputs give the same bits, whatever the number of threads.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.windowing import Window, to_unit

Floats = NDArray[np.float32]
Vector = NDArray[np.float64]
BINS = 32
RADIUS_MM = 60.0  # a unit of a motion's rotation moves a point at this distance from the centre by 1 mm
_SPLINE_BINS = BINS + 2  # the cubic B-spline reaches one bin beyond each end
_SMALL_ANGLE = 1e-4  # rad: below, Taylor's series is more exact
_LEAST_SHARE = 0.3  # of the points in the PET's field of view: with fewer, the similarity falls to nothing


@dataclass(frozen=True)
class Motion:
    """Describe a rigid motion: a rotation about a centre, then a move.

    Attributes:
        parameters: (6,): the rotation vector in units of 1 / :data:`RADIUS_MM` rad, and the move in mm.
        centre: (3,), mm, LPS.
    """

    parameters: Vector
    centre: Vector

    @cached_property
    def matrix(self) -> Vector:
        """Return the rotation as a matrix (3, 3), by Rodrigues' formula."""
        angle, cross = _cross_matrix(self.parameters[:3] / RADIUS_MM)
        first, second = (np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2) if angle > _SMALL_ANGLE else (1.0, 0.5)
        result: Vector = np.eye(3) + first * cross + second * cross @ cross
        return result

    @property
    def degrees(self) -> float:
        """Return the angle of the rotation."""
        return float(np.degrees(np.linalg.norm(self.parameters[:3]) / RADIUS_MM))

    def jacobian(self) -> Vector:
        """Return the matrix (3, 3) from a change of the rotation vector to the small rotation that it adds on the left."""
        angle, cross = _cross_matrix(self.parameters[:3] / RADIUS_MM)
        exact = angle > _SMALL_ANGLE
        first, second = ((1 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3) if exact else (0.5, 1 / 6)
        result: Vector = np.eye(3) + first * cross + second * cross @ cross
        return result

    def displacements(self, points: Vector) -> Vector:
        """Return by how many mm the motion moves each of the points (N, 3)."""
        moves = (points - self.centre) @ (self.matrix - np.eye(3)).T + self.parameters[3:]
        return np.asarray(np.linalg.norm(moves, axis=1), np.float64)

    def changed(self, parameters: Vector) -> Motion:
        """Return the motion with other parameters about the same centre."""
        return replace(self, parameters=np.asarray(parameters, np.float64))

    def transform(self) -> sitk.VersorRigid3DTransform:
        """Return the motion as an ITK transform."""
        transform = sitk.VersorRigid3DTransform()
        transform.SetCenter(self.centre.tolist())
        transform.SetMatrix(self.matrix.ravel().tolist(), 1e-6)
        transform.SetTranslation(self.parameters[3:].tolist())
        return transform


def _cross_matrix(vector: Vector) -> tuple[float, Vector]:
    """Return the length of a vector, and the matrix of the cross product with it."""
    x, y, z = vector
    return float(np.linalg.norm(vector)), np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


class Similarity:
    """Compare the MRI at some points with the PET at the places that a motion maps them to.

    Args:
        points: (N, 3) in the MRI, mm, LPS.
        values: (N,) intensities of the MRI there.
        mri_window: the ends of the histogram for the MRI.
        pet: scalar volume, without holes.
        pet_window: the ends of the histogram for the PET.
    """

    def __init__(self, points: Vector, values: Floats, mri_window: Window, pet: sitk.Image, pet_window: Window) -> None:
        self._centre = points.mean(axis=0)
        self._points = np.ascontiguousarray((points - self._centre).T, np.float32)
        self._mri_bins = np.minimum((to_unit(values, mri_window) * BINS).astype(np.int64), BINS - 1)
        slices = sitk.GetArrayViewFromImage(pet)  # converted one by one, which takes less memory
        self._pet = np.stack([to_unit(each, pet_window) * np.float32(BINS - 1) for each in slices])
        self._origin = np.array(pet.GetOrigin())
        self._to_index = np.linalg.inv(np.reshape(pet.GetDirection(), (3, 3)) * np.array(pet.GetSpacing()))

    @property
    def count(self) -> int:
        """Return the number of points."""
        return int(self._points.shape[1])

    def within(self, centre: Vector, radius_mm: float) -> Similarity:
        """Return the similarity at the points of a sphere alone; the histogram has the same ends."""
        inner = copy(self)
        near = np.linalg.norm(self._points.T + self._centre - centre, axis=1) <= radius_mm
        inner._points, inner._mri_bins = np.ascontiguousarray(self._points[:, near]), self._mri_bins[near]
        return inner

    def cost(self, motion: Motion) -> tuple[float, Vector]:
        """Return the negative similarity of a motion, from -1 to 0, and its gradient (6,) by the motion's parameters."""
        value, gradient, forces = self._pet_at(motion)
        weighed = _negative_information(self._mri_bins, value, forces)
        if weighed is None:
            return 0.0, np.zeros(6)
        cost, slopes = weighed
        return cost, self._pulled_back(motion, gradient * slopes)

    def share(self, motion: Motion) -> float:
        """Return the share of the points that the motion maps into the PET's field of view."""
        return float(self._pet_at(motion)[2].mean())

    def correlation_ratio(self, motion: Motion) -> float:
        """Return the share of the PET's variance that the MRI's intensity explains, from 0 to 1."""
        value, _, weights = self._pet_at(motion)
        total, first, second = (
            np.bincount(self._mri_bins, weights * power, BINS) for power in (np.ones_like(value), value, value**2)
        )
        whole = second.sum() - first.sum() ** 2 / max(total.sum(), 1e-9)
        within = (second - first**2 / np.maximum(total, 1e-9)).sum()
        return float(1 - within / whole) if whole > 0 else 0.0

    def _pet_at(self, motion: Motion) -> tuple[Floats, Floats, Floats]:
        """Return the PET (N,), its gradient by the index (3, N), and the weights (N,): 0 outside its field of view."""
        matrix = (self._to_index @ motion.matrix).astype(np.float32)
        start = self._to_index @ (motion.matrix @ (self._centre - motion.centre) + motion.centre - self._origin)
        offset = start + self._to_index @ motion.parameters[3:]
        x, y, z = self._points
        index = np.stack(
            [row[0] * x + row[1] * y + row[2] * z + np.float32(at) for row, at in zip(matrix, offset, strict=True)]
        )
        return _interpolated(self._pet, index)

    def _pulled_back(self, motion: Motion, slopes: Floats) -> Vector:
        """Return the gradient by the motion's parameters, of slopes (3, N) by the places of the points in the PET's index."""
        force = self._to_index.T @ slopes.sum(axis=1, dtype=np.float64)
        products = [[float((slope * along).sum(dtype=np.float64)) for along in self._points] for slope in slopes]
        # a small rotation moves a point by its cross product with the place that the rotation has turned it to
        turned = self._to_index.T @ np.array(products) @ motion.matrix.T
        turned += np.outer(force, motion.matrix @ (self._centre - motion.centre))
        torque = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]])
        return np.concatenate([motion.jacobian().T @ torque / RADIUS_MM, force])


def _interpolated(volume: Floats, index: Floats) -> tuple[Floats, Floats, Floats]:
    """Interpolate a volume (slices, rows, columns) linearly at indices (3, N) of columns, rows and slices.

    Returns:
        The values (N,), their gradient (3, N), and weights (N,) that fall from 1 to 0 over the outermost voxel.
    """
    size = np.array(volume.shape[::-1], np.float32)[:, np.newaxis]
    weights = np.clip(np.minimum(index, size - 1 - index) + np.float32(0.5), 0, 1).min(axis=0)
    held = np.clip(index, 0, size - 1)
    corner = np.minimum(held.astype(np.int64), size.astype(np.int64) - 2)
    x, y, z = held - corner
    steps = (1, volume.shape[2], volume.shape[1] * volume.shape[2])
    first = corner[0] + corner[1] * steps[1] + corner[2] * steps[2]
    flat = volume.ravel()
    along_x: list[Any] = []
    slopes_x: list[Any] = []
    for start in (0, steps[1], steps[2], steps[1] + steps[2]):
        low = flat[first + start]
        slope = flat[first + (start + 1)] - low
        slopes_x.append(slope)
        along_x.append(low + x * slope)
    near, far = along_x[0] + y * (along_x[1] - along_x[0]), along_x[2] + y * (along_x[3] - along_x[2])
    slope_near, slope_far = (slopes_x[i] + y * (slopes_x[i + 1] - slopes_x[i]) for i in (0, 2))
    slope_y = (along_x[1] - along_x[0]) * (1 - z) + (along_x[3] - along_x[2]) * z
    gradient = np.stack([slope_near + z * (slope_far - slope_near), slope_y, far - near])
    return near + z * (far - near), gradient, weights


def _negative_information(mri_bins: NDArray[np.int64], pet: Floats, weights: Floats) -> tuple[float, Floats] | None:
    """Return 1 minus the normalised mutual information, and its slope (N,) by each value of the PET.

    Args:
        mri_bins: (N,), from 0 to :data:`BINS` - 1.
        pet: (N,), in bins.
        weights: (N,), from 0 to 1; None comes back if their mean is too small.
    """
    total = float(weights.sum(dtype=np.float64))
    share = total / len(weights)
    if share < _LEAST_SHARE:
        return None
    pet_bins = np.minimum(pet.astype(np.int64), BINS - 2)
    kernels, derivatives = _cubic_spline((pet - pet_bins).astype(np.float32))
    cells = mri_bins * _SPLINE_BINS + pet_bins
    joint = np.zeros(BINS * _SPLINE_BINS)
    for step, kernel in enumerate(kernels):
        joint += np.bincount(cells + step, weights * kernel, joint.size)
    joint = joint.reshape(BINS, _SPLINE_BINS) / total
    mri_entropy, pet_entropy, joint_entropy = (_entropy(part) for part in (joint.sum(axis=1), joint.sum(axis=0), joint))
    if joint_entropy <= 0:
        return None
    both = mri_entropy + pet_entropy
    logs = both * _log(joint) - joint_entropy * _log(joint.sum(axis=0))
    table = (-logs / (joint_entropy**2 * total)).astype(np.float32).ravel()
    slopes = sum(table[cells + step] * derivative for step, derivative in enumerate(derivatives))
    return 1 - both / joint_entropy, np.asarray(slopes * weights, np.float32)


def _cubic_spline(shift: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return the weights of four bins for a value ``shift`` above the second, from 0 to 1, and their derivatives."""
    square = shift * shift
    cube, back = square * shift, 1 - shift
    first, second, last = back * back * back / 6, cube / 2 - square + np.float32(2 / 3), cube / 6
    falling, middle, rising = -back * back / 2, np.float32(1.5) * square - 2 * shift, square / 2
    weights = [first, second, 1 - first - second - last, last]
    slopes = [falling, middle, -(falling + middle + rising), rising]
    return [np.asarray(each, np.float32) for each in weights], [np.asarray(each, np.float32) for each in slopes]


def _entropy(shares: Vector) -> float:
    return -float((shares * _log(shares)).sum())


def _log(shares: Vector) -> Vector:
    """Return the logarithm, 0 where a share is 0."""
    return np.log(np.where(shares > 0, shares, 1.0))
