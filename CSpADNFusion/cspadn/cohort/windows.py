"""One window per tracer and MRI contrast for a whole cohort, so that its fused volumes can be compared (docs/adr/0027).

A first pass computes the automatic windows of each pair; the windows of the cohort are chosen from them and recorded in the
derivative, so that later runs, with more subjects or with a part of them, use the same.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cspadn.cohort.engine import DONE, Job, Outcome
from cspadn.cohort.failures import FAILED
from cspadn.cohort.pairs import Pair, read_volumes, volumes_of
from cspadn.cohort.proof import is_proven, with_proof
from cspadn.errors import InputError, UsageError
from cspadn.io.atomic_output import commit
from cspadn.io.images import stage_text
from cspadn.io.reader import VolumeReader
from cspadn.io.regular_files import read_regular_text
from cspadn.messages import Sentence, message
from cspadn.runtime.terminal import silence_libraries
from cspadn.settings import FusionSettings

if TYPE_CHECKING:
    import SimpleITK as sitk

WINDOWS_FILE = "windows.json"
UNKNOWN = "unknown"  # a tracer without a label
_ALIKE = 2.0  # upper ends that differ from the median by no more than this factor are of one scale
_CUT = 1.25  # a volume that is brighter than the cohort's window by this factor does not fit,
_DARKEST = {"pet": 4.0, "mri": 1.6}  # nor does one that is darker by these: a dim PET is a finding, a dim MRI only hard to see

Window = tuple[float, float]
Windows = dict[str, dict[str, Window]]  # "pet" by tracer, "mri" by contrast


def survey_pair(pair: Pair, job: Job) -> Outcome:
    """Compute the automatic windows of a pair, and return them in an outcome; FAILED if it cannot be read.

    The fusion of the pair reports why: nothing is recorded here.
    """
    try:
        silence_libraries()
        volumes = volumes_of(pair)
        with VolumeReader() as reader:
            windows = _windows_of(*read_volumes(pair, volumes, reader, suv=job.suv, frames=job.settings.frames))
        return Outcome(pair.name, DONE, windows=windows)
    except Exception:
        return Outcome(pair.name, FAILED)


def _windows_of(pet: sitk.Image, mri: sitk.Image) -> tuple[Window, Window]:
    from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
    from cspadn.imaging.geometry import to_axial
    from cspadn.imaging.windowing import automatic_window, sampled

    axial = to_axial(mri)
    try:
        pet_window = automatic_pet_window(pet, axial)
    except InputError:  # before a registration, the two may lie apart
        pet_window = automatic_window(sampled(pet), "The PET")
    mri_window = automatic_mri_window(axial)
    return (pet_window.lower, pet_window.upper), (mri_window.lower, mri_window.upper)


def with_cohort_windows(
    pairs: Sequence[Pair], everyone: Sequence[Pair], job: Job, survey: Callable[[Sequence[Pair]], Iterable[Outcome]]
) -> tuple[list[Pair], Windows]:
    """Return the pairs with the windows of the cohort, and those windows.

    The windows span those of all pairs that end within a factor of 2 of the median. A PET that needs a much wider or narrower
    window keeps that of the cohort, with a warning: its uptake differs, or its units. The scale of an MRI has no meaning: such
    an MRI has its own window.

    Args:
        pairs: those that are fused.
        everyone: all pairs of the source, from which windows are chosen that are not recorded.
        job: of the run; windows that its settings give are not chosen.
        survey: computes the outcomes of :func:`survey_pair`, of pairs whose windows are not recorded or not known.

    Raises:
        UsageError: the record of the windows is damaged, or cannot be written.
    """
    wanted = [kind for kind, given in zip(("pet", "mri"), _given(job.settings), strict=True) if given is None]
    file = job.layout.folder / WINDOWS_FILE
    recorded, proven = read_windows(file, job.key)
    recorded = recorded if proven else {}
    known = all(key_of(pair, kind) in recorded.get(kind, {}) for pair in pairs for kind in wanted if not pair.obstacle)
    readable = [pair for pair in (pairs if known else everyone) if not pair.obstacle]
    own = {each.name: each.windows for each in survey(readable) if each.windows} if wanted else {}
    chosen = {kind: {**_chosen(kind, readable, own), **recorded.get(kind, {})} for kind in wanted}
    if {**recorded, **chosen} != recorded and any(chosen.values()):
        content = with_proof({**recorded, **chosen}, WINDOWS_FILE, job.key)
        commit([lambda: stage_text(file, json.dumps(content, indent=2) + "\n")], overwrite=True)
    return [_with(pair, own.get(pair.name), chosen) for pair in pairs], chosen


def _given(settings: FusionSettings) -> tuple[Window | None, Window | None]:
    return settings.pet_window, settings.mri_window


def read_windows(file: Path, key: bytes) -> tuple[Windows, bool]:
    """Return the recorded windows, empty if there are none, and whether this user's key proves that a run has recorded them.

    Raises:
        UsageError: the file is damaged.
    """
    try:
        recorded = json.loads(read_regular_text(file))
        found = {
            kind: {str(key): _checked(window) for key, window in recorded.get(kind, {}).items()} for kind in ("pet", "mri")
        }
    except FileNotFoundError:
        return {}, False
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UsageError(message("cohort-windows-damaged", path=file)) from None
    return {kind: windows for kind, windows in found.items() if windows}, is_proven(recorded, WINDOWS_FILE, key)


def _checked(window: Sequence[float]) -> Window:
    lower, upper = (float(end) for end in window)
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise ValueError(window)
    return lower, upper


def key_of(pair: Pair, kind: str) -> str:
    """Return the tracer or the contrast by which the windows of a pair are recorded."""
    return pair.entities.get("trc", UNKNOWN) if kind == "pet" else pair.contrast


def _chosen(kind: str, pairs: Iterable[Pair], own: dict[str, tuple[Window, Window]]) -> dict[str, Window]:
    """Return the windows that span those of all pairs of one scale, so that none of these is cut."""
    groups = defaultdict(list)
    for pair in pairs:
        if pair.name in own:
            groups[key_of(pair, kind)].append(own[pair.name][kind == "mri"])
    return {key: _spanned(windows) for key, windows in groups.items()}


def _spanned(windows: Sequence[Window]) -> Window:
    middle = statistics.median(upper for _, upper in windows)
    alike = [window for window in windows if _is_alike(window[1], middle)] or list(windows)
    return min(lower for lower, _ in alike), max(upper for _, upper in alike)


def _is_alike(upper: float, other: float) -> bool:
    return upper == other or (other > 0 and 1 / _ALIKE <= upper / other <= _ALIKE)


def _fits(kind: str, upper: float, cohort: float) -> bool:
    """Return whether a volume can be seen well in the window of the cohort."""
    return cohort / _DARKEST[kind] <= upper <= _CUT * cohort


def _with(pair: Pair, own: tuple[Window, Window] | None, chosen: Windows) -> Pair:
    """Return a pair with the windows of the cohort; the MRI's only if it is of their scale."""
    pet, mri = (chosen.get(kind, {}).get(key_of(pair, kind)) for kind in ("pet", "mri"))
    warnings: list[Sentence] = []
    if own and pet and not _fits("pet", own[0][1], pet[1]):
        warnings.append(message("cohort-window-unfit", upper=own[0][1], cohort=pet[1]))
    if own and mri and not _fits("mri", own[1][1], mri[1]):
        mri = None
    return replace(pair, pet_window=pet, mri_window=mri, warnings=(*pair.warnings, *warnings))


def windows_text(windows: Windows) -> str:
    """Say which windows a cohort has, such as "PET FDG 0 to 8.1, MRI T1w 0 to 700"; empty if it has none."""
    from cspadn.imaging.windowing import end_texts

    return ", ".join(
        f"{kind.upper()} {key} {' to '.join(end_texts(window))}"
        for kind, by_key in windows.items()
        for key, window in sorted(by_key.items())
    )
