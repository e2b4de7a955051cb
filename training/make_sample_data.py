"""Make the sample pair that the extension ships: the MNI152 T1 atlas and an FDG-PET simulated from its tissue maps.

The three source maps are files in the wheel of the Python package nilearn; nothing is downloaded::

    python -m training.make_sample_data --output CSpADNFusion/Resources/SampleData

Both volumes show the same brain at the same place in the world, but on grids that differ in spacing, size, position and
orientation: the PET's is rotated and shifted, and its header says so. Software that goes by voxel index instead of by
position in the world therefore shows itself at once. The same command writes the same voxels every time.
"""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Matrix = NDArray[np.float64]  # (3, 3) or (3,), in the LPS world of ITK and DICOM

MRI_NAME = "MNI152_T1"
PET_NAME = "MNI152_FDG_simulated"

SOURCES = {  # SHA-256 of the files in nilearn/datasets/data
    "t1": "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6",
    "gm": "97a5ca69bd24db37a9cb7b32525e1733a209af904129bf1cd36da06d24243bed",
    "wm": "382d92812de4744f9c86c7a0e4f680dc317a0a50e4da1f0153618a6798c7b7db",
}
MRI_SHRINK = 2  # from the atlas's 1 mm to 2 mm

PET_SIZE = (128, 128, 74)  # voxels: 320 x 320 x 222 mm, the field of view of a whole-body scanner with a brain matrix
PET_SPACING_MM = (2.5, 2.5, 3.0)
PET_ROTATION_DEGREES = (6.0, -4.0, 8.0)  # of the PET grid against the MRI grid, about the world's x, y, z; Rz Rx Ry as in ITK
PET_SHIFT_MM = (9.0, -14.0, -11.0)  # of the PET grid's centre against the MRI grid's, in the world (left, posterior, superior)

GREY_MATTER_BQ_PER_ML = 20_000.0  # a standardised uptake value of 7 for 200 MBq in 70 kg
UPTAKE = {"gm": 1.0, "wm": 0.25, "csf": 0.05}  # relative to grey matter; 4 : 1 for grey to white, CSF has next to none
PSF_FWHM_MM = 6.0
BQ_PER_ML_PER_COUNT = 100.0  # so 200 counts in a voxel of pure grey matter, where the noise is then 1 / sqrt(200) = 7 %
SEED = 152

DESCRIPTIONS = {
    MRI_NAME: "T1-weighted MRI, ICBM MNI152 atlas 2009a (an average of 152 brains), 2 mm. Not for diagnosis.",
    PET_NAME: "Simulated FDG-PET in Bq/ml, made from the tissue maps of the ICBM MNI152 atlas 2009a. Not for diagnosis.",
}
THUMBNAIL_PIXELS = (260, 280)
THUMBNAIL_PIXEL_MM = 0.76
THUMBNAIL_CENTRE_MM = (0.0, 18.0, 8.0)  # LPS: a slice through basal ganglia and ventricles
THUMBNAIL_WINDOWS = {MRI_NAME: (75.0, 230.0), PET_NAME: (800.0, 20_000.0)}


def read_source(kind: str) -> sitk.Image:
    """One map of the atlas, float64, 1 mm: ``t1`` in 0..255 (brain only), ``gm`` and ``wm`` as probabilities in 0..1.

    Raises:
        ModuleNotFoundError: nilearn is not installed.
        ValueError: the file is not the one that the shipped pair was made from.
    """
    path = Path(str(resources.files("nilearn"))) / f"datasets/data/mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz"
    if hashlib.sha256(path.read_bytes()).hexdigest() != SOURCES[kind]:
        raise ValueError(f"{path.name} of this nilearn is not the file that the sample data was made from.")
    image = sitk.ReadImage(str(path), sitk.sitkFloat64)
    return image if kind == "t1" else image / 255.0


def make_mri(atlas: sitk.Image) -> sitk.Image:
    """The T1 at 2 mm, uint8 0..255: each voxel is the mean of the 2 x 2 x 2 that it covers, so nothing aliases or rings."""
    mri: sitk.Image = sitk.Cast(sitk.Round(sitk.BinShrink(atlas, [MRI_SHRINK] * 3)), sitk.sitkUInt8)
    return mri


def grid_centre(image: sitk.Image) -> Matrix:
    """The world position (LPS, mm) of the middle of an image's grid."""
    middle = [(extent - 1) / 2 for extent in image.GetSize()]
    return np.array(image.TransformContinuousIndexToPhysicalPoint(middle))


def offset_rotation() -> Matrix:
    """The rotation (3, 3) that turns the axes of the MRI grid into those of the PET grid, in the world."""
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*(math.radians(angle) for angle in PET_ROTATION_DEGREES))
    return np.array(turn.GetMatrix()).reshape(3, 3)


def pet_grid(mri: sitk.Image) -> sitk.Image:
    """An empty image on the PET's grid: that of the MRI rotated and shifted, with a size and spacing of its own."""
    grid = sitk.Image(PET_SIZE, sitk.sitkFloat64)
    grid.SetSpacing(PET_SPACING_MM)
    grid.SetDirection((offset_rotation() @ np.array(mri.GetDirection()).reshape(3, 3)).ravel())
    # With the origin still at zero, the centre is the vector from the first voxel to the middle.
    grid.SetOrigin(grid_centre(mri) + PET_SHIFT_MM - grid_centre(grid))
    return grid


def make_activity(t1: sitk.Image, gm: sitk.Image, wm: sitk.Image) -> sitk.Image:
    """Tracer in Bq/ml on the atlas's grid: the tissues' uptakes, weighted by their probabilities.

    What is brain in the T1 and neither grey nor white matter is CSF. The atlas has no scalp or skull, nor has the PET.
    """
    rest = sitk.Clamp(1.0 - gm - wm, lowerBound=0.0, upperBound=1.0)
    csf = sitk.Mask(rest, t1 > 0)
    activity: sitk.Image = GREY_MATTER_BQ_PER_ML * (UPTAKE["gm"] * gm + UPTAKE["wm"] * wm + UPTAKE["csf"] * csf)
    return activity


def scan(activity: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """What the scanner expects to see: the activity blurred by its point spread, sampled on its grid; float64, Bq/ml.

    The padding lets the blur fade out where the atlas ends, below the brain stem: unpadded, the
    filter takes the last slice to go on for ever.
    """
    sigma = PSF_FWHM_MM / math.sqrt(8 * math.log(2))
    margin = [math.ceil(4 * sigma)] * 3
    blurred = sitk.SmoothingRecursiveGaussian(sitk.ConstantPad(activity, margin, margin, 0.0), sigma)
    return sitk.Resample(blurred, grid, sitk.Transform(), sitk.sitkLinear, 0.0)


def add_noise(expected: sitk.Image) -> sitk.Image:
    """One Poisson draw per voxel of the scanner's grid, int16, Bq/ml in steps of ``BQ_PER_ML_PER_COUNT``.

    The expected counts are rounded to thousandths: a last bit that another processor computes differently must not
    change a draw, and with it all that follow.
    """
    counts = np.round(sitk.GetArrayFromImage(expected) / BQ_PER_ML_PER_COUNT, 3).clip(min=0)
    drawn = np.random.default_rng(SEED).poisson(counts)
    noisy = sitk.GetImageFromArray((drawn * BQ_PER_ML_PER_COUNT).astype(np.int16))
    noisy.CopyInformation(expected)
    return noisy


def make_pair() -> dict[str, sitk.Image]:
    """MRI and PET by name, as they are shipped."""
    t1, gm, wm = (read_source(kind) for kind in ("t1", "gm", "wm"))
    mri = make_mri(t1)
    pet = add_noise(scan(make_activity(t1, gm, wm), pet_grid(mri)))
    return {MRI_NAME: mri, PET_NAME: pet}


def make_thumbnail(image: sitk.Image, name: str) -> sitk.Image:
    """One axial slice as RGB, anterior up and the patient's left on the right: the MRI in grey, the PET in a hot palette."""
    plane = sitk.Image((*THUMBNAIL_PIXELS, 1), sitk.sitkFloat64)
    plane.SetSpacing((THUMBNAIL_PIXEL_MM, THUMBNAIL_PIXEL_MM, 1.0))
    plane.SetOrigin(np.array(THUMBNAIL_CENTRE_MM) - grid_centre(plane))
    smooth = sitk.Resample(image, plane, sitk.Transform(), sitk.sitkBSpline, 0.0, sitk.sitkFloat64)
    low, high = THUMBNAIL_WINDOWS[name]
    grey = sitk.Cast(sitk.IntensityWindowing(smooth, low, high, 0.0, 255.0), sitk.sitkUInt8)[:, :, 0]
    palette = sitk.ScalarToRGBColormapImageFilter.Hot if name == PET_NAME else sitk.ScalarToRGBColormapImageFilter.Grey
    picture: sitk.Image = sitk.ScalarToRGBColormap(grey, palette, useInputImageExtremaForScaling=False)
    return picture


def write_pair(output: Path, icons: Path) -> None:
    """Write both volumes as gzip-compressed NRRD into ``output`` and a picture of each into ``icons``."""
    for folder in (output, icons):
        folder.mkdir(parents=True, exist_ok=True)
    for name, image in make_pair().items():
        image.SetMetaData("description", DESCRIPTIONS[name])
        sitk.WriteImage(image, str(output / f"{name}.nrrd"), useCompression=True, compressionLevel=9)
        sitk.WriteImage(make_thumbnail(image, name), str(icons / f"{name}.png"), useCompression=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the PET/MRI pair that the extension ships.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the two volumes")
    parser.add_argument("--icons", type=Path, help="folder for the two pictures (default: Icons beside OUTPUT)")
    options = parser.parse_args(arguments)
    write_pair(options.output, options.icons or options.output.parent / "Icons")


if __name__ == "__main__":
    main()
