"""Options and data for training runs of a few seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from cspadn.models.cspadn import NetworkConfig
from repository import ROOT
from training.config import TrainingConfig, load_config
from volumes import blobs, volume

PAPER = ROOT / "training" / "configs" / "paper.yaml"
TINY = NetworkConfig(common_channels=2, growth_channels=2, dense_modules=1, reduced_channels=1, decoder_channels=(2,))


def tiny(**options: Any) -> TrainingConfig:
    """A run of a few seconds."""
    small = {"epochs": 8, "steps_per_epoch": 2, "batch_size": 2, "patch_size": 12, "validate_every": 3, "network": TINY}
    plain = {
        "foreground": 0.0,
        "mse_steps": 0,
        "pictures_every": 0,
        "precision": "32",
        "validation_subset": ("test_same_head",),
    }
    return replace(load_config(PAPER), **{**small, **plain, **options})


def write_pictures(folder: Path) -> Path:
    """A folder with three training pairs and one validation pair of 32x40 pixels; the PET in colour."""
    random = np.random.default_rng(0)
    for kind, shape in (("pet", (32, 40, 3)), ("mri", (32, 40))):
        (folder / kind).mkdir(parents=True)
        for name in "abcd":
            pixels = random.integers(0, 256, shape, np.uint8)
            sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=kind == "pet"), str(folder / kind / f"{name}.png"))
    (folder / "split.csv").write_text("id,subset\na,train\nb,train\nc,train\nd,test_same_head\n")
    return folder


def write_volumes(folder: Path) -> Path:
    """A CSV file of two registered volume pairs of different size, the second for validation; paths from its folder on."""
    folder.mkdir()
    for name, size in (("a", (14, 20, 24)), ("b", (12, 26, 18))):
        sitk.WriteImage(volume(blobs(size, seed=1), (2, 2, 3), (-24, -20, 5)), str(folder / f"mri_{name}.nii.gz"))
        sitk.WriteImage(volume(blobs((9, 12, 14), seed=2), (3.5, 3.5, 5), (-24, -21, 3)), str(folder / f"pet_{name}.nii"))
    table = folder / "pairs.csv"
    table.write_text(f"pet,mri,subset\npet_a.nii,mri_a.nii.gz,train\npet_b.nii,{folder / 'mri_b.nii.gz'},test_same_head\n")
    return table
