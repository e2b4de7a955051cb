"""Measure all slices of a fused volume."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import CancelledError, InputError, UsageError
from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
from cspadn.imaging.frames import select_frames
from cspadn.imaging.geometry import check_volume, resample, to_axial
from cspadn.imaging.metadata import PREFIX, UNITS, value_of
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, check_window
from cspadn.messages import message
from cspadn.metrics.registry import TABLE_NAMES
from cspadn.metrics.slices import Scores, chosen_names, given_window, measure, to_levels, without_nan
from cspadn.registration.placing import placed, transform_of
from cspadn.units import shown_units

if TYPE_CHECKING:
    from cspadn.fusion import FusionResult

Progress = Callable[[int, int], None]  # slices done, slices in all

_NOTE_KEY, _NOTE = "ITK_FileNotes", "Fused by CSpADNFusion"  # written into every file, NIfTI as well
_EIGHT_BITS = 255.0  # a foreign volume that does not exceed this hardly has the range 0 to 4095


@dataclass(frozen=True)
class SliceScores:
    """The metrics of one slice of a volume.

    Attributes:
        index: of the patient-axial slice, from 0 at the feet's end.
        position: of the slice's centre, in millimetres towards the head.
        counted: whether PET or MRI is not black here; other slices are not measured and not part of the mean.
        scores: the metrics; NaN if the slice is not counted.
    """

    index: int
    position: float
    counted: bool
    scores: Scores


@dataclass(frozen=True)
class VolumeScores:
    """The metrics of all slices of a volume.

    Attributes:
        slices: from the feet to the head.
        mean: over the counted slices; NaN if there are none.
        pet_window, mri_window, fused_window: the values that were black and white, in the volumes' units.
    """

    slices: list[SliceScores]
    mean: Scores
    pet_window: Window
    mri_window: Window
    fused_window: Window

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics for JSON; NaN becomes None."""
        rows = [
            {"index": row.index, "position_mm": row.position, "counted": row.counted, **without_nan(row.scores)}
            for row in self.slices
        ]
        windows = {name: list(getattr(self, name)) for name in ("pet_window", "mri_window", "fused_window")}
        return {**windows, "slices": rows, "mean": without_nan(self.mean)}

    def to_rows(self) -> list[list[object]]:
        """Return a table: a header, a row for each counted slice, the mean."""
        rows = [[row.index, round(row.position, 3), *_rounded(row.scores)] for row in self.slices if row.counted]
        return [["slice", "position_mm", *self.mean], *rows, ["mean", "", *_rounded(self.mean)]]


def _rounded(scores: Scores) -> list[object]:
    """Round to six decimals; NaN becomes empty text."""
    return ["" if value is None else round(value, 6) for value in without_nan(scores).values()]


def measure_volumes(
    pet: sitk.Image,
    mri: sitk.Image,
    fused: sitk.Image,
    *,
    pet_window: tuple[float, float] | None = None,
    mri_window: tuple[float, float] | None = None,
    fused_window: tuple[float, float] | None = None,
    names: Iterable[str] | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> VolumeScores:
    """Measure each patient-axial slice of a fused volume.

    PET and MRI are interpolated on the grid of the fused volume, as for the fusion. Each window is mapped to the grey levels 0
    to 255. Voxels outside a source's field of view, and NaN, are black.

    Args:
        pet, mri, fused: scalar volumes of any grid and orientation.
        pet_window, mri_window: None: the windows in the metadata of the fused volume, or else those of :func:`cspadn.fuse`.
        fused_window: the values that are black and white in the fused volume; None: 0 and 4095, as of :func:`cspadn.fuse`.
        names: some of :data:`cspadn.metrics.NAMES`; None: all.
        progress: called after each slice with the number of slices done and of all slices.
        cancelled: called before each slice; returns True to stop.

    Returns:
        The metrics of each slice, their mean, and the windows.

    Raises:
        CancelledError: ``cancelled`` returned True.
        InputError: one of the images is not a volume, they do not overlap, or no ``fused_window`` is given and the fused
            volume does not have the range 0 to 4095: it has values below 0 or above 4095, or none above 1, or none above
            255 and no metadata of this software.
        UsageError: a window is not valid, or a name is unknown.
    """
    chosen = chosen_names(names)
    pet = select_frames(pet, None, "The PET")
    for image, name in ((pet, "The PET"), (mri, "The MRI"), (fused, "The fused volume")):
        check_volume(image, name)
    grid = to_axial(fused)
    _check_units(pet, fused)
    pet = _as_registered(pet, fused)
    windows = (
        given_window(pet_window, "PET") or _recorded_window(fused, "pet_window") or automatic_pet_window(pet, to_axial(mri)),
        given_window(mri_window, "MRI") or _recorded_window(fused, "mri_window") or automatic_mri_window(to_axial(mri)),
        given_window(fused_window, "fused") or _usual_fused_window(fused),
    )
    volumes = ((pet, "The PET"), (mri, "The MRI"), (fused, "The fused volume"))
    stacks = [_grey_stack(image, grid, window, name) for (image, name), window in zip(volumes, windows, strict=True)]
    rows: list[SliceScores] = []
    for index, (pet_slice, mri_slice, fused_slice) in enumerate(zip(*stacks, strict=True)):
        if cancelled and cancelled():
            raise CancelledError(message("measuring-cancelled"))
        counted = bool(pet_slice.any() or mri_slice.any())
        scores = measure(pet_slice, mri_slice, fused_slice, chosen) if counted else dict.fromkeys(chosen, math.nan)
        rows.append(SliceScores(index, _position(grid, index), counted, scores))
        if progress:
            progress(index + 1, len(stacks[0]))
    return VolumeScores(rows, _mean_of([row.scores for row in rows if row.counted], chosen), *windows)


def measure_fusion(
    pet: sitk.Image,
    mri: sitk.Image,
    result: FusionResult,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> VolumeScores:
    """Measure a result of :func:`cspadn.fuse`, in the windows that the fusion used.

    Args:
        pet, mri: the inputs of the fusion.
        result: its result.
        progress, cancelled: as :func:`measure_volumes`.

    Returns:
        The metrics of :data:`cspadn.metrics.TABLE_NAMES`, for each slice and their mean.

    Raises:
        CancelledError, InputError: as :func:`measure_volumes`.
    """
    windows = {name: result.provenance[name] for name in ("pet_window", "mri_window")}
    return measure_volumes(
        result.placed(pet),
        mri,
        result.image,
        **windows,
        fused_window=(0, FUSED_MAXIMUM),
        names=TABLE_NAMES,
        progress=progress,
        cancelled=cancelled,
    )


def _mean_of(rows: list[Scores], names: tuple[str, ...]) -> Scores:
    return {name: sum(row[name] for row in rows) / len(rows) if rows else math.nan for name in names}


def _position(axial: sitk.Image, index: int) -> float:
    columns, rows, _ = axial.GetSize()
    return float(axial.TransformContinuousIndexToPhysicalPoint(((columns - 1) / 2, (rows - 1) / 2, float(index)))[2])


def _grey_stack(image: sitk.Image, grid: sitk.Image, window: Window, name: str) -> NDArray[np.uint8]:
    """Return a volume's grey levels on an axial grid, (N, H, W).

    Slices are interpolated one by one, since interpolation takes four times the memory.
    """
    stack = np.empty(grid.GetSize()[::-1], np.uint8)
    seen = False
    for index in range(len(stack)):
        values = sitk.GetArrayFromImage(resample(image, grid[:, :, index : index + 1]))[0]
        seen = seen or bool(np.isfinite(values).any())
        stack[index] = to_levels(values, window)
    if not seen:
        raise InputError(message("fused-does-not-overlap", volume=name))
    return stack


def _recorded_window(fused: sitk.Image, key: str) -> Window | None:
    """Return the window in the provenance of the fused file, or None; only NRRD and MetaImage store it."""
    key = PREFIX + key
    if not fused.HasMetaDataKey(key):
        return None
    text = fused.GetMetaData(key)
    try:
        lower, upper = json.loads(text)
        return check_window(lower, upper, key)
    except (TypeError, ValueError, UsageError):
        raise InputError(message("recorded-window-invalid", key=key, text=text)) from None


def _as_registered(pet: sitk.Image, fused: sitk.Image) -> sitk.Image:
    """Return the PET where the fused file records that the fusion placed it."""
    key = PREFIX + "registration_matrix"
    text = value_of(fused, key)
    if text is None:
        return pet
    try:
        return placed(pet, transform_of([float(number) for number in json.loads(text)]))
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a matrix without an inverse
        raise InputError(message("registration-matrix-damaged", key=key, text=text)) from None


def _check_units(pet: sitk.Image, fused: sitk.Image) -> None:
    """Raise InputError if the PET has other units than those that the fused file records."""
    recorded, own = value_of(fused, PREFIX + "pet_units"), value_of(pet, UNITS)
    if recorded and own and _plain(recorded) != _plain(own):
        raise InputError(message("pet-units-differ", recorded=recorded, units=own))


def _plain(units: str) -> str:
    """Return units so that those of DICOM, BIDS and Slicer are alike: BQML, Bq/mL and Becquerels/milliliter."""
    return "".join(filter(str.isalnum, shown_units(units))).casefold()


def _usual_fused_window(fused: sitk.Image) -> Window:
    """Return 0 to 4095; InputError if the values show another scale, with which the metrics would be wrong but plausible."""
    values = sitk.GetArrayViewFromImage(fused)
    lowest, highest = (float(end.reduce(values, axis=None)) for end in (np.fmin, np.fmax))  # these ignore NaN
    least = 1.0 if _made_by_cspadn(fused) else _EIGHT_BITS
    if not (lowest > -0.5 and least < highest < FUSED_MAXIMUM + 0.5):  # half a step: some formats round
        raise InputError(message("fused-scale-unknown", lowest=lowest, highest=highest, maximum=FUSED_MAXIMUM))
    return Window(0, FUSED_MAXIMUM)


def _made_by_cspadn(fused: sitk.Image) -> bool:
    """Return whether the metadata say that :func:`cspadn.io.images.write_image` wrote the file."""
    note = fused.GetMetaData(_NOTE_KEY) if fused.HasMetaDataKey(_NOTE_KEY) else ""
    return note.startswith(_NOTE) or fused.HasMetaDataKey(PREFIX + "software")
