"""The fused volume as a series of MR images."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from cspadn.io.dicom_writer.headers import copied, image_attributes, new_object, series_number
from cspadn.io.dicom_writer.references import SourceSlices
from cspadn.io.dicom_writer.slices import slice_objects
from cspadn.io.dicom_writer.sources import Sources

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SERIES_DESCRIPTION = "CSpA-DN fused PET/MRI, not for diagnosis"
_BITS = 12  # 0 to 4095: no rescaling, which MR images do not have
_SEQUENCE = ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength")


def grey_images(
    image: sitk.Image, slices: list[SourceSlices], sources: Sources, made: datetime, provenance: dict[str, Any]
) -> Iterator[Dataset]:
    """Yield the slices of a fused volume as MR images, with stored values from 0 to 4095.

    Args:
        image: values from 0 to 4095, rounded to whole numbers; its axes are at right angles and right-handed.
        slices: of MRI and PET, to refer to.
        sources, made, provenance: as :func:`cspadn.io.dicom_writer.headers.new_object` takes them.
    """
    for new, values in slice_objects(image, slices, _common(sources, made, provenance)):
        new.PixelData = np.rint(np.clip(values, 0, 2**_BITS - 1)).astype("<u2").tobytes()
        yield new


def _common(sources: Sources, made: datetime, provenance: dict[str, Any]) -> Dataset:
    """Return what all slices share."""
    from pydicom.uid import MRImageStorage

    mri = sources.mri[0]
    common = new_object(sources, MRImageStorage, "MR", made, provenance)
    common.update(image_attributes(sources, provenance))
    common.update(copied(mri, _SEQUENCE, _SEQUENCE))
    common.ScanningSequence, common.SequenceVariant = mri.get("ScanningSequence") or "RM", mri.get("SequenceVariant") or "NONE"
    common.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    common.SeriesDescription, common.SeriesNumber = SERIES_DESCRIPTION, series_number(sources, 1)
    common.SamplesPerPixel, common.PhotometricInterpretation, common.PixelRepresentation = 1, "MONOCHROME2", 0
    common.BitsAllocated, common.BitsStored, common.HighBit = 16, _BITS, _BITS - 1
    common.WindowCenter, common.WindowWidth = 2 ** (_BITS - 1), 2**_BITS  # 0 is black and 4095 is white
    return common
