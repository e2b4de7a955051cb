"""Where a NIfTI or Analyze file places its voxels: qform, sform, or neither.

NIfTI has two forms: the qform (a quaternion, by the scanner) and the sform (an affine matrix, often by a later alignment).
nibabel, SPM and FSL use the sform if its code is above 0, else the qform. ITK has a rule of its own.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspadn.io.header_checks import DamageError, check_position
from cspadn.messages import Sentence, message

if TYPE_CHECKING:
    import SimpleITK as sitk

    Matrix = NDArray[np.float64]

_SAME_MM, _SAME_VOXELS = 0.1, 0.1  # up to the larger of the two, two positions of a voxel are the same
_SINGULAR = 1e-6  # determinant of directions that do not span space
_HALF_TURN = 3 * float(np.finfo(np.float32).eps)  # of the missing square, which is then rounding alone, as for nibabel
_MILLIMETRES = {1: 1000.0, 3: 0.001}  # of the units metre and micrometre
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


class Place(NamedTuple):
    """Where a file places its voxels.

    Attributes:
        affine: (4, 4), from voxel indices to millimetres in RAS; its axes are at right angles.
        note: sentence for the user; None if the position is certain.
    """

    affine: Matrix
    note: Sentence | None = None


def place_of(header: np.void, file: str) -> Place:
    """Find the place of the voxels.

    Args:
        header: fields of :func:`cspadn.io.formats.nifti.layout`, with sizes and spacings that can be used.
        file: name of the file, for the note.

    Returns:
        The sform if its code is above 0, else the qform. Without either, the volume is centred at the origin, its columns run
        to the left, its rows to the front and its slices to the head, as in nibabel and SPM.

    Raises:
        DamageError: a form is not finite or singular, the forms mirror each other, or the axes are not at right angles.
    """
    qform, sform = header["forms"] if header["magic"] else (0, 0)
    extents, scale = _extents(header), _MILLIMETRES.get(int(header["units"]) & 7, 1.0)
    places = []
    for code, affine_of in ((sform, _sform), (qform, _qform)):
        if code > 0:
            places.append(np.diag([scale, scale, scale, 1.0]) @ affine_of(header))
    if not places:
        unknown = message("nifti-without-position", file=file) if header["magic"] else message("analyze-position", file=file)
        return Place(_centred(header, extents), unknown)
    straight = _straightened(places[0], extents)
    if len(places) == 1:
        return Place(straight)
    if np.linalg.det(places[0][:3, :3]) * np.linalg.det(places[1][:3, :3]) < 0:
        raise DamageError(message("nifti-forms-mirrored"))
    distance = _distance(places[0], places[1], extents)
    if distance <= _tolerance(straight):
        return Place(straight)
    return Place(straight, message("nifti-forms-differ", file=file, millimetres=distance))


def put_in_place(image: sitk.Image, place: Place) -> None:
    """Set origin, spacing and direction of an image of three or more dimensions."""
    lps, dimensions = _RAS_TO_LPS @ place.affine, image.GetDimension()
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    direction = np.eye(dimensions)
    direction[:3, :3] = lps[:3, :3] / spacing
    image.SetSpacing((*spacing.tolist(), *image.GetSpacing()[3:]))
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin((*lps[:3, 3].tolist(), *image.GetOrigin()[3:]))


def _extents(header: np.void) -> list[int]:
    """Return the numbers of columns, rows and slices."""
    axes = max(0, int(header["dim"][0]))
    return [max(1, int(header["dim"][axis])) if axis <= axes else 1 for axis in (1, 2, 3)]


def _spacings(header: np.void) -> Matrix:
    """Return the spacings along the three axes; 1 where there is one voxel and no usable spacing."""
    spacings = np.abs(header["pixdim"][1:4].astype(float))
    return np.where(np.isfinite(spacings) & (spacings > 0), spacings, 1.0)


def _sform(header: np.void) -> Matrix:
    return _checked(np.vstack([header["affine"].astype(float).reshape(3, 4), [0, 0, 0, 1]]))


def _qform(header: np.void) -> Matrix:
    b, c, d, *offset = header["quaternion"].astype(float)
    if not np.isfinite([b, c, d]).all():
        raise DamageError(message("header-position-invalid"))
    a, length = math.sqrt(max(0.0, 1 - b * b - c * c - d * d)), math.hypot(b, c, d)
    if 1 - length**2 < _HALF_TURN:
        a, b, c, d = 0.0, b / length, c / length, d / length
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = [1.0, 1.0, -1.0 if header["pixdim"][0] < 0 else 1.0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = rotation * _spacings(header) * handedness, offset
    return _checked(affine)


def _checked(affine: Matrix) -> Matrix:
    check_position([], affine.ravel())
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    check_position(spacing, [])
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < _SINGULAR:
        raise DamageError(message("header-position-invalid"))
    return affine


def _centred(header: np.void, extents: list[int]) -> Matrix:
    """Return the affine of a file without a position; Analyze may have an origin, a voxel that SPM counts from 1."""
    origin = header["origin"].astype(float) - 1 if not header["magic"] else np.full(3, -1.0)
    sizes = np.array(extents, float)
    if not (header["origin"].any() and (origin >= -sizes).all() and (origin < 2 * sizes).all()) or header["magic"]:
        origin = (sizes - 1) / 2
    steps = _spacings(header) * [-1, 1, 1]
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -origin * steps
    return affine


def _straightened(affine: Matrix, extents: list[int]) -> Matrix:
    """Return the nearest affine whose axes are at right angles; DamageError if that moves a voxel too far."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    straight = affine.copy()
    straight[:3, :3] = left @ right * spacing
    middle = [(extent - 1) / 2 for extent in extents]
    straight[:3, 3] += (affine[:3, :3] - straight[:3, :3]) @ middle
    if _distance(affine, straight, extents) > _tolerance(straight):
        raise DamageError(message("nifti-sheared"))
    return straight


def _tolerance(affine: Matrix) -> float:
    return max(_SAME_MM, _SAME_VOXELS * float(np.linalg.norm(affine[:3, :3], axis=0).min()))


def _distance(one: Matrix, other: Matrix, extents: list[int]) -> float:
    """Return the largest distance, in mm, between the places of a corner voxel by two affines."""
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*((0, extent - 1) for extent in extents))])
    return float(np.linalg.norm((corners @ (one - other).T)[:, :3], axis=1).max())
