"""DICOM series: fused, and written as a derived series."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

import cspadn
from cspadn.cli import entry
from cspadn.errors import InputError
from cspadn.io import dicom_reader
from cspadn.io.dicom_writer.headers import number
from cspadn.io.images import read_in_process
from dicom_files import FRAME, STUDY, edit_series, set_keyword, write_pair, write_series
from message_calls import raises, says
from volumes import blobs, volume

pytestmark = pytest.mark.usefixtures("one_reading_process")


@pytest.fixture
def series(tmp_path: Path, pair) -> dict[str, Path]:
    return write_pair(tmp_path, pair)


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


def test_suv_by_hand(series) -> None:
    """70 kg, 185 MBq 45 minutes before the scan, half-life 6586.2 s."""
    plain, suv = (dicom_reader.read_series(series["pet"], "The PET", suv=each) for each in (False, True))
    factor = 70_000 / (185e6 * 2 ** (-2700 / 6586.2))
    np.testing.assert_allclose(sitk.GetArrayFromImage(suv), sitk.GetArrayFromImage(plain) * factor, rtol=1e-5)
    assert suv.GetMetaData("CSpADNFusion.units") == "SUVbw"


@given(st.floats(-2000, 2000) | st.floats(-1e-4, 1e-4))
def test_decimals_are_short_and_right(value: float) -> None:
    text = number(value)
    assert len(text) <= 16
    assert abs(float(text) - value) <= 1e-10


def test_metrics_of_an_suv_fusion_need_the_same_units(series, tmp_path: Path, capsys) -> None:
    fused = tmp_path / "fused.nrrd"
    assert _fuse(series, fused, "--suv") == 0
    files = [str(series["pet"]), str(series["mri"]), str(fused)]
    assert entry.main(["metrics", *files]) == 3
    assert says(capsys.readouterr().err, "pet-units-differ", recorded="SUVbw", units="BQML")
    assert entry.main(["metrics", *files, "--suv", "--json"]) == 0


def test_a_converted_pet_has_the_units_of_its_series(series, tmp_path: Path) -> None:
    fused, pet = tmp_path / "fused.nrrd", tmp_path / "pet.nii.gz"
    assert _fuse(series, fused) == 0
    sitk.WriteImage(dicom_reader.read_series(series["pet"], "The PET"), str(pet))
    (tmp_path / "pet.json").write_text('{"Units": "Bq/mL"}')
    assert entry.main(["metrics", str(pet), str(series["mri"]), str(fused), "--json"]) == 0
    (tmp_path / "pet.json").write_text('{"Units": "g/mL"}')
    assert entry.main(["metrics", str(pet), str(series["mri"]), str(fused), "--json"]) == 3


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID"])
def test_sources_without_uids_are_refused_before_the_work(series, tmp_path: Path, keyword: str, capsys) -> None:
    edit_series(series["mri"], set_keyword(keyword, lambda index: ""))
    assert _fuse(series, tmp_path / "out", "--dicom") == 3
    assert says(capsys.readouterr().err, "dicom-source-tag-missing", volume="The MRI", tag=keyword)


def test_two_patients_are_refused(series, tmp_path: Path, capsys) -> None:
    edit_series(series["pet"], set_keyword("PatientID", lambda index: "0815"))
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
    edit_series(series["mri"], set_keyword("LossyImageCompression", lambda index: "01"))
    (tmp_path / "out").mkdir()  # an empty folder may be there
    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    assert pydicom.dcmread(tmp_path / "out" / "grey" / "0001.dcm").LossyImageCompression == "01"


def _fuse(series: dict[str, Path], output: Path, *more: str) -> int:
    return entry.main(["fuse", str(series["pet"]), str(series["mri"]), "-o", str(output), "--device", "cpu", *more])


def test_a_derived_series_comes_out_and_reads_back(series, tmp_path: Path) -> None:
    assert _fuse(series, tmp_path / "fused.nrrd") == 0
    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    expected = sitk.ReadImage(str(tmp_path / "fused.nrrd"))
    ours = read_in_process(tmp_path / "out" / "grey", "It")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out" / "grey")))
    for image in (ours, reader.Execute()):
        assert np.abs(sitk.GetArrayFromImage(image) - sitk.GetArrayFromImage(expected)).max() <= 0.5
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(image, get)(), getattr(expected, get)(), atol=1e-5)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_the_derived_series_says(series, tmp_path: Path) -> None:
    assert _fuse(series, tmp_path / "out", "--dicom") == 0
    sources = {kind: dicom_reader.read_headers(series[kind], kind) for kind in ("pet", "mri")}
    made = [pydicom.dcmread(path) for path in sorted((tmp_path / "out" / "grey").iterdir())]
    mri = sources["mri"][0]
    for each in made:
        assert (each.PatientID, each.PatientName, each.StudyInstanceUID) == ("4711", "Doe^Jane", STUDY)
        assert each.FrameOfReferenceUID == FRAME
        assert each.ImageType[:2] == ["DERIVED", "SECONDARY"]
        assert each.SeriesInstanceUID not in {mri.SeriesInstanceUID, sources["pet"][0].SeriesInstanceUID}
        assert "not for diagnosis" in each.SeriesDescription
        assert "RescaleSlope" not in each
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
    storage.SetFileName(str(tmp_path / "out" / "grey" / "0001.dcm"))
    storage.ResetFileNameList()
    for path in sorted((tmp_path / "out" / "grey").iterdir()):
        storage.AddFileName(str(path))
    storage.SetSingleFile(False)
    assert storage.ReadData(node)
    expected = read_in_process(tmp_path / "out" / "grey", "It")
    values = slicer.util.arrayFromVolume(node)
    assert np.abs(values - sitk.GetArrayFromImage(expected)).max() <= 0.5
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
    back = read_in_process(tmp_path / "out" / "grey", "It")
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
