"""What several tests need: volumes, the shared data where there is any, and the stand-in for the application."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import FusionError
from message_calls import says as says  # for all tests

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
RESOURCES = ROOT / "CSpADNFusion" / "Resources"
SAMPLES = ("SimulatedHead_FDG", "SimulatedHead_T1")  # PET and MRI

pytest_plugins = ["slicer_application.fixtures"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with data that the project does not own."""
    if not SHARED.is_dir():
        pytest.skip("the folder 'shared' with the evaluation data is not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def coarse_resources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like Resources with the sample pair alone, at half the resolution in the plane: a quarter of the voxels."""
    folder = tmp_path_factory.mktemp("Resources")
    (folder / "SampleData").mkdir()
    shutil.copytree(RESOURCES / "Icons", folder / "Icons")
    for name in SAMPLES:
        image = sitk.BinShrink(sitk.ReadImage(str(RESOURCES / "SampleData" / f"{name}.nrrd")), [2, 2, 1])
        sitk.WriteImage(image, str(folder / "SampleData" / f"{name}.nrrd"))
    return folder


@contextmanager
def raises(kind: type[FusionError], identifier: str, **fields: Any) -> Iterator[pytest.ExceptionInfo[FusionError]]:
    """Expect an error of a kind, with a message of the catalogue; ``fields`` are values that the message must contain."""
    with pytest.raises(kind) as caught:
        yield caught
    assert caught.value.identifier == identifier, str(caught.value)
    found = caught.value.fields
    assert {name: found.get(name) for name in fields} == fields
    assert "\n" not in str(caught.value)


def identifiers(warnings: Iterable[str]) -> list[str]:
    """Return the identifiers of warnings; empty for a text outside the catalogue."""
    return [getattr(warning, "identifier", "") for warning in warnings]


def volume(values: np.ndarray, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=None) -> sitk.Image:
    """An image from an array (slices, rows, columns)."""
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(np.asarray(direction, float).ravel().tolist())
    return image


def blobs(size=(8, 20, 24), seed=0) -> np.ndarray:
    """A smooth, asymmetric float32 array from 0 to about 100 with a dark border, as heads have."""
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).random(size).astype(np.float32))
    smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 2.0))
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij")
    inside = (0.5 * z) ** 2 + y**2 + (x / 0.9) ** 2 < 0.8
    return (inside * (smooth - smooth.min()) / np.ptp(smooth) * (80 + 20 * x)).astype(np.float32)


@pytest.fixture
def pair() -> tuple[sitk.Image, sitk.Image]:
    """A small PET (own, coarser grid) and MRI in one space."""
    mri = volume(blobs(seed=1), spacing=(2, 2, 3), origin=(-24, -20, 5))
    pet = volume(blobs((7, 12, 14), seed=2), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3))
    return pet, mri
