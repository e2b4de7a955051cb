"""The grid on which a page shows a fusion: along the patient's axes, with the slices of the fused volume.

An oblique volume is cut along the patient's planes, not along its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.geometry import resample

MOST_VOXELS = 16_000_000  # voxels on a page: a head at 0.8 mm
SIDES = {"I": "feet", "S": "head", "R": "right", "L": "left", "A": "front", "P": "back"}
_SURVEY = 64  # points along each axis for the histograms and the extent of the views
_SOMETHING = 0.1  # of a window: brighter voxels determine the extent
_ALIGNED = 1e-3  # tolerances: of directions against the patient's axes, in radians; of slices against a box, in slices

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """One of the patient's planes, in radiological orientation.

    Attributes:
        axis: of LPS, which the slices lie along.
        across, down: axes of LPS that run to the right and down in the picture, or up for the last one (z).
        left, right, top, bottom: side of the patient on each side of the picture.
        minus, plus: side of the patient at negative and positive positions.
    """

    name: str
    axis: int
    across: int
    down: int
    left: str
    right: str
    top: str
    bottom: str
    minus: str
    plus: str

    def turned(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return (z, y, x) in LPS as (slices, rows, columns), seen as this cut says."""
        order = {2: (0, 1, 2), 1: (1, 0, 2), 0: (2, 0, 1)}[self.axis]
        return (array if self.axis == 2 else array[::-1]).transpose(order)


CUTS = (
    Cut("axial", 2, 0, 1, left="R", right="L", top="A", bottom="P", minus="I", plus="S"),
    Cut("coronal", 1, 0, 2, left="R", right="L", top="S", bottom="I", minus="A", plus="P"),
    Cut("sagittal", 0, 1, 2, left="A", right="P", top="S", bottom="I", minus="R", plus="L"),
)


@dataclass(frozen=True)
class Lattice:
    """A grid along the patient's axes (LPS).

    Attributes:
        origin: centre of the first voxel, mm.
        spacing: mm.
        size: voxels along x, y and z.
        aligned: whether the axes of the fused volume are the patient's; its voxels are then those of the grid.
        finer: whether the fused volume has smaller voxels, too many for a page.
    """

    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    size: tuple[int, int, int]
    aligned: bool = True
    finer: bool = False

    def image(self, first: int = 0, last: int | None = None) -> sitk.Image:
        """Return an empty image of the axial slices from ``first`` to before ``last``."""
        grid = sitk.Image(self.size[0], self.size[1], (self.size[2] if last is None else last) - first, sitk.sitkUInt8)
        grid.SetSpacing(self.spacing)
        grid.SetOrigin((*self.origin[:2], self.origin[2] + first * self.spacing[2]))
        return grid

    def position(self, axis: int, index: int) -> float:
        """Return the position of a slice along an axis, mm."""
        return self.origin[axis] + index * self.spacing[axis]


@dataclass(frozen=True)
class Survey:
    """Values of three volumes on a coarse lattice over the fused one: (z, y, x), NaN beyond the field of view."""

    pet: NDArray[np.float32]
    mri: NDArray[np.float32]
    fused: NDArray[np.float32]
    lower: Vector
    upper: Vector

    def seen(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values (points,) of PET or MRI within the fused volume and its own field of view."""
        return values[np.isfinite(self.fused) & np.isfinite(values)]


def survey_of(pet: sitk.Image, mri: sitk.Image, fused: sitk.Image) -> Survey:
    """Sample three volumes over the box of the fused one."""
    lower, upper = _box(fused)
    spacing = (upper - lower) / _SURVEY
    origin, cells = lower + spacing / 2, (_SURVEY, _SURVEY, _SURVEY)
    grid = Lattice(_triple(origin), _triple(spacing), cells).image()
    values = [sitk.GetArrayFromImage(resample(image, grid)) for image in (pet, mri, fused)]
    return Survey(values[0], values[1], values[2], lower, upper)


def lattice_of(fused: sitk.Image, survey: Survey, shown: NDArray[np.floating]) -> Lattice:
    """Return the grid over the part of a fused volume that is not empty.

    Args:
        fused: the volume.
        survey: values sampled over it.
        shown: (z, y, x), the displayed intensities of the survey, in [0, 1].
    """
    lower, upper = _extent(shown, survey.lower, survey.upper)
    cosines = np.abs(np.reshape(fused.GetDirection(), (3, 3)))
    own = np.array(fused.GetSpacing())[cosines.argmax(axis=1)]
    spacing = _coarsened(own, upper - lower)
    aligned = bool((cosines.max(axis=0) > 1 - _ALIGNED**2).all())
    start = np.array(fused.GetOrigin())
    first = start + np.ceil((lower - start) / spacing - _ALIGNED) * spacing
    count = np.maximum(1, np.floor((upper - first) / spacing + _ALIGNED) + 1)
    size = int(count[0]), int(count[1]), int(count[2])
    return Lattice(_triple(first), _triple(spacing), size, aligned, bool((spacing > own).any()))


def _coarsened(own: Vector, extent: Vector) -> Vector:
    """Return a spacing with which a box has at most :data:`MOST_VOXELS`: the finest axes become whole multiples."""
    factors = np.ones(3)
    while np.prod(extent / (own * factors)) > MOST_VOXELS:
        factors[(own * factors).argmin()] += 1
    return own * factors


def _triple(values: Vector) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _box(image: sitk.Image) -> tuple[Vector, Vector]:
    """Return the lowest and the highest LPS coordinates of a volume, to the outer faces of its voxels."""
    ends = [(-0.5, extent - 0.5) for extent in image.GetSize()]
    corners = [image.TransformContinuousIndexToPhysicalPoint((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]]
    return np.min(corners, axis=0), np.max(corners, axis=0)


def _extent(shown: NDArray[np.floating], lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Return the box that is not empty, with a margin; the whole box if everything is empty."""
    found = shown > _SOMETHING
    if not found.any():
        return lower, upper
    cell = (upper - lower) / _SURVEY
    places = [np.flatnonzero(found.any(axis=other)) for other in ((0, 1), (0, 2), (1, 2))]  # along x, y and z
    first, last = np.array([(place[0] - 1, place[-1] + 2) for place in places]).T
    return np.maximum(lower, lower + first * cell), np.minimum(upper, lower + last * cell)


def place_text(position: float, cut: Cut) -> str:
    """Return a position along the axis of a cut, such as "12.0 mm L (left)"."""
    where = f"{abs(position):.1f} mm"
    side = cut.plus if position > 0 else cut.minus
    return where if where == "0.0 mm" else f"{where} {side} ({SIDES[side]})"
