"""``make demo`` writes its files, and draws the first picture of the README."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from scipy import ndimage

import demo
from cspadn.imaging.color import legend, recolored
from cspadn.imaging.metadata import PREFIX
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from repository import ROOT, TOOLS

pytestmark = pytest.mark.ci
STORED = ROOT / "Resources" / "Screenshots" / "fusion.png"
DOWNSCALED = 8  # pixels to a side of what is compared: the edges of letters and of voxels do not count
PART = 8  # downscaled pixels to a side of the parts: less than a column
MOST_DIFFERENCE = 1.0  # grey levels of 255: for rounding on other processors; another model or palette makes 50 and more


def draw(folder: Path) -> None:
    """Do what ``make demo`` does."""
    command = [sys.executable, str(TOOLS / "demo.py"), "--output", str(folder)]
    subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def drawn(once) -> Path:
    """Return the folder that ``make demo`` writes."""
    return once("demo", draw)


def difference(first: Path, second: Path) -> float:
    """Return the mean absolute grey-level difference in the part where two pictures differ most; infinite if sizes differ."""
    pictures = [Image.open(file).convert("RGB") for file in (first, second)]
    if pictures[0].size != pictures[1].size:
        return float("inf")
    reduced = [np.asarray(picture.reduce(DOWNSCALED), np.float64) for picture in pictures]
    apart = np.abs(reduced[0] - reduced[1]).mean(axis=-1)
    return float(ndimage.uniform_filter(apart, PART).max())


def test_the_demo_leaves_volumes_and_a_picture(drawn: Path) -> None:
    assert sorted(file.name for file in drawn.iterdir()) == ["color.nrrd", "fused.json", "fused.nrrd", "fusion.png"]
    mri, fused, color = (sitk.ReadImage(str(file)) for file in (demo.MRI, drawn / "fused.nrrd", drawn / "color.nrrd"))
    assert fused.GetSize() == color.GetSize() == mri.GetSize()
    assert color.GetNumberOfComponentsPerPixel() == 3
    assert fused.GetMetaData(f"{PREFIX}palette") == DEFAULT_PALETTE


@pytest.mark.parametrize("tool", ["cohort_demo.py", "scaling.py"])
def test_tools_that_time_cohorts_can_be_started(tool: str) -> None:
    command = [sys.executable, str(TOOLS / tool), "--help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # as in the Makefile
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_the_picture_of_the_readme_is_what_the_demo_draws(drawn: Path) -> None:
    """If this fails after a change of model, sample pair, colours or layout: run ``make demo``, check the picture, copy it."""
    assert difference(STORED, drawn / "fusion.png") < MOST_DIFFERENCE


@pytest.mark.slow
def test_a_picture_of_another_model_is_noticed(drawn: Path, tmp_path: Path) -> None:
    fused, color, picture = (tmp_path / name for name in ("fused.nrrd", "color.nrrd", "fusion.png"))
    assert demo.fuse(fused, color, "--model", "cspadn-paper") == 0
    demo.draw(demo.PET, demo.MRI, fused, color, picture)
    assert difference(picture, drawn / "fusion.png") > 10 * MOST_DIFFERENCE


def test_a_picture_in_another_palette_is_noticed(drawn: Path, tmp_path: Path) -> None:
    usual = legend(DEFAULT_PALETTE).astype(float)
    palette = max(PALETTES, key=lambda name: np.abs(legend(name) - usual).mean())
    fused, pet = sitk.ReadImage(str(drawn / "fused.nrrd")), sitk.ReadImage(str(demo.PET))
    window = Window(*map(float, fused.GetMetaData(f"{PREFIX}pet_window").strip("[]").split(",")))
    units = [
        to_unit(sitk.GetArrayFromImage(demo.resample(pet, fused)), window),
        to_unit(sitk.GetArrayFromImage(sitk.ReadImage(str(demo.MRI))), Window(0, 255)),
        to_unit(sitk.GetArrayFromImage(fused), Window(0, FUSED_MAXIMUM)),
    ]
    color = sitk.GetImageFromArray(recolored(palette, *units), isVector=True)
    color.CopyInformation(fused)
    sitk.WriteImage(color, str(tmp_path / "color.nrrd"))
    demo.draw(demo.PET, demo.MRI, drawn / "fused.nrrd", tmp_path / "color.nrrd", tmp_path / "fusion.png")
    assert difference(tmp_path / "fusion.png", drawn / "fusion.png") > 10 * MOST_DIFFERENCE  # the last column alone differs


def test_a_picture_with_other_columns_is_noticed(drawn: Path, tmp_path: Path) -> None:
    """The picture of the first version had four columns."""
    older = Image.open(drawn / "fusion.png")
    older.crop((0, 0, older.width * 4 // 5, older.height)).save(tmp_path / "older.png")
    assert difference(tmp_path / "older.png", drawn / "fusion.png") == float("inf")
    shutil.copy(drawn / "fusion.png", tmp_path / "same.png")
    assert difference(tmp_path / "same.png", drawn / "fusion.png") == 0
