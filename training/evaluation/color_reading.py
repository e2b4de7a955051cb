"""What the observer reads in colour: the colour volume and the opacity slider, in every palette."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cspadn.settings import DEFAULT_MODEL, DEFAULT_PALETTE, PALETTES
from training.evaluation import colors, observer
from training.evaluation.cases import TASKS, Case
from training.evaluation.reading import NOISES, fuse_planes, interval
from training.evaluation.tables import markdown
from training.heads import Volume

Patches = tuple[Volume, ...]  # of PET, MRI and fused grey at the places of a case: (places, size, size) each
_AXES = 3
OURS = "ours"


@dataclass(frozen=True)
class ColorReading:
    """The displays of one case in one palette.

    Attributes:
        efficiency: (noises, tasks) of each display: ``ours``, and the slider by its opacity.
        errors: median and 95th percentile of the PET level that is read back from the colour volume.
        step: smallest CIEDE2000 difference of colours a tenth of the window apart, where both occur in the head.
    """

    case: str
    head: str
    palette: str
    efficiency: dict[str, NDArray[np.float64]]
    errors: tuple[float, float]
    step: float


def read_colors(case: Case) -> list[ColorReading]:
    """Read one case in every palette; the grey level is that of the default model."""
    plain = fuse_planes(case.pet, case.mri, DEFAULT_MODEL)
    sources = [case.with_lesions(task) for task in TASKS]
    shown = [(case.pet, case.mri, plain), *((*pair, fuse_planes(*pair, DEFAULT_MODEL)) for pair in sources)]
    absent, *present = (tuple(colors.patches(case, planes) for planes in volumes) for volumes in shown)
    return [_read_palette(case, palette, plain, absent, present) for palette in PALETTES]


def _read_palette(case: Case, palette: str, plain: Volume, without: Patches, lesions: Sequence[Patches]) -> ColorReading:
    absent_alone = {
        "pet": colors.responses(colors.pet_alone(without[0], palette)),
        "mri": colors.responses(colors.grey(without[1])),
    }
    reference = []
    for task, (pet, mri, _) in zip(TASKS, lesions, strict=True):
        alone = colors.pet_alone(pet, palette) if task.source == "pet" else colors.grey(mri)
        reference.append((absent_alone[task.source], colors.responses(alone)))
    efficiency = {}
    for name, display in _displays(palette).items():
        absent = colors.responses(display(*without))
        present = [colors.responses(display(*lesion)) for lesion in lesions]
        efficiency[name] = np.array([_efficiencies(reference, absent, present, noise) for noise in NOISES])
    errors = colors.read_back_errors(case, palette, plain)
    return ColorReading(case.name, case.head, palette, efficiency, errors, colors.step_in_head(case, palette, plain))


def _displays(palette: str) -> dict[str, Callable[[Volume, Volume, Volume], NDArray[np.float64]]]:
    """Each makes colours of PET, MRI and fused grey."""
    sliders = {f"{opacity:g}": partial(_slider, palette, opacity) for opacity in colors.OPACITIES}
    return {OURS: partial(_ours, palette), **sliders}


def _ours(palette: str, pet: Volume, mri: Volume, fused: Volume) -> NDArray[np.float64]:
    return colors.ours(pet, mri, palette, fused)


def _slider(palette: str, opacity: float, pet: Volume, mri: Volume, _: Volume) -> NDArray[np.float64]:
    return colors.slider(pet, mri, palette, opacity)


def _efficiencies(
    reference: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    absent: NDArray[np.float64],
    present: Sequence[NDArray[np.float64]],
    noise: float,
) -> list[float]:
    covariance = observer.noise_covariance(_AXES, noise)
    return [
        observer.detectability(absent, shown, covariance) / observer.detectability(*of_source, covariance)
        for of_source, shown in zip(reference, present, strict=True)
    ]


def color_summary(readings: Sequence[ColorReading]) -> str:
    """The table of all palettes: the slider at its best opacity, and the colour volume."""
    header = ["palette", "slider, best opacity", "slider, worst", "colour volume, worst", "95 %", "lowest case", "half noise"]
    header += ["double noise", *(task.name for task in TASKS), "read back, median", "95th percentile", "smallest step"]
    return markdown(header, [_line(palette, readings) for palette in PALETTES])


def _line(palette: str, readings: Sequence[ColorReading]) -> list[str]:
    chosen = [reading for reading in readings if reading.palette == palette]
    slider = {f"{o:g}": np.mean([reading.efficiency[f"{o:g}"][0].min() for reading in chosen]) for o in colors.OPACITIES}
    best = max(slider, key=lambda name: slider[name])
    ours = np.stack([reading.efficiency[OURS] for reading in chosen])  # cases, noises, tasks
    worst = ours.min(axis=2)
    low, high = interval(worst[:, 0], [reading.head for reading in chosen])
    errors = np.array([reading.errors for reading in chosen])
    return [
        f"**{palette}**" if palette == DEFAULT_PALETTE else palette,
        *(
            best,
            f"{slider[best]:.2f}",
            f"**{worst[:, 0].mean():.2f}**",
            f"{low:.2f} to {high:.2f}",
            f"{worst[:, 0].min():.2f}",
        ),
        *(f"{value:.2f}" for value in worst.mean(axis=0)[1:]),
        *(f"{value:.2f}" for value in ours[:, 0].mean(axis=0)),
        *(f"{errors[:, 0].max():.1%}", f"{errors[:, 1].max():.1%}", f"{min(reading.step for reading in chosen):.1f}"),
    ]
