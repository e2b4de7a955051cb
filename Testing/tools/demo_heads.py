"""Simulated heads for ``make cohort-demo``: each of another size and shape, with another contrast, tracer and resolution.

They are painted from label maps of heads with skull, if a folder has them; otherwise the shipped sample pair is bent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from training import heads

SAMPLES = Path(__file__).resolve().parents[2] / "CSpADNFusion" / "Resources" / "SampleData"
TRACERS = {"FDG": ("FDG",), "PIB": ("amyloid", "amyloid_negative")}  # by their labels in names
_ORIENTATIONS = ("LPS", "RAS", "LIP", "ASL", "PIR", "SAR")
_MRI_MM = ((3.0, 3.0, 3.0), (2.5, 2.5, 4.0), (3.0, 3.0, 2.5), (2.75, 2.75, 3.5))  # small volumes: the demo is about many
_PET_MM = (3.0, 3.5, 4.0)
_PAINTED_MM = 2.0
_BOX_MM = (200.0, 240.0, 190.0)  # of the head, from its top
_KNOTS, _BENT_MM = 4, 4.0  # of the deformation along each axis; standard deviation of its coefficients
_LEAST = 150  # voxels of a slice with the head; others have specks
_CORTEX_BQ_PER_ML = 20_000.0

Pair = tuple[sitk.Image, sitk.Image]


class Heads:
    """Draw pairs of PET and MRI.

    Args:
        label_maps: folder with ``head*.nii.gz``; if there are none, the sample pair is used.
    """

    def __init__(self, label_maps: Path) -> None:
        self._maps = sorted(label_maps.glob("head*.nii.gz"))
        self.source = f"{len(self._maps)} label maps" if self._maps else "the sample pair"

    def pair(self, number: int, tracer: str, random: np.random.Generator) -> Pair:
        """Return PET and MRI of a head; the same for the same number and random state.

        Args:
            number: from 0.
            tracer: a key of :data:`TRACERS`.
            random: draws everything else.
        """
        if self._maps:
            pet, mri = _painted(self._maps[number % len(self._maps)], tracer, random)
        else:
            pet, mri = _bent_samples(random)
        mri_mm, pet_mm = _MRI_MM[number % len(_MRI_MM)], (_PET_MM[number % len(_PET_MM)],) * 3
        turn = sitk.Euler3DTransform()
        turn.SetRotation(*random.uniform(-0.1, 0.1, 3).tolist())
        turn.SetTranslation(random.uniform(-15, 15, 3).tolist())
        uptake, brightness = float(random.uniform(0.75, 1.25)), float(random.uniform(0.5, 2))
        pet, mri = _sampled(pet, pet_mm) * uptake, _sampled(mri, mri_mm) * brightness
        orientation = _ORIENTATIONS[number % len(_ORIENTATIONS)]
        return tuple(sitk.DICOMOrient(_moved(image, turn), orientation) for image in (pet, mri))  # type: ignore[return-value]


def _painted(label_map: Path, tracer: str, random: np.random.Generator) -> Pair:
    """Bend a label map, and scan it."""
    array = heads.read_tissues(label_map)
    bounds = [np.flatnonzero((array > 0).sum(axis=axes) > _LEAST)[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
    tissues = sitk.GetImageFromArray(array)
    tissues.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    tissues.SetOrigin([float(bounds[2].mean()), float(bounds[1].mean()), 0.0])
    grid = _grid(float(bounds[0][1]) + 5)
    names = sitk.GetArrayFromImage(sitk.Resample(tissues, grid, _bend(grid, random), sitk.sitkNearestNeighbor))
    kind = TRACERS[tracer][int(random.integers(len(TRACERS[tracer])))]
    contrast = heads.MRI_CONTRASTS["T1c" if random.random() < 0.3 else "T1"]
    mri = heads.paint(names, _changed(contrast, random, 0.05))
    pet = heads.paint(names, _changed(heads.TRACERS[kind], random, 0.1))
    mri = heads.scan_mri(mri, random, bias=float(random.uniform(0, 0.15)), noise=float(random.uniform(0.005, 0.02)))
    width = float(random.uniform(5, 8)) / _PAINTED_MM
    pet = heads.scan_pet(pet, random, fwhm=(width, width, width), noise=float(random.uniform(0.02, 0.06)))
    images = [sitk.GetImageFromArray(each) for each in (pet * np.float32(_CORTEX_BQ_PER_ML), mri * np.float32(200))]
    for image in images:
        image.CopyInformation(grid)
    return images[0], images[1]


def _grid(top: float) -> sitk.Image:
    """An empty image around a head, whose top is at a height, with voxels of :data:`_PAINTED_MM`."""
    grid = sitk.Image([round(extent / _PAINTED_MM) for extent in _BOX_MM], sitk.sitkUInt8)
    grid.SetSpacing((_PAINTED_MM,) * 3)
    grid.SetOrigin((-_BOX_MM[0] / 2, -_BOX_MM[1] / 2, top - _BOX_MM[2]))
    return grid


def _changed(table: heads.Table, random: np.random.Generator, by: float) -> dict[str, float]:
    """A table whose values differ by a share, but for air."""
    return {name: value * float(np.exp(random.normal(0, by))) if name != "air" else 0.0 for name, value in table.items()}


def _bend(image: sitk.Image, random: np.random.Generator) -> sitk.Transform:
    """A smooth deformation of another size along each axis."""
    size = sitk.AffineTransform(3)
    size.SetCenter(image.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in image.GetSize()]))
    size.SetMatrix(np.diag(random.uniform(0.93, 1.07, 3)).ravel().tolist())
    bend = sitk.BSplineTransformInitializer(image, [_KNOTS] * 3)
    bend.SetParameters(random.normal(0, _BENT_MM, len(bend.GetParameters())).tolist())
    return sitk.CompositeTransform([size, bend])


def _bent_samples(random: np.random.Generator) -> Pair:
    names = "SimulatedHead_FDG.nrrd", "SimulatedHead_T1.nrrd"
    pet, mri = (sitk.ReadImage(str(SAMPLES / name), sitk.sitkFloat32) for name in names)
    bend = _bend(mri, random)
    return sitk.Resample(pet, bend), sitk.Resample(mri, bend)


def _sampled(image: sitk.Image, spacing: tuple[float, ...]) -> sitk.Image:
    """At voxels of a size, smoothed to it."""
    smooth = sitk.DiscreteGaussian(image, [(step / 2.35) ** 2 / 2 for step in spacing])
    size = [round(count * old / new) for count, old, new in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)]
    return sitk.Resample(
        smooth,
        size,
        sitk.Transform(),
        sitk.sitkLinear,
        image.GetOrigin(),
        spacing,
        image.GetDirection(),
        0.0,
        sitk.sitkFloat32,
    )


def _moved(image: sitk.Image, turn: sitk.Transform) -> sitk.Image:
    """Turned and shifted, as heads lie in scanners."""
    from cspadn.registration.placing import placed

    return placed(image, turn.GetInverse())
