"""Dynamic PETs and uncertain positions, through commands, Python, batches and cohorts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import cspadn
from cspadn.cli import entry
from cspadn.cohort.batch import fuse_into_folder
from cspadn.cohort.sources import PairList, StudyFolder
from cspadn.errors import InputError
from cspadn.metrics import measure_fusion
from cspadn.settings import FusionSettings
from dicom_files import write_dynamic, write_enhanced, write_series
from message_calls import identifiers, raises, says
from volumes import volume

pytestmark = pytest.mark.usefixtures("one_reading_process")

FACTORS, SECONDS = (1.0, 6.0, 2.0), (10, 20, 60)
CHOSEN, EXPECTED = "2:3", 3.0  # (20 * 6 + 60 * 2) / 80
WINDOWS = ["--pet-window", "0", "400", "--mri-window", "0", "100"]


@pytest.fixture
def dynamic(pair, tmp_path: Path) -> dict[str, Path]:
    """Write a dynamic PET as NIfTI, NRRD and DICOM, and its MRI as a file and a series."""
    frames = [pair[0] * factor for factor in FACTORS]
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("nifti", "mri")} | {"nrrd": tmp_path / "nrrd.nrrd"}
    for name in ("nifti", "nrrd"):
        sitk.WriteImage(sitk.JoinSeries(frames), str(paths[name]))
        (tmp_path / f"{name}.json").write_text(json.dumps({"FrameDuration": SECONDS}), encoding="utf-8")
    sitk.WriteImage(pair[1], str(paths["mri"]))
    paths["dicom"] = write_dynamic(tmp_path / "dicom", frames, SECONDS)
    return paths


def _expected(pair) -> np.ndarray:
    settings = FusionSettings(device="cpu", pet_window=(0, 400), mri_window=(0, 100))
    return sitk.GetArrayFromImage(cspadn.fuse(pair[0] * EXPECTED, pair[1], settings).image)


@pytest.mark.parametrize("kind", ["nifti", "nrrd", "dicom"])
def test_chosen_frames_are_fused_by_their_durations(kind: str, dynamic, pair, tmp_path: Path) -> None:
    arguments = [
        "fuse",
        str(dynamic[kind]),
        str(dynamic["mri"]),
        "-o",
        str(tmp_path / "out.nrrd"),
        "--device",
        "cpu",
        *WINDOWS,
    ]
    assert entry.main([*arguments, "--frames", CHOSEN]) == 0
    fused = sitk.ReadImage(str(tmp_path / "out.nrrd"))
    np.testing.assert_allclose(sitk.GetArrayFromImage(fused), _expected(pair), atol=0.01 * 4095)
    assert fused.GetMetaData("CSpADNFusion.pet_frames") == "mean of 2 to 3 of 3, 80 s"


@pytest.mark.parametrize("kind", ["nifti", "nrrd", "dicom"])
@pytest.mark.parametrize("command", ["fuse", "register", "metrics"])
def test_without_a_choice_a_sentence_names_the_choices(kind: str, command: str, dynamic, tmp_path: Path, capsys) -> None:
    last = {"fuse": ["-o", "out.nrrd"], "register": ["-o", "out.tfm"], "metrics": [str(dynamic["mri"])]}[command]
    if len(last) == 2:
        last[1] = str(tmp_path / last[1])
    assert entry.main([command, str(dynamic[kind]), str(dynamic["mri"]), *last]) == 3
    assert says(capsys.readouterr().err, "frames-not-chosen", count=3)
    assert not list(tmp_path.glob("out*"))


def test_metrics_of_chosen_frames_are_those_of_the_fusion(dynamic, tmp_path: Path, capsys) -> None:
    pet, mri, out, table = (str(path) for path in (dynamic["nifti"], dynamic["mri"], tmp_path / "o.nrrd", tmp_path / "o.csv"))
    assert entry.main(["fuse", pet, mri, "-o", out, "--metrics", table, "--frames", "2", "--device", "cpu"]) == 0
    capsys.readouterr()
    assert entry.main(["metrics", pet, mri, out, "--frames", "2", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["mean"]
    with Path(table).open(encoding="utf-8", newline="") as file:
        mean = list(csv.DictReader(file))[-1]
    assert float(mean["MI"]) == pytest.approx(measured["MI"], abs=1e-3)


def test_python_takes_a_dynamic_pet(pair) -> None:
    pet = sitk.JoinSeries([pair[0] * factor for factor in FACTORS])
    with raises(InputError, "frames-not-chosen", count=3):
        cspadn.fuse(pet, pair[1])
    settings = FusionSettings(device="cpu", frames="mean", pet_window=(0, 400), mri_window=(0, 100))
    result = cspadn.fuse(pet, pair[1], settings)
    np.testing.assert_allclose(sitk.GetArrayFromImage(result.image), _expected(pair), atol=0.01 * 4095)
    assert "frame-durations-unknown" in identifiers(result.warnings)
    plain = cspadn.fuse(pair[0] * EXPECTED, pair[1], settings)
    means = [measure_fusion(each, pair[1], fused).mean["MI"] for each, fused in ((pet, result), (pair[0] * EXPECTED, plain))]
    assert means[0] == pytest.approx(means[1], abs=1e-3)


def test_a_batch_fuses_dynamic_and_static_pets_with_one_setting(dynamic, pair, tmp_path: Path) -> None:
    sitk.WriteImage(pair[0] * EXPECTED, str(tmp_path / "static.nii.gz"))
    (tmp_path / "pairs.csv").write_text(
        "pet,mri,output\nnifti.nii.gz,mri.nii.gz,a.nrrd\ndicom,mri.nii.gz,b.nrrd\nstatic.nii.gz,mri.nii.gz,c.nrrd\n",
        encoding="utf-8",
    )
    settings = FusionSettings(device="cpu", frames="mean")
    out, said = tmp_path / "out", list[str]()
    source = PairList(tmp_path / "pairs.csv")
    assert fuse_into_folder(source, out, settings, say=said.append) == 0
    frames = [json.loads((out / f"{name}.json").read_text(encoding="utf-8")).get("pet_frames") for name in "abc"]
    assert frames == ["mean of 1 to 3 of 3, 90 s", "mean of 1 to 3 of 3, 90 s", None]
    assert fuse_into_folder(source, out, FusionSettings(device="cpu"), say=said.append, overwrite=True) == 1


def test_other_durations_make_a_finished_pair_outdated(dynamic, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("pet,mri,output\nnifti.nii.gz,mri.nii.gz,a.nrrd\n", encoding="utf-8")
    source, settings, out = PairList(tmp_path / "pairs.csv"), FusionSettings(device="cpu", frames="mean"), tmp_path / "out"
    assert fuse_into_folder(source, out, settings, say=lambda _: None) == 0
    before = (out / "a.json").read_text(encoding="utf-8")
    assert fuse_into_folder(source, out, settings, say=lambda _: None) == 0
    assert (out / "a.json").read_text(encoding="utf-8") == before
    (tmp_path / "nifti.json").write_text(json.dumps({"FrameDuration": [60, 10, 20]}), encoding="utf-8")
    assert fuse_into_folder(source, out, settings, say=lambda _: None, overwrite=True) == 0
    assert (out / "a.json").read_text(encoding="utf-8") != before


def test_studies_may_be_enhanced_and_dynamic(pair, tmp_path: Path) -> None:
    study = tmp_path / "studies" / "s1"
    study.mkdir(parents=True)
    write_enhanced(study / "mr" / "all.dcm", [sitk.Round(pair[1] * 10)], "MR")
    write_dynamic(study / "pet", [pair[0], pair[0] * 2], (30, 60))
    out = tmp_path / "out"
    settings = FusionSettings(device="cpu", frames="2")
    assert fuse_into_folder(StudyFolder(tmp_path / "studies", out), out, settings, say=lambda _: None) == 0
    (side,) = (path for path in out.glob("*.json"))
    assert json.loads(side.read_text(encoding="utf-8"))["pet_frames"] == "2 of 2, 60 s"


def test_notes_of_readers_are_printed_and_kept(pair, tmp_path: Path, capsys) -> None:
    affine = np.diag([-1, -1, 1, 1]) @ np.array([[3.5, 0, 0, -24], [0, 3.5, 0, -21], [0, 0, 4, 3], [0, 0, 0, 1]], float)
    file = nibabel.Nifti1Image(sitk.GetArrayFromImage(pair[0]).T, None)
    moved = affine.copy()
    moved[0, 3] += 21
    file.header.set_qform(moved, 1)
    file.header.set_sform(affine, 2)
    nibabel.save(file, tmp_path / "pet.nii.gz")
    sitk.WriteImage(pair[1], str(tmp_path / "mri.nii.gz"))
    inputs = [str(tmp_path / name) for name in ("pet.nii.gz", "mri.nii.gz")]
    assert entry.main(["fuse", *inputs, "-o", str(tmp_path / "out.nrrd"), "--device", "cpu"]) == 0
    assert says(capsys.readouterr().err, "nifti-forms-differ", file="pet.nii.gz", millimetres=21.0)
    warnings = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["warnings"]
    assert any(says(text, "nifti-forms-differ") for text in warnings)
    fused = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out.nrrd")))
    expected = sitk.GetArrayFromImage(cspadn.fuse(*pair, FusionSettings(device="cpu")).image)
    np.testing.assert_allclose(fused, expected, atol=0.01 * 4095)


def test_an_mri_with_frames_is_refused(pair, tmp_path: Path, capsys) -> None:
    sitk.WriteImage(pair[0], str(tmp_path / "pet.nii.gz"))
    sitk.WriteImage(sitk.JoinSeries([pair[1], pair[1]]), str(tmp_path / "mri.nii.gz"))
    inputs = [str(tmp_path / name) for name in ("pet.nii.gz", "mri.nii.gz")]
    assert entry.main(["fuse", *inputs, "-o", str(tmp_path / "out.nrrd"), "--frames", "mean"]) == 3
    assert says(capsys.readouterr().err, "volume-not-three-dimensional", volume="The MRI")


def test_a_series_may_be_a_trailing_axis(pair, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.JoinSeries([pair[0]]), str(tmp_path / "pet.nrrd"))
    sitk.WriteImage(sitk.JoinSeries([sitk.JoinSeries([pair[1]])]), str(tmp_path / "mri.mha"))
    inputs = [str(tmp_path / name) for name in ("pet.nrrd", "mri.mha")]
    assert entry.main(["fuse", *inputs, "-o", str(tmp_path / "out.nrrd"), "--device", "cpu"]) == 0
    assert sitk.ReadImage(str(tmp_path / "out.nrrd")).GetSize() == pair[1].GetSize()


def test_a_header_count_above_the_stack_is_a_warning(pair, tmp_path: Path, capsys) -> None:
    write_series(tmp_path / "pet", pair[0], "PT", NumberOfSlices=12)
    sitk.WriteImage(volume(sitk.GetArrayFromImage(pair[1]), (2, 2, 3), (-24, -20, 5)), str(tmp_path / "mri.nrrd"))
    arguments = [
        "fuse",
        str(tmp_path / "pet"),
        str(tmp_path / "mri.nrrd"),
        "-o",
        str(tmp_path / "out.nrrd"),
        "--device",
        "cpu",
    ]
    assert entry.main(arguments) == 0
    assert says(capsys.readouterr().err, "dicom-fewer-slices", count=7, missing=5)
