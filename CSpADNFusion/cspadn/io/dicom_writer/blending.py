"""The PET in colours over the MRI, as a blending softcopy presentation state."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cspadn.imaging.color import palette_of
from cspadn.io.dicom_tags import slice_axes, tag_numbers
from cspadn.io.dicom_writer.headers import item, new_object, number, plain, series_number
from cspadn.io.dicom_writer.references import images, instance, series_images
from cspadn.io.dicom_writer.sources import Sources
from cspadn.io.dicom_writer.srgb import srgb_profile
from cspadn.io.suv import suv_factor
from cspadn.palettes import DEFAULT_PALETTE

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_OPACITY = 0.5  # of the PET
_LEVELS, _HIGHEST = 256, 2**16 - 1  # entries of the palette, and the value of full colour
_SAME_PLACE = 1e-3  # mm
_SUV = "SUVbw"


def can_be_blended(sources: Sources) -> bool:
    """Return whether a presentation state can show the series: every place has one image."""
    return bool(sources.pet) and all(_is_one_stack(headers) for headers in sources.series)


def _is_one_stack(headers: list[Dataset]) -> bool:
    normal = slice_axes(headers[0])[2]
    places = np.sort([np.dot(np.array(header.ImagePositionPatient, float), normal) for header in headers])
    return bool((np.diff(places) > _SAME_PLACE).all())


def blending_state(sources: Sources, registration: Dataset | None, made: datetime, provenance: dict[str, Any]) -> Dataset:
    """Return the state that shows the PET, in the windows and the palette of the fusion, over the MRI.

    Args:
        sources: headers of MRI and PET, which :func:`can_be_blended`.
        registration: the spatial registration of the two; None: they have one frame of reference.
        made, provenance: as :func:`cspadn.io.dicom_writer.headers.new_object` takes them.
    """
    from pydicom.uid import BlendingSoftcopyPresentationStateStorage, generate_uid

    palette = str(provenance.get("palette", DEFAULT_PALETTE))
    new = new_object(sources, BlendingSoftcopyPresentationStateStorage, "PR", made, provenance)
    new.SOPInstanceUID, new.InstanceNumber = generate_uid(None), 1
    new.SeriesDescription, new.SeriesNumber = "PET over MRI, not for diagnosis", series_number(sources, 3)
    new.ContentLabel, new.ContentCreatorName = "PET_OVER_MRI", ""
    new.ContentDescription = plain(f"PET ({palette}) over MRI, not for diagnosis")
    new.PresentationCreationDate, new.PresentationCreationTime = new.pop("ContentDate").value, new.pop("ContentTime").value
    pet_window = [end / _suv_scale(sources, provenance) for end in provenance["pet_window"]]
    new.BlendingSequence = [
        _blended("UNDERLYING", sources.mri, provenance["mri_window"], "The MRI"),
        _blended("SUPERIMPOSED", sources.pet, pet_window, "The PET"),
    ]
    new.RelativeOpacity = _OPACITY
    new.DisplayedAreaSelectionSequence = [_whole_area(sources.mri[0])]
    new.update(_lookup_table(palette))
    new.ICCProfile, new.ColorSpace = srgb_profile(), "SRGB"
    if registration is not None:
        new.ReferencedSpatialRegistrationSequence = [_reference_to(registration)]
    return new


def _suv_scale(sources: Sources, provenance: dict[str, Any]) -> float:
    """Return by what the values in the PET's headers were multiplied before the fusion."""
    return suv_factor(sources.pet, "The PET") if provenance.get("pet_units") == _SUV else 1.0


def _blended(position: str, headers: list[Dataset], window: list[float], name: str) -> Dataset:
    """Return the item of one of the two series, with its window.

    A state has one rescaling for all images of a series. Where the images have several, as those of a PET, it is the identity,
    and each group of images has its own window in stored values.
    """
    groups: dict[tuple[float, float], list[Dataset]] = defaultdict(list)
    for header in headers:
        groups[_rescaling(header, name)].append(header)
    shared = next(iter(groups)) if len(groups) == 1 else (1.0, 0.0)
    blended = item(BlendingPosition=position, StudyInstanceUID=headers[0].StudyInstanceUID)
    blended.ReferencedSeriesSequence = series_images(headers)
    blended.RescaleSlope, blended.RescaleIntercept = (number(value) for value in shared)
    blended.RescaleType = "US"
    blended.SoftcopyVOILUTSequence = []
    for rescaling, slices in groups.items():
        slope, intercept = (1.0, 0.0) if len(groups) == 1 else rescaling
        voi = _window([(end - intercept) / slope for end in window])
        if len(groups) > 1:
            voi.ReferencedImageSequence = images(slices)
        blended.SoftcopyVOILUTSequence.append(voi)
    return blended


def _rescaling(header: Dataset, name: str) -> tuple[float, float]:
    """Return slope and intercept of an image."""
    slope, intercept = (
        tag_numbers(header, keyword, 1, name)[0] if keyword in header else default
        for keyword, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    return slope, intercept


def _window(ends: list[float]) -> Dataset:
    """Return a window whose first value is black and whose last is white."""
    lower, upper = sorted(ends)
    return item(WindowCenter=number((lower + upper) / 2), WindowWidth=number(upper - lower), VOILUTFunction="LINEAR_EXACT")


def _whole_area(header: Dataset) -> Dataset:
    """Return the displayed area: all of the MRI."""
    return item(
        DisplayedAreaTopLeftHandCorner=[1, 1],
        DisplayedAreaBottomRightHandCorner=[int(header.Columns), int(header.Rows)],
        PresentationSizeMode="SCALE TO FIT",
        PresentationPixelSpacing=[number(value) for value in header.PixelSpacing],
    )


def _lookup_table(palette: str) -> Dataset:
    """Return the palette of the PET as a lookup table."""
    table = item()
    values = np.rint(palette_of(palette) * _HIGHEST).astype("<u2")
    for index, name in enumerate(("Red", "Green", "Blue")):
        setattr(table, f"{name}PaletteColorLookupTableDescriptor", [_LEVELS, 0, 16])
        setattr(table, f"{name}PaletteColorLookupTableData", values[:, index].tobytes())
    return table


def _reference_to(registration: Dataset) -> Dataset:
    """Return an item that refers to an object by its study and series."""
    return item(
        StudyInstanceUID=registration.StudyInstanceUID,
        ReferencedSeriesSequence=[
            item(SeriesInstanceUID=registration.SeriesInstanceUID, ReferencedSOPSequence=[instance(registration)])
        ],
    )
