"""Views of a fusion: slices of PET, MRI and fused volume in the three planes of the patient, with square pixels.

An oblique volume is cut along the patient's planes, not along its own. Only the slices that are shown are interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.color import palette_of, recolored
from cspadn.imaging.geometry import resample
from cspadn.imaging.metadata import NAN_IS_OUTSIDE
from cspadn.imaging.outlines import edges, tissue_levels, tissues
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit, without_holes

MOST_SLICES = 24  # of a plane
OPACITY = 0.5  # of the PET in the blend
_SIDE = 192  # pixels along the longer side of a slice
_ROWS = 16  # a slice has a multiple of them: the blocks of a WebP, which then hold no two slices of a strip
_RIM = 2  # black rows above and below: where slices stand below each other, a browser mixes neighbours
_SURVEY = 64  # points along each axis, from which the extent of what is shown and the histograms come
_SOMETHING = 0.1  # of a window: what is above is shown
_ALIGNED = 1e-3  # how far directions may be off the patient's axes, in radians, and slices off a box, in slices
_WHITE = 255

_Unit = NDArray[np.float32]
_Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Cut:
    """One of the patient's planes, as radiologists look at it.

    Attributes:
        axis: of LPS, which the slices lie along.
        left, right, top, bottom: which side of the patient is there in the picture.
        minus, plus: where negative and positive positions lie.
    """

    name: str
    axis: int
    left: str
    right: str
    top: str
    bottom: str
    minus: str
    plus: str


CUTS = (
    Cut("axial", 2, left="R", right="L", top="A", bottom="P", minus="I", plus="S"),
    Cut("sagittal", 0, left="A", right="P", top="S", bottom="I", minus="R", plus="L"),
    Cut("coronal", 1, left="R", right="L", top="S", bottom="I", minus="A", plus="P"),
)


@dataclass(frozen=True)
class Plane:
    """The slices of one plane; the arrays are (slices, rows, columns), seen as ``cut`` says.

    Attributes:
        positions: of the slices along the axis of the cut, millimetres in LPS.
        step: millimetres from one to the next.
        every: each so-many-th slice of the fused volume is shown; None where its axes are not the patient's.
        pixel: side of a pixel in millimetres.
        pet, mri, fused: in [0, 1]; 0 beyond the field of view.
        pet_seen, mri_seen: whether the PET or the MRI has a field of view there.
        border: the last pixels of the field of view of the volume that did not give the grid, where the other goes on.
        tissues: outlines of tissues in the MRI.
        pet_before: the PET before its registration, NaN beyond its field of view; None: it was not registered.
    """

    cut: Cut
    positions: list[float]
    step: float
    every: int | None
    pixel: float
    pet: _Unit
    mri: _Unit
    fused: _Unit
    pet_seen: NDArray[np.bool_]
    mri_seen: NDArray[np.bool_]
    border: NDArray[np.bool_]
    tissues: NDArray[np.bool_]
    pet_before: _Unit | None


@dataclass(frozen=True)
class Views:
    """What a report shows of the voxels.

    Attributes:
        planes: in the order of :data:`CUTS`.
        pet_values, mri_values: (points,) within the fused volume and the own field of view, in the volume's units.
    """

    planes: list[Plane]
    pet_values: NDArray[np.float32]
    mri_values: NDArray[np.float32]


@dataclass(frozen=True)
class _Scene:
    pet: sitk.Image
    mri: sitk.Image
    fused: sitk.Image
    pet_window: Window
    mri_window: Window
    grid: str
    before: sitk.Image | None
    levels: tuple[float, ...]

    def values(self, grid: sitk.Image) -> tuple[_Unit, _Unit, _Unit]:
        """PET, MRI and fused volume on a grid, in their units; NaN beyond the field of view."""
        pet, mri, fused = (sitk.GetArrayFromImage(resample(image, grid)) for image in (self.pet, self.mri, self.fused))
        return pet, mri, fused

    def units(self, pet: _Unit, mri: _Unit, fused: _Unit) -> tuple[_Unit, _Unit, _Unit]:
        """Those values in [0, 1], within the fused volume; 0 elsewhere."""
        inside = np.isfinite(fused)
        pet, mri = to_unit(pet, self.pet_window) * inside, to_unit(mri, self.mri_window) * inside
        return pet, mri, to_unit(fused, Window(0, FUSED_MAXIMUM))


def views_of(
    pet: sitk.Image,
    mri: sitk.Image,
    fused: sitk.Image,
    provenance: Mapping[str, Any],
    *,
    before: sitk.Image | None = None,
) -> Views:
    """Cut a fusion into slices.

    Args:
        pet, mri: as given to :func:`cspadn.fuse`.
        fused, provenance: what it made of them; ``provenance`` has the windows and whose grid it is.
        before: the PET before its registration; None: it was not registered.
    """
    windows = [Window(*provenance[name]) for name in ("pet_window", "mri_window")]
    filled = [_filled(image, window.lower) for image, window in zip((pet, mri), windows, strict=True)]
    lower, upper = _box(fused)
    lattice = _lattice(lower, upper, np.full(3, _SURVEY))
    levels = tissue_levels(to_unit(sitk.GetArrayFromImage(resample(filled[1], lattice)), windows[1]))
    unregistered = None if before is None else _filled(before, windows[0].lower)
    scene = _Scene(filled[0], filled[1], fused, windows[0], windows[1], provenance["grid"], unregistered, levels)
    survey = scene.values(lattice)
    shown = _extent(np.maximum.reduce(scene.units(*survey)), lower, upper)
    inside = np.isfinite(survey[2])
    pet_values, mri_values = (values[inside & np.isfinite(values)] for values in survey[:2])
    return Views([_plane(scene, cut, *shown) for cut in CUTS], pet_values, mri_values)


def _filled(image: sitk.Image, background: float) -> sitk.Image:
    """As the fusion has taken it."""
    return without_holes(image, background, keep_nan=image.HasMetaDataKey(NAN_IS_OUTSIDE))[0]


def _box(image: sitk.Image) -> tuple[_Vector, _Vector]:
    """The lowest and the highest LPS coordinates of a volume, to the outer faces of its voxels."""
    ends = [(-0.5, extent - 0.5) for extent in image.GetSize()]
    corners = [image.TransformContinuousIndexToPhysicalPoint((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]]
    return np.min(corners, axis=0), np.max(corners, axis=0)


def _lattice(lower: _Vector, upper: _Vector, size: NDArray[np.intp]) -> sitk.Image:
    """A grid along the patient's axes, whose voxels fill a box."""
    grid = sitk.Image([int(extent) for extent in size], sitk.sitkUInt8)
    spacing = (upper - lower) / size
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin((lower + spacing / 2).tolist())
    return grid


def _extent(unit: _Unit, lower: _Vector, upper: _Vector) -> tuple[_Vector, _Vector]:
    """The box in which there is something, with a margin; the whole one where there is nothing anywhere."""
    found = unit > _SOMETHING
    if not found.any():
        return lower, upper
    cell = (upper - lower) / _SURVEY
    places = [np.flatnonzero(found.any(axis=other)) for other in ((0, 1), (0, 2), (1, 2))]  # along x, y and z
    first, last = np.array([(place[0] - 1, place[-1] + 2) for place in places]).T
    return np.maximum(lower, lower + first * cell), np.minimum(upper, lower + last * cell)


def _plane(scene: _Scene, cut: Cut, lower: _Vector, upper: _Vector) -> Plane:
    positions, step, every = _positions(scene.fused, cut.axis, lower[cut.axis], upper[cut.axis])
    grid, pixel = _grid(cut.axis, positions, step, lower, upper)
    values = scene.values(grid)
    pet, mri, fused = (_turned(unit, cut.axis) for unit in scene.units(*values))
    pet_seen, mri_seen, inside = (_turned(np.isfinite(each), cut.axis) for each in values)
    border = _border(pet_seen if scene.grid == "mri" else mri_seen, inside)
    seen = pet_seen & inside, mri_seen & inside
    outlines = edges(tissues(mri, scene.levels, (pixel, pixel)))
    return Plane(cut, positions, step, every, pixel, pet, mri, fused, *seen, border, outlines, _before(scene, grid, cut.axis))


def _before(scene: _Scene, grid: sitk.Image, axis: int) -> _Unit | None:
    """Return the PET on a grid as it was before its registration, in [0, 1]; NaN beyond its field of view."""
    if scene.before is None:
        return None
    values = sitk.GetArrayFromImage(resample(scene.before, grid))
    unit = np.where(np.isfinite(values), to_unit(values, scene.pet_window), np.float32(np.nan))
    return _turned(unit, axis)


def _positions(fused: sitk.Image, axis: int, lower: float, upper: float) -> tuple[list[float], float, int | None]:
    """Where slices are cut: as many as may be shown, on slices of the fused volume where it has any along this axis."""
    cosines = np.abs(np.reshape(fused.GetDirection(), (3, 3)))
    origin, spacing = fused.GetOrigin()[axis], fused.GetSpacing()[cosines[axis].argmax()]
    first = origin + math.ceil((lower - origin) / spacing - _ALIGNED) * spacing
    count = max(1, math.floor((upper - first) / spacing + _ALIGNED) + 1)
    every = math.ceil(count / MOST_SLICES)
    shown = (count - 1) // every + 1
    first += (count - 1 - (shown - 1) * every) // 2 * spacing
    aligned = (cosines.max(axis=0) > 1 - _ALIGNED**2).all()
    return [first + index * every * spacing for index in range(shown)], every * spacing, every if aligned else None


def _grid(axis: int, positions: list[float], step: float, lower: _Vector, upper: _Vector) -> tuple[sitk.Image, float]:
    """The patient's axes, with the slices at their positions and square pixels across; and the pixels' side."""
    across = np.arange(3) != axis
    pixel = float((upper - lower)[across].max()) / _SIDE
    size = np.ceil((upper - lower) / pixel - _ALIGNED).astype(np.intp)
    rows = 1 if axis == 2 else 2  # of the picture: the patient's y axis, or z
    size[rows] = math.ceil((size[rows] + 2 * _RIM) / _ROWS) * _ROWS
    size[axis] = len(positions)
    half = size * np.where(across, pixel, step) / 2
    centre = np.where(across, (lower + upper) / 2, (positions[0] + positions[-1]) / 2)
    return _lattice(centre - half, centre + half, size), pixel


def _turned(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """(z, y, x) in LPS as (slices, rows, columns): head or front are on top, the patient's right or front on the left."""
    order = {2: (0, 1, 2), 1: (1, 0, 2), 0: (2, 0, 1)}[axis]
    return (array if axis == 2 else array[::-1]).transpose(order)


def _border(seen: NDArray[np.bool_], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What is seen and has a neighbour in its slice that is not, though it lies inside."""
    beyond = np.pad(inside & ~seen, ((0, 0), (1, 1), (1, 1)))
    near = beyond[:, :-2, 1:-1] | beyond[:, 2:, 1:-1] | beyond[:, 1:-1, :-2] | beyond[:, 1:-1, 2:]
    border: NDArray[np.bool_] = seen & inside & near
    return border


def pictures_of(plane: Plane, palette: str) -> dict[str, NDArray[np.uint8]]:
    """PET (inverted grey), MRI, blend, fused, colour fused, and PET before its registration, if any.

    Each is (slices, rows, columns), or RGB in (..., 3).

    Of each slice the first and the last :data:`_RIM` rows are black.

    Args:
        palette: one of :data:`cspadn.palettes.PALETTES`.
    """
    colors = palette_of(palette)
    pictures = {
        "pet": np.where(plane.pet_seen, _WHITE - _levels(plane.pet), np.uint8(0)),
        "mri": _levels(plane.mri),
        "blend": _blend(plane, np.rint(colors * _WHITE).astype(np.uint8)),
        "fused": _levels(plane.fused),
        "color": recolored(
            palette,
            plane.pet,
            np.where(plane.mri_seen, plane.mri, plane.pet),
            plane.fused,
            (plane.pixel, plane.pixel),
            plane.pet_seen & plane.mri_seen,
        ),
    }
    if plane.pet_before is not None:
        seen = np.isfinite(plane.pet_before)
        pictures["before"] = np.where(seen, _WHITE - _levels(np.nan_to_num(plane.pet_before)), np.uint8(0))
    for picture in pictures.values():
        picture[:, :_RIM] = picture[:, -_RIM:] = 0
    return pictures


def _levels(unit: _Unit) -> NDArray[np.uint8]:
    return np.rint(unit * _WHITE).astype(np.uint8)


def _blend(plane: Plane, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The PET's colours over the MRI, as much as :data:`OPACITY` says, where the PET has a field of view."""
    share = (plane.pet_seen * np.float32(OPACITY))[..., np.newaxis]
    grey = _levels(plane.mri)[..., np.newaxis]
    blend: NDArray[np.uint8] = np.rint(grey + share * (colors[_levels(plane.pet)] - grey.astype(np.float32))).astype(np.uint8)
    return blend
