"""Read colour displays with the observer: the colour volume and the opacity slider, in every palette."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from training.evaluation import colors, observer
from training.evaluation.cases import TASKS, Case
from training.evaluation.reading import NOISES, Planes, absent_in, interval
from training.evaluation.tables import markdown
from training.heads import Volume

Patches = tuple[Volume, ...]  # PET, MRI, fused grey and fine detail at the places of a case: (places, size, size) each
_AXES = 3
OURS = "ours"


@dataclass(frozen=True)
class ColorReading:
    """Results for the displays of one case in one palette.

    Attributes:
        efficiency: (noises, tasks) for each display: ``ours``, and the slider at each opacity.
        errors: median and 95th percentile of the error of the PET level that is read back from the colour volume.
        step: smallest CIEDE2000 difference between colours a tenth of the window apart that both occur in the head.
    """

    case: str
    head: str
    palette: str
    efficiency: dict[str, NDArray[np.float64]]
    errors: tuple[float, float]
    step: float


def read_colors(case: Case, planes: Planes) -> list[ColorReading]:
    """Read one case in every palette, given the planes fused by the default model."""
    plain = planes.plain
    sources = [case.with_lesions(task) for task in TASKS]
    empty = (case.pet, case.mri, plain, colors.detail_of(case.mri, case))
    shown = [
        (pet, mri, fused, colors.detail_of(mri, case)) for (pet, mri), fused in zip(sources, planes.with_lesions, strict=True)
    ]
    without, background = (_patches(empty, places) for places in (case.places, case.background))
    lesions = [_patches(volumes, case.places) for volumes in shown]
    return [_read_palette(case, palette, plain, (without, background), lesions) for palette in PALETTES]


def _patches(volumes: Sequence[Volume], places: NDArray[np.int64]) -> Patches:
    """Cut patches of the sources; they are sufficient, since displays map each pixel separately."""
    return tuple(observer.patches(planes, places) for planes in volumes)


def _read_palette(
    case: Case, palette: str, plain: Volume, empty: tuple[Patches, Patches], lesions: Sequence[Patches]
) -> ColorReading:
    def absent(display: Callable[[Patches], NDArray[np.float64]]) -> observer.Absent:
        return absent_in(case, *(colors.responses(display(patches)) for patches in empty))

    absent_alone = {
        "pet": absent(lambda patches: colors.pet_alone(patches[0], palette)),
        "mri": absent(lambda patches: colors.grey(patches[1])),
    }
    reference = []
    for task, (pet, mri, *_) in zip(TASKS, lesions, strict=True):
        alone = colors.pet_alone(pet, palette) if task.source == "pet" else colors.grey(mri)
        reference.append((absent_alone[task.source], colors.responses(alone)))
    efficiency = {}
    for name, display in _displays(palette).items():
        present = [colors.responses(display(lesion)) for lesion in lesions]
        efficiency[name] = np.array([_efficiencies(reference, absent(display), present, noise) for noise in NOISES])
    errors = colors.read_back_errors(case, palette, plain)
    return ColorReading(case.name, case.head, palette, efficiency, errors, colors.step_in_head(case, palette, plain))


def _displays(palette: str) -> dict[str, Callable[[Patches], NDArray[np.float64]]]:
    """Return the displays by name; each maps patches to colours."""
    sliders = {f"{opacity:g}": partial(_slider, palette, opacity) for opacity in colors.OPACITIES}
    return {OURS: partial(_ours, palette), **sliders}


def _ours(palette: str, patches: Patches) -> NDArray[np.float64]:
    pet, mri, fused, detail = patches
    return colors.ours(pet, mri, palette, fused, detail)


def _slider(palette: str, opacity: float, patches: Patches) -> NDArray[np.float64]:
    pet, mri, *_ = patches
    return colors.slider(pet, mri, palette, opacity)


def _efficiencies(
    reference: Sequence[tuple[observer.Absent, NDArray[np.float64]]],
    absent: observer.Absent,
    present: Sequence[NDArray[np.float64]],
    noise: float,
) -> list[float]:
    covariance = observer.noise_covariance(_AXES, noise)
    return [
        observer.detectability(absent, shown, covariance) / observer.detectability(*of_source, covariance)
        for of_source, shown in zip(reference, present, strict=True)
    ]


def color_summary(readings: Sequence[ColorReading]) -> str:
    """Return the table of all palettes: the slider at its best opacity, and the colour volume."""
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
