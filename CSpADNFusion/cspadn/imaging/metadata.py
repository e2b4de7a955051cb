"""Keys of the metadata that an image has in addition to its voxels, in SimpleITK and in NRRD and MetaImage files."""

from __future__ import annotations

import json

import SimpleITK as sitk

from cspadn.messages import Sentence

PREFIX = "CSpADNFusion."
NOTE = "Research use only, not for diagnosis."

# Of a source, for those who make images:
NAN_IS_OUTSIDE = PREFIX + "nan_is_outside"  # NaN voxels lie outside the field of view; without it, they are background
SOURCE_NAME = PREFIX + "source_name"  # name that the user gave it
SERIES_UID = PREFIX + "series_uid"  # of the DICOM series that it comes from
FRAME_UID = PREFIX + "frame_of_reference_uid"  # of its DICOM frame of reference
MODALITY = PREFIX + "modality"  # of that series
PADDING = PREFIX + "padding"  # lowest and highest value of voxels without a measurement, as its headers declare
UNITS = PREFIX + "units"  # of its values, such as BQML or SUVbw
FRAME_SECONDS = PREFIX + "frame_seconds"  # durations of the frames of a dynamic volume, in seconds, between blanks
FRAMES = PREFIX + "frames"  # which of its frames a volume is made of
NOTES = PREFIX + "notes"  # sentences of its reader for the user, as JSON


def value_of(image: sitk.Image, key: str) -> str | None:
    """Return the value of a key; None if the image does not have it."""
    return str(image.GetMetaData(key)) if image.HasMetaDataKey(key) else None


def with_metadata(image: sitk.Image, source: sitk.Image) -> sitk.Image:
    """Return an image that has been given all metadata of another: most operations of SimpleITK drop them."""
    for key in source.GetMetaDataKeys():
        image.SetMetaData(key, source.GetMetaData(key))
    return image


def add_note(image: sitk.Image, sentence: Sentence) -> None:
    """Store a warning of a reader with the image; the fusion passes it on to the user."""
    image.SetMetaData(NOTES, json.dumps([*_stored_notes(image), [sentence.identifier, str(sentence)]]))


def notes_of(image: sitk.Image) -> list[Sentence]:
    """Return the warnings of the reader of an image."""
    return [Sentence(text, identifier) for identifier, text in _stored_notes(image)]


def _stored_notes(image: sitk.Image) -> list[tuple[str, str]]:
    """Return identifiers and texts; none if the metadata of a file are not what :func:`add_note` writes."""
    try:
        return [(str(identifier), str(text)) for identifier, text in json.loads(value_of(image, NOTES) or "[]")]
    except (ValueError, TypeError):
        return []
