"""The derived study: validity, position, voxels, references and claims."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, generate_uid

from cspadn.cli import entry
from cspadn.errors import InputError
from cspadn.imaging.color import palette_of
from cspadn.io import dicom_reader
from cspadn.io.dicom_study import series_below
from cspadn.io.dicom_writer import read_sources
from cspadn.io.dicom_writer.srgb import srgb_profile
from cspadn.io.suv import suv_factor
from cspadn.registration.placing import matrix_of
from dicom_files import STUDY, edit_series, set_keyword, write_enhanced, write_series
from dicom_studies import (
    errors_in,
    inconsistencies_in,
    needs,
    result_images,
    source_images,
    to_one,
    write_sources,
    write_study,
)
from head_phantom import phantom_mri, phantom_pet, rigid
from message_calls import raises, says

TURNED = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.1)
DIRECTIONS = {
    "axial": np.eye(3),
    "oblique": np.reshape(TURNED.GetMatrix(), (3, 3)),
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    "left-handed": np.diag([1, 1, -1]),
    "oblique and left-handed": np.reshape(TURNED.GetMatrix(), (3, 3)) @ np.diag([1, 1, -1]),
}


def objects(study: Path, name: str) -> list[Dataset]:
    """Return the objects of a series, in the order of their files."""
    return [pydicom.dcmread(path) for path in sorted((study / name).iterdir())]


def study_of(tmp_path: Path, pet: dict[str, Any] | None = None, mri: dict[str, Any] | None = None, **provenance: Any) -> Path:
    sources = write_sources(tmp_path, pet=pet, **(mri or {}))
    return write_study(tmp_path / "out", sources, result_images(source_images()[1]), **provenance)


MOVED = {"registration": "rigid", "registration_matrix": matrix_of(rigid((5, 2, -3), (4, -6, 9)))}
DEIDENTIFIED = {
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": "By hand",
    "BurnedInAnnotation": "NO",
    "LongitudinalTemporalInformationModified": "MODIFIED",
    "RecognizableVisualFeatures": "YES",
}
VALID: dict[str, dict[str, Any]] = {
    "one frame of reference": {},
    "registered": MOVED,
    "another frame of reference": {"pet": {"FrameOfReferenceUID": generate_uid()}},
    "another study": {"pet": {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}, **MOVED},
    "one slope": {"pet": {"RescaleSlope": 0.25, "RescaleIntercept": -3}},
    "de-identified": {"pet": DEIDENTIFIED, "mri": DEIDENTIFIED},
    "lossy": {"mri": {"LossyImageCompression": "01", "LossyImageCompressionRatio": 7}},
    "letters": {
        "mri": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Dör^Jäne", "Manufacturer": "Größe"},
        "pet": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Dör^Jäne", "Manufacturer": "製造"},
        "software": "Ж" * 90,
    },
    "no frame of reference": {"mri": {"FrameOfReferenceUID": None}},
    "a paired part": {"mri": {"BodyPartExamined": "EYE", "Laterality": "L"}},
    "no part": {"mri": {"BodyPartExamined": None, "Laterality": None, "PatientPosition": None}},
    "a trial": {"mri": {"ClinicalTrialSponsorName": "S", "ClinicalTrialProtocolID": "P", "ClinicalTrialSubjectID": "7"}},
    "long": {"palette": "PET-MaximumIntensityProjection", "model": "m" * 2000, "mri": {"SeriesNumber": 123456}},
    "SUV": {"pet_units": "SUVbw", "pet_window": [0, 8]},
}


@needs("dciodvfy", "dcentvfy")
@pytest.mark.parametrize("case", VALID)
def test_every_object_is_valid(case: str, tmp_path: Path) -> None:
    given = dict(VALID[case])
    study = study_of(tmp_path, given.pop("pet", None), given.pop("mri", None), **given)
    files = sorted(study.rglob("*.dcm"))
    assert {file.parent.name for file in files} >= {"grey", "color", "blending"}
    assert errors_in(files) == []
    assert inconsistencies_in(files) == []


@needs("dciodvfy")
def test_sparse_sources_make_valid_objects(tmp_path: Path) -> None:
    """The source headers lack most of the required attributes, as those of research exports do."""
    pet, mri = source_images()
    sources = {"PT": write_series(tmp_path / "PT", pet, "PT"), "MR": write_series(tmp_path / "MR", mri, "MR")}
    study = write_study(tmp_path / "out", sources, result_images(mri), **MOVED)
    assert errors_in(sorted(study.rglob("*.dcm"))) == []


@needs("dciodvfy")
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_orientation_is_valid(direction: str, tmp_path: Path) -> None:
    like = source_images(DIRECTIONS[direction].ravel().tolist())[1]
    study = write_study(tmp_path / "out", write_sources(tmp_path), result_images(like), grid="pet")
    assert errors_in(sorted(study.rglob("*.dcm"))) == []


@needs("dciodvfy")
def test_one_slice_of_odd_size_is_valid(tmp_path: Path) -> None:
    like = source_images()[1][:5, :7, 3:4]
    study = write_study(tmp_path / "out", write_sources(tmp_path), result_images(like))
    assert errors_in(sorted(study.rglob("*.dcm"))) == []
    assert len(objects(study, "color")[0].PixelData) == 106


@needs("dciodvfy")
def test_frames_of_one_file_are_referred_to_by_their_numbers(tmp_path: Path) -> None:
    """Current scanners send MRI and PET as multi-frame files; each frame of a PET has its own slope."""
    images = dict(zip(("PT", "MR"), source_images(), strict=True))
    for kind, image in images.items():
        write_enhanced(tmp_path / kind / "all.dcm", [image], kind)
    sources = {"PT": tmp_path / "PT", "MR": tmp_path / "MR" / "all.dcm"}  # a folder, or the file itself
    study = write_study(tmp_path / "out", sources, result_images(images["MR"]), **MOVED)
    assert errors_in(sorted(study.rglob("*.dcm"))) == []
    for index, each in enumerate(objects(study, "grey")):
        frames = {image.ReferencedSOPClassUID: image.ReferencedFrameNumber for image in each.SourceImageSequence}
        assert frames[EnhancedMRImageStorage] == index + 1
        assert len(each.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1
    (state,) = objects(study, "blending")
    windows = state.BlendingSequence[1].SoftcopyVOILUTSequence
    numbers = [np.atleast_1d(window.ReferencedImageSequence[0].ReferencedFrameNumber) for window in windows]
    assert sorted(np.concatenate(numbers)) == list(range(1, 8))


# Voxels and position


def test_grey_values_are_stored_as_they_are(tmp_path: Path) -> None:
    images = result_images(source_images()[1])
    study = write_study(tmp_path / "out", write_sources(tmp_path), images)
    for each, values in zip(objects(study, "grey"), sitk.GetArrayFromImage(images[0]), strict=True):
        np.testing.assert_array_equal(each.pixel_array, np.rint(np.clip(values, 0, 4095)))
        assert (each.BitsStored, each.WindowCenter, each.WindowWidth) == (12, 2048, 4096)
        assert not {"RescaleSlope", "RescaleIntercept", "RescaleType"} & set(each.dir())


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", ["grey", "color"])
def test_readers_place_each_voxel_where_it_was(name: str, direction: str, tmp_path: Path, scene) -> None:
    """pydicom, SimpleITK and the reader of MRML: for each, position and value of three voxels are those of the volume."""
    like = source_images(DIRECTIONS[direction].ravel().tolist())[1]
    images = result_images(like)
    study = write_study(tmp_path / "out", write_sources(tmp_path), images, grid="pet")
    written = images[0 if name == "grey" else 1]
    for index in ((0, 0, 0), (23, 3, 7), (11, 19, 2)):
        place = np.array(written.TransformIndexToPhysicalPoint(index))
        expected = np.rint(np.clip(written[index], 0, 4095))
        for read in (_with_pydicom, _with_simpleitk, _with_mrml):
            found, value = read(study / name, place)
            np.testing.assert_allclose(found, place, atol=1e-5, err_msg=read.__name__)
            np.testing.assert_array_equal(value, expected, err_msg=read.__name__)


def _with_pydicom(folder: Path, place: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return the position of the nearest pixel, by the equation of PS3.3 C.7.6.2.1.1, and its value."""
    nearest: tuple[float, np.ndarray, Any] = (np.inf, place, None)
    for path in folder.iterdir():
        each = pydicom.dcmread(path)
        rows, columns = map(float, each.PixelSpacing)
        axes = np.reshape(np.array(each.ImageOrientationPatient, float), (2, 3)) * [[columns], [rows]]
        origin = np.array(each.ImagePositionPatient, float)
        column, row = np.rint((axes @ (place - origin)) / (axes**2).sum(1)).astype(int)
        found = origin + axes.T @ [column, row]
        distance = np.linalg.norm(found - place)
        if distance < nearest[0] and 0 <= row < each.Rows and 0 <= column < each.Columns:
            nearest = (distance, found, each.pixel_array[row, column])
    return nearest[1:]


def _with_simpleitk(folder: Path, place: np.ndarray) -> tuple[np.ndarray, Any]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    index = image.TransformPhysicalPointToIndex(place.tolist())
    return np.array(image.TransformIndexToPhysicalPoint(index)), image[index]


def _with_mrml(folder: Path, place: np.ndarray) -> tuple[np.ndarray, Any]:
    import slicer

    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    kind = "vtkMRMLVectorVolumeNode" if folder.name == "color" else "vtkMRMLScalarVolumeNode"
    node = slicer.mrmlScene.AddNewNodeByClass(kind, folder.name)
    files = sorted(folder.iterdir())
    storage.SetFileName(str(files[0]))
    storage.ResetFileNameList()
    for path in files:
        storage.AddFileName(str(path))
    storage.SetSingleFile(False)
    assert storage.ReadData(node)
    matrix = slicer.util.arrayFromVTKMatrix(_matrix(node))
    flip = np.diag([-1, -1, 1, 1])
    ijk = np.rint(np.linalg.solve(matrix, flip @ [*place, 1]))
    value = slicer.util.arrayFromVolume(node)[tuple(ijk[2::-1].astype(int))]
    return (flip @ matrix @ ijk)[:3], value


def _matrix(node: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


def test_the_library_reads_its_grey_series(tmp_path: Path) -> None:
    images = result_images(source_images()[1])
    study = write_study(tmp_path / "out", write_sources(tmp_path), images)
    back = dicom_reader.read_series(study / "grey", "It")
    assert back.GetOrigin() == pytest.approx(images[0].GetOrigin())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), np.rint(np.clip(sitk.GetArrayFromImage(images[0]), 0, 4095)))
    with raises(InputError, "dicom-colour"):
        dicom_reader.read_series(study / "color", "It")


def test_the_colours_have_a_profile(tmp_path: Path) -> None:
    """Little CMS reads it, and it changes no colour of sRGB."""
    image_cms = pytest.importorskip("PIL.ImageCms")
    from PIL import Image

    image = objects(study_of(tmp_path), "color")[0]
    assert image.ICCProfile[:588] == srgb_profile()
    profile = image_cms.ImageCmsProfile(io.BytesIO(image.ICCProfile))
    pixels = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    same = image_cms.profileToProfile(Image.fromarray(pixels), profile, image_cms.createProfile("sRGB"))
    assert np.abs(np.asarray(same).astype(int) - pixels).max() <= 1


# References


def test_slices_refer_to_the_slices_that_they_touch(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    places = {
        each.SOPInstanceUID: float(each.ImagePositionPatient[2])
        for kind in ("PT", "MR")
        for each in (pydicom.dcmread(path) for path in (tmp_path / kind).iterdir())
    }
    for name in ("grey", "color"):
        for index, each in enumerate(objects(study, name)):
            here = 5 + 3 * index
            touched = [places[image.ReferencedSOPInstanceUID] for image in each.SourceImageSequence]
            pet = [place for place in 3 + 4 * np.arange(7) if abs(place - here) < 4]
            assert sorted(touched) == sorted([here, *(pet or [27])])
            listed = [
                image.ReferencedSOPInstanceUID
                for series in each.ReferencedSeriesSequence
                for image in series.ReferencedInstanceSequence
            ]
            assert sorted(listed) == sorted(image.ReferencedSOPInstanceUID for image in each.SourceImageSequence)


def test_a_registered_pet_is_referred_to_where_it_lies(tmp_path: Path) -> None:
    """The PET lies 8 mm higher than the MRI: each slice refers to the slices of the PET at its position."""
    matrix = matrix_of(rigid((0, 0, 0), (0, 0, 8)))
    study = study_of(tmp_path, registration="rigid", registration_matrix=matrix)
    series = {each.SOPInstanceUID: each for each in map(pydicom.dcmread, (tmp_path / "PT").iterdir())}
    first = objects(study, "grey")[0]  # at 5 mm
    found = [
        series[image.ReferencedSOPInstanceUID].ImagePositionPatient[2]
        for image in first.SourceImageSequence
        if image.ReferencedSOPInstanceUID in series
    ]
    assert sorted(found) == [11, 15]


def test_another_study_is_referred_to_as_such(tmp_path: Path) -> None:
    other = generate_uid()
    study = study_of(tmp_path, pet={"StudyInstanceUID": other})
    for name in ("grey", "color"):
        each = objects(study, name)[0]
        assert each.StudyInstanceUID == STUDY
        assert len(each.ReferencedSeriesSequence) == 1
        assert [item.StudyInstanceUID for item in each.StudiesContainingOtherReferencedInstancesSequence] == [other]


# Claims


@pytest.mark.parametrize(
    ("pet", "mri", "expected"),
    [(None, None, None), ("NO", None, None), ("NO", "NO", "NO"), ("YES", None, "YES"), ("NO", "YES", "YES")],
)
@pytest.mark.parametrize("keyword", ["BurnedInAnnotation", "RecognizableVisualFeatures"])
def test_nothing_is_claimed_that_the_sources_do_not_say(keyword, pet, mri, expected, tmp_path: Path) -> None:
    tags = [{} if value is None else {keyword: value} for value in (pet, mri)]
    study = study_of(tmp_path, *tags)
    for name in ("grey", "color"):
        assert {each.get(keyword) for each in objects(study, name)} == {expected}


def test_one_slice_may_say_it(tmp_path: Path) -> None:
    sources = write_sources(tmp_path, pet={"BurnedInAnnotation": "NO"}, BurnedInAnnotation="NO")
    edit_series(sources["PT"], set_keyword("BurnedInAnnotation", lambda index: "YES" if index == 4 else "NO"))
    study = write_study(tmp_path / "out", sources, result_images(source_images()[1]))
    assert {each.BurnedInAnnotation for each in objects(study, "grey")} == {"YES"}


@pytest.mark.parametrize(
    ("pet", "mri", "expected"),
    [("YES", "YES", "YES"), (None, "YES", "NO"), ("YES", None, "NO"), (None, None, None)],
)
def test_the_identity_is_removed_only_if_it_is_in_both(pet, mri, expected, tmp_path: Path) -> None:
    tags = [DEIDENTIFIED if value else {} for value in (pet, mri)]
    study = study_of(tmp_path, *tags)
    for path in study.rglob("*.dcm"):
        each = pydicom.dcmread(path)
        assert each.get("PatientIdentityRemoved") == expected
        assert each.get("DeidentificationMethod") == ("By hand" if expected == "YES" else None)


def test_what_each_object_says(tmp_path: Path) -> None:
    study = study_of(tmp_path, mri={"SeriesNumber": 12}, **MOVED)
    for path in study.rglob("*.dcm"):
        each = pydicom.dcmread(path)
        assert "not for diagnosis" in each.SeriesDescription
        assert (each.PatientID, each.PatientName, each.StudyInstanceUID) == ("4711", "Doe^Jane", STUDY)
        makers = [item.Manufacturer for item in each.ContributingEquipmentSequence]
        assert makers == ["Maker of MRI", "Maker of PET", "SlicerCSpADNFusion"]
    assert {path.name: objects(study, path.name)[0].SeriesNumber for path in study.iterdir()} == {
        "grey": 1012,
        "color": 2012,
        "blending": 3012,
        "registration": 4012,
    }
    color = objects(study, "color")[0]
    assert "Heated" in color.SeriesDescription
    assert "palette Heated, 0 to 80 Bq/ml" in color.DerivationDescription
    assert [item.CodeValue for item in color.DerivationCodeSequence] == ["FUSION", "113085"]
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in study.rglob("*.dcm")}) == 4


# PET over MRI


@pytest.mark.parametrize("slopes", ["one", "many"])
@pytest.mark.parametrize("units", ["BQML", "SUVbw"])
def test_the_state_shows_the_pet_in_its_window_and_palette(slopes: str, units: str, tmp_path: Path) -> None:
    """A viewer computes from the state the palette's colour of the value that the fusion used."""
    sources = write_sources(tmp_path, pet={} if slopes == "many" else {"RescaleSlope": 0.02, "RescaleIntercept": 5})
    headers = read_sources(sources["MR"], sources["PT"])
    scale = suv_factor(headers.pet, "It") if units == "SUVbw" else 1.0
    window = [10 * scale, 60 * scale]
    images = result_images(source_images()[1])
    study = write_study(tmp_path / "out", sources, images, pet_units=units, pet_window=window, palette="PET-DICOM")
    (state,) = objects(study, "blending")
    underlying, superimposed = state.BlendingSequence
    assert (underlying.BlendingPosition, superimposed.BlendingPosition) == ("UNDERLYING", "SUPERIMPOSED")
    palette = palette_of("PET-DICOM")
    for path in sources["PT"].iterdir():
        image = pydicom.dcmread(path)
        values = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        level = np.clip((values * scale - window[0]) / (window[1] - window[0]), 0, 1) * 255
        shown = _shown(state, superimposed, image)
        nearest = np.stack([np.interp(level, np.arange(256), palette[:, channel]) for channel in range(3)], axis=-1)
        assert np.abs(shown - nearest).max() < 0.03  # half a level of the palette, where it is steepest
    mri = pydicom.dcmread(next(sources["MR"].iterdir()))
    assert _level(underlying, mri)[mri.pixel_array == 500] == pytest.approx(255 / 2)


def _level(blended: Dataset, image: Dataset) -> np.ndarray:
    """Return the level from 0 to 255 that a state gives to each pixel of an image."""
    values = image.pixel_array * float(blended.RescaleSlope) + float(blended.RescaleIntercept)
    fitting = [
        voi
        for voi in blended.SoftcopyVOILUTSequence
        if image.SOPInstanceUID in {item.ReferencedSOPInstanceUID for item in voi.get("ReferencedImageSequence", [])}
        or "ReferencedImageSequence" not in voi
    ]
    assert len(fitting) == 1
    assert fitting[0].VOILUTFunction == "LINEAR_EXACT"
    center, width = float(fitting[0].WindowCenter), float(fitting[0].WindowWidth)
    return np.clip((values - center) / width + 0.5, 0, 1) * 255


def _shown(state: Dataset, blended: Dataset, image: Dataset) -> np.ndarray:
    """Return the colours of a superimposed image, (H, W, 3) in [0, 1]."""
    tables = []
    for name in ("Red", "Green", "Blue"):
        assert list(state[f"{name}PaletteColorLookupTableDescriptor"].value) == [256, 0, 16]
        tables.append(np.frombuffer(state[f"{name}PaletteColorLookupTableData"].value, "<u2") / 65535)
    index = np.rint(_level(blended, image)).astype(int)
    return np.stack([table[index] for table in tables], axis=-1)


def test_the_state_refers_to_all_images_and_to_the_registration(tmp_path: Path) -> None:
    study = study_of(tmp_path, **MOVED)
    (state,), (registration,) = objects(study, "blending"), objects(study, "registration")
    for item, kind in zip(state.BlendingSequence, ("MR", "PT"), strict=True):
        listed = {image.ReferencedSOPInstanceUID for image in item.ReferencedSeriesSequence[0].ReferencedImageSequence}
        assert listed == {pydicom.dcmread(path).SOPInstanceUID for path in (tmp_path / kind).iterdir()}
    reference = state.ReferencedSpatialRegistrationSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == registration.SOPInstanceUID


@pytest.mark.parametrize(("count", "expected"), [(0, {"grey", "color"}), (1, {"grey", "color", "blending"})])
def test_without_a_pet_series_the_rest_is_written(count: int, expected: set[str], tmp_path: Path) -> None:
    sources = write_sources(tmp_path)
    if count == 0:
        del sources["PT"]
    study = write_study(tmp_path / "out", sources, result_images(source_images()[1]))
    assert {path.name for path in study.iterdir()} == expected


# Registration


def _registered(study: Path) -> tuple[Dataset, np.ndarray]:
    """Return the item of the PET, and its matrix."""
    (registration,) = objects(study, "registration")
    pet = registration.RegistrationSequence[1]
    matrix = pet.MatrixRegistrationSequence[0].MatrixSequence[0].FrameOfReferenceTransformationMatrix
    return pet, np.reshape([float(value) for value in matrix], (4, 4))


def test_the_matrix_maps_the_pet_to_the_mri(tmp_path: Path) -> None:
    pet, matrix = _registered(study_of(tmp_path, **MOVED))
    mri_to_pet = np.reshape(MOVED["registration_matrix"], (4, 4))
    np.testing.assert_allclose(matrix @ mri_to_pet, np.eye(4), atol=1e-10)
    assert len(pet.ReferencedImageSequence) == 7
    assert pet.MatrixRegistrationSequence[0].RegistrationTypeCodeSequence[0].CodeValue == "125024"


def test_another_frame_of_reference_is_connected(tmp_path: Path) -> None:
    """Without the registration object, a viewer would not know that the fusion assumed one space for both."""
    frame = generate_uid()
    pet, matrix = _registered(study_of(tmp_path, pet={"FrameOfReferenceUID": frame}))
    assert pet.FrameOfReferenceUID == frame
    np.testing.assert_array_equal(matrix, np.eye(4))
    assert "assumed" in pet.MatrixRegistrationSequence[0].FrameOfReferenceTransformationComment
    assert len(pet.MatrixRegistrationSequence[0].RegistrationTypeCodeSequence) == 0


# The command line


def _fuse(sources: dict[str, Path], output: Path, *more: str) -> int:
    return entry.main(["fuse", str(sources["PT"]), str(sources["MR"]), "-o", str(output), "--device", "cpu", *more])


@needs("dciodvfy", "dcentvfy")
def test_two_examinations_become_a_study_in_one_command(tmp_path: Path) -> None:
    moved = rigid((4, -3, 6), (9, -7, 12))
    sources = write_sources(
        tmp_path,
        (to_one(phantom_pet(moved)) * 80, to_one(phantom_mri((4.0, 4.0, 4.0))) * 900),
        pet={"FrameOfReferenceUID": generate_uid(), "StudyInstanceUID": generate_uid()},
    )
    assert _fuse(sources, tmp_path / "out", "--dicom", "--register", "rigid", "--palette", "PET-Rainbow2") == 0
    files = sorted((tmp_path / "out").rglob("*.dcm"))
    assert {file.parent.name for file in files} == {"grey", "color", "registration", "blending"}
    assert errors_in(files) == []
    assert inconsistencies_in(files) == []
    _, matrix = _registered(tmp_path / "out")
    for place in ((0, 0, 0), (50, 60, 40), (-40, 20, -30)):
        found = matrix @ [*moved.TransformPoint(place), 1]
        assert np.linalg.norm(found[:3] - place) < 3  # mm, at voxels of 4 mm
    assert "PET-Rainbow2" in objects(tmp_path / "out", "color")[0].SeriesDescription


def test_a_pet_in_a_file_is_told(tmp_path: Path, capsys) -> None:
    sources = write_sources(tmp_path)
    sitk.WriteImage(source_images()[0], str(tmp_path / "pet.nrrd"))
    assert _fuse({**sources, "PT": tmp_path / "pet.nrrd"}, tmp_path / "out", "--dicom") == 0
    assert says(capsys.readouterr().err, "dicom-pet-not-a-series")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"grey", "color"}


def test_a_study_that_was_fused_has_still_one_mri(tmp_path: Path) -> None:
    """What was written is no source when it comes back from the archive with the study."""
    study_of(tmp_path)
    assert [each.modality for each in series_below(tmp_path)] == ["MR", "PT"]
