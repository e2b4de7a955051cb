"""Make the shipped sample pair: a simulated T1-weighted MRI and FDG-PET of one head, with three lesions.

The head is a public label map, ``training_seg_01.nii.gz`` of BBillot/SynthSeg (Apache-2.0). :mod:`training.heads` simulates
both images from it. Nothing is downloaded::

    python -m training.make_sample_data --label-map head01.nii.gz --output CSpADNFusion/Resources/SampleData

Both volumes show the same head at the same place in the world, but on grids that differ in spacing, size, position and
orientation: the PET grid is rotated and shifted, as its header states. Software that uses voxel indices instead of physical
positions therefore fuses them visibly wrong. The same command always writes the same voxels.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, label

from cspadn.errors import InputError
from training import heads
from training.heads import Volume

Matrix = NDArray[np.float64]  # (3, 3) or (3,), in the LPS world of ITK and DICOM
Point = tuple[float, float, float]  # mm, LPS

MRI_NAME = "SimulatedHead_T1"
PET_NAME = "SimulatedHead_FDG"
LABEL_MAP_SHA256 = "edbf1229a0552f8ce37438d02f59e810583b71b0a1b4d31dc38e5e2b2517acb1"


@dataclass(frozen=True)
class Lesion:
    """A round lesion.

    Attributes:
        centre: position, LPS, mm.
        radius: mm.
    """

    centre: Point
    radius: float

    @property
    def centre_ras(self) -> Point:
        """The centre in RAS, as Slicer shows it, mm."""
        x, y, z = self.centre
        return -x, -y, z


HOT = Lesion((-30.0, 15.0, 45.0), 7.0)  # in the PET: white matter of the right hemisphere
COLD = Lesion((49.0, 29.0, 45.0), 11.0)  # in the PET: cortex of the left parietal lobe
DARK = Lesion((20.0, -37.0, 45.0), 5.0)  # in the MRI: white matter of the left frontal lobe
HOT_UPTAKE = 0.8  # relative to the cortex; white matter has 0.25
HOT_IN_MRI = 0.95  # factor: little is seen in the T1
COLD_FACTOR = 0.3  # of the healthy uptake
DARK_INTENSITY = 0.34  # as MRI_CONTRASTS; white matter has 0.78

MRI_BOX = (slice(62, 238), slice(9, 245), slice(43, 213))  # of the label map in RAS: slices, rows and columns
MRI_SLICE_MM = 2  # from the label map's 1 mm; 1 mm in the plane
MRI_SCALE = 200.0  # grey level of intensity 1
MRI_BLUR_MM = 0.6  # standard deviation of the point spread: the partial volume at borders
MRI_TEXTURE, MRI_BIAS, MRI_NOISE = 0.03, 0.08, 0.022  # see training.heads.scan_mri; the mean of two planes has less noise
SOFT_TEXTURE, SOFT_TEXTURE_MM = 0.16, (1.5, 2.5, 2.5)  # muscle and fat, which the label map does not distinguish

PET_SIZE = (128, 128, 74)  # voxels: 320 x 320 x 222 mm, the field of view of a whole-body scanner with a brain matrix
PET_SPACING_MM = (2.5, 2.5, 3.0)
PET_ROTATION_DEGREES = (6.0, -4.0, 8.0)  # of the PET grid against the MRI grid, about the world's x, y, z; Rz Rx Ry as in ITK
PET_SHIFT_MM = (9.0, -14.0, -11.0)  # of the PET grid's centre against the MRI grid's, in the world (left, posterior, superior)

CORTEX_BQ_PER_ML = 20_000.0  # a standardised uptake value of 7 for 200 MBq in 70 kg
UPTAKE = {**heads.TRACERS["FDG"], "white": 0.25, "cerebellar_white": 0.27}  # relative to the cortex; 4 : 1 for cortex to white
PSF_FWHM_MM = 5.5
PET_NOISE = 0.06  # standard deviation in the cortex, correlated over about 4 mm
BQ_PER_ML_STEP = 20.0  # of the stored values
SEED = 1

DESCRIPTIONS = {
    MRI_NAME: "Simulated T1-weighted MRI of a head with one lesion, made from a label map of SynthSeg. Not for diagnosis.",
    PET_NAME: "Simulated FDG-PET in Bq/ml with a hot and a cold lesion, made from a label map of SynthSeg. Not for diagnosis.",
}
THUMBNAIL_PIXELS = (260, 280)
THUMBNAIL_PIXEL_MM = 0.72
THUMBNAIL_CENTRE_MM = (0.0, 1.0, 45.0)  # LPS: the slice through all three lesions
THUMBNAIL_WINDOWS = {MRI_NAME: (5.0, 195.0), PET_NAME: (500.0, 21_000.0)}


def read_label_map(path: Path) -> sitk.Image:
    """Read the tissues of the label map, without specks outside the head.

    Returns:
        uint8 indices into :data:`training.heads.NAMES`, 256 x 256 x 256, 1 mm, stored LPS.

    Raises:
        InputError: the file is missing, or is not the label map of the shipped pair.
    """
    tissues = heads.read_tissues(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != LABEL_MAP_SHA256:
        raise InputError(f"{path} is not the label map that the sample data was made from: choose training_seg_01.nii.gz.")
    parts, _ = label(tissues > 0)
    tissues[parts != np.bincount(parts[parts > 0]).argmax()] = heads.NAMES.index("air")
    image = sitk.GetImageFromArray(tissues)
    affine = nibabel.as_closest_canonical(nibabel.load(path)).affine  # to RAS
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    image.SetOrigin((np.array([-1, -1, 1]) * affine[:3, 3]).tolist())
    return image


def sphere(image: sitk.Image, lesion: Lesion) -> Volume:
    """Return the share of each voxel that a lesion fills, (slices, rows, columns), 0 to 1; its edge is 1 mm wide."""
    index = image.TransformPhysicalPointToContinuousIndex(lesion.centre)
    parts = [
        np.square((np.arange(size) - middle) * spacing)
        for size, middle, spacing in zip(image.GetSize(), index, image.GetSpacing(), strict=True)
    ]
    x, y, z = np.ix_(*parts)
    distance: NDArray[np.float64] = np.sqrt(x + y + z).transpose()
    filled: Volume = np.clip(lesion.radius - distance + 0.5, 0, 1).astype(np.float32)
    return filled


def make_mri(tissues: sitk.Image) -> sitk.Image:
    """Simulate the T1, uint8 0..255, stored LPS, 1 x 1 x 2 mm; each slice is the mean of two planes of the label map.

    Air around the head is 0, as in images from scanners that mask the background.
    """
    random = np.random.default_rng(SEED)
    planes, rows, columns = MRI_BOX
    part = tissues[columns, rows, planes]
    names = sitk.GetArrayFromImage(part)
    painted = heads.paint(names, heads.MRI_CONTRASTS["T1"])
    soft = heads.smooth_noise(names.shape, SOFT_TEXTURE_MM, random)
    painted *= 1 + SOFT_TEXTURE * np.clip(soft, -2, 2) * heads.of_tissues(names, ("soft", "fat"))
    painted *= 1 - (1 - HOT_IN_MRI) * sphere(part, HOT)
    painted += (DARK_INTENSITY - painted) * sphere(part, DARK)
    blur = (MRI_BLUR_MM, MRI_BLUR_MM, MRI_BLUR_MM)
    scanned = heads.scan_mri(painted, random, blur=blur, texture=MRI_TEXTURE, bias=MRI_BIAS, noise=MRI_NOISE)
    scanned *= binary_dilation(names > 0, iterations=2)
    image = sitk.GetImageFromArray(scanned * np.float32(MRI_SCALE))
    image.CopyInformation(part)
    thick = sitk.Clamp(sitk.Round(sitk.BinShrink(image, [1, 1, MRI_SLICE_MM])), sitk.sitkUInt8, 0, 255)
    return sitk.DICOMOrient(thick, "LPS")


def grid_centre(image: sitk.Image) -> Matrix:
    """Return the centre of an image's grid in world coordinates (LPS, mm)."""
    middle = [(extent - 1) / 2 for extent in image.GetSize()]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(middle))


def offset_rotation() -> Matrix:
    """Return the rotation (3, 3), in world coordinates, from the axes of the MRI grid to those of the PET grid."""
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*(math.radians(angle) for angle in PET_ROTATION_DEGREES))
    return np.array(turn.GetMatrix()).reshape(3, 3)


def pet_grid(mri: sitk.Image) -> sitk.Image:
    """Return an empty image on the PET's grid: rotated and shifted against the MRI grid, with another size and spacing."""
    grid = sitk.Image(PET_SIZE, sitk.sitkFloat64)
    grid.SetSpacing(PET_SPACING_MM)
    grid.SetDirection((offset_rotation() @ np.array(mri.GetDirection()).reshape(3, 3)).ravel())
    # With the origin still at zero, the centre is the vector from the first voxel to the middle.
    grid.SetOrigin(grid_centre(mri) + PET_SHIFT_MM - grid_centre(grid))
    return grid


def make_pet(tissues: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Simulate the FDG-PET on its own grid, int16, Bq/ml in steps of :data:`BQ_PER_ML_STEP`."""
    names = sitk.GetArrayFromImage(tissues)
    painted = heads.paint(names, UPTAKE)
    painted *= 1 - (1 - COLD_FACTOR) * sphere(tissues, COLD) * heads.of_tissues(names, heads.BRAIN)
    painted += (HOT_UPTAKE - painted) * sphere(tissues, HOT)
    fwhm = (PSF_FWHM_MM, PSF_FWHM_MM, PSF_FWHM_MM)
    scanned = heads.scan_pet(painted, np.random.default_rng(SEED + 1), fwhm=fwhm, noise=PET_NOISE)
    image = sitk.GetImageFromArray(scanned)
    image.CopyInformation(tissues)
    sampled = sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat64)
    return sitk.Cast(sitk.Round(sampled * (CORTEX_BQ_PER_ML / BQ_PER_ML_STEP)) * BQ_PER_ML_STEP, sitk.sitkInt16)


def make_pair(label_map: Path) -> dict[str, sitk.Image]:
    """Return the shipped MRI and PET, by name."""
    tissues = read_label_map(label_map)
    mri = make_mri(tissues)
    return {MRI_NAME: mri, PET_NAME: make_pet(tissues, pet_grid(mri))}


def make_thumbnail(image: sitk.Image, name: str) -> sitk.Image:
    """Draw one axial slice as RGB, anterior up, patient's left on the right: the MRI in grey, the PET in a hot palette."""
    plane = sitk.Image((*THUMBNAIL_PIXELS, 1), sitk.sitkFloat64)
    plane.SetSpacing((THUMBNAIL_PIXEL_MM, THUMBNAIL_PIXEL_MM, 1.0))
    plane.SetOrigin(np.array(THUMBNAIL_CENTRE_MM) - grid_centre(plane))
    smooth = sitk.Resample(image, plane, sitk.Transform(), sitk.sitkBSpline, 0.0, sitk.sitkFloat64)
    low, high = THUMBNAIL_WINDOWS[name]
    grey = sitk.Cast(sitk.IntensityWindowing(smooth, low, high, 0.0, 255.0), sitk.sitkUInt8)[:, :, 0]
    palette = sitk.ScalarToRGBColormapImageFilter.Hot if name == PET_NAME else sitk.ScalarToRGBColormapImageFilter.Grey
    picture: sitk.Image = sitk.ScalarToRGBColormap(grey, palette, useInputImageExtremaForScaling=False)
    return picture


def write_pair(label_map: Path, output: Path, icons: Path) -> None:
    """Write both volumes as gzip-compressed NRRD into ``output`` and a picture of each into ``icons``."""
    for folder in (output, icons):
        folder.mkdir(parents=True, exist_ok=True)
    for name, image in make_pair(label_map).items():
        image.SetMetaData("description", DESCRIPTIONS[name])
        sitk.WriteImage(image, str(output / f"{name}.nrrd"), useCompression=True, compressionLevel=9)
        sitk.WriteImage(make_thumbnail(image, name), str(icons / f"{name}.png"), useCompression=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m training.make_sample_data", description="Make the PET/MRI pair that the extension ships."
    )
    parser.add_argument("--label-map", type=Path, required=True, help="label map training_seg_01.nii.gz of SynthSeg")
    parser.add_argument("--output", type=Path, required=True, help="folder for the two volumes")
    parser.add_argument("--icons", type=Path, help="folder for the two pictures (default: Icons beside OUTPUT)")
    options = parser.parse_args(arguments)
    write_pair(options.label_map, options.output, options.icons or options.output.parent / "Icons")


if __name__ == "__main__":
    main()
