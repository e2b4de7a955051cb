"""Derived DICOM studies that the library writes, from small series, and the tools that check DICOM files."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.io.atomic_output import commit
from cspadn.io.dicom_writer import check_study_output, stage_study
from dicom_files import CONFORMANT, write_series
from volumes import blobs, volume

PROVENANCE: dict[str, Any] = {
    "software": "CSpADNFusion 0",
    "model": "cspadn",
    "model_version": 3,
    "model_sha256": "a" * 64,
    "grid": "mri",
    "pet_window": [0.0, 80.0],
    "mri_window": [100.0, 900.0],
    "pet_units": "BQML",
    "palette": "Heated",
    "color_table": "version 3",
}


def needs(*programs: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need programs of Debian's packages dicom3tools, dcmtk and orthanc."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def source_images(direction: Sequence[float] | None = None) -> tuple[sitk.Image, sitk.Image]:
    """Return a small PET and MRI of different grids, in the same directions (9 numbers)."""
    pet = volume(blobs((7, 12, 14), seed=2), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3), direction=direction)
    mri = volume(10 * blobs((8, 20, 24), seed=1), spacing=(2, 2.2, 3), origin=(-24, -20, 5), direction=direction)
    return pet, mri


def to_one(image: sitk.Image) -> sitk.Image:
    """Scale an image so that nearly all of its values lie from 0 to 1, and clip the others."""
    return sitk.Clamp(image / float(np.percentile(sitk.GetArrayViewFromImage(image), 99.5)), sitk.sitkFloat32, 0, 1)


def write_sources(
    folder: Path, images: tuple[sitk.Image, sitk.Image] | None = None, pet: dict[str, Any] | None = None, **mri: Any
) -> dict[str, Path]:
    """Write a PET and an MRI as conformant series in the folders PT and MR.

    Args:
        folder: exists.
        images: PET and MRI; None: of :func:`source_images`.
        pet, mri: tags that differ.
    """
    images = images or source_images()
    tags = {
        "PT": {**CONFORMANT["PT"], "NumberOfSlices": images[0].GetDepth(), **(pet or {})},
        "MR": {**CONFORMANT["MR"], **mri},
    }
    return {kind: write_series(folder / kind, image, kind, **tags[kind]) for kind, image in zip(tags, images, strict=True)}


def result_images(like: sitk.Image, seed: int = 5) -> tuple[sitk.Image, sitk.Image]:
    """Return a fused volume with values from -3 to 4100, and a colour volume, on the grid of an image."""
    size, random = like.GetSize()[::-1], np.random.default_rng(seed)
    images = (
        sitk.GetImageFromArray(random.uniform(-3, 4100, size).astype(np.float32)),
        sitk.GetImageFromArray(random.integers(0, 256, (*size, 3), np.uint8), isVector=True),
    )
    for image in images:
        image.CopyInformation(like)
    return images


def write_study(
    folder: Path, sources: dict[str, Path], images: tuple[sitk.Image, sitk.Image | None], **provenance: Any
) -> Path:
    """Write the derived study of two series into a folder, as the command line and the panel do."""
    read = check_study_output(folder, sources["MR"], sources.get("PT"))
    described = {**PROVENANCE, **provenance}
    commit([lambda: stage_study(*images, folder, read, described)], overwrite=False)
    return folder


def errors_in(files: Sequence[Path]) -> list[str]:
    """Return the lines of dciodvfy that name an error, with the names of the files."""
    found = []
    for file in files:
        done = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True, errors="replace", check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert any(line and " - " not in line for line in lines), lines  # the name of the IOD
        found += [f"{file.parent.name}/{file.name}: {line}" for line in lines if line.startswith("Error")]
    return found


def inconsistencies_in(files: Sequence[Path]) -> list[str]:
    """Return the lines of dcentvfy: attributes of a patient, a study or a series that differ between its files."""
    done = subprocess.run(["dcentvfy", *map(str, files)], capture_output=True, text=True, errors="replace", check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "Warning"))]
