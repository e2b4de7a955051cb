"""Check that DICOM slices form one volume, sort them in space and time, and find where the volume lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.patient import KEYWORDS
from cspadn.io.dicom_tags import slice_axes, slice_thickness, tag_numbers, tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    Vector = NDArray[np.float64]

_SAME_MM, _SAME_STEPS = 0.1, 0.1  # up to the larger of the two, a slice lies on a straight line of equal steps
_SAME_PLACE = 1e-3  # mm between slices of one position at several times
_GAP = 1.5  # steps
_SHEAR = 0.5  # pixels by which the last slice may be displaced against a straight stack
_SLICES = "NumberOfSlices"  # of a volume, in headers of PET
_OF_ONE_SERIES = (*KEYWORDS, "StudyInstanceUID", "FrameOfReferenceUID", "Modality")  # tags that all its slices share
_UNIT = 1e-3  # by which the length of a direction may differ from 1
_MOSAICS = {(0x0019, 0x0A): "SIEMENS MR HEADER", (0x0065, 0x50): "Image Private Header"}  # numbers of slices in one image
_TIMES = (  # tags by which the frames of a PET are sorted; the first that tells all frames apart counts
    ("FrameReferenceTime",),
    ("AcquisitionDate", "AcquisitionTime"),
    ("FrameReferenceDateTime",),
    ("FrameAcquisitionDateTime",),
    ("TemporalPositionIdentifier",),
    ("TemporalPositionIndex",),
    ("TriggerTime",),
)
_DURATIONS = ("ActualFrameDuration", "FrameAcquisitionDuration")  # milliseconds


class Stack(NamedTuple):
    """The place of a volume.

    Attributes:
        origin: (3,), LPS in mm, of the first slice.
        spacing: distance of the slices in mm.
    """

    origin: Vector
    spacing: float


def check_one_volume(headers: list[Dataset], folder: Path, name: str) -> None:
    """Check that headers describe one series of parallel slices of one size.

    Args:
        headers: of all slices of the series.
        folder: names the series in error messages.
        name: the volume's name in error messages.

    Raises:
        InputError: they do not.
    """
    _check_one_series(headers, folder, name)
    for keyword, count in (("Rows", 1), ("Columns", 1), ("PixelSpacing", 2), ("ImageOrientationPatient", 6)):
        values = [tag_numbers(header, keyword, count, name, positive=count < 6) for header in headers]
        if not np.allclose(values, values[0], atol=1e-4):
            raise InputError(message("dicom-slices-differ", volume=name, folder=folder, tag=keyword))
    if not all(abs(np.linalg.norm(axis) - 1) < _UNIT for axis in slice_axes(headers[0])):
        raise InputError(message("dicom-directions-invalid", volume=name, folder=folder))
    for header in headers:
        tag_numbers(header, "ImagePositionPatient", 3, name)


def _check_one_series(headers: list[Dataset], folder: Path, name: str) -> None:
    """Check that headers describe one series of grayscale slices."""
    series = {str(tag_value(header, "SeriesInstanceUID", name)) for header in headers}
    if len(series) > 1:
        raise InputError(message("dicom-several-series", volume=name, folder=folder, count=len(series)))
    for keyword in _OF_ONE_SERIES:
        if len({str(value) for header in headers if (value := tag_value(header, keyword, name))}) > 1:
            raise InputError(message("dicom-slices-differ", volume=name, folder=folder, tag=keyword))
    if any(_is_mosaic(header, name) for header in headers):
        raise InputError(message("dicom-mosaic", volume=name, folder=folder))
    for keyword, refusal in (
        ("NumberOfFrames", message("dicom-multiframe", volume=name, folder=folder)),
        ("SamplesPerPixel", message("dicom-colour", volume=name, folder=folder)),
    ):
        if any(tag_value(header, keyword, name) and tag_numbers(header, keyword, 1, name)[0] > 1 for header in headers):
            raise InputError(refusal)


def _is_mosaic(header: Dataset, name: str) -> bool:
    """Return whether an image is a sheet of all slices of a volume, as those of Siemens and United Imaging."""
    if "MOSAIC" in np.atleast_1d(tag_value(header, "ImageType", name) or ""):
        return True
    return any(_private_number(header, group, creator, element) > 1 for (group, element), creator in _MOSAICS.items())


def _private_number(header: Dataset, group: int, creator: str, element: int) -> float:
    """Return the number of a private tag; 0 if it is missing or of another kind."""
    try:
        return float(header.private_block(group, creator)[element].value)
    except Exception:  # pydicom converts values on access
        return 0.0


def time_frames(headers: Sequence[Dataset], folder: Path, name: str) -> list[list[Dataset]]:
    """Sort slices by their distance along the slice normal, and a dynamic PET by time; instance numbers are not used.

    Args:
        headers: of all slices of the series, as :func:`check_one_volume` accepts them.
        folder: names the series in error messages.
        name: the volume's name in error messages.

    Returns:
        The slices of each frame; one frame for all but dynamic and gated PETs.

    Raises:
        InputError: slices coincide whose times do not differ, or that are not of a PET, or a frame has fewer slices.
    """
    normal = slice_axes(headers[0])[2]
    distances = np.array([np.dot(_position(header), normal) for header in headers])
    order = np.argsort(distances, kind="stable")
    starts = np.flatnonzero(np.diff(distances[order], prepend=-np.inf) > _SAME_PLACE)
    places = [[headers[index] for index in part] for part in np.split(order, starts[1:])]
    counts = {len(place) for place in places}
    if counts == {1}:
        return [[place[0] for place in places]]
    if tag_value(headers[0], "Modality", name) != "PT":
        raise InputError(message("dicom-slices-coincide", volume=name, folder=folder))
    if len(counts) > 1:
        raise InputError(message("dicom-frames-incomplete", volume=name, folder=folder, least=min(counts), most=max(counts)))
    for keywords in _TIMES:
        times = [[_time(header, keywords, name) for header in place] for place in places]
        if all(None not in each and len(set(each)) == len(each) for each in times):
            ranks = [np.argsort(np.array(each), kind="stable") for each in times]
            return [[place[rank[k]] for place, rank in zip(places, ranks, strict=True)] for k in range(len(places[0]))]
    raise InputError(message("dicom-slices-coincide", volume=name, folder=folder))


def _time(header: Dataset, keywords: tuple[str, ...], name: str) -> Any:
    """Return a number or a text that sorts by time; None if a tag is missing."""
    values = [tag_value(header, keyword, name) for keyword in keywords]
    if any(value is None or value == "" for value in values):
        return None
    return float(values[0]) if isinstance(values[0], (int, float)) and len(values) == 1 else " ".join(map(str, values))


def frame_seconds(frames: Sequence[Sequence[Dataset]], name: str) -> list[float] | None:
    """Return the durations of frames in seconds; None if they are not known."""
    for keyword in _DURATIONS:
        found = [tag_value(frame[0], keyword, name) for frame in frames]
        try:
            seconds = [float(value) / 1000 for value in found]
        except (TypeError, ValueError):
            continue
        if all(np.isfinite(value) and value > 0 for value in seconds):
            return seconds
    return None


def stack_of(headers: Sequence[Dataset], folder: Path, name: str) -> Stack:
    """Find the straight line of equal steps on which slices lie.

    Args:
        headers: of the slices of one volume, sorted.
        folder: names the series in error messages.
        name: the volume's name in error messages.

    Raises:
        InputError: a slice lies farther from the line than 0.1 mm and a tenth of a step, or the line is oblique to the slices.
    """
    positions = np.array([_position(header) for header in headers])
    if len(headers) == 1:
        return Stack(positions[0], slice_thickness(headers[0]))
    normal = slice_axes(headers[0])[2]
    index = np.arange(len(headers)) - (len(headers) - 1) / 2
    step = index @ positions / (index @ index)
    spacing = float(step @ normal)
    off = positions - positions.mean(axis=0) - np.outer(index, step)
    along = off @ normal
    tolerance = max(_SAME_MM, _SAME_STEPS * spacing)
    steps = np.diff(positions @ normal)
    if np.abs(along).max() > tolerance or steps.max() > _GAP * spacing:
        raise _gap(steps, tolerance, folder, name)
    if np.linalg.norm(off - np.outer(along, normal), axis=1).max() > tolerance:
        raise InputError(message("dicom-slices-displaced", volume=name, folder=folder))
    drift = (step - spacing * normal) * (len(headers) - 1)
    if np.linalg.norm(drift) > _SHEAR * min(float(value) for value in headers[0].PixelSpacing):
        raise InputError(message("dicom-sheared", volume=name, folder=folder))
    return Stack(positions.mean(axis=0) + index[0] * step, spacing)


def _gap(steps: Vector, tolerance: float, folder: Path, name: str) -> InputError:
    """Return the error for slices at unequal distances."""
    spacing = float(np.median(steps))
    wrong = np.abs(steps - spacing)
    beyond = wrong > min(tolerance, wrong.max() / 2)  # distances may drift by little from step to step
    first = int(beyond.argmax())
    return InputError(
        message(
            "dicom-gap",
            volume=name,
            folder=folder,
            count=int(beyond.sum()),
            spacing=spacing,
            slice=first + 1,
            slices=len(steps) + 1,
            step=steps[first],
        )
    )


def _position(header: Dataset) -> Vector:
    return np.array(header.ImagePositionPatient, float)


def missing_slices(headers: Sequence[Dataset], slices: int, name: str) -> int:
    """Return how many slices the headers promise beyond those of an unbroken stack; 0 if they promise no more.

    Args:
        headers: of all slices of the series, at all times.
        slices: number of slices of the stack.
        name: the volume's name in error messages.
    """
    promised = [int(tag_numbers(header, _SLICES, 1, name)[0]) for header in headers if tag_value(header, _SLICES, name)]
    most = max(promised, default=0)
    return most - slices if most > slices and most != len(headers) else 0
