"""A real pair of PNGs on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cspadn.cli import entry
from cspadn.imaging import color


def test_real_pair_on_the_command_line(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "subject2_pet_mri"
    name = sorted(path.name for path in (folder / "pet").iterdir())[10]
    output = tmp_path / "fused.png"
    sources = [str(folder / kind / name) for kind in ("pet", "mri")]
    assert entry.main(["fuse", *sources, "-o", str(output), "--model", "cspadn-paper"]) == 0
    fused = sitk.ReadImage(str(output))
    assert fused.GetSize() == (256, 256)
    assert fused.GetNumberOfComponentsPerPixel() == 3
    pet, mri = (sitk.GetArrayFromImage(sitk.ReadImage(str(folder / kind / name))) for kind in ("pet", "mri"))
    luma = color.luma(sitk.GetArrayFromImage(fused))
    for source in (pet, mri):
        assert np.corrcoef(luma.ravel(), color.luma(source).ravel())[0, 1] > 0.7
