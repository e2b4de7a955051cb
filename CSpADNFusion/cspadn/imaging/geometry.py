"""Physical space: the patient-axial view of a volume, a common grid, and the way back.

SimpleITK's conventions hold: points are LPS millimetres, sizes are (columns, rows, slices). "Axial" means the patient's axis
that is nearest to the slice axis by direction cosines, whatever the stored order, handedness or obliquity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.metadata import with_metadata
from cspadn.messages import message

AXIAL_ORIENTATION = "LPS"  # columns run to the left, rows to the back, slices to the head: the radiological view
BLEND_VOXELS = 3  # over which a fusion fades into the one volume that goes on, where the other's field of view ends
_SINGULAR = 1e-6  # the determinant of directions that are no three
_THINNED_POINTS = 48  # at least, along rows and columns
_BLENDED_SLICES = 4 * BLEND_VOXELS  # a stack of fewer slices does not fade at its ends: little of it would be left


def check_volume(image: sitk.Image, name: str) -> None:
    """Raise InputError, calling the image ``name``, unless it is a scalar, real-valued volume with a usable geometry."""
    dimension, components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if dimension == 2:
        raise InputError(message("volume-two-dimensional", volume=name))
    if dimension != 3:
        raise InputError(message("volume-not-three-dimensional", volume=name, dimensions=dimension))
    if components != 1:
        raise InputError(message("volume-not-scalar", volume=name, components=components))
    if "complex" in image.GetPixelIDTypeAsString():
        raise InputError(message("volume-complex", volume=name))
    if not all(map(math.isfinite, (*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection()))):
        raise InputError(message("position-not-finite", volume=name))
    if min(image.GetSpacing()) <= 0 or abs(np.linalg.det(np.reshape(image.GetDirection(), (3, 3)))) < _SINGULAR:
        raise InputError(message("position-degenerate", volume=name))


def to_axial(image: sitk.Image) -> sitk.Image:
    """Reorder and flip the axes of a volume, without interpolation, so that its slices are patient-axial; keep its metadata.

    Where they are already, the volume itself comes back: it must not be changed.
    """
    orientation = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(image.GetDirection())
    return image if orientation == AXIAL_ORIENTATION else with_metadata(sitk.DICOMOrient(image, AXIAL_ORIENTATION), image)


def tilt(axial: sitk.Image) -> float:
    """The angle, in degrees from 0 to 90, between the slices of ``axial`` and the patient's axial plane."""
    direction = np.reshape(axial.GetDirection(), (3, 3))
    normal = np.cross(direction[:, 0], direction[:, 1])
    return math.degrees(math.acos(min(1.0, abs(normal[2]) / float(np.linalg.norm(normal)))))


def put_axial(slices: NDArray[Any], image: sitk.Image, first: int) -> None:
    """Put slices, which are in the order of :func:`to_axial`, where they belong in an image in its stored order, in place.

    Args:
        slices: (N, rows, columns), or (N, rows, columns, components) for an image of vectors.
        first: the axial index of the first of them.
    """
    turn = np.reshape(to_axial(_corner(image)).GetDirection(), (3, 3)).T @ np.reshape(image.GetDirection(), (3, 3))
    source = np.abs(turn).argmax(axis=1)  # along each axial axis, the stored one
    flipped = turn[range(3), source] < 0
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flipped[::-1])
    stored = slices[steps].transpose(*np.argsort(2 - source[::-1]), *range(3, slices.ndim))
    start = image.GetSize()[source[2]] - first - len(slices) if flipped[2] else first
    place = [slice(None)] * 3
    place[source[2]] = slice(start, start + len(slices))
    image[tuple(place)] = sitk.GetImageFromArray(stored, isVector=slices.ndim > 3)


def _corner(image: sitk.Image) -> sitk.Image:
    """One voxel with the directions of an image."""
    corner = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    corner.SetDirection(image.GetDirection())
    return corner


def resample(image: sitk.Image, grid: sitk.Image, *, nearest: bool = False) -> sitk.Image:
    """Linear interpolation at the voxel centres of ``grid``, in physical space; float32.

    Outside the field of view: NaN, or with ``nearest`` the nearest voxel.
    """
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, math.nan, sitk.sitkFloat32, nearest)


class SlicesOnGrid:
    """A volume at the voxel centres of another's slices; only some slices around those asked for are held.

    Args:
        image: the volume to be interpolated.
        grid: in the order of :func:`to_axial`.
        faded: the range of slices that the volume reaches; none or few: it does not fade from slice to slice.
    """

    def __init__(self, image: sitk.Image, grid: sitk.Image, faded: range = range(0)) -> None:
        self._image, self._grid = image, grid
        self._neighbours = BLEND_VOXELS if len(faded) >= _BLENDED_SLICES else 0
        self._held: dict[int, NDArray[np.float32]] = {}

    def slab(self, first: int, last: int) -> NDArray[np.float32]:
        """(last - first, rows, columns) in the volume's own units.

        Outside its field of view, the nearest voxel is repeated: a network would take the end of the field for an edge.
        """
        return np.stack([self._continued(index) for index in range(first, last)])

    def _continued(self, index: int) -> NDArray[np.float32]:
        values = self._slice(index)
        if np.isfinite(values).all():
            return values
        return np.where(np.isfinite(values), values, _on_grid(self._image, self._grid, index, nearest=True))

    def seen(self, index: int) -> NDArray[np.bool_]:
        """(rows, columns): what of a slice lies in the field of view."""
        seen: NDArray[np.bool_] = np.isfinite(self._slice(index))
        self._held.clear()
        return seen

    def weights(self, first: int, last: int) -> NDArray[np.float32]:
        """As :meth:`slab`: 0 outside the field of view, rising to 1 within :data:`BLEND_VOXELS` voxels inside it.

        Only where the grid goes on beyond the field of view: at the grid's own border nothing fades.
        """
        low, high = max(0, first - self._neighbours), min(self._grid.GetSize()[2], last + self._neighbours)
        seen = np.stack([np.isfinite(self._slice(index)) for index in range(low, high)])
        self._held = {index: held for index, held in self._held.items() if index >= low}
        return _faded(seen, across=self._neighbours > 0)[first - low : last - low]

    def _slice(self, index: int) -> NDArray[np.float32]:
        if index not in self._held:
            self._held[index] = _on_grid(self._image, self._grid, index)
        return self._held[index]


def _on_grid(image: sitk.Image, grid: sitk.Image, index: int, *, nearest: bool = False) -> NDArray[np.float32]:
    """(rows, columns) of a slice of the grid."""
    values: NDArray[np.float32] = sitk.GetArrayFromImage(resample(image, grid[:, :, index : index + 1], nearest=nearest))[0]
    return values


def _faded(seen: NDArray[np.bool_], *, across: bool) -> NDArray[np.float32]:
    """The share of the steps of an erosion that each voxel outlives; ``across``: from slice to slice as well."""
    weights = seen.astype(np.float32)
    if seen.all() or not seen.any():
        return weights

    from scipy import ndimage  # takes a tenth of a second and 18 MB, and most pairs do without

    cross = ndimage.generate_binary_structure(3, 1)
    cross[[0, 2]] &= across
    for _ in range(BLEND_VOXELS):
        seen = ndimage.binary_erosion(seen, cross, border_value=1)
        weights += seen
    return weights / np.float32(BLEND_VOXELS + 1)


def thinned(grid: sitk.Image) -> sitk.Image:
    """Every slice of ``grid``, with fewer columns and rows: enough points to take statistics of a volume on it."""
    columns, rows = (max(1, extent // _THINNED_POINTS) for extent in grid.GetSize()[:2])
    return grid[::columns, ::rows, :]


def block_means(
    slab: Callable[[int, int], NDArray[np.float32]],
    size: Sequence[int],
    spacing_mm: Sequence[float],
    factors: Sequence[int],
) -> sitk.Image:
    """Average blocks of voxels of a volume, some slices at a time to save memory.

    Args:
        slab: returns the slices from the first to before the last, (slices, rows, columns).
        size: columns, rows and slices of the volume; what does not fill a block at the end is left out.
        spacing_mm, factors: along columns, rows and slices.

    Returns:
        The means, float32, placed as if the volume's first voxel were at the origin and its axes were the patient's.
    """
    step, last = 8 * factors[2], size[2] // factors[2] * factors[2]
    parts = [
        sitk.GetArrayFromImage(sitk.BinShrink(sitk.GetImageFromArray(slab(first, min(first + step, last))), factors))
        for first in range(0, last, step)
    ]
    result = sitk.GetImageFromArray(np.concatenate(parts))
    result.SetSpacing([mm * factor for mm, factor in zip(spacing_mm, factors, strict=True)])
    result.SetOrigin([mm * (factor - 1) / 2 for mm, factor in zip(spacing_mm, factors, strict=True)])
    return result


def has_orthogonal_axes(image: sitk.Image) -> bool:
    """Whether the directions of the axes are at right angles to each other, which NIfTI requires."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    return bool(np.allclose(direction.T @ direction, np.eye(3), atol=1e-4))
