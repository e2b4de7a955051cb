"""Pairs of PET and MRI with a known rigid displacement, simulated from label maps: the cases of the registration benchmark.

The form is that of the Retrospective Image Registration Evaluation project (RIRE; West et al., Journal of Computer Assisted
Tomography 21, 1997): the displacement is known, and the error is measured at points of the brain. Here it is known exactly, as
the two scans come from one label map.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from training import heads
from training.heads import Volume

Points = NDArray[np.float64]  # (N, 3), mm, LPS
SLICE_MM = {"T1": 1, "T2": 3, "FLAIR": 2}  # thickness of the slices of the MRI
TRACERS = ("FDG", "amyloid", "FET")
PET_SLICES_MM = (2, 8)
_PET_MM, _PET_COLUMNS = 2, 128
_FULL_MM, _CUT_MM = 224, 152  # length of the PET's field of view along the body, and of a short scanner
_OFF_CENTRE_MM = 12  # of the brain in the PET's field of view, at most
_PET_FWHM_MM = 5.5
_TUMOUR_MM, _TUMOUR_DEPTH_MM = 12, 18  # radius; distance from the surface of the brain
_ABOVE_MM, _BELOW_MM = 12, (20, 90)  # of the brain, in the MRI
_POINTS_MM = 6  # between the points at which the error is measured
_LPS = np.diag([-1.0, -1.0, 1.0])  # of the label maps' columns, rows and slices, which run right, front and up


@dataclass(frozen=True)
class Setting:
    """Describe a case.

    Attributes:
        head: number of the label map.
        contrast: of the MRI, a key of :data:`SLICE_MM`.
        tracer: one of :data:`TRACERS`.
        slice_mm: thickness of the slices of the PET.
        degrees: angle of the rotation about the brain's centre.
        millimetres: length of the move of the brain's centre.
        cut: whether the PET's field of view is short, so that it can miss parts of the brain.
        seed: of the axis, the direction, the places and the noise.
    """

    head: int
    contrast: str
    tracer: str
    slice_mm: int
    degrees: float
    millimetres: float
    cut: bool
    seed: int


@dataclass(frozen=True)
class RegistrationCase:
    """A PET and an MRI of one head.

    Attributes:
        pet, mri: the volumes.
        truth: maps a point of the MRI to the point of the PET.
        brain: points of the brain in the MRI.
    """

    pet: sitk.Image
    mri: sitk.Image
    truth: sitk.Transform
    brain: Points

    def error_mm(self, transform: sitk.Transform) -> float:
        """Return the target registration error of a transform: the mean distance over the brain, in mm."""
        return float(distances(transform, self.truth, self.brain).mean())


def moved(transform: sitk.Transform, points: Points) -> Points:
    """Return the points (N, 3) that a transform maps others to."""
    return np.array([transform.TransformPoint(point) for point in points.tolist()])


def distances(first: sitk.Transform, second: sitk.Transform, points: Points) -> NDArray[np.float64]:
    """Return by how many mm two transforms differ at each point."""
    result: NDArray[np.float64] = np.linalg.norm(moved(first, points) - moved(second, points), axis=1)
    return result


def draw_move(random: np.random.Generator, centre: Points, degrees: float, millimetres: float) -> sitk.VersorRigid3DTransform:
    """Return a rotation by an angle about a random axis through a centre, and a move of given length in a random direction."""
    axis, direction = (vector / np.linalg.norm(vector) for vector in random.standard_normal((2, 3)))
    transform = sitk.VersorRigid3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetRotation(axis.tolist(), float(np.radians(degrees)))
    transform.SetTranslation((millimetres * direction).tolist())
    return transform


def settings(numbers: tuple[int, ...], moves: tuple[tuple[float, float], ...], seed: int = 0) -> Iterator[Setting]:
    """Yield every contrast and tracer for each head, with slices of the PET of 2 and 8 mm in turns, and moves drawn at random.

    Args:
        numbers: of the heads.
        moves: the greatest degrees and millimetres of each kind of move.
        seed: added to the numbers that the cases are drawn from.
    """
    for index, (number, contrast, tracer) in enumerate(itertools.product(numbers, SLICE_MM, TRACERS)):
        random = np.random.default_rng((seed, index))
        degrees, millimetres = moves[random.integers(len(moves))]
        share = random.uniform(0.3, 1, 2)
        yield Setting(
            *(number, contrast, tracer, PET_SLICES_MM[index % 2], float(degrees * share[0]), float(millimetres * share[1])),
            cut=bool(random.random() < 0.5),
            seed=seed + index,
        )


def simulate(label_maps: Path, setting: Setting) -> RegistrationCase:
    """Simulate a case from the label map of its head, ``headNN.nii.gz`` in a folder."""
    tissues = _tissues(label_maps / f"head{setting.head:02d}.nii.gz")
    random = np.random.default_rng((20, setting.seed))
    brain = np.argwhere(heads.of_tissues(tissues, heads.BRAIN)[::_POINTS_MM, ::_POINTS_MM, ::_POINTS_MM]) * _POINTS_MM
    centre_index = np.argwhere(heads.of_tissues(tissues, heads.BRAIN)[::4, ::4, ::4]).mean(0) * 4
    points = (brain - centre_index)[:, ::-1] @ _LPS  # the brain's centre is the origin of the world
    truth = draw_move(random, np.zeros(3), setting.degrees, setting.millimetres)
    return RegistrationCase(
        _pet(tissues, centre_index, truth, setting, random), _mri(tissues, centre_index, setting, random), truth, points
    )


@lru_cache(maxsize=5)
def _tissues(path: Path) -> NDArray[np.uint8]:
    return heads.read_tissues(path)


def _image(values: Volume, centre_index: NDArray[np.float64]) -> sitk.Image:
    """Return an image of 1 mm with the brain's centre at the origin of the world."""
    image = sitk.GetImageFromArray(values)
    image.SetDirection(_LPS.ravel().tolist())
    image.SetOrigin((-centre_index[::-1] @ _LPS).tolist())
    return image


def _mri(tissues: NDArray[np.uint8], centre: NDArray[np.float64], setting: Setting, random: np.random.Generator) -> sitk.Image:
    """Scan the head from above the brain to some way below it, in slices of the contrast's thickness."""
    height = np.flatnonzero(heads.of_tissues(tissues, heads.BRAIN).any((1, 2)))
    first = max(int(height[0] - random.integers(*_BELOW_MM)), 0)
    last = int(height[-1] + _ABOVE_MM)
    columns = np.flatnonzero((tissues > 0).any((0, 1)))
    rows = np.flatnonzero((tissues > 0).any((0, 2)))
    box = np.s_[first:last, max(rows[0] - 12, 0) : rows[-1] + 12, max(columns[0] - 12, 0) : columns[-1] + 12]
    scan = heads.scan_mri(heads.paint(tissues[box], heads.MRI_CONTRASTS[setting.contrast]), random)
    image = _image(scan, centre - np.array([part.start for part in box]))
    return sitk.Cast(sitk.BinShrink(image, (1, 1, SLICE_MM[setting.contrast])) * 1000, sitk.sitkInt16)


def _pet(
    tissues: NDArray[np.uint8],
    centre: NDArray[np.float64],
    truth: sitk.Transform,
    setting: Setting,
    random: np.random.Generator,
) -> sitk.Image:
    """Scan the moved head in a field of view around it, parallel to the world's axes."""
    uptake = heads.paint(tissues, heads.TRACERS[setting.tracer])
    if setting.tracer == "FET":
        uptake = np.maximum(uptake, _tumour(heads.of_tissues(tissues, heads.INSIDE_SKULL), random))
    length = (_CUT_MM if setting.cut else _FULL_MM) // _PET_MM
    grid = sitk.Image((_PET_COLUMNS, _PET_COLUMNS, length), sitk.sitkFloat32)
    grid.SetSpacing((_PET_MM,) * 3)
    middle = np.array(truth.TransformPoint((0.0, 0.0, 0.0))) + random.uniform(-1, 1, 3) * _OFF_CENTRE_MM
    grid.SetOrigin((middle - (np.array(grid.GetSize()) - 1) * _PET_MM / 2).tolist())
    placed = sitk.Resample(_image(uptake, centre), grid, truth.GetInverse(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    scan = heads.scan_pet(sitk.GetArrayFromImage(placed), random, fwhm=(_PET_FWHM_MM / _PET_MM,) * 3)
    image = sitk.GetImageFromArray(scan)
    image.CopyInformation(placed)
    return sitk.Cast(sitk.BinShrink(image, (1, 1, setting.slice_mm // _PET_MM)) * 10000, sitk.sitkFloat32)


def _tumour(inside: NDArray[np.bool_], random: np.random.Generator) -> Volume:
    """Return a round tumour of uptake 1 somewhere deep in the brain."""
    thin = inside[::3, ::3, ::3]
    deep = np.argwhere(binary_erosion(thin, iterations=_TUMOUR_DEPTH_MM // 3)) * 3
    middle = deep[random.integers(len(deep))]
    z, y, x = np.ogrid[tuple(slice(-at, length - at) for at, length in zip(middle, inside.shape, strict=True))]
    tumour: Volume = (x**2 + y**2 + z**2 <= _TUMOUR_MM**2).astype(np.float32)
    return tumour
