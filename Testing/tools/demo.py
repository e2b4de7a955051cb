"""``make demo``: fuse the shipped sample pair on the command line, and draw PET, MRI, opacity blend and both fused volumes.

``draw`` also made Resources/Screenshots/fusion.png, the first picture of the README, which
Testing/integration/test_demo.py compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.cli import entry
from cspadn.imaging.color import legend, palette_of
from cspadn.imaging.geometry import resample, to_axial
from cspadn.imaging.metadata import PREFIX
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

mpl.use("Agg")
from matplotlib import pyplot as plt

SAMPLES = Path(__file__).resolve().parents[2] / "CSpADNFusion" / "Resources" / "SampleData"
PET, MRI = SAMPLES / "SimulatedHead_FDG.nrrd", SAMPLES / "SimulatedHead_T1.nrrd"
_BLEND = 0.5  # PET opacity, as in the middle of a viewer's slider
_HEIGHTS = (0.4, 0.52, 0.62)  # of the three slices, as shares of the volume
_TITLES = ("PET", "MRI", f"Opacity blend, {_BLEND:.0%}", "Fused, grey", "Fused, colour")
_WIDTH = 12.5  # inches, at 100 pixels each
_LEGEND_WIDTH = 0.8  # of a slice's
_MARGIN = 3  # voxels around the head
_SOMETHING = 0.1  # of a window: what is brighter belongs to the head
_WHITE = 255

_Unit = NDArray[np.float32]
_Colors = NDArray[np.floating]


def main() -> int:
    """Fuse and draw; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the fused volumes and the picture")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    fused, color, picture = folder / "fused.nrrd", folder / "color.nrrd", folder / "fusion.png"
    code = fuse(fused, color)
    if code == 0:
        draw(PET, MRI, fused, color, picture)
        print(f"Fused volume:  {fused.resolve()}\nColour volume: {color.resolve()}\nPicture:       {picture.resolve()}")
    return code


def fuse(fused: Path, color: Path, *more: str) -> int:
    """Fuse the sample pair into two files with more options of ``cspadn fuse``; return its exit code."""
    return entry.main(["fuse", str(PET), str(MRI), "-o", str(fused), "--color", str(color), "--overwrite", *more])


def draw(pet_file: Path, mri_file: Path, fused_file: Path, color_file: Path, picture: Path) -> None:
    """Draw three axial slices, a row each: PET, MRI, their opacity blend, fused in grey, fused in colour; and the legend.

    Args:
        pet_file, mri_file: the sources.
        fused_file, color_file: NRRD files that ``cspadn fuse`` made of them; the first names the windows and the palette.
        picture: the PNG file to write.
    """
    made = sitk.ReadImage(str(fused_file))
    pet_window, mri_window = (Window(*json.loads(made.GetMetaData(f"{PREFIX}{name}_window"))) for name in ("pet", "mri"))
    palette = made.GetMetaData(f"{PREFIX}palette")
    mri = to_axial(sitk.ReadImage(str(mri_file)))
    pet = resample(sitk.ReadImage(str(pet_file)), mri)
    units = [_unit(pet, pet_window), _unit(mri, mri_window), _unit(to_axial(made), Window(0, FUSED_MAXIMUM))]
    colored = sitk.GetArrayFromImage(to_axial(sitk.ReadImage(str(color_file)))) / _WHITE
    rows = [_row(*(each[round(height * len(each))] for each in (*units, colored)), palette) for height in _HEIGHTS]
    _draw(rows, _extent(np.maximum(units[0], units[1])), mri.GetSpacing(), (palette, pet_window), picture)


def _unit(image: sitk.Image, window: Window) -> _Unit:
    return to_unit(sitk.GetArrayFromImage(image), window)


def _extent(unit: _Unit) -> tuple[slice, slice]:
    """The rows and the columns in which there is something in any slice, with a margin."""
    found = (unit > _SOMETHING).any(axis=0)
    places = [np.flatnonzero(found.any(axis=other)) for other in (1, 0)]
    rows, columns = (slice(max(0, place[0] - _MARGIN), place[-1] + _MARGIN + 1) for place in places)
    return rows, columns


def _row(pet: _Unit, mri: _Unit, fused: _Unit, colored: _Colors, palette: str) -> list[_Colors]:
    """RGB pictures (rows, columns, 3) in [0, 1] of one slice, in the order of the titles."""
    hot = palette_of(palette)[np.rint(pet * _WHITE).astype(np.uint8)]
    grey, fused_grey = (np.repeat(each[..., np.newaxis], 3, axis=-1) for each in (mri, fused))
    return [hot, grey, _BLEND * hot + (1 - _BLEND) * grey, fused_grey, colored]


def _draw(
    rows: list[list[_Colors]],
    extent: tuple[slice, slice],
    spacing: tuple[float, ...],
    scale: tuple[str, Window],
    picture: Path,
) -> None:
    across, down = ((part.stop - part.start) * step for part, step in zip(extent[::-1], spacing[:2], strict=True))
    cell = _WIDTH / (len(_TITLES) + _LEGEND_WIDTH)
    height = cell * down / across * len(rows) + 0.4
    figure = plt.figure(figsize=(_WIDTH, height), facecolor="black", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    widths = [1] * len(_TITLES) + [_LEGEND_WIDTH]
    grid = figure.add_gridspec(len(rows), len(widths), width_ratios=widths)
    for place, pictures in enumerate(rows):
        for column, (title, pixels) in enumerate(zip(_TITLES, pictures, strict=True)):
            axes = figure.add_subplot(grid[place, column])
            axes.imshow(pixels[extent], interpolation="bilinear", aspect=spacing[1] / spacing[0])
            axes.axis("off")
            if place == 0:
                axes.set_title(title, color="white", fontsize=15)
    _draw_legend(figure.add_subplot(grid[len(rows) // 2, -1]), *scale)
    _save(figure, picture)


def _draw_legend(axes: Axes, palette: str, window: Window) -> None:
    """Uptake, over the window of the PET, against brightness, over the range of the fused volume."""
    axes.imshow(legend(palette), extent=(0, 1, 0, 1), aspect="equal")
    axes.set_xticks([0, 1], [f"{end:.6g}" for end in window])
    axes.set_yticks([0, 1], ["0", f"{FUSED_MAXIMUM:g}"], rotation=90)
    axes.set_title("Legend", color="white", fontsize=15)
    axes.set_xlabel("uptake (PET)", color="white", fontsize=12, labelpad=2)
    axes.set_ylabel("brightness (fused)", color="white", fontsize=12, labelpad=2)
    axes.tick_params(colors="white", labelsize=10, length=0)
    labels = axes.get_xticklabels(), axes.get_yticklabels()
    for (first, last), sides in zip(labels, (("left", "right"), ("bottom", "top")), strict=True):
        for label, side in zip((first, last), sides, strict=True):
            label.set(**{"ha" if sides[0] == "left" else "va": side})


def _save(figure: Figure, picture: Path) -> None:
    figure.savefig(picture, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
