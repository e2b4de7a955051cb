"""A volume of a head, prepared for registration: averaged, without holes, cut below the neck, and with its place in space."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.geometry import block_means, to_axial
from cspadn.imaging.windowing import Window, automatic_window, sampled, to_unit, without_holes
from cspadn.messages import message
from cspadn.registration.similarity import Vector

HEAD_MM = 160.0  # below its highest point, a head bends at the neck
LEAST_EXTENT_MM = 60.0  # of a volume along each axis: less of a head cannot be registered
_VOXEL_MM = 2.0  # to which finer voxels are averaged
_LEAST_VOXELS = 4  # along each axis, for the recursive Gaussian filter
_UPPER_MM = 320.0  # of a volume below its highest point: of a whole body, only the head counts
_FOREGROUND = 0.1  # of the window
_THINNED_MM = 4.0  # between the points at which the foreground is looked for
_TOP_SHARE = 0.01  # of a slice that is foreground: less is noise above the head
_BRAIN_RADIUS_MM, _BRAIN_DEPTH_MM = 65.0, 75.0  # of a sphere about the brain; of its centre below the highest point
_FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class Head:
    """A volume of a head, and where it lies.

    Attributes:
        image: float32 without holes, in patient-axial order, of voxels of about 2 mm or coarser.
        window: intensities of black and white.
        top_mm: height of the highest point of the foreground, LPS.
        centre: (3,), middle of the foreground within :data:`HEAD_MM` of the highest point, mm, LPS.
    """

    image: sitk.Image
    window: Window
    top_mm: float
    centre: Vector

    @classmethod
    def of(cls, image: sitk.Image, name: str) -> Head:
        """Find the head in a volume.

        Args:
            image: scalar volume.
            name: of the volume, in errors.

        Raises:
            InputError: the volume is too small, empty or constant.
        """
        extents = [count * step for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
        if min(extents) < LEAST_EXTENT_MM or min(image.GetSize()) < _LEAST_VOXELS:
            raise InputError(message("registration-too-small", volume=name, extent=min(extents), least=LEAST_EXTENT_MM))
        axial = to_axial(image)
        averaged = _averaged(axial, _lowest(axial, name), _VOXEL_MM)
        window = automatic_window(sitk.GetArrayViewFromImage(averaged), name)
        upper = _upper_part(averaged, window)
        if upper is not averaged:
            window = automatic_window(sitk.GetArrayViewFromImage(upper), name)
        points = _foreground_points(upper, window)
        top = float(points[:, 2].max())
        return cls(upper, window, top, points[points[:, 2] > top - HEAD_MM].mean(axis=0))

    def smoothed(self, voxel_mm: float, fwhm_mm: float) -> sitk.Image:
        """Return the volume averaged to voxels of at most ``voxel_mm``, and smoothed by a Gaussian of a width in mm."""
        coarse = _averaged(self.image, self.window.lower, voxel_mm)
        return blurred(coarse, fwhm_mm / _FWHM_PER_SIGMA) if fwhm_mm else coarse

    def foreground(self, image: sitk.Image) -> sitk.Image:
        """Return where an image of this head is brighter than a tenth of the window: float32, 1 or 0."""
        mask = sitk.GetImageFromArray(
            (to_unit(sitk.GetArrayViewFromImage(image), self.window) > _FOREGROUND).astype(np.float32)
        )
        mask.CopyInformation(image)
        return mask

    def brain_points(self, step_mm: float = 10.0) -> Vector:
        """Return points (N, 3) of a sphere that is about where the brain is, at which displacements are measured."""
        offsets = np.arange(-_BRAIN_RADIUS_MM, _BRAIN_RADIUS_MM + 1, step_mm)
        lattice = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 3)
        result: Vector = lattice[np.linalg.norm(lattice, axis=1) <= _BRAIN_RADIUS_MM] + self.brain_centre
        return result

    @property
    def brain_centre(self) -> Vector:
        """Return about where the middle of the brain is: (3,), mm, LPS."""
        return np.array([*self.centre[:2], max(self.centre[2], self.top_mm - _BRAIN_DEPTH_MM)])


def blurred(image: sitk.Image, sigma_mm: float) -> sitk.Image:
    """Smooth a volume by a Gaussian of a standard deviation in mm."""
    return sitk.SmoothingRecursiveGaussian(image, [sigma_mm] * 3)


def points_of(image: sitk.Image, chosen: NDArray[np.bool_]) -> Vector:
    """Return the places (N, 3), mm, LPS, of the chosen voxels of an image."""
    offsets = np.argwhere(chosen)[:, ::-1] * np.array(image.GetSpacing())
    result: Vector = offsets @ np.reshape(image.GetDirection(), (3, 3)).T + np.array(image.GetOrigin())
    return result


def _lowest(image: sitk.Image, name: str) -> float:
    """Return the lowest intensity; InputError, calling the volume ``name``, if none is finite."""
    values = sampled(image)
    finite = np.isfinite(values)
    if not finite.any():
        raise InputError(message("volume-constant", volume=name))
    return float(np.min(values, initial=values.flat[finite.argmax()], where=finite))


def _averaged(image: sitk.Image, background: float, voxel_mm: float) -> sitk.Image:
    """Average blocks of voxels that are together no larger than ``voxel_mm``."""
    factors = [
        max(1, min(int(voxel_mm / step + 1e-3), count // _LEAST_VOXELS))
        for step, count in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]

    def slab(first: int, last: int) -> NDArray[np.float32]:
        filled, _ = without_holes(sitk.Cast(image[:, :, first:last], sitk.sitkFloat32), background)
        voxels: NDArray[np.float32] = sitk.GetArrayFromImage(filled)
        return voxels

    result = block_means(slab, image.GetSize(), image.GetSpacing(), factors)
    result.SetDirection(image.GetDirection())
    result.SetOrigin(image.TransformContinuousIndexToPhysicalPoint([(factor - 1) / 2 for factor in factors]))
    return result


def _foreground_points(image: sitk.Image, window: Window) -> Vector:
    """Return the places of the foreground of a volume, thinned, without slices that hold hardly any of it."""
    steps = [max(1, math.floor(_THINNED_MM / step)) for step in image.GetSpacing()]
    thin = image[:: steps[0], :: steps[1], :: steps[2]]
    foreground = to_unit(sitk.GetArrayViewFromImage(thin), window) > _FOREGROUND
    shares = foreground.mean(axis=(1, 2))
    kept = foreground & (shares >= min(_TOP_SHARE, float(shares.max())))[:, np.newaxis, np.newaxis]
    if not kept.any():
        raise InputError(message("registration-no-match"))
    return points_of(thin, kept)


def _upper_part(image: sitk.Image, window: Window) -> sitk.Image:
    """Return the slices of a volume in patient-axial order that lie at most :data:`_UPPER_MM` below its highest point."""
    step = image.GetSpacing()[2] * abs(image.GetDirection()[8])
    points = _foreground_points(image, window)
    if image.GetSize()[2] * step <= _UPPER_MM:
        return image
    highest = points[points[:, 2].argmax()]
    last = image.TransformPhysicalPointToContinuousIndex(highest.tolist())[2]
    return image[:, :, max(0, min(int(last - _UPPER_MM / step), image.GetSize()[2] - _LEAST_VOXELS)) :]
