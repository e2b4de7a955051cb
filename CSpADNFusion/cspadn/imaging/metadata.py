"""What an image carries beside its voxels, as key/value pairs: in SimpleITK's images, in NRRD and MetaImage files."""

from __future__ import annotations

import SimpleITK as sitk

PREFIX = "CSpADNFusion."
NOTE = "Research use only, not for diagnosis."

# Of a source, for those who make images:
NAN_IS_OUTSIDE = PREFIX + "nan_is_outside"  # NaN voxels lie outside the field of view; without it, they are background
SOURCE_NAME = PREFIX + "source_name"  # what the user calls it
SERIES_UID = PREFIX + "series_uid"  # of the DICOM series that it comes from
FRAME_UID = PREFIX + "frame_of_reference_uid"  # of its DICOM frame of reference
MODALITY = PREFIX + "modality"  # of that series
PADDING = PREFIX + "padding"  # lowest and highest value of voxels without a measurement, as its headers declare
UNITS = PREFIX + "units"  # of its values, such as BQML or SUVbw


def value_of(image: sitk.Image, key: str) -> str | None:
    """The value of a key; None where the image has none."""
    return str(image.GetMetaData(key)) if image.HasMetaDataKey(key) else None
