"""Small DICOM series, written independently of the code under test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, PositronEmissionTomographyImageStorage, generate_uid

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
    """A small series of an image, independently of the code under test; each PET slice with its own slope."""
    folder.mkdir()
    voxels, series = sitk.GetArrayFromImage(image), generate_uid()
    axes = np.reshape(image.GetDirection(), (3, 3))
    for index, values in enumerate(voxels):
        slope = 0.01 * (index + 1) if modality == "PT" else 1
        each = Dataset()
        each.SOPClassUID = PositronEmissionTomographyImageStorage if modality == "PT" else MRImageStorage
        each.SOPInstanceUID, each.SeriesInstanceUID, each.StudyInstanceUID = generate_uid(), series, STUDY
        each.FrameOfReferenceUID, each.Modality, each.SeriesNumber = FRAME, modality, 7
        each.PatientName, each.PatientID, each.PatientWeight = "Doe^Jane", "4711", 70
        each.SeriesDate = each.AcquisitionDate = "20000101"
        each.SeriesTime = each.AcquisitionTime = "100000"
        each.Rows, each.Columns, each.SamplesPerPixel, each.PhotometricInterpretation = *values.shape, 1, "MONOCHROME2"
        each.BitsAllocated, each.BitsStored, each.HighBit, each.PixelRepresentation = 16, 16, 15, 0
        each.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, index)))
        each.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
        each.PixelSpacing, each.SliceThickness = [image.GetSpacing()[1], image.GetSpacing()[0]], image.GetSpacing()[2]
        each.RescaleSlope, each.RescaleIntercept, each.InstanceNumber = slope, 0, index + 1
        if modality == "PT":
            each.Units, each.DecayCorrection, each.RadiopharmaceuticalInformationSequence = "BQML", "START", [_tracer()]
        for keyword, value in changes.items():
            setattr(each, keyword, value)
        each.PixelData = np.rint(values / slope).astype("<u2").tobytes()
        each.file_meta = FileMetaDataset()
        each.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        each.save_as(folder / f"{(5 * index) % len(voxels):03d}", enforce_file_format=True)  # names in another order
    return folder


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
