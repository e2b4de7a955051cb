"""Simulate the MRI and the PET of a head from its label map: tissue tables, scanners and lesions.

A label map gives every voxel a tissue. A table gives every tissue an intensity, and the scanner adds resolution, texture, bias
field and noise. :mod:`training.synthesis` draws the tables at random for training; :mod:`training.evaluation.observer` and
:mod:`training.make_sample_data` use the fixed tables below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cspadn.errors import InputError

Volume = NDArray[np.float32]
FWHM_PER_SIGMA = 2.3548

# Label numbers of FreeSurfer below 500, and of the maps of BBillot/SynthSeg (Apache-2.0) above.
TISSUES: dict[str, tuple[int, ...]] = {
    "air": (0,),
    "white": (2, 41, 85),
    "cortex": (3, 42),
    "deep_grey": (10, 49, 11, 50, 12, 51, 13, 52, 26, 58, 28, 60),
    "limbic": (17, 53, 18, 54),
    "cerebellar_white": (7, 46),
    "cerebellar_cortex": (8, 47),
    "brain_stem": (16,),
    "csf": (4, 43, 5, 44, 14, 15, 24, 72, 136, 137, 163, 164),
    "lesion": (25, 57, 77),
    "vessel": (30, 62, 514),
    "soft": (507, 508, 509, 512, 530),
    "fat": (511,),
    "marrow": (516,),
    "bone": (515, 502),
    "eye": (506,),
}
NAMES = tuple(TISSUES)
BRAIN = ("white", "cortex", "deep_grey", "limbic", "cerebellar_white", "cerebellar_cortex", "brain_stem", "lesion")
INSIDE_SKULL = (*BRAIN, "csf")

Table = Mapping[str, float]


def _by_column(columns: tuple[str, ...], table: Mapping[str, tuple[float, ...]]) -> dict[str, dict[str, float]]:
    return {name: {tissue: row[i] for tissue, row in table.items()} for i, name in enumerate(columns)}


# Intensities relative to the brightest common tissue.
MRI_CONTRASTS = _by_column(
    ("T1", "T2", "FLAIR", "PD"),
    {
        "air": (0.00, 0.00, 0.00, 0.00),
        "white": (0.78, 0.36, 0.50, 0.60),
        "cortex": (0.55, 0.50, 0.63, 0.76),
        "deep_grey": (0.63, 0.42, 0.56, 0.70),
        "limbic": (0.56, 0.52, 0.66, 0.76),
        "cerebellar_white": (0.76, 0.36, 0.50, 0.60),
        "cerebellar_cortex": (0.54, 0.48, 0.60, 0.74),
        "brain_stem": (0.72, 0.38, 0.50, 0.64),
        "csf": (0.16, 0.96, 0.12, 0.72),
        "lesion": (0.45, 0.68, 0.92, 0.85),
        "vessel": (0.40, 0.20, 0.30, 0.40),
        "soft": (0.42, 0.28, 0.35, 0.50),
        "fat": (0.95, 0.60, 0.85, 0.90),
        "marrow": (0.80, 0.50, 0.60, 0.70),
        "bone": (0.10, 0.06, 0.06, 0.10),
        "eye": (0.20, 0.95, 0.12, 0.75),
    },
)
MRI_CONTRASTS["T1c"] = {**MRI_CONTRASTS["T1"], "vessel": 1.0, "lesion": 0.9, "soft": 0.5}
# Uptake relative to the cortex, or to the hottest tissue if that is not the cortex.
TRACERS = _by_column(
    ("FDG", "amyloid", "FET", "dopamine"),
    {
        "air": (0.00, 0.00, 0.00, 0.00),
        "white": (0.28, 0.80, 0.19, 0.12),
        "cortex": (1.00, 0.70, 0.24, 0.18),
        "deep_grey": (1.05, 0.72, 0.23, 0.80),
        "limbic": (0.75, 0.60, 0.22, 0.20),
        "cerebellar_white": (0.30, 0.70, 0.20, 0.12),
        "cerebellar_cortex": (0.85, 0.32, 0.25, 0.16),
        "brain_stem": (0.50, 0.75, 0.21, 0.25),
        "csf": (0.04, 0.08, 0.10, 0.05),
        "lesion": (0.22, 0.60, 0.20, 0.10),
        "vessel": (0.20, 0.30, 0.40, 0.15),
        "soft": (0.15, 0.15, 0.28, 0.15),
        "fat": (0.05, 0.10, 0.10, 0.06),
        "marrow": (0.15, 0.20, 0.25, 0.10),
        "bone": (0.05, 0.10, 0.12, 0.05),
        "eye": (0.10, 0.10, 0.12, 0.08),
    },
)
TRACERS["amyloid_negative"] = {**TRACERS["amyloid"], "cortex": 0.36, "limbic": 0.34, "deep_grey": 0.45}


def read_tissues(path: Path) -> NDArray[np.uint8]:
    """Read a label map as tissues.

    Returns:
        Indices into :data:`NAMES`, (slices, rows, columns), 1 mm, RAS: slices run upwards, rows to the front, columns
        to the right.

    Raises:
        InputError: the file is missing or not a label map.
    """
    if not path.is_file():
        raise InputError(f"The label map {path} does not exist: check the data folder.")
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        labels = np.rint(np.asanyarray(image.dataobj)).astype(np.int32).transpose(2, 1, 0)
    except (ImageFileError, HeaderDataError, OSError, ValueError, EOFError):
        raise InputError(f"The label map {path} cannot be read: it is damaged or not a NIfTI file.") from None
    table = np.full(max(int(labels.max()) + 1, 1000), NAMES.index("soft"), np.uint8)
    for index, numbers in enumerate(TISSUES.values()):
        table[list(numbers)] = index
    result: NDArray[np.uint8] = table[np.clip(labels, 0, None)]
    return result


def of_tissues(tissues: NDArray[np.uint8], names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Return a mask of the voxels with one of the named tissues."""
    wanted = np.zeros(len(NAMES), bool)
    wanted[[NAMES.index(name) for name in names]] = True
    result: NDArray[np.bool_] = wanted[tissues]
    return result


def paint(tissues: NDArray[np.uint8], table: Table) -> Volume:
    """Return the intensity of each voxel from its tissue."""
    result: Volume = np.array([table[name] for name in NAMES], np.float32)[tissues]
    return result


def blob(shape: tuple[int, ...], centre: tuple[float, ...], fwhm: tuple[float, ...]) -> Volume:
    """Return a Gaussian lesion of height 1; ``centre`` and ``fwhm`` in voxels, one value per axis."""
    profiles = [
        np.exp(-0.5 * ((np.arange(length) - middle) * FWHM_PER_SIGMA / width) ** 2)
        for length, middle, width in zip(shape, centre, fwhm, strict=True)
    ]
    whole = profiles[0]
    for profile in profiles[1:]:
        whole = whole[..., np.newaxis] * profile
    result: Volume = whole.astype(np.float32)
    return result


def smooth_noise(shape: tuple[int, ...], sigma: tuple[float, ...], random: np.random.Generator) -> Volume:
    """Return Gaussian noise with standard deviation 1, correlated over ``sigma`` voxels along each axis."""
    noise = gaussian_filter(random.standard_normal(shape, np.float32), sigma, mode="wrap")
    result: Volume = noise / max(float(noise.std()), 1e-6)
    return result


def scan_mri(
    painted: Volume,
    random: np.random.Generator,
    *,
    blur: tuple[float, float, float] = (0.3, 0.45, 0.45),
    texture: float = 0.03,
    bias: float = 0.1,
    noise: float = 0.015,
) -> Volume:
    """Simulate an MRI of painted tissues.

    Args:
        painted: intensities, at most about 1.
        blur: standard deviation of the point spread along each axis, in voxels.
        texture, noise: standard deviations; the texture is only in tissue, the (Rician) noise is everywhere.
        bias: strength of the bias field, which is exp(bias * smooth noise).
    """
    sharp = painted * (1 + texture * smooth_noise(painted.shape, (1.2, 1.2, 1.2), random))
    image = gaussian_filter(sharp, blur)
    if bias:
        image = image * bias_field(image.shape, bias, random)
    real, imaginary = (noise * random.standard_normal(image.shape, np.float32) for _ in range(2))
    result: Volume = np.hypot(image + real, imaginary).astype(np.float32)
    return result


def bias_field(shape: tuple[int, ...], strength: float, random: np.random.Generator) -> Volume:
    """Return a smooth positive factor around 1: the exponential of a few cosines across the volume."""
    field = np.zeros(shape, np.float32)
    grids = np.meshgrid(*(np.linspace(-1, 1, length, dtype=np.float32) for length in shape), indexing="ij", sparse=True)
    for grid in grids:
        order, phase = random.uniform(0.5, 2.5), random.uniform(0, 2 * np.pi)
        field = field + np.cos(order * grid + phase).astype(np.float32)
    result: Volume = np.exp(strength * (field - field.mean()))
    return result


def scan_pet(
    painted: Volume,
    random: np.random.Generator,
    *,
    fwhm: tuple[float, float, float] = (5.5, 5.5, 5.5),
    texture: float = 0.06,
    noise: float = 0.03,
) -> Volume:
    """Simulate a PET of painted uptake.

    Args:
        painted: uptake, at most about 1.
        fwhm: width of the point spread along each axis, in voxels; the noise has about the same correlation.
        texture: standard deviation of the uptake within a tissue.
        noise: standard deviation where the uptake is 1; it is proportional to the square root of the uptake.
    """
    sigma = tuple(width / FWHM_PER_SIGMA for width in fwhm)
    uptake = painted * (1 + texture * smooth_noise(painted.shape, sigma, random))
    blurred = gaussian_filter(uptake, sigma)
    grain = smooth_noise(painted.shape, tuple(0.7 * width for width in sigma), random)
    result: Volume = np.clip(blurred + noise * np.sqrt(np.maximum(blurred, 0)) * grain, 0, None).astype(np.float32)
    return result
