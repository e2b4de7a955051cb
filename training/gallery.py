"""Draw the pictures of ``docs/gallery.md``: the sample pair, and simulated heads of other contrasts and tracers.

``python -m training.gallery --data FOLDER --output docs/pictures``; FOLDER contains ``label_maps``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

import cspadn
from cspadn.imaging.color import fine_detail, legend
from cspadn.imaging.geometry import resample, to_axial
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, to_unit
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from training.command import help_text, run
from training.evaluation import colors
from training.evaluation.cases import CONTRASTS, TASKS, Case, simulated_case
from training.evaluation.reading_pictures import draw_lines
from training.heads import Volume
from training.make_sample_data import COLD, DARK, HOT, MRI_NAME, PET_NAME, Lesion

SAMPLES = Path(cspadn.__file__).parents[1] / "Resources" / "SampleData"
_HEADS = (11, 12, 13, 14)
_PLANE = 0.65  # of the planes of a simulated head
_OEDEMA = -0.3  # of the window: a lesion of the observer's size, deep enough to be seen in a small picture
_OPACITY = 0.5
_WHITE = 255
_MARGIN_MM = 24  # around a lesion
_INCHES = 2.6
_MOVE = ((6.0, -4.0, 3.0), (0.05, 0.03, 0.1))  # mm, and radians about x, y and z

Picture = NDArray[np.float64]
Line = tuple[str, dict[str, Picture]]


@dataclass(frozen=True)
class Shown:
    """A fused pair on the grid of the MRI, each volume (N, H, W) in [0, 1], slices from the feet, rows from the front."""

    pet: Volume
    mri: Volume
    fused: Volume
    color: Picture
    grid: sitk.Image

    @classmethod
    def of(cls, pet: sitk.Image, mri: sitk.Image, settings: cspadn.FusionSettings) -> Shown:
        """Fuse a pair as the product does."""
        result = cspadn.fuse(pet, mri, settings)
        for warning in result.warnings:
            print(warning)
        windows = [Window(*result.provenance[f"{name}_window"]) for name in ("pet", "mri")]
        grid = to_axial(mri)
        placed = resample(result.placed(pet), grid)
        units = (to_unit(sitk.GetArrayFromImage(each), window) for each, window in zip((placed, grid), windows, strict=True))
        pet_unit, mri_unit = units
        fused = to_unit(sitk.GetArrayFromImage(to_axial(result.image)), Window(0, FUSED_MAXIMUM))
        assert result.color is not None
        return cls(pet_unit, mri_unit, fused, sitk.GetArrayFromImage(to_axial(result.color)) / _WHITE, grid)

    def columns(self, plane: int, box: tuple[slice, slice] = (slice(None), slice(None))) -> dict[str, Picture]:
        """Return the displays of a slice, or of a box in it."""
        pet, mri, fused = (each[plane][box] for each in (self.pet, self.mri, self.fused))
        return {
            "PET": colors.pet_alone(pet, DEFAULT_PALETTE),
            "MRI": colors.grey(mri),
            f"slider, {_OPACITY:.0%}": colors.slider(pet, mri, DEFAULT_PALETTE, _OPACITY),
            "fused, grey": colors.grey(fused),
            "fused, colour": self.color[plane][box],
        }

    def place(self, lesion: Lesion) -> tuple[int, int, int]:
        """Return slice, row and column of a lesion's centre."""
        column, row, plane = self.grid.TransformPhysicalPointToIndex(lesion.centre)
        return plane, row, column

    def around(self, lesion: Lesion) -> tuple[slice, slice]:
        """Return the box around a lesion in its slice."""
        _, row, column = self.place(lesion)
        margin = round(_MARGIN_MM / self.grid.GetSpacing()[0])
        return slice(row - margin, row + margin), slice(column - margin, column + margin)


def sample_pair() -> tuple[sitk.Image, sitk.Image]:
    """Return PET and MRI of the shipped sample pair."""
    pet, mri = (sitk.ReadImage(str(SAMPLES / f"{name}.nrrd")) for name in (PET_NAME, MRI_NAME))
    return pet, mri


def draw_sample(folder: Path) -> None:
    """Draw the palettes, the three lesions, and the pair before and after a registration."""
    pet, mri = sample_pair()
    shown = Shown.of(pet, mri, cspadn.FusionSettings(palette=DEFAULT_PALETTE, device="cpu"))
    draw_lines(_palettes(shown), folder / "gallery-palettes.jpg", _INCHES)
    lesions = {"hot in the PET": HOT, "cold in the PET": COLD, "dark in the MRI": DARK}
    lines = [(name, shown.columns(shown.place(each)[0], shown.around(each))) for name, each in lesions.items()]
    draw_lines(lines, folder / "gallery-lesions.jpg", _INCHES)
    draw_lines(_moved(pet, mri), folder / "gallery-moved.jpg", _INCHES)


def _palettes(shown: Shown) -> list[Line]:
    plane = shown.place(HOT)[0]
    pet, mri, fused = (each[plane] for each in (shown.pet, shown.mri, shown.fused))
    detail = fine_detail(mri)
    return [
        (
            name.removeprefix("PET-"),
            {
                "PET": colors.pet_alone(pet, name),
                f"slider, {_OPACITY:.0%}": colors.slider(pet, mri, name, _OPACITY),
                "fused, colour": colors.ours(pet, mri, name, fused, detail),
                "uptake, brightness": legend(name, *pet.shape[::-1]) / _WHITE,
            },
        )
        for name in PALETTES
    ]


def _moved(pet: sitk.Image, mri: sitk.Image) -> list[Line]:
    """Displace the PET, and fuse it as it is, and registered."""
    move = sitk.Euler3DTransform()
    move.SetCenter(HOT.centre)
    move.SetTranslation(_MOVE[0])
    move.SetRotation(*_MOVE[1])
    displaced = sitk.Resample(pet, pet, move, sitk.sitkLinear)
    lines = []
    for name, register in (("displaced", "none"), ("registered", "rigid")):
        shown = Shown.of(displaced, mri, cspadn.FusionSettings(palette=DEFAULT_PALETTE, device="cpu", register=register))
        lines.append((name, shown.columns(shown.place(HOT)[0])))
    return lines


def draw_heads(data: Path, folder: Path) -> None:
    """Draw four simulated heads, and a coarse lesion of the MRI that the grey volume does not show."""
    cases = [
        simulated_case(data / "label_maps" / f"head{number:02d}.nii.gz", contrast, tracer, number)
        for number, (contrast, tracer) in zip(_HEADS, CONTRASTS, strict=True)
    ]
    draw_lines([(case.name, _case_columns(case)) for case in cases], folder / "gallery-heads.jpg", _INCHES)
    coarse = replace(next(task for task in TASKS if task.name == "MRI coarse"), amount=_OEDEMA)
    case = cases[0]
    pet, mri = case.with_lesions(coarse)
    lines = [("without", _case_columns(case)), ("with lesions", _planes(pet, mri, len(case.pet)))]
    draw_lines(lines, folder / "gallery-coarse.jpg", _INCHES)


def _case_columns(case: Case) -> dict[str, Picture]:
    return _planes(case.pet, case.mri, len(case.pet))


def _planes(pet: Volume, mri: Volume, count: int) -> dict[str, Picture]:
    """Fuse one plane of a case, whose rows run to the front."""
    plane = [round(_PLANE * (count - 1))]
    pet_plane, mri_plane = (sitk.GetImageFromArray(np.ascontiguousarray(each[plane, ::-1])) for each in (pet, mri))
    settings = cspadn.FusionSettings(
        palette=DEFAULT_PALETTE, device="cpu", pet_window=(0, 1), mri_window=(0, 1), skip_alignment_check=True
    )
    return Shown.of(pet_plane, mri_plane, settings).columns(0)


def main() -> int:
    """Draw all; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.gallery", description=help_text(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="folder with label_maps")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    options = parser.parse_args()
    return run("gallery", lambda: draw(options.data, options.output))


def draw(data: Path, folder: Path) -> None:
    """Draw all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_sample(folder)
    draw_heads(data, folder)


if __name__ == "__main__":
    sys.exit(main())
