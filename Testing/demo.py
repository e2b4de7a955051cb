"""``make demo``: fuse the shipped sample pair on the command line, and show PET, MRI, opacity blend and both fused volumes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn import cli
from cspadn.color import legend, palette_of
from cspadn.geometry import resample, to_axial
from cspadn.intensity import FUSED_MAXIMUM, Window, automatic_window, to_unit
from cspadn.settings import DEFAULT_PALETTE

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

SAMPLES = Path(__file__).resolve().parent.parent / "CSpADNFusion" / "Resources" / "SampleData"
PET, MRI = SAMPLES / "MNI152_FDG_simulated.nrrd", SAMPLES / "MNI152_T1.nrrd"
_BLEND = 0.5  # what the opacity slider of a viewer stands at
_TITLES = ("PET", "MRI", f"Opacity blend ({_BLEND:.0%})", "Fused", "Fused in colour")
_HEIGHTS = (0.38, 0.55, 0.7)  # of the three slices, as shares of the volume


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the fused volume and the picture")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    fused, color, picture = folder / "fused.nrrd", folder / "color.nrrd", folder / "fusion.png"
    code = cli.main(["fuse", str(PET), str(MRI), "-o", str(fused), "--color", str(color), "--overwrite"])
    if code == 0:
        draw(PET, MRI, fused, color, picture)
        print(f"Fused volume:  {fused.resolve()}\nColour volume: {color.resolve()}\nPicture:       {picture.resolve()}")
    return code


def draw(pet_file: Path, mri_file: Path, fused_file: Path, color_file: Path, picture: Path) -> None:
    """Draw three axial slices, a row each: PET, MRI, their opacity blend, the fused and the colour volume; and the legend."""
    mri = to_axial(sitk.ReadImage(str(mri_file)))
    units = [
        _unit(resample(sitk.ReadImage(str(pet_file)), mri), "PET"),
        _unit(mri, "MRI"),
        _unit(to_axial(sitk.ReadImage(str(fused_file))), "fused", Window(0, FUSED_MAXIMUM)),
        sitk.GetArrayFromImage(to_axial(sitk.ReadImage(str(color_file)))),
    ]
    columns = len(_TITLES)
    size = 2.4 * columns, 3 * len(_HEIGHTS)
    figure, axes = plt.subplots(len(_HEIGHTS), columns, figsize=size, facecolor="black", layout="constrained")
    for row, height in zip(axes, _HEIGHTS, strict=True):
        _draw_row(row, *(unit[round(height * len(unit))] for unit in units))
    for axis, title in zip(axes[0], _TITLES, strict=True):
        axis.set_title(title, color="white", fontsize=13)
    _draw_legend(axes[-1, -1].inset_axes((0.2, -0.3, 0.6, 0.2)))
    figure.savefig(picture, dpi=100)
    plt.close(figure)


def _unit(image: sitk.Image, name: str, window: Window | None = None) -> NDArray[np.float32]:
    values = sitk.GetArrayFromImage(image)
    return to_unit(values, window or automatic_window(values, name))


def _draw_row(
    row: NDArray[np.object_],
    pet: NDArray[np.float32],
    mri: NDArray[np.float32],
    fused: NDArray[np.float32],
    color: NDArray[np.uint8],
) -> None:
    hot = palette_of(DEFAULT_PALETTE)[np.rint(pet * 255).astype(np.uint8)]
    grey = np.repeat(mri[..., np.newaxis], 3, axis=-1)
    pictures = (hot, grey, _BLEND * hot + (1 - _BLEND) * grey, np.repeat(fused[..., np.newaxis], 3, axis=-1), color)
    for axis, picture in zip(row, pictures, strict=True):
        axis.imshow(picture, interpolation="bilinear")
        axis.axis("off")


def _draw_legend(axis: Axes) -> None:
    axis.imshow(legend(DEFAULT_PALETTE), aspect="auto")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel("PET uptake", color="white")
    axis.set_ylabel("brightness", color="white")


if __name__ == "__main__":
    sys.exit(main())
