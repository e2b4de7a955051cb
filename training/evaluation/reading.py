"""Read displays with the observer: the efficiency of each row, and the faults that a mean would hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn import fuse
from cspadn.imaging import oklab
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.metrics.edges import fusion_artefacts
from cspadn.settings import FusionSettings
from training.baselines import METHODS, TRAINED
from training.evaluation import observer
from training.evaluation.cases import TASKS, Case, Task
from training.evaluation.rows import Row
from training.heads import Volume

Fuser = Callable[[Volume, Volume], Volume]
Lesions = tuple[NDArray[np.float64], NDArray[np.float64], dict[str, NDArray[np.float64]]]
NOISES = (observer.LIGHTNESS_NOISE, observer.LIGHTNESS_NOISE / 2, observer.LIGHTNESS_NOISE * 2)
GREY_TASKS, COLOR_TASKS = (0, 1, 2, 3), (0, 1, 2, 3, 4)  # places in TASKS
HOLE, WHITE = 0.1, 0.98
_HEAD = 0.04  # of white: pixels that are not brighter in either source are background
_VANISHED = 0.25  # of the contrast that the lesion has in its source
_LEAST_CONTRAST = (
    0.2  # of the amount put in: if clipping to the window leaves less, the source itself does not show the lesion
)
_LEAST_TUMOUR = 0.1  # of the window: smallest contrast in the PET for a tumour to count
_GREY_LEVELS = 255.0


@dataclass(frozen=True)
class Reading:
    """Results for one display of one case.

    Attributes:
        indices: d' of the display, (noises, tasks).
        reference: d' of the single source, (noises, tasks).
        kept: contrast of each lesion in the display relative to its source, by task; NaN if the source does not show it.
        holes: pixels of the head that are darker than the darker source by more than :data:`HOLE`.
        white: share of the head above :data:`WHITE`.
        artefacts: mean of :func:`cspadn.metrics.edges.fusion_artefacts` over the planes.
        tumours: contrast of hot tumours in the display relative to the PET, for tumours that the PET's window shows.
        in_both: brightness of each tumour that is bright in both, minus that in its darker source.
    """

    case: str
    head: str
    indices: NDArray[np.float64]
    reference: NDArray[np.float64]
    kept: dict[str, NDArray[np.float64]]
    holes: int
    white: float
    artefacts: float
    tumours: NDArray[np.float64]
    in_both: NDArray[np.float64]

    @property
    def efficiency(self) -> NDArray[np.float64]:
        """Efficiency relative to the single source, (noises, tasks)."""
        return self.indices / self.reference


@cache
def volume_fuser(row: Row) -> Fuser:
    """Return the function that fuses planes (N, H, W) in [0, 1] for a row; our models use the code of the product.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    if row.kind == "model":
        return lambda pet, mri: fuse_planes(pet, mri, row.source)
    method = METHODS[row.name] if row.kind == "method" else TRAINED[row.name](Path(row.source))
    return lambda pet, mri: np.stack([np.asarray(method(p, m), np.float32) for p, m in zip(pet, mri, strict=True)])


def fuse_planes(pet: Volume, mri: Volume, model: str) -> Volume:
    """Fuse planes as one volume by :func:`cspadn.fuse`, with the windows fixed to 0 and 1."""
    volumes = []
    for planes in (pet, mri):
        volume = sitk.GetImageFromArray(planes)
        volume.SetSpacing((1.0, 1.0, 6.0))
        volumes.append(volume)
    settings = FusionSettings(model=model, device="cpu", pet_window=(0.0, 1.0), mri_window=(0.0, 1.0))
    fused: Volume = sitk.GetArrayFromImage(fuse(volumes[0], volumes[1], settings).image) / np.float32(FUSED_MAXIMUM)
    return fused


@dataclass(frozen=True)
class Planes:
    """The planes of a case, fused by one row, (N, H, W) each.

    Attributes:
        plain: without lesions.
        with_lesions: with the lesions of each task.
    """

    plain: Volume
    with_lesions: tuple[Volume, ...]


def fused_planes(row: Row, case: Case, tasks: Sequence[Task] = TASKS) -> Planes:
    """Fuse the planes of a case, without lesions and with those of each task."""
    fuser = volume_fuser(row)
    return Planes(fuser(case.pet, case.mri), tuple(fuser(*case.with_lesions(task)) for task in tasks))


def read(row: Row, case: Case, planes: Planes) -> Reading:
    """Read one case in the grey display of a row, given the result of :func:`fused_planes`."""
    plain = planes.plain
    indices, reference, kept = read_lesions(case, planes, TASKS)
    head = np.maximum(case.pet, case.mri) > _HEAD
    holes = (plain < np.minimum(case.pet, case.mri) - HOLE) & head
    levels = [_GREY_LEVELS * planes.astype(np.float64) for planes in (case.pet, case.mri, plain)]
    artefacts = float(np.mean([fusion_artefacts(*planes) for planes in zip(*levels, strict=True)]))
    return Reading(
        case.name,
        case.head,
        indices,
        reference,
        kept,
        int(holes.sum()),
        float((plain[head] > WHITE).mean()),
        artefacts,
        *read_tumours(volume_fuser(row), case, plain),
    )


def read_lesions(case: Case, planes: Planes, tasks: Sequence[Task]) -> Lesions:
    """Return d' of the display and of the single source, (noises, tasks) each, and the contrast that each lesion keeps.

    Args:
        planes: as :func:`fused_planes` returns them for the same tasks.
    """
    shown = {"pet": case.pet, "mri": case.mri}
    absent = {name: _absent(image, case) for name, image in {**shown, "fused": planes.plain}.items()}
    indices, reference, kept = [], [], {}
    for task, fused in zip(tasks, planes.with_lesions, strict=True):
        pet, mri = case.with_lesions(task)
        source = pet if task.source == "pet" else mri
        indices.append(_indices(absent["fused"], _responses(fused, case.places)))
        reference.append(_indices(absent[task.source], _responses(source, case.places)))
        kept[task.name] = contrast_kept(case, task, source - shown[task.source], fused - planes.plain)
    return np.array(indices).T, np.array(reference).T, kept


def read_tumours(fuser: Fuser, case: Case, plain: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the contrast that tumours in the PET keep, and the margin of tumours in both over their darker source."""
    pet, mri, in_pet, in_both = case.with_tumours()
    fused, kept = fuser(pet, mri), []
    for core, plane in in_pet:
        contrast = float((pet[plane] - case.pet[plane])[core].mean())
        if contrast > _LEAST_TUMOUR:
            kept.append(float((fused[plane] - plain[plane])[core].mean()) / contrast)
    above = [float((fused[plane] - np.minimum(pet, mri)[plane])[core].min()) for core, plane in in_both]
    return np.array(kept), np.array(above)


def absent_in(case: Case, at_places: NDArray[np.float64], at_background: NDArray[np.float64]) -> observer.Absent:
    """Return the channel outputs for a case without lesions, with the planes as parts."""
    parts = (places[:, 0] % observer.PARTS for places in (case.places, case.background))
    return observer.Absent(at_places, next(parts), at_background, next(parts))


def _absent(image: Volume, case: Case) -> observer.Absent:
    return absent_in(case, _responses(image, case.places), _responses(image, case.background))


def _responses(image: Volume, places: NDArray[np.int64]) -> NDArray[np.float64]:
    light = oklab.lightness(image)
    return observer.responses(observer.patches(light, places)[:, np.newaxis])


def _indices(absent: observer.Absent, present: NDArray[np.float64]) -> list[float]:
    return [observer.detectability(absent, present, observer.noise_covariance(1, noise)) for noise in NOISES]


def contrast_kept(case: Case, task: Task, in_source: Volume, in_display: Volume) -> NDArray[np.float64]:
    """Return the contrast of each lesion in the display relative to its source, both weighted by the lesion's profile."""
    shares = []
    for plane, row, column in case.places:
        profile = case.profile(task, row, column).astype(np.float64)
        weight = profile / np.square(profile).sum()
        source, display = (float((image[plane] * weight).sum()) for image in (in_source, in_display))
        local = float((case.pet[plane] * profile).sum() / profile.sum()) if task.source == "pet" else 1.0
        visible = abs(source) >= _LEAST_CONTRAST * abs(task.amount) * local and local > _HEAD
        shares.append(display / source if visible else np.nan)
    return np.array(shares)


def vanished(readings: Sequence[Reading], task: Task) -> tuple[float, float, int]:
    """Return the shares of lesions of a task that vanish and that change sign, and the number of lesions."""
    kept = np.concatenate([reading.kept[task.name] for reading in readings])
    kept = kept[np.isfinite(kept)]
    return float((kept < _VANISHED).mean()), float((kept < 0).mean()), len(kept)


def worst(readings: Sequence[Reading], tasks: Sequence[int], noise: int = 0) -> NDArray[np.float64]:
    """Return the efficiency of the worst task for each case."""
    return np.array([reading.efficiency[noise, list(tasks)].min() for reading in readings])


def interval(values: NDArray[np.float64], heads: Sequence[str], draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over cases; heads are drawn with replacement."""
    random = np.random.default_rng(0)
    names = sorted(set(heads))
    groups = [values[[head == name for head in heads]] for name in names]
    means = [np.concatenate([groups[i] for i in random.integers(len(groups), size=len(groups))]).mean() for _ in range(draws)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
