"""DICOM series: read, scaled to SUV, and written as a derived series."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

import cspadn
from cspadn.cli import entry
from cspadn.errors import InputError, MemoryExhaustedError, UsageError
from cspadn.io import dicom_reader, dicom_writer, images
from cspadn.io.images import read_image
from cspadn.io.suv import suv_factor
from dicom_files import FRAME, STUDY, write_series
from message_calls import raises, says
from volumes import blobs, volume


@pytest.fixture
def series(tmp_path: Path, pair) -> dict[str, Path]:
    pet, mri = pair
    return {"pet": write_series(tmp_path / "pet", pet, "PT"), "mri": write_series(tmp_path / "mri", mri * 10, "MR")}


def _edit(folder: Path, change: Callable[[Dataset, int], None]) -> None:
    for index, path in enumerate(sorted(folder.iterdir())):
        dataset = pydicom.dcmread(path)
        change(dataset, index)
        dataset.save_as(path)


def test_slices_are_sorted_by_position_and_rescaled_each(series, pair) -> None:
    for name in ("notes.txt", "._000.dcm"):
        (series["pet"] / name).write_text("no DICOM", encoding="utf-8")
    image = dicom_reader.read_series(series["pet"], "The PET")
    expected = sitk.GetArrayFromImage(pair[0])
    assert np.abs(sitk.GetArrayFromImage(image) - expected).max() <= 0.01 * 7 / 2 + 1e-5  # half a step of the coarsest slope
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(image, get)(), getattr(pair[0], get)(), atol=1e-6)


@pytest.mark.parametrize("kind", ["PT", "MR"])
def test_the_real_series_is_what_the_nifti_file_holds(shared: Path, kind: str) -> None:
    folder = shared / "data" / "volumes"
    image = dicom_reader.read_series(folder / "aanlib_dicom" / kind, "It")
    file = sitk.ReadImage(str(folder / "aanlib" / f"{'PET' if kind == 'PT' else 'MRI'}_axial.nii.gz"))
    assert image.GetSize() == file.GetSize()
    np.testing.assert_allclose(image.GetOrigin(), file.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(image.GetSpacing(), file.GetSpacing(), atol=1e-3)
    np.testing.assert_allclose(image.GetDirection(), file.GetDirection(), atol=1e-5)
    values, expected = (sitk.GetArrayFromImage(each).astype(float) for each in (image, file))
    scale = values.max() / expected.max()
    assert np.abs(values - scale * expected).max() <= 0.01 * values.max()
    assert np.corrcoef(values.ravel(), expected.ravel())[0, 1] > 0.9999


def _shear(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient[1] += dataset.ImagePositionPatient[2]


def _same_place(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = [0, 0, float(dataset.ImagePositionPatient[2]) // 8 * 8]


def _set(keyword: str, value: Callable[[int], object]) -> Callable[[Dataset, int], None]:
    return lambda dataset, index: setattr(dataset, keyword, value(index))


REFUSED = {
    "two series": (_set("SeriesInstanceUID", lambda index: f"1.2.{index % 2}"), "dicom-several-series", {"count": 2}),
    "time series": (_same_place, "dicom-slices-coincide", {}),
    "sheared": (_shear, "dicom-sheared", {}),
    "orientations": (
        _set("ImageOrientationPatient", lambda index: [1, 0, 0, 0, 1, 0] if index else [1, 0, 0, 0, 0, 1]),
        "dicom-slices-differ",
        {"tag": "ImageOrientationPatient"},
    ),
    "no position": (
        lambda dataset, index: dataset.__delattr__("ImagePositionPatient"),
        "dicom-tag-invalid",
        {"tag": "ImagePositionPatient"},
    ),
    "multi-frame": (_set("NumberOfFrames", lambda index: 3), "dicom-multiframe", {}),
    "colour": (_set("SamplesPerPixel", lambda index: 3), "dicom-colour", {}),
    "fewer than it says": (_set("NumberOfSlices", lambda index: 9), "dicom-slices-missing", {"count": 8}),
    "no rows": (lambda dataset, index: dataset.__delattr__("Rows"), "dicom-tag-invalid", {"tag": "Rows"}),
    "no pixel spacing": (_set("PixelSpacing", lambda index: [0, 0]), "dicom-tag-invalid", {"tag": "PixelSpacing"}),
    "one spacing": (_set("PixelSpacing", lambda index: 2), "dicom-tag-invalid", {"tag": "PixelSpacing"}),
    "skewed directions": (_set("ImageOrientationPatient", lambda index: [1, 0, 0, 0.5, 1, 0]), "dicom-directions-invalid", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_volume_is_refused(series, case: str) -> None:
    change, identifier, fields = REFUSED[case]
    _edit(series["mri"], change)
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
    """Else the volume would have one slice less, without a word."""
    first = min(series["mri"].iterdir(), key=lambda path: pydicom.dcmread(path).ImagePositionPatient[2])
    (series["mri"] / name).write_bytes(first.read_bytes()[:size])
    first.unlink()
    with raises(InputError, identifier, path=series["mri"] / name):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_slices_that_promise_more_than_they_hold_are_refused_before_they_are_read(series, monkeypatch) -> None:
    _edit(series["mri"], _set("Rows", lambda index: 60000))
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


def test_suv_by_hand(series) -> None:
    """70 kg, 185 MBq 45 minutes before the scan, half-life 6586.2 s."""
    plain, suv = (dicom_reader.read_series(series["pet"], "The PET", suv=each) for each in (False, True))
    factor = 70_000 / (185e6 * 2 ** (-2700 / 6586.2))
    np.testing.assert_allclose(sitk.GetArrayFromImage(suv), sitk.GetArrayFromImage(plain) * factor, rtol=1e-5)
    assert suv.GetMetaData("CSpADNFusion.units") == "SUVbw"


def test_suv_of_voxels_that_refer_to_the_injection(series) -> None:
    _edit(series["pet"], _set("DecayCorrection", lambda index: "ADMIN"))
    assert suv_factor(dicom_reader.read_headers(series["pet"], "The PET"), "The PET") == pytest.approx(70_000 / 185e6)


def test_suv_of_images_that_were_processed_again_starts_with_the_scan(series) -> None:
    before = suv_factor(dicom_reader.read_headers(series["pet"], "The PET"), "The PET")
    _edit(series["pet"], _set("SeriesTime", lambda index: "180000"))
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
    [(0, "dicom-tag-invalid"), (-6586, "dicom-tag-invalid"), (1, "suv-half-life"), ("nan", "dicom-tag-invalid")],
)
def test_impossible_half_lives_are_refused(series, half_life: object, identifier: str) -> None:
    header = dicom_reader.read_headers(series["pet"], "The PET")[0]
    header.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = half_life
    with raises(InputError, identifier):
        suv_factor([header], "The PET")


@given(st.floats(-2000, 2000) | st.floats(-1e-4, 1e-4))
def test_decimals_are_short_and_right(value: float) -> None:
    text = dicom_writer._decimal(value)
    assert len(text) <= 16
    assert "e" not in text
    assert abs(float(text) - value) <= 1e-7


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_headers_are_no_files_of_another_kind(series, share: float) -> None:
    """Else the first or last slice would go missing without a word."""
    path = sorted(series["mri"].iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content[: 132 + int(share * (content.index(b"\xe0\x7f\x10\x00") - 132))])
    with pytest.raises(InputError):
        dicom_reader.read_series(series["mri"], "The MRI")


def test_metrics_of_an_suv_fusion_need_the_same_units(series, tmp_path: Path, capsys) -> None:
    fused = tmp_path / "fused.nrrd"
    assert _fuse(series, fused, "--suv") == 0
    files = [str(series["pet"]), str(series["mri"]), str(fused)]
    assert entry.main(["metrics", *files]) == 3
    assert says(capsys.readouterr().err, "pet-units-differ", recorded="SUVbw", units="BQML")
    assert entry.main(["metrics", *files, "--suv", "--json"]) == 0


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID"])
def test_sources_without_uids_are_refused_before_the_work(series, tmp_path: Path, keyword: str, capsys) -> None:
    _edit(series["mri"], _set(keyword, lambda index: ""))
    assert _fuse(series, tmp_path / "out", "--dicom") == 3
    assert says(capsys.readouterr().err, "dicom-source-tag-missing", volume="The MRI", tag=keyword)


def test_two_patients_are_refused(series, tmp_path: Path, capsys) -> None:
    _edit(series["pet"], _set("PatientID", lambda index: "0815"))
    assert _fuse(series, tmp_path / "out", "--dicom") == 3
    error = capsys.readouterr().err
    assert says(error, "dicom-patients-differ")
    assert "0815" not in error


def test_one_file_of_a_series_is_no_volume(series, tmp_path: Path, capsys) -> None:
    series["mri"] = sorted(series["mri"].iterdir())[0]
    assert _fuse(series, tmp_path / "fused.nrrd") == 3
    assert says(capsys.readouterr().err, "image-is-one-dicom-slice", path=series["mri"])


def test_a_folder_is_not_called_like_a_file(series, tmp_path: Path, capsys) -> None:
    assert _fuse(series, tmp_path / "fused.nrrd", "--dicom") == 2
    assert says(capsys.readouterr().err, "dicom-output-is-file-name", path=tmp_path / "fused.nrrd")


def test_what_was_lossy_once_stays_so(series, tmp_path: Path) -> None:
    _edit(series["mri"], _set("LossyImageCompression", lambda index: "01"))
    (tmp_path / "out").mkdir()  # an empty folder may be there
    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    assert pydicom.dcmread(tmp_path / "out" / "0001.dcm").LossyImageCompression == "01"


def _fuse(series: dict[str, Path], output: Path, *more: str) -> int:
    return entry.main(["fuse", str(series["pet"]), str(series["mri"]), "-o", str(output), "--device", "cpu", *more])


def test_a_derived_series_comes_out_and_reads_back(series, tmp_path: Path) -> None:
    assert _fuse(series, tmp_path / "fused.nrrd") == 0
    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    expected = sitk.ReadImage(str(tmp_path / "fused.nrrd"))
    ours = read_image(tmp_path / "out", "It")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    for image in (ours, reader.Execute()):
        assert np.abs(sitk.GetArrayFromImage(image) - sitk.GetArrayFromImage(expected)).max() <= dicom_writer.STEP
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(image, get)(), getattr(expected, get)(), atol=1e-5)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_the_derived_series_says(series, tmp_path: Path) -> None:
    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    sources = {kind: dicom_reader.read_headers(series[kind], kind) for kind in ("pet", "mri")}
    made = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").iterdir())]
    mri = sources["mri"][0]
    for each in made:
        assert (each.PatientID, each.PatientName, each.StudyInstanceUID) == ("4711", "Doe^Jane", STUDY)
        assert each.FrameOfReferenceUID == FRAME
        assert each.ImageType[:2] == ["DERIVED", "SECONDARY"]
        assert each.SeriesInstanceUID not in {mri.SeriesInstanceUID, sources["pet"][0].SeriesInstanceUID}
        assert "not for diagnosis" in each.SeriesDescription
        assert each.RescaleSlope == dicom_writer.STEP
        assert "cspadn" in each.DerivationDescription
        known = {header.SOPInstanceUID for headers in sources.values() for header in headers}
        referenced = [reference.ReferencedSOPInstanceUID for reference in each.SourceImageSequence]
        assert referenced
        assert set(referenced) <= known
        same_place = [h for h in sources["mri"] if h.ImagePositionPatient == each.ImagePositionPatient]
        assert same_place[0].SOPInstanceUID in referenced
    assert len({each.SOPInstanceUID for each in made}) == len(made) == 8
    assert {each.SeriesInstanceUID for each in made} == {made[0].SeriesInstanceUID}


def test_the_derived_series_loads_into_mrml(series, tmp_path: Path, scene) -> None:
    import slicer

    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "fused")
    storage.SetFileName(str(tmp_path / "out" / "0001.dcm"))
    storage.ResetFileNameList()
    for path in sorted((tmp_path / "out").iterdir()):
        storage.AddFileName(str(path))
    storage.SetSingleFile(False)
    assert storage.ReadData(node)
    expected = read_image(tmp_path / "out", "It")
    values = slicer.util.arrayFromVolume(node)
    assert np.abs(values - sitk.GetArrayFromImage(expected)).max() <= dicom_writer.STEP
    np.testing.assert_allclose(node.GetSpacing(), expected.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(np.array(node.GetOrigin()) * [-1, -1, 1], expected.GetOrigin(), atol=1e-4)


def test_oblique_series_and_the_pet_grid(tmp_path: Path, pair) -> None:
    turned = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.1)
    images = []
    for image in pair:
        image.SetDirection(np.reshape(turned.GetMatrix(), (3, 3)).ravel().tolist())
        images.append(image)
    series = {
        "pet": write_series(tmp_path / "pet", images[0], "PT"),
        "mri": write_series(tmp_path / "mri", images[1] * 10, "MR"),
    }
    assert _fuse(series, tmp_path / "out", "--dicom", "--grid", "pet") == 0
    back = read_image(tmp_path / "out", "It")
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(back, get)(), getattr(images[0], get)(), atol=1e-5)


def test_nothing_is_replaced_and_nothing_is_left_behind(series, tmp_path: Path, monkeypatch, capsys) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "precious").write_text("x", encoding="utf-8")
    assert _fuse(series, full, "--dicom") == 2
    assert says(capsys.readouterr().err, "dicom-output-not-empty", path=full)
    before = sorted(path.name for path in tmp_path.iterdir())

    def disk_is_full(self, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Dataset, "save_as", disk_is_full)
    assert _fuse(series, tmp_path / "out", "--dicom", "--color", str(tmp_path / "color.nrrd")) == 2
    assert says(capsys.readouterr().err, "output-incomplete", path=tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_sheared_volumes_cannot_be_a_series(series, tmp_path: Path) -> None:
    sheared = volume(np.zeros((3, 4, 5), np.float32), direction=[[1, 0.2, 0], [0, 0.98, 0], [0, 0, 1]])
    with raises(UsageError, "axes-not-storable", path=tmp_path / "out"):
        images.check_storable(sheared, tmp_path / "out", series=True)


def test_other_frames_of_reference_are_told(series, capsys, tmp_path: Path) -> None:
    shutil.rmtree(series["pet"])
    pet = volume(blobs((7, 12, 14), seed=2), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3))
    write_series(series["pet"], pet, "PT", FrameOfReferenceUID="1.2.3")
    assert _fuse(series, tmp_path / "fused.nrrd") == 0
    assert says(capsys.readouterr().err, "frames-of-reference-differ")


@pytest.mark.parametrize("more", [(), ("--dicom",)])
def test_swapped_series_are_told(series, tmp_path: Path, capsys, more: tuple[str, ...]) -> None:
    swapped = {"pet": series["mri"], "mri": series["pet"]}
    assert _fuse(swapped, tmp_path / "out.nrrd" if not more else tmp_path / "out", *more) == 3
    assert says(capsys.readouterr().err, "pet-and-mri-swapped", name="PET", modality="MR")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mri", "pet"]


def test_a_pet_as_mri_is_told(series, pair) -> None:
    with raises(InputError, "pet-and-mri-swapped", name="MRI", modality="PT"):
        cspadn.fuse(pair[0], dicom_reader.read_series(series["pet"], "The MRI"))


def test_one_series_twice_is_told(series, tmp_path: Path, capsys) -> None:
    link = tmp_path / "link"
    link.symlink_to(series["mri"])
    assert _fuse({"pet": link, "mri": series["mri"]}, tmp_path / "out.nrrd") == 3
    assert says(capsys.readouterr().err, "pet-and-mri-identical", path=link)
