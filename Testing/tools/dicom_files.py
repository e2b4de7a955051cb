"""Small DICOM series, written independently of the code under test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

STUDY, FRAME = generate_uid(), generate_uid()


# What DICOM demands of an MR and of a PET image beside what write_series always writes
_PATIENT = {
    "PatientBirthDate": "19700101",
    "PatientSex": "F",
    "StudyDate": "20000101",
    "StudyTime": "093000",
    "StudyID": "1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "",
    "BodyPartExamined": "BRAIN",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "ManufacturerModelName": "Model 1",
    "SoftwareVersions": "1.0",
}
CONFORMANT: dict[str, dict[str, Any]] = {
    "MR": {
        **_PATIENT,
        "Manufacturer": "Maker of MRI",
        "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
        "ScanningSequence": "GR",
        "SequenceVariant": "SP",
        "ScanOptions": "",
        "MRAcquisitionType": "3D",
        "RepetitionTime": 2300,
        "EchoTime": 3,
        "EchoTrainLength": 1,
    },
    "PT": {
        **_PATIENT,
        "Manufacturer": "Maker of PET",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "SeriesType": ["STATIC", "IMAGE"],
        "CountsSource": "EMISSION",
        "CorrectedImage": ["ATTN", "DECY"],
        "CollimatorType": "NONE",
        "DecayFactor": 1,
        "FrameReferenceTime": 0,
        "ActualFrameDuration": 600000,
        "ImageIndex": 1,
    },
}


def _tracer() -> Dataset:
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 185e6, 6586.2
    tracer.RadiopharmaceuticalStartTime = "091500"
    return tracer


def write_series(folder: Path, image: sitk.Image, modality: str, **changes: object) -> Path:
    """Write a small series of an image, independently of the code under test; each PET slice has its own slope.

    ``changes`` are values of further tags by keyword, or functions of the slice's index that return them.
    """
    folder.mkdir()
    voxels, each = sitk.GetArrayFromImage(image), _series_of(image, modality)
    for index, values in enumerate(voxels):  # one dataset for all files: making one takes longer than writing it
        slope = 0.01 * (index + 1) if modality == "PT" else 1
        each.SOPInstanceUID, each.InstanceNumber, each.RescaleSlope = generate_uid(), index + 1, slope
        each.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, index)))
        for keyword, value in changes.items():
            setattr(each, keyword, value(index) if callable(value) else value)
        each.PixelData = np.rint(values / slope).astype("<u2").tobytes()
        each.file_meta = FileMetaDataset()
        each.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        each.save_as(folder / f"{(5 * index) % len(voxels):03d}", enforce_file_format=True)  # names in another order
    return folder


def _series_of(image: sitk.Image, modality: str) -> Dataset:
    """Return what the headers of all slices have in common."""
    each, axes = Dataset(), np.reshape(image.GetDirection(), (3, 3))
    columns, rows, _ = image.GetSize()
    each.SOPClassUID = PositronEmissionTomographyImageStorage if modality == "PT" else MRImageStorage
    each.SeriesInstanceUID, each.StudyInstanceUID = generate_uid(), STUDY
    each.FrameOfReferenceUID, each.Modality, each.SeriesNumber = FRAME, modality, 7
    each.PatientName, each.PatientID, each.PatientWeight = "Doe^Jane", "4711", 70
    each.SeriesDate = each.AcquisitionDate = "20000101"
    each.SeriesTime = each.AcquisitionTime = "100000"
    each.Rows, each.Columns, each.SamplesPerPixel, each.PhotometricInterpretation = rows, columns, 1, "MONOCHROME2"
    each.BitsAllocated, each.BitsStored, each.HighBit, each.PixelRepresentation = 16, 16, 15, 0
    each.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
    each.PixelSpacing, each.SliceThickness = [image.GetSpacing()[1], image.GetSpacing()[0]], image.GetSpacing()[2]
    each.RescaleIntercept = 0
    if modality == "PT":
        each.Units, each.DecayCorrection, each.RadiopharmaceuticalInformationSequence = "BQML", "START", [_tracer()]
    return each


def write_pair(folder: Path, pair: tuple[sitk.Image, sitk.Image]) -> dict[str, Path]:
    """Write a PET and an MRI as series in two folders."""
    return {"pet": write_series(folder / "pet", pair[0], "PT"), "mri": write_series(folder / "mri", pair[1] * 10, "MR")}


def edit_series(folder: Path, change: Callable[[Dataset, int], None]) -> None:
    for index, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        change(dataset, index)
        dataset.save_as(path)


def set_keyword(keyword: str, value: Callable[[int], object]) -> Callable[[Dataset, int], None]:
    return lambda dataset, index: setattr(dataset, keyword, value(index))


def write_dynamic(folder: Path, frames: Sequence[sitk.Image], seconds: Sequence[float], **changes: object) -> Path:
    """Write a dynamic PET: a series of frames of one place, at successive times, with instance numbers in another order."""
    start, series = 0.0, generate_uid()
    folder.mkdir()
    for number, (frame, lasting) in enumerate(zip(frames, seconds, strict=True)):
        part = write_series(folder / str(number), frame, "PT")

        def timed(dataset: Dataset, index: int, number: int = number, start: float = start, lasting: float = lasting) -> None:
            dataset.SeriesInstanceUID, dataset.InstanceNumber = series, 100 * (7 - number) + index
            dataset.FrameReferenceTime, dataset.ActualFrameDuration = 1000 * (start + lasting / 2), int(1000 * lasting)
            dataset.AcquisitionTime = f"10{int(start) // 60:02d}{int(start) % 60:02d}"
            dataset.NumberOfSlices, dataset.NumberOfTimeSlices = frames[0].GetSize()[2], len(frames)
            for keyword, value in changes.items():
                setattr(dataset, keyword, value)
                if value is None:
                    delattr(dataset, keyword)

        edit_series(part, timed)
        for path in sorted(part.iterdir()):
            path.rename(folder / f"{(number * 5) % 7}-{path.name}")
        part.rmdir()
        start += lasting
    return folder


def write_enhanced(
    path: Path, images: Sequence[sitk.Image], modality: str, *, order: Sequence[int] | None = None, **changes: object
) -> Dataset:
    """A multi-frame file of images of one place, one after the other; each frame with its own slope, in any order."""
    dataset = Dataset()
    dataset.SOPClassUID = EnhancedPETImageStorage if modality == "PT" else EnhancedMRImageStorage
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = (generate_uid() for _ in range(2))
    dataset.StudyInstanceUID = STUDY
    dataset.FrameOfReferenceUID, dataset.Modality, dataset.SeriesNumber = FRAME, modality, 7
    dataset.PatientName, dataset.PatientID, dataset.PatientWeight = "Doe^Jane", "4711", 70
    dataset.SeriesDate, dataset.SeriesTime, dataset.AcquisitionDateTime = "20000101", "100000", "20000101100000"
    columns, rows, _ = images[0].GetSize()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    if modality == "PT":
        dataset.RadiopharmaceuticalInformationSequence = [_tracer()]
        dataset.DecayCorrected, dataset.DecayCorrectionDateTime = "YES", "20000101100000"
    axes = np.reshape(images[0].GetDirection(), (3, 3))
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
    measures.PixelSpacing = [images[0].GetSpacing()[1], images[0].GetSpacing()[0]]
    measures.SliceThickness = images[0].GetSpacing()[2]
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    frames = [(image, time, index) for time, image in enumerate(images) for index in range(image.GetSize()[2])]
    frames = [frames[each] for each in order or range(len(frames))]
    dataset.SharedFunctionalGroupsSequence = [shared]
    slopes = [0.01 * (1 + index % 5) if modality == "PT" else 1 for _, _, index in frames]
    dataset.PerFrameFunctionalGroupsSequence = [_group(*each, slope) for each, slope in zip(frames, slopes, strict=True)]
    dataset.NumberOfFrames = len(frames)
    stored = [np.rint(sitk.GetArrayFromImage(i)[k] / s).astype("<u2") for (i, _, k), s in zip(frames, slopes, strict=True)]
    dataset.PixelData = np.stack(stored).tobytes()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def _group(image: sitk.Image, time: int, index: int, slope: float) -> Dataset:
    """The functional groups of one frame; its time in milliseconds is 60 s later for each image."""
    group, place, content, values, mapping, units = (Dataset() for _ in range(6))
    place.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, index)))
    content.FrameAcquisitionDateTime = f"200001011{time:05d}"
    content.FrameAcquisitionDuration, content.TemporalPositionIndex = 1000.0 * (time + 1), time + 1
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, 0, "US"
    units.CodeValue, units.CodingSchemeDesignator, units.CodeMeaning = "Bq/ml", "UCUM", "Becquerels/milliliter"
    mapping.MeasurementUnitsCodeSequence, mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = [units], slope, 0
    group.PlanePositionSequence, group.FrameContentSequence = [place], [content]
    group.PixelValueTransformationSequence, group.RealWorldValueMappingSequence = [values], [mapping]
    return group
