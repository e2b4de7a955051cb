"""Find the rigid motion of greatest similarity: many starts on a coarse level, the best of them on a finer one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.messages import message
from cspadn.registration.head import HEAD_MM, Head, blurred, points_of
from cspadn.registration.similarity import RADIUS_MM, Motion, Similarity, Vector

Step = Callable[[], None]  # called before each part of the work
_APART_MM, _APART_DEGREES = 6.0, 6.0  # two motions that are nearer count as one
_TURN_DEGREES = 20.0  # of the starts, about each axis
_HEIGHTS_MM = (-40.0, -20.0, 0.0, 20.0, 40.0)  # of the starts, along the body: where a field of view cuts the head is unknown
_AROUND_SIGMA_MM, _AROUND_SHARE = 6.7, 0.05  # a Gaussian of that width falls to that share 10 mm beyond an edge
_SCALE = 1000.0  # of the cost, whose changes are small beside 1
_ITERATIONS = 60


@dataclass(frozen=True)
class Level:
    """Describe a step of the pyramid.

    Attributes:
        lattice_mm: distance of the points.
        voxel_mm: to which the volumes are averaged.
        mri_fwhm_mm, pet_fwhm_mm: of the Gaussian that smooths them; 0: not smoothed.
    """

    lattice_mm: float
    voxel_mm: float
    mri_fwhm_mm: float
    pet_fwhm_mm: float


COARSE = Level(lattice_mm=8, voxel_mm=4, mri_fwhm_mm=10, pet_fwhm_mm=8)
FINE = Level(lattice_mm=4, voxel_mm=2, mri_fwhm_mm=0, pet_fwhm_mm=0)


@dataclass(frozen=True)
class Found:
    """A motion, and its cost on a level."""

    motion: Motion
    cost: float


def similarity_of(pet: Head, mri: Head, level: Level) -> Similarity:
    """Return the similarity of two heads on a level, at the points in and up to 10 mm around the head in the MRI."""
    smooth = mri.smoothed(level.voxel_mm, level.mri_fwhm_mm)
    lattice = _lattice(smooth, level.lattice_mm)
    reach = sitk.Resample(blurred(mri.foreground(smooth), _AROUND_SIGMA_MM), lattice)
    chosen = sitk.GetArrayFromImage(reach) > _AROUND_SHARE
    values, points = sitk.GetArrayFromImage(sitk.Resample(smooth, lattice))[chosen], points_of(lattice, chosen)
    kept = points[:, 2] > mri.top_mm - HEAD_MM
    if not kept.any():
        raise InputError(message("registration-no-match"))
    return Similarity(points[kept], values[kept], mri.window, pet.smoothed(level.voxel_mm, level.pet_fwhm_mm), pet.window)


def _lattice(image: sitk.Image, step_mm: float) -> sitk.Image:
    """Return an empty image of cubic voxels over the field of view of another."""
    extents = [count * step for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    size = [max(1, int(extent / step_mm)) for extent in extents]
    lattice = sitk.Image(size, sitk.sitkFloat32)
    lattice.SetSpacing([step_mm] * 3)
    lattice.SetDirection(image.GetDirection())
    middle = image.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in image.GetSize()])
    half = np.reshape(image.GetDirection(), (3, 3)) @ ((np.array(size) - 1) * step_mm / 2)
    lattice.SetOrigin((np.array(middle) - half).tolist())
    return lattice


def aligned_heads(pet: Head, mri: Head) -> list[Vector]:
    """Return moves (3,) that bring the middle of one head to the middle, and then to the height, of the other."""
    middle = pet.centre - mri.centre
    return [middle, np.array([middle[0], middle[1], pet.top_mm - mri.top_mm])]


def turned_starts(centre: Vector, moves: Sequence[Vector]) -> list[Motion]:
    """Return motions to start from: each move with several heights and rotations by 0 or 20 degrees about each axis."""
    angle = np.radians(_TURN_DEGREES) * RADIUS_MM
    turns = [angle * np.array(signs) for signs in itertools.product((0.0, -1.0, 1.0), repeat=3)]
    return [
        Motion(np.concatenate([turn, move + np.array([0.0, 0.0, height])]), centre)
        for move, height, turn in itertools.product(moves, _HEIGHTS_MM, turns)
    ]


def best_of(similarity: Similarity, motions: Sequence[Motion], count: int) -> list[Motion]:
    """Return the motions of greatest similarity, none close to another."""
    ranked = sorted((Found(motion, similarity.cost(motion)[0]) for motion in motions), key=lambda found: found.cost)
    return [found.motion for found in itertools.islice(distinct(ranked), count)]


def refined(similarity: Similarity, motions: Sequence[Motion], step: Step) -> list[Found]:
    """Return the maximum of similarity that is nearest to each motion, the greatest first."""
    found = list[Found]()
    for motion in motions:
        step()
        found.append(_refined(similarity, motion))
    return sorted(found, key=lambda each: each.cost)


def _refined(similarity: Similarity, motion: Motion) -> Found:
    """Climb to the nearest maximum of similarity, by the quasi-Newton method L-BFGS."""
    from scipy.optimize import minimize  # takes a fifth of a second to import

    def scaled(parameters: Vector) -> tuple[float, Vector]:
        cost, gradient = similarity.cost(motion.changed(parameters))
        return _SCALE * cost, _SCALE * gradient

    options = {"maxiter": _ITERATIONS, "ftol": 1e-6, "gtol": 1e-4}
    found = minimize(scaled, motion.parameters, jac=True, method="L-BFGS-B", options=options)
    return Found(motion.changed(found.x), float(found.fun) / _SCALE)


def distinct(ranked: Sequence[Found]) -> Iterator[Found]:
    """Yield some motions without those that are close to an earlier one."""
    kept = list[Found]()
    for found in ranked:
        if not any(are_close(found.motion, other.motion) for other in kept):
            kept.append(found)
            yield found


def are_close(first: Motion, second: Motion) -> bool:
    """Return whether two motions about one centre count as one."""
    difference = first.parameters - second.parameters
    turn = np.degrees(np.linalg.norm(difference[:3]) / RADIUS_MM)
    return bool(np.linalg.norm(difference[3:]) < _APART_MM and turn < _APART_DEGREES)
