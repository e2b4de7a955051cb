"""A head of ellipsoids in a PET and an MRI of different grids, small enough for fast tests of the registration."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

# centre and half axes (x, y, z: left, posterior, superior) in mm, intensity in the MRI and in the PET; later ones are in front
_PARTS = (
    ((0, 0, 0), (78, 98, 95), 0.9, 0.15),  # scalp
    ((0, 0, 2), (72, 92, 88), 0.1, 0.05),  # skull
    ((0, 0, 4), (66, 86, 82), 0.55, 1.0),  # cortex
    ((0, -2, 8), (52, 70, 66), 0.8, 0.35),  # white matter
    ((-14, -12, 16), (9, 26, 12), 0.15, 0.05),  # ventricles
    ((14, -8, 16), (7, 24, 12), 0.15, 0.05),
    ((-24, 4, 2), (13, 18, 15), 0.6, 0.9),  # nuclei
    ((23, 5, 2), (11, 16, 13), 0.6, 1.1),
    ((0, 42, -42), (46, 30, 24), 0.6, 0.8),  # cerebellum
    ((34, -40, 30), (12, 10, 14), 0.35, 0.2),  # a lesion: the head is not symmetric
    ((0, -92, -40), (12, 18, 20), 0.7, 0.2),  # nose
)
_NOISE = 0.02


def phantom_mri(spacing: tuple[float, float, float] = (3.0, 3.0, 3.0)) -> sitk.Image:
    """Return the MRI."""
    return _scanned(spacing, 2, 1.0, sitk.Transform(), 1)


def phantom_pet(
    transform: sitk.Transform | None = None, spacing: tuple[float, float, float] = (4.0, 4.0, 4.0), *, following: bool = True
) -> sitk.Image:
    """Return the PET of a head that a rigid transform has moved.

    Args:
        transform: maps a point of the MRI to the point of the PET; None: they are registered.
        spacing: of the voxels.
        following: whether the field of view moves with the middle of the head.
    """
    transform = transform or sitk.Transform()
    middle = transform.TransformPoint((0.0, 0.0, 0.0)) if following else (0.0, 0.0, 0.0)
    return _scanned(spacing, 3, 4.0, transform, 2, middle)


def rigid(degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> sitk.Euler3DTransform:
    """Return a rotation about the axes of the patient, and a move in mm."""
    return sitk.Euler3DTransform((0, 0, 0), *map(float, np.radians(degrees)), shift)


def distance_mm(first: sitk.Transform, second: sitk.Transform) -> float:
    """Return the mean distance, in mm, between the points of the brain under two transforms."""
    places = [(x, y, z) for x in (-50.0, 0, 50.0) for y in (-60.0, 0, 60.0) for z in (-50.0, 0, 60.0)]
    moves = [np.subtract(first.TransformPoint(place), second.TransformPoint(place)) for place in places]
    return float(np.linalg.norm(moves, axis=1).mean())


def _scanned(
    spacing: tuple[float, float, float],
    column: int,
    sigma_mm: float,
    transform: sitk.Transform,
    seed: int,
    middle: tuple[float, ...] = (0.0, 0.0, 0.0),
) -> sitk.Image:
    size = [round(extent / step) for extent, step in zip((192, 240, 232), spacing, strict=True)]
    image = sitk.Image(size, sitk.sitkFloat32)
    image.SetSpacing(spacing)
    image.SetOrigin([at - (count - 1) * step / 2 for at, count, step in zip(middle, size, spacing, strict=True)])
    values = ndimage.gaussian_filter(_painted(image, column, transform), [sigma_mm / step for step in spacing[::-1]])
    noise = np.random.default_rng(seed).standard_normal(values.shape)
    scan = sitk.GetImageFromArray((1000 * np.abs(values + _NOISE * noise)).astype(np.float32))
    scan.CopyInformation(image)
    return scan


def _painted(image: sitk.Image, column: int, transform: sitk.Transform) -> np.ndarray:
    """Return the intensities (slices, rows, columns) of the ellipsoids at the voxels of a grid."""
    index = np.stack(np.meshgrid(*(np.arange(count) for count in image.GetSize()[::-1]), indexing="ij"), axis=-1)[..., ::-1]
    places = index * np.array(image.GetSpacing()) + np.array(image.GetOrigin())
    back = transform.GetInverse()
    start = np.array(back.TransformPoint((0.0, 0.0, 0.0)))
    matrix = np.column_stack([np.array(back.TransformPoint(axis)) - start for axis in np.eye(3).tolist()])
    places = places @ matrix.T + start
    values = np.zeros(places.shape[:3])
    for part in _PARTS:
        centre, half_axes = (np.array(numbers) for numbers in part[:2])
        values[(((places - centre) / half_axes) ** 2).sum(axis=-1) < 1] = part[column]
    return values
