"""Frames of a dynamic PET: one of them, or the mean of several weighted by their durations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.imaging.metadata import FRAME_SECONDS, FRAMES, add_note, value_of, with_metadata
from cspadn.messages import message
from cspadn.settings import MEAN, check_frames

_DIMENSIONS = 3
_COMPONENTS, _LIST = "NRRD_kinds[pixel]", "list"  # what an NRRD file says of its components
_LIST_KEYS = ("axis ", "NRRD_", "DataNodeClassName", "MultiVolume.")  # how the keys begin that describe the axes of a list


def chosen_frames(frames: str | None, count: int, name: str) -> range:
    """Return the indices of the chosen frames, from 0.

    Args:
        frames: "mean" for all frames, "N" for one, counted from 1, or "A:B" for those from A to B, both included. None
            chooses the only frame.
        count: how many frames the volume has.
        name: the volume's name in error messages.

    Raises:
        UsageError: ``frames`` is none of these.
        InputError: the volume does not have these frames, or has several and none was chosen.
    """
    if frames is None:
        if count > 1:
            raise InputError(message("frames-not-chosen", volume=name, count=count))
        return range(1)
    check_frames(frames)
    if frames == MEAN:
        return range(count)
    first, last = (int(end) for end in (frames.split(":") * 2)[:2])
    if last > count:
        raise InputError(message("frames-missing", volume=name, count=count, frames=frames))
    return range(first - 1, last)


def frame_weights(chosen: range, seconds: Sequence[float] | None) -> list[float]:
    """Return the weight of each chosen frame in their mean; 1 / N if durations are not known.

    Args:
        chosen: indices of frames.
        seconds: duration of each frame of the volume; None if they are not known.
    """
    durations = [1.0 if seconds is None else seconds[index] for index in chosen]
    return [duration / sum(durations) for duration in durations]


def select_frames(image: sitk.Image, frames: str | None, name: str) -> sitk.Image:
    """Return the chosen frames of an image as one volume; an image of three dimensions is its only frame.

    Args:
        image: volume, or frames along its fourth dimension. Its metadata may hold the durations of the frames.
        frames: as for :func:`chosen_frames`.
        name: the volume's name in error messages.

    Raises:
        UsageError, InputError: as :func:`chosen_frames`.
    """
    if value_of(image, FRAMES) or image.GetDimension() not in (_DIMENSIONS, _DIMENSIONS + 1):
        return image
    count = image.GetSize()[_DIMENSIONS] if image.GetDimension() > _DIMENSIONS else 1
    chosen = chosen_frames(frames, count, name)
    if image.GetDimension() == _DIMENSIONS:
        return image
    seconds = seconds_of(image)
    values = sitk.GetArrayViewFromImage(image)
    mean = weighted_mean((values[index] for index in chosen), frame_weights(chosen, seconds))
    volume = without_axis(image, mean)
    mark_frames(volume, chosen, count, seconds, name)
    return volume


def weighted_mean(volumes: Iterable[NDArray[np.generic]], weights: Sequence[float]) -> NDArray[np.generic]:
    """Return the sum of volumes times their weights, float32; a single volume as it is."""
    if len(weights) == 1:
        return np.array(next(iter(volumes)))
    total = np.zeros(1, np.float32)
    for values, weight in zip(volumes, weights, strict=True):
        total = total + values.astype(np.float32) * np.float32(weight)
    return total


def mark_frames(image: sitk.Image, chosen: range, count: int, seconds: Sequence[float] | None, name: str) -> None:
    """Store which frames an image is made of, for the provenance; note if their durations should have counted.

    Args:
        image: the volume.
        chosen: indices of its frames.
        count: how many frames there were.
        seconds: durations; None if they are not known.
        name: the volume's name in the note.
    """
    if count == 1:
        return
    which = f"{chosen[0] + 1}" if len(chosen) == 1 else f"mean of {chosen[0] + 1} to {chosen[-1] + 1}"
    lasting = "" if seconds is None else f", {sum(seconds[index] for index in chosen):g} s"
    image.SetMetaData(FRAMES, f"{which} of {count}{lasting}")
    if len(chosen) > 1 and seconds is None:
        add_note(image, message("frame-durations-unknown", volume=name, count=len(chosen)))


def without_axis(image: sitk.Image, values: NDArray[np.generic], dimension: int = _DIMENSIONS) -> sitk.Image:
    """Return an image with the place of another in the first dimensions, and its metadata.

    Args:
        image: of more dimensions.
        values: of the new image, such as (slices, rows, columns), or with components last.
        dimension: of the new image.
    """
    volume = sitk.GetImageFromArray(values, isVector=values.ndim > dimension)
    direction = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)[:dimension, :dimension]
    volume.SetDirection(direction.ravel().tolist())
    volume.SetSpacing(image.GetSpacing()[:dimension])
    volume.SetOrigin(image.GetOrigin()[:dimension])
    return with_metadata(volume, image)


def without_trailing_axes(image: sitk.Image) -> sitk.Image:
    """Return an image without the last axes beyond the third that have one voxel, as some converters write them."""
    dimension, size = image.GetDimension(), image.GetSize()
    while dimension > _DIMENSIONS and size[dimension - 1] == 1:
        dimension -= 1
    if dimension == image.GetDimension():
        return image
    values = sitk.GetArrayFromImage(image)
    components = values.shape[len(size) :]
    return without_axis(image, values.reshape((*size[dimension - 1 :: -1], *components)), dimension)


def list_as_frames(image: sitk.Image) -> sitk.Image:
    """Return a list of volumes as one with frames along the fourth dimension; other images as they are.

    3D Slicer stores a sequence of volumes in NRRD as a list (``.seq.nrrd``), whose members ITK reads as components of voxels.
    """
    if value_of(image, _COMPONENTS) != _LIST or image.GetNumberOfComponentsPerPixel() < 2:
        return image
    frames = [sitk.VectorIndexSelectionCast(image, index) for index in range(image.GetNumberOfComponentsPerPixel())]
    joined = with_metadata(sitk.JoinSeries(frames), image)
    for key in joined.GetMetaDataKeys():
        if key.startswith(_LIST_KEYS):  # a fused volume with them would be a sequence for 3D Slicer
            joined.EraseMetaData(key)
    return joined


def seconds_of(image: sitk.Image) -> list[float] | None:
    """Return the durations of the frames of an image in seconds; None if they are not known for each."""
    return usable_seconds((value_of(image, FRAME_SECONDS) or "").split(), image.GetSize()[-1])


def usable_seconds(durations: Sequence[object], count: int) -> list[float] | None:
    """Return durations as numbers; None unless there is a positive one for each of some frames."""
    try:
        seconds = [float(str(each)) for each in durations]
    except ValueError:
        return None
    return seconds if len(seconds) == count and all(math.isfinite(each) and each > 0 for each in seconds) else None
