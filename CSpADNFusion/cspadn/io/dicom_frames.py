"""Enhanced multi-frame DICOM: one file with all slices, each of which has its own position and scaling.

Scanners of Philips and current ones of Siemens send MRI and PET so. Beside the tags of the file, there are functional groups
shared by all frames, and groups of each frame (PS3.3, C.7.6.16).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.errors import InputError
from cspadn.io.dicom_tags import tag_numbers, tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SHARED, _EACH = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
_GROUPS = (  # whose tags classic files have at the top
    *("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence"),
    *("FrameContentSequence", "UnassignedSharedConvertedAttributesSequence", "UnassignedPerFrameConvertedAttributesSequence"),
)
_MAPPING = "RealWorldValueMappingSequence"
_UNITS = {"Bq/ml": "BQML", "Bq/mL": "BQML", "{counts}": "CNTS", "{SUVbw}g/ml": "GML", "g/ml{SUVbw}": "GML", "g/ml": "GML"}
_PLAIN_SYNTAXES = {  # by whether value representations are implicit, and bytes in little-endian order
    (True, True): "1.2.840.10008.1.2",
    (False, True): "1.2.840.10008.1.2.1",
    (False, False): "1.2.840.10008.1.2.2",
}
_PIXEL_TAGS = (  # with which a file of pixels alone is decoded
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "PixelData"),
)


def is_enhanced(header: Dataset) -> bool:
    """Return whether a file has frames with positions of their own."""
    return _EACH in header


def split_into_frames(header: Dataset, name: str) -> list[Dataset]:
    """Return a dataset for each frame, with the tags that a classic file of one slice has; a classic file is its only one.

    Args:
        header: all tags of a file but its pixels.
        name: the volume's name in error messages.

    Raises:
        InputError: the file describes fewer frames than it has, or a tag is damaged.
    """
    if not is_enhanced(header):
        return [header]
    groups = list(tag_value(header, _EACH, name) or ())
    if len(groups) != int(tag_numbers(header, "NumberOfFrames", 1, name, positive=True)[0]):
        raise InputError(message("dicom-file-damaged", volume=name, path=header.filename))
    shared = list(tag_value(header, _SHARED, name) or ())[:1]
    common = _flat(header, shared, name)
    return [_frame(common, header, group, index, name) for index, group in enumerate(groups)]


def _flat(header: Dataset, shared: list[Dataset], name: str) -> Dataset:
    from pydicom.dataset import Dataset

    common = Dataset()
    common.update({element.tag: element for element in header if element.keyword not in (_SHARED, _EACH, "NumberOfFrames")})
    for group in shared:
        _add_group(common, group, name)
    return common


def _frame(common: Dataset, header: Dataset, group: Dataset, index: int, name: str) -> Dataset:
    from pydicom.dataset import Dataset

    frame = Dataset()
    frame.update(common)
    _add_group(frame, group, name)
    for attribute, value in (("filename", header.filename), ("file_meta", header.file_meta), ("frame", index)):
        setattr(frame, attribute, value)
    return frame


def _add_group(dataset: Dataset, group: Dataset, name: str) -> None:
    """Add the tags of a functional group to those of a frame; a real-world value of a PET is its rescaling."""
    for keyword in _GROUPS:
        for item in tag_value(group, keyword, name) or ():
            dataset.update(item)
    if tag_value(dataset, "Modality", name) == "PT":
        for mapping in tag_value(group, _MAPPING, name) or ():
            _add_mapping(dataset, mapping)


def _add_mapping(dataset: Dataset, mapping: Dataset) -> None:
    try:
        units = _UNITS.get(str(mapping.MeasurementUnitsCodeSequence[0].CodeValue))
        slope, intercept = float(mapping.RealWorldValueSlope), float(mapping.RealWorldValueIntercept)
    except (AttributeError, IndexError, TypeError, ValueError):  # a table, or not a number
        return
    if units:
        dataset.Units, dataset.RescaleSlope, dataset.RescaleIntercept = units, slope, intercept


def frame_of(header: Dataset) -> int | None:
    """Return the index of a slice in its file, counted from 0; None if it has a file of its own."""
    return getattr(header, "frame", None)


def stored_frames(path: Path) -> NDArray[Any]:
    """Read the stored pixels of all frames of a file, (frames, rows, columns), before any rescaling.

    pydicom decodes what it can by itself. GDCM decodes other compressions, from a file of the pixels alone: with all tags,
    it would rescale every frame like the first one, and ITK would invert negatives.

    Raises:
        RuntimeError, OSError, ValueError and others: the file is damaged.
    """
    import pydicom
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import UID

    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:  # without a preamble
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = UID(_PLAIN_SYNTAXES[bool(implicit), bool(little)])
    if get_decoder(dataset.file_meta.TransferSyntaxUID).is_available:
        pixels = pixel_array(dataset, raw=True)
    else:
        pixels = _decoded_by_itk(dataset)
    return np.reshape(pixels, (-1, *pixels.shape[-2:]))


def unknown_compression(path: Path) -> str:
    """Return the name of the compression of a file if neither pydicom nor GDCM decodes it; empty otherwise."""
    from pydicom import uid
    from pydicom.filereader import read_file_meta_info

    try:
        syntax = uid.UID(str(read_file_meta_info(path).get("TransferSyntaxUID", "")))
        known = (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, uid.JPEG2000Lossless, uid.JPEG2000, uid.RLELossless)
        return "" if syntax in known or not syntax.is_encapsulated else syntax.name
    except Exception:  # no such tag, or an unknown UID
        return ""


def _decoded_by_itk(dataset: Dataset) -> NDArray[Any]:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

    plain = Dataset()
    plain.update({element.tag: element for element in dataset if element.keyword in _PIXEL_TAGS})
    plain.PhotometricInterpretation = "MONOCHROME2"
    plain.SOPClassUID, plain.SOPInstanceUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid(None)
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory(prefix="cspadn-") as folder:
        file = Path(folder) / "pixels.dcm"
        plain.save_as(file, enforce_file_format=True)
        pixels: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
        return pixels
