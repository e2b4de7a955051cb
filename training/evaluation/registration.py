"""Measure the registration and the check of the alignment on simulated cases, one row a measurement."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.registration import check_alignment, register
from cspadn.registration.placing import placed
from training.evaluation.registration_cases import RegistrationCase, Setting, distances, draw_move, settings

HEADS = (10, 11, 12, 13, 14)
MOVES = ((15.0, 20.0), (30.0, 60.0))  # degrees and mm, at most
SMALL_MM, SMALL_DEGREES = 1.5, 2.0  # misalignments below both must not be flagged
LARGE_MM, LARGE_DEGREES = 3.0, 4.0  # from one of these on they must be
# of a case: mm from and to, and degrees at most
_DRAWN = ((0.0, 1.4, 1.0), (0.0, 1.4, 1.9), (1.0, 5.0, 6.0), (3.0, 10.0, 8.0), (3.0, 20.0, 8.0))
Row = TypeVar("Row")
FAILED_MM = 1000.0  # error of a registration that was refused


@dataclass(frozen=True)
class Measured:
    """One registration.

    Attributes:
        method: cspadn or antspyx.
        head, contrast, tracer, slice_mm, cut, degrees, millimetres: as in :class:`Setting`.
        error_mm: mean target registration error over the brain.
        worst_mm: greatest error of a point of the brain.
        seconds: of processor time.
    """

    method: str
    head: int
    contrast: str
    tracer: str
    slice_mm: int
    cut: bool
    degrees: float
    millimetres: float
    error_mm: float
    worst_mm: float
    seconds: float


@dataclass(frozen=True)
class Checked:
    """One check of an alignment.

    Attributes:
        head, contrast, tracer, slice_mm: as in :class:`Setting`.
        true_mm, true_degrees: mean displacement of the brain, and angle.
        found_mm, found_degrees: what the check found; NaN: not determined.
        flagged: whether it warned.
        seconds: of processor time.
    """

    head: int
    contrast: str
    tracer: str
    slice_mm: int
    true_mm: float
    true_degrees: float
    found_mm: float
    found_degrees: float
    flagged: bool
    seconds: float

    @property
    def is_small(self) -> bool:
        """Return whether the pair counts as registered."""
        return self.true_mm < SMALL_MM and self.true_degrees < SMALL_DEGREES

    @property
    def is_large(self) -> bool:
        """Return whether the pair must be flagged."""
        return self.true_mm >= LARGE_MM or self.true_degrees >= LARGE_DEGREES


def all_settings() -> list[Setting]:
    """Return the settings of all cases: those of one head are scattered, so that any first part of them has all kinds."""
    drawn = list(settings(HEADS, MOVES))
    return [drawn[index] for index in np.random.default_rng(0).permutation(len(drawn))]


def measure_registration(case: RegistrationCase, setting: Setting, method: str) -> Measured:
    """Register a case by a method, and measure the error."""
    start = time.process_time()
    try:
        transform = ants_rigid(case.pet, case.mri) if method == "antspyx" else register(case.pet, case.mri).transform
        errors = distances(transform, case.truth, case.brain)
    except InputError:
        errors = np.array([FAILED_MM])
    seconds = time.process_time() - start
    place = {name: value for name, value in asdict(setting).items() if name != "seed"}
    return Measured(method, **place, error_mm=float(errors.mean()), worst_mm=float(errors.max()), seconds=seconds)


def measure_checks(case: RegistrationCase, setting: Setting) -> Iterator[Checked]:
    """Check a registered case that is displaced by some draws, near and far."""
    registered = placed(case.pet, case.truth)
    random = np.random.default_rng((21, setting.seed))
    for least_mm, most_mm, most_degrees in _DRAWN:
        degrees, millimetres = random.uniform(0, most_degrees), random.uniform(least_mm, most_mm)
        move = draw_move(random, np.zeros(3), degrees, millimetres)
        start = time.process_time()
        found = check_alignment(placed(registered, move), case.mri)
        seconds = time.process_time() - start
        true_mm = float(distances(move, sitk.Transform(), case.brain).mean())
        found_mm, found_degrees = (
            np.nan if each is None else each for each in (found.displacement_mm, found.rotation_degrees)
        )
        place = setting.head, setting.contrast, setting.tracer, setting.slice_mm
        yield Checked(*place, true_mm, degrees, found_mm, found_degrees, found.is_suspect, seconds)


def has_ants() -> bool:
    """Return whether antspyx is installed."""
    return find_spec("ants") is not None


def ants_rigid(pet: sitk.Image, mri: sitk.Image) -> sitk.Transform:
    """Register by antspyx with its settings for rigid transforms; maps a point of the MRI to the point of the PET."""
    import ants

    result = ants.registration(*(_for_ants(image, ants) for image in (mri, pet)), type_of_transform="Rigid", random_seed=1)
    return sitk.ReadTransform(result["fwdtransforms"][0])


def _for_ants(image: sitk.Image, ants: Any) -> Any:
    values = np.ascontiguousarray(sitk.GetArrayFromImage(image).astype(np.float32).T)
    geometry = list(image.GetOrigin()), list(image.GetSpacing()), np.reshape(image.GetDirection(), (3, 3))
    return ants.from_numpy(values, *geometry)


def append_row(path: Path, row: Measured | Checked) -> None:
    """Append a measurement to a CSV file, which begins with the names of the columns."""
    names = [each.name for each in fields(row)]
    with path.open("a", encoding="utf-8") as file:
        if not path.stat().st_size:
            file.write(",".join(names) + "\n")
        values = (getattr(row, name) for name in names)
        file.write(",".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in values) + "\n")


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Read the measurements of a CSV file; empty if there is none."""
    if not path.is_file():
        return []
    types = get_type_hints(kind)
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [kind(*(_value(text, each) for text, each in zip(line, types.values(), strict=True))) for line in lines]


def _value(text: str, kind: type) -> object:
    return text == "True" if kind is bool else kind(text)
