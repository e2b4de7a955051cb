"""DICOM series: reading and SUV."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from cspadn.errors import InputError, MemoryExhaustedError, UsageError
from cspadn.io import dicom_reader, images
from cspadn.io.suv import suv_factor
from dicom_files import edit_series, set_keyword, write_pair
from message_calls import raises
from volumes import small_pair, volume


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the series of the small pair, for copies."""
    folder = tmp_path_factory.mktemp("series")
    write_pair(folder, small_pair())
    return folder


@pytest.fixture
def series(written: Path, tmp_path: Path) -> dict[str, Path]:
    return {name: shutil.copytree(written / name, tmp_path / name) for name in ("pet", "mri")}


def test_slices_are_sorted_by_position_and_rescaled_each(series, pair) -> None:
    for name in ("notes.txt", "._000.dcm"):
        (series["pet"] / name).write_text("no DICOM", encoding="utf-8")
    image = dicom_reader.read_series(series["pet"], "The PET")
    expected = sitk.GetArrayFromImage(pair[0])
    assert np.abs(sitk.GetArrayFromImage(image) - expected).max() <= 0.01 * 7 / 2 + 1e-5  # half a step of the coarsest slope
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(image, get)(), getattr(pair[0], get)(), atol=1e-6)


def _shear(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient[1] += dataset.ImagePositionPatient[2]


def _displaced(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient[1] += 0.4 * (index % 5)


def _same_place(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [0, 0, float(dataset.ImagePositionPatient[2]) // 8 * 8]


REFUSED = {
    "two series": (set_keyword("SeriesInstanceUID", lambda index: f"1.2.{index % 2}"), "dicom-several-series", {"count": 2}),
    "time series": (_same_place, "dicom-slices-coincide", {}),
    "displaced": (_displaced, "dicom-slices-displaced", {}),
    "sheared": (_shear, "dicom-sheared", {}),
    "orientations": (
        set_keyword("ImageOrientationPatient", lambda index: [1, 0, 0, 0, 1, 0] if index else [1, 0, 0, 0, 0, 1]),
        "dicom-slices-differ",
        {"tag": "ImageOrientationPatient"},
    ),
    "no position": (
        lambda dataset, index: dataset.__delattr__("ImagePositionPatient"),
        "dicom-tag-invalid",
        {"tag": "ImagePositionPatient"},
    ),
    "multi-frame": (set_keyword("NumberOfFrames", lambda index: 3), "dicom-multiframe", {}),
    "colour": (set_keyword("SamplesPerPixel", lambda index: 3), "dicom-colour", {}),
    "no rows": (lambda dataset, index: dataset.__delattr__("Rows"), "dicom-tag-invalid", {"tag": "Rows"}),
    "no pixel spacing": (set_keyword("PixelSpacing", lambda index: [0, 0]), "dicom-tag-invalid", {"tag": "PixelSpacing"}),
    "one spacing": (set_keyword("PixelSpacing", lambda index: 2), "dicom-tag-invalid", {"tag": "PixelSpacing"}),
    "skewed directions": (
        set_keyword("ImageOrientationPatient", lambda index: [1, 0, 0, 0.5, 1, 0]),
        "dicom-directions-invalid",
        {},
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_volume_is_refused(series, case: str) -> None:
    change, identifier, fields = REFUSED[case]
    edit_series(series["mri"], change)
    with raises(InputError, identifier, **fields):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_gaps_and_damaged_files_are_refused(series) -> None:
    files = sorted(series["mri"].iterdir())
    middle = next(f for f in files if abs(float(pydicom.dcmread(f).ImagePositionPatient[2]) - 14) < 1e-6)
    middle.unlink()
    with raises(InputError, "dicom-gap", count=1, spacing=3, slice=3, slices=7):
        dicom_reader.read_series(series["mri"], "The MRI")
    for path in files:
        path.unlink(missing_ok=True)
    with raises(InputError, "dicom-none", folder=series["mri"]):
        dicom_reader.read_series(series["mri"], "The MRI")


@pytest.mark.parametrize(
    ("name", "size", "identifier"),
    [("first.dcm", 0, "dicom-file-damaged"), ("first.IMA", 100, "dicom-file-damaged"), ("first", 100, "dicom-file-damaged")],
)
def test_a_slice_of_which_hardly_anything_is_left_is_no_other_file(series, name: str, size: int, identifier: str) -> None:
    """Otherwise the volume would lack one slice unnoticed."""
    first = min(series["mri"].iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    (series["mri"] / name).write_bytes(first.read_bytes()[:size])
    first.unlink()
    with raises(InputError, identifier, path=series["mri"] / name):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_slices_that_promise_more_than_they_hold_are_refused_before_they_are_read(series, monkeypatch) -> None:
    edit_series(series["mri"], set_keyword("Rows", lambda index: 60000))
    monkeypatch.setattr(sitk, "ReadImage", lambda *_: pytest.fail("it was read"))
    with raises(InputError, "dicom-file-damaged"):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_more_voxels_than_memory_are_not_read(series, monkeypatch) -> None:
    monkeypatch.setattr(dicom_reader, "free_main_memory", lambda: 7000)
    with raises(MemoryExhaustedError, "dicom-too-large", folder=series["mri"]):
        dicom_reader.read_series(series["mri"], "The MRI")


@pytest.mark.parametrize(
    "syntax",
    [RLELossless, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRLittleEndian],
    ids=lambda uid: uid.name,
)
def test_however_a_series_is_stored(series, syntax: UID) -> None:
    before = sitk.GetArrayFromImage(dicom_reader.read_series(series["mri"], "The MRI"))

    def store(dataset: Dataset, _index: int) -> None:
        dataset.add_new((0x0009, 0x0010), "LO", "A MAKER")
        dataset.add_new((0x0009, 0x1001), "UN", b"x" * 100_000)  # private, and longer than what is looked at
        if syntax == RLELossless:
            dataset.compress(syntax)
        dataset.file_meta.TransferSyntaxUID = syntax

    for index, path in enumerate(sorted(series["mri"].iterdir())):
        dataset = pydicom.dcmread(path)
        store(dataset, index)
        dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True)
    after = sitk.GetArrayFromImage(dicom_reader.read_series(series["mri"], "The MRI"))
    np.testing.assert_array_equal(after, before)


def test_truncated_pixels_are_refused(series) -> None:
    path = sorted(series["mri"].iterdir())[2]
    path.write_bytes(path.read_bytes()[:-300])
    with raises(InputError, "dicom-file-damaged", path=path):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_suv_of_voxels_that_refer_to_the_injection(series) -> None:
    edit_series(series["pet"], set_keyword("DecayCorrection", lambda index: "ADMIN"))
    assert suv_factor(dicom_reader.read_headers(series["pet"], "The PET"), "The PET") == pytest.approx(70_000 / 185e6)


def test_suv_of_images_that_were_processed_again_starts_with_the_scan(series) -> None:
    before = suv_factor(dicom_reader.read_headers(series["pet"], "The PET"), "The PET")
    edit_series(series["pet"], set_keyword("SeriesTime", lambda index: "180000"))
    assert suv_factor(dicom_reader.read_headers(series["pet"], "The PET"), "The PET") == pytest.approx(before)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize(
    ("keyword", "value", "identifier", "fields"),
    [
        ("PatientWeight", None, "suv-tag-missing", {"tag": "PatientWeight"}),
        ("Units", "CNTS", "suv-units", {"units": "CNTS"}),
        ("DecayCorrection", "NONE", "suv-decay-correction", {"correction": "NONE"}),
        ("RadiopharmaceuticalInformationSequence", [], "suv-tag-missing", {"tag": "RadiopharmaceuticalInformationSequence"}),
        ("SeriesTime", "", "suv-tag-missing", {"tag": "SeriesTime"}),
        ("SeriesTime", "noon", "suv-time-invalid", {"tag": "SeriesTime"}),
        ("PatientWeight", 0, "dicom-tag-invalid", {"tag": "PatientWeight"}),
    ],
)
def test_suv_names_the_tag_that_is_missing(
    series, keyword: str, value: object, identifier: str, fields: dict[str, str]
) -> None:
    header = dicom_reader.read_headers(series["pet"], "The PET")[0]
    setattr(header, keyword, value)
    with raises(InputError, identifier, **fields):
        suv_factor([header], "The PET")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0915", 0), ("09", -900), ("091500.25", 0), ("091530", 30)],
)
def test_times_may_leave_out_seconds(series, text: str, seconds: int) -> None:
    header = dicom_reader.read_headers(series["pet"], "The PET")[0]
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartTime = text
    factor = 70_000 / (185e6 * 2 ** (-(2700 - seconds) / 6586.2))
    assert suv_factor([header], "The PET") == pytest.approx(factor)


@pytest.mark.parametrize(("zone", "fits"), [("+0200", True), ("", False), ("+0100", False)])
def test_times_of_another_zone_are_refused(series, zone: str, fits: bool) -> None:
    header = dicom_reader.read_headers(series["pet"], "The PET")[0]
    header.TimezoneOffsetFromUTC = zone
    header.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime = "20000101091500+0200"
    if fits:
        assert suv_factor([header], "The PET") == pytest.approx(70_000 / (185e6 * 2 ** (-2700 / 6586.2)))
        return
    with raises(InputError, "suv-time-invalid", tag="RadiopharmaceuticalStartDateTime"):
        suv_factor([header], "The PET")


@pytest.mark.parametrize(
    ("half_life", "identifier"),
    [(0, "dicom-tag-invalid"), (-6586, "dicom-tag-invalid"), (1, "suv-implausible"), ("nan", "dicom-tag-invalid")],
)
def test_impossible_half_lives_are_refused(series, half_life: object, identifier: str) -> None:
    header = dicom_reader.read_headers(series["pet"], "The PET")[0]
    header.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = half_life
    with raises(InputError, identifier):
        suv_factor([header], "The PET")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_headers_are_no_files_of_another_kind(series, share: float) -> None:
    """Otherwise the first or last slice would be missing unnoticed."""
    path = sorted(series["mri"].iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content[: 132 + int(share * (content.index(b"\xe0\x7f\x10\x00") - 132))])
    with pytest.raises(InputError):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_sheared_volumes_cannot_be_a_series(series, tmp_path: Path) -> None:
    sheared = volume(np.zeros((3, 4, 5), np.float32), direction=[[1, 0.2, 0], [0, 0.98, 0], [0, 0, 1]])
    with raises(UsageError, "axes-not-storable", path=tmp_path / "out"):
        images.check_storable(sheared, tmp_path / "out", series=True)
