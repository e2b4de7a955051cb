"""How good a fused image is, in the numbers of the field, for slices, pictures and volumes. Needs no torch but for pictures.

Grey levels are (H, W) from 0 to 255. The order of PET and MRI never matters, except that r_pet and r_mri are named after
them. Every number is finite also where an image is constant; it is NaN only where the image is smaller than the metric's
window. The numbers agree with the public MATLAB code behind most published tables, except that its FMI overwrites a window and
so depends on the order of the sources; FMI_edge rests on a reading of MATLAB's ``edge``, and SSIM was not compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import fft, ndimage

from cspadn.errors import CancelledError, InputError, UsageError
from cspadn.imaging.alignment import automatic_mri_window, automatic_pet_window
from cspadn.imaging.geometry import check_volume, resample, to_axial
from cspadn.imaging.metadata import PREFIX, UNITS, value_of
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, check_window, to_unit

if TYPE_CHECKING:
    from cspadn.fusion import FusionResult

Levels = NDArray[np.float64]  # (H, W), 0 to 255
Scores = dict[str, float]  # by the names of NAMES
_Array = NDArray[np.float64]
_Metric = Callable[[Levels, Levels, Levels], float]  # of PET, MRI, fused

Progress = Callable[[int, int], None]  # slices done, slices in all

TABLE_NAMES = ("EN", "MI", "Qabf", "FMI_pixel", "FMI_dct", "SSIM")  # the paper's four, and two that others report
_WHITE = 255
_NOTE_KEY, _NOTE = "ITK_FileNotes", "Fused by CSpADNFusion"  # what it leaves in every file, NIfTI as well
_EIGHT_BITS = 255.0  # a volume of another origin that does not exceed this was hardly meant to reach 4095


@dataclass(frozen=True)
class SliceScores:
    """One slice of a volume.

    Attributes:
        index: in the patient-axial view, from 0 at the feet's end.
        position: of the slice's centre, in millimetres towards the head.
        counted: whether PET or MRI holds anything here: others are neither measured nor part of the mean.
        scores: its metrics; NaN where the slice does not count.
    """

    index: int
    position: float
    counted: bool
    scores: Scores


@dataclass(frozen=True)
class VolumeScores:
    """All slices of a volume.

    Attributes:
        slices: from the feet to the head.
        mean: over the slices that count; NaN where none does.
        pet_window, mri_window, fused_window: what was black and white, in the volumes' units.
    """

    slices: list[SliceScores]
    mean: Scores
    pet_window: Window
    mri_window: Window
    fused_window: Window

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, where NaN becomes null."""
        rows = [
            {"index": row.index, "position_mm": row.position, "counted": row.counted, **without_nan(row.scores)}
            for row in self.slices
        ]
        windows = {name: list(getattr(self, name)) for name in ("pet_window", "mri_window", "fused_window")}
        return {**windows, "slices": rows, "mean": without_nan(self.mean)}

    def to_rows(self) -> list[list[object]]:
        """As a table for people and spreadsheets: a header, a row for each slice that counts, the mean."""
        rows = [[row.index, round(row.position, 3), *_rounded(row.scores)] for row in self.slices if row.counted]
        return [["slice", "position_mm", *self.mean], *rows, ["mean", "", *_rounded(self.mean)]]


def _rounded(scores: Scores) -> list[object]:
    """Six decimals; empty where there is no number."""
    return ["" if value is None else round(value, 6) for value in without_nan(scores).values()]


def without_nan(scores: Scores) -> dict[str, float | None]:
    """The scores with None for NaN, which JSON does not have."""
    return {name: None if math.isnan(value) else value for name, value in scores.items()}


def measure(
    pet: NDArray[np.generic], mri: NDArray[np.generic], fused: NDArray[np.generic], names: Iterable[str] | None = None
) -> Scores:
    """Measure one fused slice.

    Args:
        pet, mri, fused: (H, W), finite grey levels from 0 to 255; they are rounded and clipped first.
        names: some of :data:`NAMES`; None: all.

    Returns:
        The metrics in the order of ``names``; NaN where the image is smaller than a metric's window (VIF: 41 pixels a side).

    Raises:
        InputError: the three are not two-dimensional, differ in size, or hold NaN or infinity.
        UsageError: a name is unknown.
    """
    chosen = _chosen(names)
    shapes = [np.shape(image) for image in (pet, mri, fused)]
    if len(shapes[0]) != 2 or len(set(shapes)) != 1:
        sizes = (" x ".join(map(str, shape[::-1])) for shape in shapes)
        raise InputError("The PET has {}, the MRI {}, the fused image {} pixels: they must match in size.".format(*sizes))
    images = [_levels(pet, "The PET"), _levels(mri, "The MRI"), _levels(fused, "The fused image")]
    return {name: _measured(name, images) for name in chosen}


def _chosen(names: Iterable[str] | None) -> tuple[str, ...]:
    """The names asked for; UsageError where one is unknown."""
    chosen = NAMES if names is None else tuple(names)
    unknown = [name for name in chosen if name not in _METRICS]
    if unknown:
        raise UsageError(f"There is no metric '{unknown[0]}': choose from {', '.join(NAMES)}.")
    return chosen


def _levels(image: NDArray[np.generic], name: str) -> Levels:
    if not np.isfinite(image).all():
        raise InputError(f"{name} holds NaN or infinity: replace them by grey levels first.")
    return np.clip(np.rint(image.astype(np.float64)), 0, _WHITE)


def _measured(name: str, images: list[Levels]) -> float:
    if min(images[0].shape) < _SMALLEST_SIDE.get(name, 1):
        return math.nan
    return float(_METRICS[name](*images))


def measure_pictures(
    pet: sitk.Image,
    mri: sitk.Image,
    fused: sitk.Image,
    *,
    pet_window: tuple[float, float] | None = None,
    mri_window: tuple[float, float] | None = None,
    fused_window: tuple[float, float] | None = None,
    names: Iterable[str] | None = None,
) -> Scores:
    """Measure one fused picture: :func:`measure` on the grey levels, or the luma, of all three.

    Args:
        pet, mri, fused: as :func:`cspadn.fusion.fuse_pictures` takes and makes them.
        pet_window, mri_window: those that the fusion was given, if any; None: black to white.
        fused_window: what is black and white in the fused picture; None: black to white.

    Raises:
        InputError: one is no picture, or the sizes differ.
        UsageError: an impossible window, or an unknown name.
    """
    given = ((pet_window, "PET"), (mri_window, "MRI"), (fused_window, "fused"))
    windows = [_given_window(window, name) for window, name in given]
    images = ((pet, "The PET"), (mri, "The MRI"), (fused, "The fused picture"))
    levels = [_picture_levels(image, name, window) for (image, name), window in zip(images, windows, strict=True)]
    return measure(levels[0], levels[1], levels[2], names)


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

    PET and MRI are interpolated on the fused volume's grid, as for the fusion. The three windows become the levels 0 to 255.
    Beyond its field of view, a source is black; so is what is not a number.

    Args:
        pet, mri, fused: scalar volumes of any grid and orientation.
        pet_window, mri_window: None: those that the fused file says it was made with, or else those of :func:`cspadn.fuse`.
        fused_window: what is black and white in the fused volume; None: 0 to 4095, as :func:`cspadn.fuse` has it.
        progress: called after each slice with the slices done and the slices in all.
        cancelled: asked before each slice; True stops.

    Raises:
        CancelledError: ``cancelled`` said so.
        InputError: one is no volume, they do not overlap, or the fused volume has plainly another scale than 0 to 4095 and no
            window: values below 0 or above 4095, or none above 1, or, unless its file says that we made it, none above 255.
        UsageError: an impossible window, or an unknown name.
    """
    chosen = _chosen(names)
    volumes = ((pet, "The PET"), (mri, "The MRI"), (fused, "The fused volume"))
    for image, name in volumes:
        check_volume(image, name)
    grid = to_axial(fused)
    _check_units(pet, fused)
    windows = (
        _given_window(pet_window, "PET") or _recorded_window(fused, "pet_window") or automatic_pet_window(pet, to_axial(mri)),
        _given_window(mri_window, "MRI") or _recorded_window(fused, "mri_window") or automatic_mri_window(to_axial(mri)),
        _given_window(fused_window, "fused") or _usual_fused_window(fused),
    )
    stacks = [_grey_stack(image, grid, window, name) for (image, name), window in zip(volumes, windows, strict=True)]
    rows: list[SliceScores] = []
    for index, (pet_slice, mri_slice, fused_slice) in enumerate(zip(*stacks, strict=True)):
        if cancelled and cancelled():
            raise CancelledError("The measuring was cancelled.")
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
    """Measure what :func:`cspadn.fuse` has just made of a PET and an MRI, in the windows that it used.

    Returns:
        The metrics of :data:`TABLE_NAMES`, for each slice and in the mean.
    """
    windows = {name: result.provenance[name] for name in ("pet_window", "mri_window")}
    return measure_volumes(
        pet,
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


# Grey levels


def _picture_levels(image: sitk.Image, name: str, window: Window | None) -> NDArray[np.uint8]:
    from cspadn.io.png_pairs import grey_levels, picture_pixels, white_level

    pixels = grey_levels(picture_pixels(image, name))
    return _grey(pixels, window or Window(0, white_level(pixels)))


def _grey_stack(image: sitk.Image, grid: sitk.Image, window: Window, name: str) -> NDArray[np.uint8]:
    """A volume's levels on an axial grid, (N, H, W): slice by slice, since interpolation takes four times the memory."""
    stack = np.empty(grid.GetSize()[::-1], np.uint8)
    seen = False
    for index in range(len(stack)):
        values = sitk.GetArrayFromImage(resample(image, grid[:, :, index : index + 1]))[0]
        seen = seen or bool(np.isfinite(values).any())
        stack[index] = _grey(values, window)
    if not seen:
        raise InputError(f"{name} and the fused volume do not overlap in space: they do not belong together.")
    return stack


def _grey(values: NDArray[np.generic], window: Window) -> NDArray[np.uint8]:
    return np.rint(to_unit(values, window) * _WHITE).astype(np.uint8)


def _given_window(window: tuple[float, float] | None, name: str) -> Window | None:
    return None if window is None else check_window(*window, name)


def _recorded_window(fused: sitk.Image, key: str) -> Window | None:
    """The window in the fused file's provenance, if it has one (NRRD, MetaImage)."""
    key = PREFIX + key
    if not fused.HasMetaDataKey(key):
        return None
    text = fused.GetMetaData(key)
    try:
        lower, upper = json.loads(text)
        return check_window(lower, upper, key)
    except (TypeError, ValueError, UsageError):
        raise InputError(f"The fused file's entry {key} is no window ({text}): repair it, or give the windows.") from None


def _check_units(pet: sitk.Image, fused: sitk.Image) -> None:
    """InputError where the fused file says that its PET window is in other units than the PET now has."""
    recorded, own = value_of(fused, PREFIX + "pet_units"), value_of(pet, UNITS)
    if recorded and own and recorded != own:
        raise InputError(f"The fused volume was made of a PET in {recorded}, this one is in {own}: scale it likewise (--suv).")


def _usual_fused_window(fused: sitk.Image) -> Window:
    """0 to 4095; InputError where the values show another scale, which would give plausible nonsense."""
    values = sitk.GetArrayViewFromImage(fused)
    lowest, highest = (float(end.reduce(values, axis=None)) for end in (np.fmin, np.fmax))  # they pass over NaN
    least = 1.0 if _says_ours(fused) else _EIGHT_BITS
    if not (lowest > -0.5 and least < highest < FUSED_MAXIMUM + 0.5):  # half a step: some formats round
        raise InputError(
            f"The fused volume's values run from {lowest:g} to {highest:g}, which does not look like 0 to {FUSED_MAXIMUM:g}:"
            " say what is black and white in it with the fused window (--fused-window LO HI)."
        )
    return Window(0, FUSED_MAXIMUM)


def _says_ours(fused: sitk.Image) -> bool:
    """Whether the file says that it was made by :func:`cspadn.io.images.write_image`."""
    note = fused.GetMetaData(_NOTE_KEY) if fused.HasMetaDataKey(_NOTE_KEY) else ""
    return note.startswith(_NOTE) or fused.HasMetaDataKey(PREFIX + "software")


# Information


def entropy(image: Levels) -> float:
    """EN: Shannon's entropy of the 256 grey levels, in bits."""
    return _entropy_of(np.bincount(_codes(image).ravel()))


def mutual_information(pet: Levels, mri: Levels, fused: Levels) -> float:
    """MI: I(fused; PET) + I(fused; MRI) over 256 grey levels, in bits (Qu, Zhang, Yan, Electronics Letters 38, 2002)."""
    return _shared_information(pet, fused) + _shared_information(mri, fused)


def _shared_information(source: Levels, fused: Levels) -> float:
    pairs = _codes(source) * (_WHITE + 1) + _codes(fused)
    return entropy(source) + entropy(fused) - _entropy_of(np.bincount(pairs.ravel()))


def _codes(image: Levels) -> NDArray[np.intp]:
    return image.astype(np.intp)


def _entropy_of(counts: NDArray[np.intp]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0


# Edges

_STRENGTH = (0.9994, -15.0, 0.5)  # gain, slope, centre of Qabf's sigmoid: Tg, kg, Dg
_ORIENTATION = (0.9879, -22.0, 0.8)  # Ta, ka, Da


def edge_transfer(pet: Levels, mri: Levels, fused: Levels) -> float:
    """Qabf: how much of the sources' edges came over, in [0, 1] (Xydeas, Petrovic, Electronics Letters 36, 2000).

    0 where neither source has an edge. As in the code behind published tables, black surrounds the image, and where a source's
    edge is exactly as strong as the fused one, its ratio is that strength instead of 1.
    """
    fused_edges = _edges(fused)
    kept = total = 0.0
    for source in (pet, mri):
        strength, angle = _edges(source)
        kept += float((_preserved((strength, angle), fused_edges) * strength).sum())
        total += float(strength.sum())
    return kept / total if total else 0.0


def fusion_artefacts(pet: Levels, mri: Levels, fused: Levels) -> float:
    """N of Petrovic and Xydeas (ICCV 2005): how far the fused image exaggerates or bends edges, in [0, 1]; 0 is best.

    Counted where the fused edge is stronger than that of both sources, as at halos, and weighted by the edges of the sources.
    So an edge weighs nothing where neither source has any. 0 where neither source has an edge at all.
    """
    fused_edges = _edges(fused)
    sources = [_edges(source) for source in (pet, mri)]
    stronger = (fused_edges[0] > sources[0][0]) & (fused_edges[0] > sources[1][0])
    added = sum(float(((1 - _preserved(edges, fused_edges)) * edges[0])[stronger].sum()) for edges in sources)
    total = sum(float(edges[0].sum()) for edges in sources)
    return added / total if total else 0.0


def _edges(image: Levels) -> tuple[_Array, _Array]:
    """Strength and orientation, -pi/2 to pi/2, of Sobel's gradient."""
    down, right = (ndimage.sobel(image, axis, mode="constant") for axis in (0, 1))
    slope = np.divide(-down, right, out=np.full_like(down, np.inf), where=right != 0)
    return np.hypot(down, right), np.arctan(slope)


def _preserved(source: tuple[_Array, _Array], fused: tuple[_Array, _Array]) -> _Array:
    weak, strong = np.minimum(source[0], fused[0]), np.maximum(source[0], fused[0])
    ratio = np.divide(weak, strong, out=weak.copy(), where=weak != strong)
    alignment = 1 - np.abs(source[1] - fused[1]) / (np.pi / 2)
    return _sigmoid(ratio, _STRENGTH) * _sigmoid(alignment, _ORIENTATION)


def _sigmoid(value: _Array, parameters: tuple[float, float, float]) -> _Array:
    gain, slope, centre = parameters
    curve: _Array = gain / (1 + np.exp(slope * (value - centre)))
    return curve


def sobel_edge_map(image: Levels) -> Levels:
    """1 at thinned Sobel edges and 0 elsewhere, by the rules of MATLAB's ``edge``.

    An edge's squared gradient is above four times the image's mean, and not below its neighbours across the edge.
    """
    down, right = (ndimage.sobel(image, axis, mode="nearest") / 8 for axis in (0, 1))
    power = down**2 + right**2
    framed = np.pad(power, 1, constant_values=-1)  # beyond the border nothing is stronger
    ridge_along_row = (framed[1:-1, :-2] <= power) & (power > framed[1:-1, 2:])
    ridge_along_column = (framed[:-2, 1:-1] <= power) & (power > framed[2:, 1:-1])
    lead = np.abs(right) - np.abs(down)  # which direction the gradient has, with room for rounding
    room = 100 * np.finfo(np.float64).eps
    ridge = (ridge_along_row & (lead >= -room)) | (ridge_along_column & (lead <= room))
    edges: Levels = (ridge & (power > 4 * power.mean())).astype(np.float64)
    return edges


def frequencies(image: Levels) -> _Array:
    """The orthonormal two-dimensional DCT-II of the whole image."""
    transformed: _Array = fft.dctn(image, norm="ortho")
    return transformed


# Feature mutual information

_SIDE = 3  # pixels along a window's sides
_CELLS = _SIDE * _SIDE
_PLACES = np.arange(_CELLS, dtype=np.float64)[:, np.newaxis]
_STEPS = 2 * _CELLS - 1  # a staircase from the first to the last cell of two windows
_CHUNK = 4096  # windows at a time: what a processor's cache holds
_TINY = 1e-300  # keeps the logarithm of 0 finite; lost in any other number


def feature_information(pet: _Array, mri: _Array, fused: _Array) -> float:
    """FMI: mutual information of features, from 0 to 1, the mean over all 3x3 windows and both sources.

    The fast form: Haghighat, Aghagolzadeh, Seyedarabi, Computers and Electrical Engineering 37 (2011); Haghighat, Razian, AICT
    2014. A window, scaled to its own range, is the distribution of a place in it, counted column by column. The joint
    distribution of two windows mixes independence with the most, or the least, correlated one that Frechet's bounds allow, so
    that it fits the windows' correlation; 2 I / (H + H) of it is the window's score. Equal windows score 1.

    Args:
        pet, mri, fused: (H, W), features such as grey levels, :func:`sobel_edge_map` or :func:`frequencies`.
    """
    fused_windows = _windows(fused)
    return (_mean_score(_windows(pet), fused_windows) + _mean_score(_windows(mri), fused_windows)) / 2


def _windows(feature: _Array) -> _Array:
    """All 3x3 windows, column by column: (9, windows)."""
    rows, columns = (extent - _SIDE + 1 for extent in feature.shape)
    shifted = [feature[i : i + rows, j : j + columns].ravel() for j in range(_SIDE) for i in range(_SIDE)]
    return np.stack(shifted)


def _mean_score(source: _Array, fused: _Array) -> float:
    """Most windows of a head's slice are flat, or have one cell alone above the others: their score needs no arithmetic."""
    risen, fused_risen = _cells_above_lowest(source), _cells_above_lowest(fused)
    # Two flat windows are the same distribution; one flat window correlates with nothing; one cell alone has no entropy.
    equal = (source == fused).all(axis=0) | ((risen == 0) & (fused_risen == 0))
    scores = equal.astype(np.float64)
    open_windows = np.flatnonzero(~equal & (risen > 1) & (fused_risen > 1))
    for start in range(0, len(open_windows), _CHUNK):
        chunk = open_windows[start : start + _CHUNK]
        scores[chunk] = _shared_share(_distribution(source[:, chunk]), _distribution(fused[:, chunk]))
    return float(scores.mean())


def _cells_above_lowest(windows: _Array) -> NDArray[np.intp]:
    count: NDArray[np.intp] = (windows > windows.min(axis=0)).sum(axis=0)
    return count


def _distribution(windows: _Array) -> _Array:
    """Windows as probabilities of the places in them: the lowest value has none."""
    risen = windows - windows.min(axis=0)
    share: _Array = risen / risen.sum(axis=0)
    return share


def _shared_share(source: _Array, fused: _Array) -> _Array:
    """2 I / (H + H) of two distributions, (9, windows) each; none may be uniform or certain."""
    correlation = _correlation_of_windows(source, fused)
    source = np.where(correlation < 0, source[::-1], source)  # Frechet's lower bound is the upper one of the mirrored window
    cells, products, covariance = _staircase(source, fused)
    spread = _deviation(source) * _deviation(fused)
    weight = np.divide(np.abs(correlation) * spread, covariance, out=np.zeros_like(spread), where=covariance > 0)
    entropies = -_sum_x_log_x(source) - _sum_x_log_x(fused)
    return 2 * (1 - _joint_entropy(cells, products, weight, entropies) / entropies)


def _correlation_of_windows(source: _Array, fused: _Array) -> _Array:
    a, b = source - 1 / _CELLS, fused - 1 / _CELLS
    correlation: _Array = _sum_product(a, b) / np.sqrt(_sum_product(a, a) * _sum_product(b, b))
    return correlation


def _deviation(distribution: _Array) -> _Array:
    """The standard deviation of the place."""
    place = (_PLACES * distribution).sum(axis=0)
    deviation: _Array = np.sqrt(_sum_product((_PLACES - place) ** 2, distribution))
    return deviation


def _staircase(source: _Array, fused: _Array) -> tuple[_Array, _Array, _Array]:
    """The most correlated joint distribution of two given ones: all of it lies on a staircase through the 9 x 9 cells.

    Returns:
        (17, windows) the probabilities of the stairs' cells; (17, windows) those under independence; (windows,) the covariance
        of the two places.
    """
    count = source.shape[1]
    reached, fused_reached = source.cumsum(axis=0), fused.cumsum(axis=0)
    reached[-1] = fused_reached[-1] = np.inf  # the stairs end in the last cell, whatever rounding says
    mean, fused_mean = ((_PLACES * window).sum(axis=0) for window in (source, fused))
    cells, products = np.empty((_STEPS, count)), np.empty((_STEPS, count))
    place, covariance, passed = np.zeros(count), np.zeros(count), np.zeros(count)
    at, fused_at = np.arange(count), np.arange(count)  # where the places are in the flattened arrays
    for step in range(_STEPS):
        ends, fused_ends = reached.take(at), fused_reached.take(fused_at)
        end = np.minimum(ends, fused_ends) if step < _STEPS - 1 else np.ones(count)
        np.subtract(end, passed, out=cells[step])
        np.multiply(source.take(at), fused.take(fused_at), out=products[step])
        covariance += cells[step] * (place - mean) * (step - place - fused_mean)
        moves = ends <= fused_ends
        place += moves
        at += moves * count
        fused_at += ~moves * count
        passed = end
    return cells, products, covariance


def _joint_entropy(cells: _Array, products: _Array, weight: _Array, entropies: _Array) -> _Array:
    """The entropy of weight x staircase + (1 - weight) x independence, in nats.

    That of the second part alone is known for all 81 cells; only on the 17 stairs it is replaced. A weight above 1 makes some
    probabilities negative: -p log|p| counts then, as in the publication's code.
    """
    rest = 1 - weight
    independent = rest * products
    mixed = weight * cells + independent
    alone: _Array = rest * entropies - rest * np.log(np.abs(rest) + _TINY)
    return alone + _sum_x_log_x(independent) - _sum_x_log_x(mixed)


def _sum_x_log_x(values: _Array) -> _Array:
    return _sum_product(values, np.log(np.abs(values) + _TINY))


def _sum_product(a: _Array, b: _Array) -> _Array:
    total: _Array = np.einsum("ij,ij->j", a, b)
    return total


# Structure

_SSIM_OFFSETS = ((0.01 * _WHITE) ** 2, (0.03 * _WHITE) ** 2)
_VIF_NOISE = 2.0  # variance of the visual noise
_VIF_ZERO = 1e-10  # variances below count as none


def structural_similarity(source: Levels, fused: Levels) -> float:
    """SSIM of two images (Wang and others, IEEE Transactions on Image Processing 13, 2004).

    A Gaussian of 11 pixels, sigma 1.5; every pixel counts, and the border's levels go on beyond it.
    """
    kernel = _gaussian(11, 1.5)
    means, variances, covariance = _moments(source, fused, lambda image: _blurred(image, kernel, "nearest"))
    first, second = _SSIM_OFFSETS
    luminance = (2 * means[0] * means[1] + first) / (means[0] ** 2 + means[1] ** 2 + first)
    contrast = (2 * covariance + second) / (variances[0] + variances[1] + second)
    return float((luminance * contrast).mean())


def visual_information(source: Levels, fused: Levels) -> float:
    """VIF of the fused image against one source: its pixel domain form on four scales.

    Sheikh, Bovik, IEEE Transactions on Image Processing 15 (2006). 0 for a constant source, which has no information to keep.
    """
    kept = total = 0.0
    for scale in range(4):
        width = 2 ** (4 - scale) + 1
        kernel = _gaussian(width, width / 5)
        if scale:
            source, fused = (_inner(image, kernel)[::2, ::2] for image in (source, fused))
        scale_kept, scale_total = _visual_information_of_scale(source, fused, kernel)
        kept += scale_kept
        total += scale_total
    return kept / total if total else 0.0


def _visual_information_of_scale(source: _Array, fused: _Array, kernel: _Array) -> tuple[float, float]:
    """Information in the fused image about the source, and in the source, up to one common factor."""
    _, variances, covariance = _moments(source, fused, lambda image: _inner(image, kernel))
    variance, fused_variance = (np.where(v < _VIF_ZERO, 0, v) for v in variances)
    gain = covariance / (variance + _VIF_ZERO)
    gain[(variance == 0) | (fused_variance == 0) | (gain < 0)] = 0
    noise = np.maximum(fused_variance - gain * covariance, _VIF_ZERO) + _VIF_NOISE
    kept, total = np.log1p(gain**2 * variance / noise), np.log1p(variance / _VIF_NOISE)
    return float(kept.sum()), float(total.sum())


def _moments(
    first: _Array, second: _Array, average: Callable[[_Array], _Array]
) -> tuple[tuple[_Array, _Array], tuple[_Array, _Array], _Array]:
    """Local means, variances and covariance of two images."""
    means = average(first), average(second)
    variances = average(first**2) - means[0] ** 2, average(second**2) - means[1] ** 2
    return means, variances, average(first * second) - means[0] * means[1]


def _gaussian(width: int, sigma: float) -> _Array:
    places = np.arange(width) - (width - 1) / 2
    weights = np.exp(-(places**2) / (2 * sigma**2))
    kernel: _Array = weights / weights.sum()
    return kernel


def _blurred(image: _Array, kernel: _Array, border: str) -> _Array:
    columns_done = ndimage.correlate1d(image, kernel, axis=0, mode=border)
    blurred: _Array = ndimage.correlate1d(columns_done, kernel, axis=1, mode=border)
    return blurred


def _inner(image: _Array, kernel: _Array) -> _Array:
    """Blurred, without the border where the kernel does not fit."""
    margin = len(kernel) // 2
    return _blurred(image, kernel, "nearest")[margin:-margin, margin:-margin]


# Differences and contrast


def difference_correlation(source: Levels, other: Levels, fused: Levels) -> float:
    """r: the correlation of (fused - other) with the source, a term of SCD; 0 where one of the two is constant.

    Aslantas, Bendes, International Journal of Electronics and Communications 69 (2015).
    """
    a, b = (image - image.mean() for image in (fused - other, source))
    spread = math.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum()) / spread if spread else 0.0


def standard_deviation(image: Levels) -> float:
    """SD: of the grey levels, over all pixels."""
    return float(image.std())


def spatial_frequency(image: Levels) -> float:
    """SF: root of the mean squared differences of neighbours, both directions added (Eskicioglu, Fisher, 1995)."""
    return math.sqrt(sum(float((np.diff(image, axis=axis) ** 2).mean()) for axis in (0, 1)))


def average_gradient(image: Levels) -> float:
    """AG: mean of sqrt((dx^2 + dy^2) / 2) with central differences, over (H - 1)(W - 1) as in published code."""
    down, right = np.gradient(image)
    rows, columns = image.shape
    steepness: _Array = np.sqrt((down**2 + right**2) / 2)
    return float(steepness.sum() / ((rows - 1) * (columns - 1)))


def _pet_correlation(pet: Levels, mri: Levels, fused: Levels) -> float:
    return difference_correlation(pet, mri, fused)


def _mri_correlation(pet: Levels, mri: Levels, fused: Levels) -> float:
    return difference_correlation(mri, pet, fused)


def _of_fused(metric: Callable[[Levels], float]) -> _Metric:
    return lambda *images: metric(images[2])


_METRICS: dict[str, _Metric] = {
    "EN": _of_fused(entropy),
    "MI": mutual_information,
    "Qabf": edge_transfer,
    "FMI_edge": lambda *images: feature_information(*map(sobel_edge_map, images)),
    "FMI_pixel": feature_information,
    "FMI_dct": lambda *images: feature_information(*map(frequencies, images)),
    "SSIM": lambda pet, mri, fused: (structural_similarity(pet, fused) + structural_similarity(mri, fused)) / 2,
    "VIF": lambda pet, mri, fused: visual_information(pet, fused) + visual_information(mri, fused),
    "SCD": lambda *images: _pet_correlation(*images) + _mri_correlation(*images),
    "r_pet": _pet_correlation,
    "r_mri": _mri_correlation,
    "SD": _of_fused(standard_deviation),
    "SF": _of_fused(spatial_frequency),
    "AG": _of_fused(average_gradient),
}
NAMES = tuple(_METRICS)
_SMALLEST_SIDE = {"FMI_edge": _SIDE, "FMI_pixel": _SIDE, "FMI_dct": _SIDE, "VIF": 41, "SF": 2, "AG": 2}  # pixels
