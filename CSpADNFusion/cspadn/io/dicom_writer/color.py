"""The colour volume as a series of true colour images, with the position of each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.windowing import end_texts
from cspadn.io.dicom_writer.headers import MANUFACTURER, MODEL, image_attributes, new_object, plain, series_number
from cspadn.io.dicom_writer.references import SourceSlices
from cspadn.io.dicom_writer.slices import slice_objects
from cspadn.io.dicom_writer.sources import Sources
from cspadn.io.dicom_writer.srgb import srgb_profile
from cspadn.units import shown_units

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LETTERS = (("L", "R"), ("P", "A"), ("H", "F"))  # of the patient orientation: towards higher and lower values of LPS
_LEAST = 0.1  # share of a direction from which its letter is named


def color_images(
    image: sitk.Image, slices: list[SourceSlices], sources: Sources, made: datetime, provenance: dict[str, Any]
) -> Iterator[Dataset]:
    """Yield the slices of a colour volume as secondary captures with the image plane of each.

    Args:
        image: RGB, 8 bits each; its axes are at right angles and right-handed.
        slices: of MRI and PET, to refer to.
        sources, made, provenance: as :func:`cspadn.io.dicom_writer.headers.new_object` takes them. The provenance names the
            palette.
    """
    common = _common(sources, made, provenance)
    direction = np.reshape(image.GetDirection(), (3, 3))
    common.PatientOrientation = [_letters(direction[:, axis]) for axis in (0, 1)]
    for new, values in slice_objects(image, slices, common):
        pixels = values.tobytes()
        new.PixelData = pixels + b"\0" * (len(pixels) % 2)
        yield new


def _common(sources: Sources, made: datetime, provenance: dict[str, Any]) -> Dataset:
    """Return what all slices share."""
    from pydicom.uid import SecondaryCaptureImageStorage

    palette = str(provenance.get("palette", "of the volume"))
    common = new_object(sources, SecondaryCaptureImageStorage, "MR", made, provenance)
    common.update(image_attributes(sources, provenance, _legend(palette, provenance)))
    common.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    common.SeriesDescription = plain(f"Fused PET/MRI, {palette}, not for diagnosis")
    common.SeriesNumber = series_number(sources, 2)
    common.ConversionType, common.SecondaryCaptureDeviceManufacturer = "WSD", MANUFACTURER
    common.SecondaryCaptureDeviceManufacturerModelName = MODEL
    common.SecondaryCaptureDeviceSoftwareVersions = common.SoftwareVersions
    common.SamplesPerPixel, common.PhotometricInterpretation, common.PlanarConfiguration = 3, "RGB", 0
    common.BitsAllocated, common.BitsStored, common.HighBit, common.PixelRepresentation = 8, 8, 7, 0
    common.ICCProfile, common.ColorSpace = srgb_profile(), "SRGB"
    return common


def _legend(palette: str, provenance: dict[str, Any]) -> str:
    """Say what the colours mean, for the derivation description."""
    ends = ""
    if "pet_window" in provenance:
        ends = f", {' to '.join(end_texts(provenance['pet_window']))} {shown_units(provenance.get('pet_units'))}".rstrip()
    table = "; ".join(str(provenance[key]) for key in ("color_table", "color_brightness") if key in provenance)
    return f"Legend: hue and chroma show the PET (palette {palette}{ends}), lightness the anatomy ({table})."


def _letters(direction: NDArray[np.float64]) -> str:
    """Return the letters of a direction in the patient, the nearest axis first."""
    order = np.argsort(-np.abs(direction), kind="stable")
    return "".join(_LETTERS[axis][int(direction[axis] < 0)] for axis in order if abs(direction[axis]) > _LEAST)
