"""The batch script, run as Slicer runs it, on a real MRML scene."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

import cspadn
from cspadn.cli import entry
from cspadn.cohort.proof import PROOF
from cspadn.errors import InputError
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.io.dicom_study import series_below
from cspadn.settings import described, flag
from dicom_files import FRAME, write_series
from message_calls import raises, says
from repository import LIBRARY, MODULE_FILE

pytestmark = pytest.mark.usefixtures("one_reading_process")

Run = Callable[..., int]


@pytest.fixture
def files(tmp_path: Path, pair) -> Path:
    """Return a folder with a good pair, a PET that lies elsewhere, and a PET whose end is missing."""
    folder = tmp_path / "in"
    folder.mkdir()
    pet, mri = pair
    sitk.WriteImage(pet, str(folder / "PET.nii.gz"))
    sitk.WriteImage(mri, str(folder / "MRI.nrrd"))
    (folder / "damaged.nii.gz").write_bytes((folder / "PET.nii.gz").read_bytes()[:-40])
    pet.SetOrigin((900, 0, 0))
    sitk.WriteImage(pet, str(folder / "elsewhere.mha"))
    return folder


def table(file: Path, *rows: tuple[object, ...], header: tuple[str, ...] = ("pet", "mri"), encoding: str = "utf-8") -> Path:
    with file.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return file


def summary(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> set[str]:
    """Return the names of all files, including hidden ones, such as temporary files left behind."""
    return {path.name for path in folder.iterdir()}


def voxels(file: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def test_bad_pairs_are_told_and_the_rest_goes_on(run: Run, files: Path, tmp_path: Path, scene, capsys) -> None:
    pairs = table(
        files / "pairs.csv",
        ("PET.nii.gz", "MRI.nrrd"),
        ("missing.nii.gz", "MRI.nrrd"),
        ("elsewhere.mha", "MRI.nrrd"),
        ("damaged.nii.gz", "MRI.nrrd"),
        ("PET.nii.gz", "MRI.nrrd"),
    )
    before = [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())]
    out = tmp_path / "new" / "out"
    assert run("--pairs", pairs, "--output", out, "--device", "cpu") == 1
    records = summary(out)
    assert [record["status"] for record in records] == ["done", "failed", "failed", "failed", "done"]
    assert says(records[1]["message"], "image-missing", volume="The PET")
    assert says(records[3]["message"], "compressed-data-cut")
    assert says(records[2]["message"], "no-overlap")
    assert list(records[0]) == ["pet", "mri", "output", "status", "message", "identifier", "warnings", "seconds"]
    assert records[1]["pet"] == str(files / "missing.nii.gz")
    assert all(float(record["seconds"]) >= 0 for record in records)
    fused = ["MRI-PET fused.nrrd", "MRI-PET fused 2.nrrd"]
    assert [records[0]["output"], records[4]["output"]] == fused
    assert names(out) == {*fused, "MRI-PET fused.json", "MRI-PET fused 2.json", "summary.csv", "logs"}
    logs = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in (out / "logs").iterdir()}
    failed = {Path(record["output"]).stem: record["message"] for record in records if record["status"] == "failed"}
    assert {name: log["message"] for name, log in logs.items()} == failed
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[1/5] done: MRI-PET fused.nrrd (")
    assert lines[0].endswith(" s)")
    assert lines[1] == f"[2/5] failed: {records[1]['output']}: {records[1]['message']}"
    assert lines[-1] == f"2 done, 3 failed: {out / 'summary.csv'}"
    assert len(lines) == 6
    assert [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())] == before


def test_the_outputs_are_those_of_the_command_line(run: Run, files: Path, tmp_path: Path, scene, capsys) -> None:
    """Compare voxels, colours, metrics and provenance, except for the date."""
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd", "case.nrrd"), header=("pet", "mri", "output"))
    settings = ("--device", "cpu", "--palette", "PET-HotMetalBlue", "--pet-window", "0", "80")
    before = scene.GetNumberOfNodes()
    batch, command = tmp_path / "batch", tmp_path / "command"
    assert run("--pairs", pairs, "--output", batch, *settings, "--metrics") == 0
    assert scene.GetNumberOfNodes() == before
    command.mkdir()
    written = [command / name for name in ("case.nrrd", "case color.nrrd", "case metrics.csv")]
    given = (*settings, *("-o", written[0], "--color", written[1], "--metrics", written[2]))
    assert entry.main(["fuse", *map(str, (files / "PET.nii.gz", files / "MRI.nrrd", *given))]) == 0
    assert names(batch) - {"summary.csv"} == names(command)
    np.testing.assert_array_equal(voxels(batch / "case.nrrd"), voxels(command / "case.nrrd"))
    np.testing.assert_array_equal(voxels(batch / "case color.nrrd"), voxels(command / "case color.nrrd"))
    assert (batch / "case metrics.csv").read_text() == (command / "case metrics.csv").read_text()
    sidecars = [json.loads((folder / "case.json").read_text(encoding="utf-8")) for folder in (batch, command)]
    for sidecar in sidecars:
        sidecar.pop("date")
    origin = sidecars[0].pop("batch")["origin"]
    assert origin["grid"] == "mri"
    assert len(sidecars[0].pop(PROOF)) == 64
    assert {name: sidecars[1][name] for name in ("pet_sha256", "mri_sha256")}.items() <= origin.items()
    assert sidecars[0] == sidecars[1]
    for name in ("case.nrrd", "case color.nrrd"):
        images = [sitk.ReadImage(str(folder / name)) for folder in (batch, command)]
        assert images[0].GetPixelID() == images[1].GetPixelID()
        assert set(images[0].GetMetaDataKeys()) == set(images[1].GetMetaDataKeys())
        assert images[0].GetMetaData("CSpADNFusion.pet_window") == images[1].GetMetaData("CSpADNFusion.pet_window")
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(images[0], get)(), getattr(images[1], get)(), atol=1e-9)
    (record,) = summary(batch)
    mean = (command / "case metrics.csv").read_text().splitlines()[-1].split(",")[2:]
    assert [record[key] for key in record if key.startswith("mean_")] == mean
    assert {"mean_EN", "mean_Qabf", "mean_SSIM"} <= set(record)


@pytest.mark.parametrize("separator", [True, False])
def test_slicer_may_leave_the_separator(run: Run, files: Path, tmp_path: Path, pair, separator: bool) -> None:
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"))
    arguments = ("--pairs", pairs, "--output", tmp_path, "--device", "cpu", "--grid", "pet", "--model", "cspadn-paper")
    assert run(*arguments, separator=separator) == 0
    pet, mri = (sitk.ReadImage(str(files / name)) for name in ("PET.nii.gz", "MRI.nrrd"))
    expected = cspadn.fuse(pet, mri, cspadn.FusionSettings(device="cpu", grid="pet", model="cspadn-paper"))
    fused = voxels(tmp_path / "MRI-PET fused.nrrd")
    np.testing.assert_allclose(fused, sitk.GetArrayFromImage(expected.image), atol=1e-4 * FUSED_MAXIMUM)


def test_oblique_volumes_and_unusual_types(run: Run, tmp_path: Path, pair) -> None:
    """Slicer's volumes store no 64-bit integers, and use other axes."""
    turned = np.reshape(sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.1).GetMatrix(), (3, 3)).ravel().tolist()
    pet, mri = pair
    for image in pair:
        image.SetDirection(turned)
    mri = sitk.Cast(mri * 10, sitk.sitkInt64)
    sitk.WriteImage(pet, str(tmp_path / "PET.nrrd"))
    sitk.WriteImage(mri, str(tmp_path / "MRI.nrrd"))
    pairs = table(tmp_path / "pairs.csv", ("PET.nrrd", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == 0
    fused = sitk.ReadImage(str(tmp_path / "out" / "MRI-PET fused.nrrd"))
    expected = cspadn.fuse(pet, mri, cspadn.FusionSettings(device="cpu")).image
    difference = sitk.GetArrayFromImage(fused) - sitk.GetArrayFromImage(expected)
    assert np.abs(difference).max() <= 1e-4 * FUSED_MAXIMUM
    np.testing.assert_allclose(fused.GetDirection(), turned, atol=1e-9)
    (record,) = summary(tmp_path / "out")
    assert says(record["warnings"], "slices-tilted")
    sidecar = json.loads((tmp_path / "out" / "MRI-PET fused.json").read_text(encoding="utf-8"))
    assert [record["warnings"]] == sidecar["warnings"]


def test_names_paths_and_byte_order_marks(run: Run, files: Path, tmp_path: Path) -> None:
    """Test spaces, quotes, commas, letters of many alphabets, paths relative to the CSV file, and a BOM as Excel writes it."""
    odd = tmp_path / 'Müller\'s "study", №1' / "Größe 体"
    odd.mkdir(parents=True)
    shutil.copy(files / "PET.nii.gz", odd / "PET é.v2.nii.gz")
    shutil.copy(files / "MRI.nrrd", odd / "MRI 'T1'.nrrd")
    lists = odd.parent / "lists"
    lists.mkdir()
    rows = [
        ("../Größe 体/PET é.v2.nii.gz", " ../Größe 体/MRI 'T1'.nrrd ", ""),
        ("", "", ""),
        (str(odd / "PET é.v2.nii.gz"), "../Größe 体/MRI 'T1'.nrrd", 'Ö, "x".nrrd'),
    ]
    pairs = table(lists / "Paare.csv", *rows, header=("PET", " mri", "Output"), encoding="utf-8-sig")
    out = odd / "out"
    assert run("--pairs", pairs, "--output", out, "--device", "cpu") == 0
    found = {unicodedata.normalize("NFC", name) for name in names(out)}
    assert found == {
        "MRI 'T1'-PET é.v2 fused.nrrd",
        "MRI 'T1'-PET é.v2 fused.json",
        'Ö, "x".nrrd',
        'Ö, "x".json',
        "summary.csv",
    }
    sidecar = json.loads((out / 'Ö, "x".json').read_text(encoding="utf-8"))
    assert (sidecar["pet_source"], sidecar["mri_source"]) == ("PET é.v2.nii.gz", "MRI 'T1'.nrrd")


def test_files_of_one_name_in_two_folders(run: Run, files: Path, tmp_path: Path) -> None:
    for kind, name in (("pet", "PET.nii.gz"), ("mri", "MRI.nrrd")):
        (tmp_path / kind).mkdir()
        shutil.copy(files / name, tmp_path / kind / f"sub-01{name[3:]}")
    pairs = table(tmp_path / "pairs.csv", ("pet/sub-01.nii.gz", "mri/sub-01.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == 0
    sidecar = json.loads((tmp_path / "out" / "sub-01-sub-01 fused.json").read_text(encoding="utf-8"))
    assert (sidecar["pet_source"], sidecar["mri_source"]) == ("sub-01.nii.gz", "sub-01.nrrd")


def test_names_of_outputs_that_cannot_be(run: Run, files: Path, tmp_path: Path) -> None:
    pet, mri = "PET.nii.gz", "MRI.nrrd"
    rows = [
        (pet, mri, ""),
        (pet, mri, "MRI-PET fused.nrrd"),  # which the first pair would have got
        (pet, mri, "mri-pet FUSED.nrrd"),  # the same file where capitals do not count
        (pet, mri, "MRI-PET fused color.nrrd"),  # where the second pair has its colours
        (pet, mri, "../outside.nrrd"),
        (pet, mri, "fused.nii.gz"),
        (pet, "", ""),
        (pet,),
    ]
    pairs = table(files / "pairs.csv", *rows, header=("pet", "mri", "output"))
    out = tmp_path / "out"
    assert run("--pairs", pairs, "--output", out, "--device", "cpu", "--palette", "PET-Heat") == 1
    records = summary(out)
    assert [record["status"] for record in records] == ["done"] * 2 + ["failed"] * 6
    assert [record["output"] for record in records[:2]] == ["MRI-PET fused 2.nrrd", "MRI-PET fused.nrrd"]
    expected = ["list-output-collides"] * 2 + ["list-output-invalid"] * 2 + ["list-cell-empty"] * 2
    assert [record["identifier"] for record in records[2:]] == expected
    assert says(records[6]["message"], "list-cell-empty", line=8, columns="mri")
    assert not (tmp_path / "outside.nrrd").exists()
    assert {file.stem for file in (out / "logs").iterdir()} == {f"line {number}" for number in range(4, 10)}
    assert len(names(out)) == 8


def test_existing_outputs_stay_unless_they_may_go(run: Run, files: Path, tmp_path: Path) -> None:
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"))
    out = tmp_path / "out"
    out.mkdir()
    arguments = ("--pairs", pairs, "--output", out, "--device", "cpu", "--palette", "PET-Heat")
    for name, content in (("MRI-PET fused.nrrd", ""), ("MRI-PET fused color.nrrd", ""), ("MRI-PET fused.json", "{}")):
        (out / name).write_text(content)
        assert run(*arguments) == 1
        assert names(out) == {name, "summary.csv", "logs"}
        assert summary(out)[0]["identifier"] in ("output-exists", "sidecar-of-other-program")
        assert (out / name).read_text() == content
        if name.endswith(".json"):  # not of ours, as that of a BIDS image
            assert run(*arguments, "--overwrite") == 1
        (out / name).unlink()
    assert run(*arguments) == 0
    assert list((out / "logs").iterdir()) == []
    fused, color = out / "MRI-PET fused.nrrd", out / "MRI-PET fused color.nrrd"
    first = fused.stat().st_mtime_ns
    color.unlink()
    assert run(*arguments) == 0  # it was made by the batch, with these inputs and settings
    assert color.exists()
    second = fused.stat().st_mtime_ns
    assert second > first
    color.write_bytes(b"edited")
    assert run(*arguments) == 1
    assert (fused.stat().st_mtime_ns, color.read_bytes()) == (second, b"edited")
    assert run(*arguments, "--overwrite") == 0
    assert fused.stat().st_mtime_ns > second
    assert color.read_bytes() != b"edited"


def test_a_batch_goes_on_where_it_ended(run: Run, files: Path, tmp_path: Path, monkeypatch) -> None:
    """Pairs finished with the same inputs and settings are skipped; their numbers appear in the new summary."""
    out, arguments = tmp_path / "out", ("--device", "cpu", "--metrics")
    pairs = table(files / "pairs.csv", *[("PET.nii.gz", "MRI.nrrd")] * 2)
    Watched(monkeypatch, lambda call: signal.raise_signal(signal.SIGTERM) if call == 2 else None)
    before = signal.getsignal(signal.SIGTERM)
    assert run("--pairs", pairs, "--output", out, *arguments) == 143
    signal.signal(signal.SIGTERM, before)
    (first,), made = summary(out), (out / "MRI-PET fused.nrrd").stat().st_mtime_ns
    assert run("--pairs", pairs, "--output", out, *arguments) == 0
    again, second = summary(out)
    assert (out / "MRI-PET fused.nrrd").stat().st_mtime_ns == made
    assert {**again, "seconds": ""} == {**first, "seconds": ""}
    assert {name: again[name] for name in again if name.startswith("mean")} == {
        name: second[name] for name in second if name.startswith("mean")
    }
    assert run("--pairs", pairs, "--output", out, *arguments, "--grid", "pet") == 1  # would be something else
    assert {record["identifier"] for record in summary(out)} == {"output-exists"}
    (files / "PET.nii.gz").touch()
    assert run("--pairs", pairs, "--output", out, *arguments) == 0  # the content counts, not the date
    image = sitk.ReadImage(str(files / "PET.nii.gz"))
    image[7, 6, 3] += 1.0
    sitk.WriteImage(image, str(files / "PET.nii.gz"))
    assert run("--pairs", pairs, "--output", out, *arguments) == 1  # would be something else


def test_what_a_kill_left_half_named_is_made_again(run: Run, files: Path, tmp_path: Path) -> None:
    """The side file is renamed first, and the fused volume last."""
    out, arguments = tmp_path / "out", ("--device", "cpu", "--metrics")
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", out, *arguments) == 0
    (out / "MRI-PET fused.nrrd").unlink()
    assert run("--pairs", pairs, "--output", out, *arguments) == 0
    assert (out / "MRI-PET fused.nrrd").exists()
    (out / "MRI-PET fused.nrrd").unlink()
    (out / "MRI-PET fused.json").write_text('{"software": "CSpADNFusion, but not by a batch"}')
    assert run("--pairs", pairs, "--output", out, *arguments) == 1


def test_inputs_are_never_replaced(run: Run, files: Path) -> None:
    """The output of another pair must not replace an input, nor the summary the list."""
    rows = [("PET.nii.gz", "elsewhere.mha", "MRI.nrrd"), ("PET.nii.gz", "MRI.nrrd", "fused.nrrd")]
    pairs = table(files / "pairs.csv", *rows, header=("pet", "mri", "output"))
    content = (files / "MRI.nrrd").read_bytes()
    assert run("--pairs", pairs, "--output", files, "--device", "cpu", "--overwrite") == 1
    assert (files / "MRI.nrrd").read_bytes() == content
    assert summary(files)[0]["identifier"] == "output-is-input"
    assert summary(files)[1]["status"] == "done"
    pairs.rename(files / "summary.csv")
    assert run("--pairs", files / "summary.csv", "--output", files, "--overwrite") == 2
    assert len(summary(files)) == 2


def test_a_summary_of_somebody_else_stays(run: Run, files: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "summary.csv").write_text("my,own\n1,2\n")
    assert run("--pairs", table(files / "p.csv", ("a", "b")), "--output", tmp_path, "--overwrite") == 2
    assert says(capsys.readouterr().err, "summary-of-other-program")
    assert (tmp_path / "summary.csv").read_text() == "my,own\n1,2\n"


def _write(content: bytes) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(content)


WRONG_LISTS = {
    "missing": (lambda file: None, "pair-list-unreadable"),
    "a folder": (lambda file: file.mkdir(), "pair-list-unreadable"),
    "empty": (_write(b""), "pair-list-empty"),
    "only a header": (_write(b"pet,mri\n\n,\n"), "pair-list-empty"),
    "other columns": (_write(b"pet,t1\na,b\n"), "pair-list-column-missing"),
    "semicolons": (_write(b"pet;mri\na;b\n"), "pair-list-column-missing"),
    "another encoding": (_write("pet,mri\nMüller,b\n".encode("latin-1")), "pair-list-not-csv"),
    "an open quote": (_write(b'pet,mri\n"a,b\n'), "pair-list-not-csv"),
}


@pytest.mark.parametrize("case", WRONG_LISTS)
def test_wrong_lists_are_wrong_usage(run: Run, tmp_path: Path, capsys, case: str) -> None:
    make, identifier = WRONG_LISTS[case]
    make(tmp_path / "pairs.csv")
    assert run("--pairs", tmp_path / "pairs.csv", "--output", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fuse_batch: ")
    assert says(line, identifier, path=tmp_path / "pairs.csv")
    assert not (tmp_path / "out").exists()


WRONG_USAGE = {
    "nothing": ((), ("batch-input-missing", {})),
    "both": (("--pairs", "p.csv", "--studies", "."), ("batch-input-missing", {})),
    "no output": (("--pairs", "p.csv"), ("batch-output-missing", {})),
    "unknown": (
        ("--pairs", "p.csv", "--output", "out", "--speed", "9"),
        ("batch-wrong-usage", {"text": "unrecognized arguments: --speed 9"}),
    ),
    "abbreviated": (
        ("--pairs", "p.csv", "--out", "out"),
        ("batch-wrong-usage", {"text": "unrecognized arguments: --out out"}),
    ),
    "no number": (("--pairs", "p.csv", "--output", "out", "--pet-window", "0", "x"), ("batch-wrong-usage", {})),
    "one number": (("--pairs", "p.csv", "--output", "out", "--mri-window", "0"), ("batch-wrong-usage", {})),
    "window": (
        ("--pairs", "p.csv", "--output", "out", "--mri-window", "9", "1"),
        ("window-invalid", {"name": "MRI", "lower": 9, "upper": 1}),
    ),
    "grid": (
        ("--pairs", "p.csv", "--output", "out", "--grid", "ct"),
        ("setting-not-a-choice", {"setting": "grid", "value": "ct"}),
    ),
    "palette": (
        ("--pairs", "p.csv", "--output", "out", "--palette", "Blue"),
        ("setting-not-a-choice", {"setting": "palette", "value": "Blue"}),
    ),
    "model": (("--pairs", "p.csv", "--output", "out", "--model", "best"), ("model-unknown", {"model": "best"})),
    "device": (("--pairs", "p.csv", "--output", "out", "--device", "tpu"), ("device-unavailable", {"device": "tpu"})),
    "a file as output": (("--pairs", "p.csv", "--output", "p.csv"), ("output-folder-not-created", {"path": "p.csv"})),
    "no studies": (("--studies", "missing", "--output", "out"), ("studies-unreadable", {"path": "missing"})),
    "no folder in it": (("--studies", "empty", "--output", "empty/out"), ("studies-empty", {"path": "empty"})),
}


@pytest.mark.parametrize("case", WRONG_USAGE)
def test_wrong_usage_ends_with_a_sentence(run: Run, tmp_path: Path, monkeypatch, capsys, case: str) -> None:
    arguments, (identifier, fields) = WRONG_USAGE[case]
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "p.csv", ("a.nrrd", "b.nrrd"))
    (tmp_path / "empty").mkdir()
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fuse_batch: ")
    assert line.endswith(".")
    assert says(line, identifier, **fields)
    assert names(tmp_path) == {"p.csv", "empty"}


def test_help_is_no_failure_and_has_every_setting(run: Run, capsys) -> None:
    assert run("--help", separator=True) == 0
    text = capsys.readouterr().out
    for option in ("--studies", *(flag(name) for name, _ in described())):
        assert option in text


def test_missing_packages_are_told_before_anything_is_written(run: Run, files: Path, tmp_path, monkeypatch, capsys) -> None:
    from CSpADNFusionLib.worker import torch_setup

    monkeypatch.setattr(torch_setup, "missingPackages", lambda: ["torch", "safetensors"])
    assert run("--pairs", table(files / "p.csv", ("a", "b")), "--output", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says(line, "batch-packages-missing", packages="torch and safetensors")
    assert not (tmp_path / "out").exists()


def test_slicer_ends_whatever_happens(run: Run, monkeypatch, capsys) -> None:
    """Without a window, Slicer would wait forever."""
    monkeypatch.setitem(sys.modules, "CSpADNFusionLib", None)
    monkeypatch.setitem(sys.modules, "CSpADNFusionLib.worker.torch_setup", None)
    assert run("--pairs", "p.csv", "--output", "out") == 1
    assert "fuse_batch: unexpected error (ModuleNotFoundError" in capsys.readouterr().err


def test_a_module_that_is_not_installed_is_found_beside_the_script(run: Run, monkeypatch, capsys) -> None:
    import slicer

    folder = str(LIBRARY)
    monkeypatch.delattr(slicer.modules, "cspadnfusion")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path) != Path(folder)])
    for name in [name for name in sys.modules if name.split(".")[0] in ("CSpADNFusion", "CSpADNFusionLib")]:
        monkeypatch.delitem(sys.modules, name)
    assert run("--pairs", "missing.csv", "--output", "out") == 2
    assert says(capsys.readouterr().err, "pair-list-unreadable")
    assert sys.path[0] == folder
    assert sys.modules["CSpADNFusionLib"].__file__ == str(MODULE_FILE.parent / "CSpADNFusionLib" / "__init__.py")


class Watched:
    """Return the library's fuse function, preceded by an action."""

    def __init__(self, monkeypatch, before: Callable[[int], None]) -> None:
        from cspadn import fusion

        fuse, self.calls = fusion.fuse, 0

        def watched(*arguments, **settings):
            self.calls += 1
            before(self.calls)
            return fuse(*arguments, **settings)

        monkeypatch.setattr(fusion, "fuse", watched)


def test_the_summary_is_whole_after_each_pair(run: Run, files: Path, tmp_path: Path, monkeypatch) -> None:
    seen: list[int] = []
    Watched(monkeypatch, lambda call: seen.append(len(summary(tmp_path / "out"))))
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"), ("missing", "MRI.nrrd"), ("PET.nii.gz", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == 1
    assert seen == [0, 2]


def test_what_nobody_foresaw_is_one_failure(run: Run, files: Path, tmp_path: Path, monkeypatch, scene, caplog) -> None:
    def fail(call: int) -> None:
        if call == 1:
            raise ValueError("one line\nand another")

    Watched(monkeypatch, fail)
    before = scene.GetNumberOfNodes()
    pairs = table(files / "pairs.csv", *[("PET.nii.gz", "MRI.nrrd")] * 2)
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == 1
    records = summary(tmp_path / "out")
    assert says(records[0]["message"], "unexpected-error", kind="ValueError", text="one line")
    assert records[1]["status"] == "done"
    assert "Traceback" in caplog.text
    assert scene.GetNumberOfNodes() == before


def test_an_interrupt_ends_the_run_with_its_summary(run: Run, files: Path, tmp_path: Path, monkeypatch, scene, capsys) -> None:
    """Slicer does not install Python's handler for Ctrl-C, so the script must."""
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        Watched(monkeypatch, lambda call: signal.raise_signal(signal.SIGINT) if call == 2 else None)
        before = scene.GetNumberOfNodes()
        pairs = table(files / "pairs.csv", *[("PET.nii.gz", "MRI.nrrd")] * 3)
        assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == 130
    finally:
        signal.signal(signal.SIGINT, previous)
    assert [record["status"] for record in summary(tmp_path / "out")] == ["done"]
    assert names(tmp_path / "out") == {"MRI-PET fused.nrrd", "MRI-PET fused.json", "summary.csv"}
    assert capsys.readouterr().out.splitlines()[-1] == "1 done, 0 failed, 2 left: start it again to go on."
    assert scene.GetNumberOfNodes() == before


def test_all_outputs_of_a_pair_or_none(run: Run, files: Path, tmp_path: Path, monkeypatch) -> None:
    """The disk becomes full before the last file is written."""
    from cspadn.cohort import folder
    from cspadn.errors import UsageError

    def full(*_: object) -> None:
        raise UsageError("The disk is full.")

    monkeypatch.setattr(folder, "stage_table", full)
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu", "--metrics") == 1
    assert names(tmp_path / "out") == {"summary.csv", "logs"}
    (record,) = summary(tmp_path / "out")
    assert record["message"] == "The disk is full."
    assert record["mean_EN"] == ""


def _study(folder: Path, pair, *, mixed: bool) -> Path:
    """Return studies with a PET, an MRI and other files, in one folder or in nested folders."""
    folder.mkdir(parents=True)
    inside = folder / "DICOM" / "A"
    inside.mkdir(parents=True)
    pet, mri = pair
    for name, image, modality in (("PT", pet, "PT"), ("MR", mri * 10, "MR"), ("CT", mri * 10, "CT")):
        write_series(inside / name, image, modality, SeriesDescription=f"{name} of the head")
        if mixed:
            for file in (inside / name).iterdir():
                file.rename(folder / f"{name}{file.name}")
    (folder / "notes.txt").write_text("no DICOM")
    return folder


@pytest.fixture
def studies(tmp_path: Path, pair) -> Path:
    folder = tmp_path / "studies"
    _study(folder / "Jane's study é", pair, mixed=False)
    _study(folder / "mixed.v1", pair, mixed=True)
    (folder / "a file").write_text("no study")
    return folder


def test_studies_with_their_series_apart_and_mixed(run: Run, studies: Path, pair) -> None:
    out = studies / "fused"  # lies among the studies, and is none
    out.mkdir()
    assert run("--studies", studies, "--output", out, "--device", "cpu") == 0
    fused = ["Jane's study é fused.nrrd", "mixed.v1 fused.nrrd"]
    assert [record["output"] for record in summary(out)] == fused
    assert names(out) == {*fused, "Jane's study é fused.json", "mixed.v1 fused.json", "summary.csv"}
    np.testing.assert_array_equal(voxels(out / fused[0]), voxels(out / fused[1]))
    inside = studies / "Jane's study é" / "DICOM" / "A"
    pet, mri = (cspadn.io.images.read_image(inside / name, name) for name in ("PT", "MR"))
    expected = cspadn.fuse(pet, mri, cspadn.FusionSettings(device="cpu"))
    assert np.abs(voxels(out / fused[1]) - sitk.GetArrayFromImage(expected.image)).max() <= 1e-4 * FUSED_MAXIMUM
    record = summary(out)[1]
    assert record["pet"].endswith("mixed.v1: PT 7 'PT of the head' (7 files)")
    assert record["mri"].endswith("mixed.v1: MR 7 'MR of the head' (8 files)")
    assert "Doe" not in (out / "summary.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", ["pairs", "studies"])
def test_provenance_has_what_dicom_says(run: Run, studies: Path, tmp_path: Path, source: str) -> None:
    inside = studies / "Jane's study é" / "DICOM" / "A"
    if source == "pairs":
        given = ("--pairs", table(inside / "pairs.csv", ("PT", "MR", "case.nrrd"), header=("pet", "mri", "output")))
    else:
        shutil.rmtree(studies / "mixed.v1")
        (studies / "Jane's study é").rename(studies / "case")
        inside, given = studies / "case" / "DICOM" / "A", ("--studies", studies)
    assert run(*given, "--output", tmp_path / "out", "--device", "cpu", "--suv") == 0
    (sidecar,) = (json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").glob("case*.json"))
    for kind, name in (("pet", "PT"), ("mri", "MR")):
        header = pydicom.dcmread(next((inside / name).iterdir()))
        assert sidecar[f"{kind}_series_uid"] == header.SeriesInstanceUID
        assert sidecar[f"{kind}_frame_of_reference_uid"] == FRAME
    assert sidecar["pet_units"] == "SUVbw"


def test_suv_needs_dicom(run: Run, files: Path, tmp_path: Path) -> None:
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--suv") == 1
    assert summary(tmp_path / "out")[0]["identifier"] == "suv-needs-dicom"


def test_studies_that_leave_a_choice_fail(run: Run, tmp_path: Path, pair, capsys) -> None:
    """The error names the series, but not the patient."""
    pet, mri = pair
    folder = tmp_path / "studies"
    for study, count in (("none", 0), ("two", 2)):
        (folder / study).mkdir(parents=True)
        write_series(folder / study / "PT", pet, "PT")
        for number in range(count):
            description = ("T1 of Jane Doe", "T2 4711x", "FLAIR")[number - 1]
            write_series(folder / study / f"MR{number}", mri, "MR", SeriesNumber=9 - number, SeriesDescription=description)
    (folder / "empty").mkdir()
    assert run("--studies", folder, "--output", tmp_path / "out", "--device", "cpu") == 1
    empty, none, two = (record["message"] for record in summary(tmp_path / "out"))
    identifier, found = "study-needs-one-series", "MR 8 (8 files), MR 9 'FLAIR' (8 files)"
    assert says(empty, identifier, study="empty", count="no", modality="PT")
    assert says(none, identifier, study="none", count="no", modality="MR", found="PT 7 (7 files)")
    assert says(two, identifier, study="two", count=2, modality="MR", found=found)
    assert "Doe" not in capsys.readouterr().out


@pytest.mark.parametrize("keyword", ["Modality", "SeriesInstanceUID"])
def test_a_file_that_belongs_nowhere_fails_its_study(tmp_path: Path, pair, keyword: str) -> None:
    """Otherwise, nobody would notice that the first or last slice is missing."""
    write_series(tmp_path / "MR", pair[1], "MR")
    file = sorted((tmp_path / "MR").iterdir())[0]
    dataset = pydicom.dcmread(file)
    delattr(dataset, keyword)
    dataset.save_as(file)
    with raises(InputError, "dicom-file-without-series", tag=keyword):
        series_below(tmp_path)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_damaged_files_and_links(tmp_path: Path, pair) -> None:
    study = tmp_path / "study"
    study.mkdir()
    write_series(tmp_path / "MR", pair[1], "MR")
    (study / "link").symlink_to(tmp_path / "MR", target_is_directory=True)
    (study / "loop").symlink_to(study, target_is_directory=True)
    (study / "broken").symlink_to(tmp_path / "nowhere")
    (series,) = series_below(study)
    assert len(series.files) == 8
    file = sorted((tmp_path / "MR").iterdir())[0]
    file.write_bytes(file.read_bytes()[:180])
    with raises(InputError, "dicom-header-cut"):
        series_below(study)


def test_files_that_are_no_volumes_fail(run: Run, tmp_path: Path, pair) -> None:
    pet, mri = pair
    sitk.WriteImage(mri, str(tmp_path / "MRI.nrrd"))
    sitk.WriteImage(sitk.Compose(pet, pet, pet), str(tmp_path / "vectors.nrrd"))
    sitk.WriteImage(sitk.Cast(pet[:, :, 3], sitk.sitkUInt8), str(tmp_path / "slice.png"))
    pairs = table(tmp_path / "pairs.csv", ("vectors.nrrd", "MRI.nrrd"), ("slice.png", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == 1
    vectors, flat = (record["message"] for record in summary(tmp_path / "out"))
    assert says(vectors, "volume-not-scalar", components=3)
    assert says(flat, "volume-two-dimensional")


def test_the_batch_needs_neither_dask_nor_a_node(run: Run, files: Path, tmp_path: Path, monkeypatch, scene) -> None:
    """Files are read and written by the library; Slicer has neither Dask nor the packages of the pages."""
    for package in ("dask", "distributed", "ancpbids", "jinja2", "matplotlib", "rich"):
        monkeypatch.setitem(sys.modules, package, None)
    added: list[object] = []
    scene.AddObserver(scene.NodeAddedEvent, lambda *event: added.append(event))
    pairs = table(files / "pairs.csv", ("PET.nii.gz", "MRI.nrrd"))
    assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu", "--metrics", "--palette", "Heated") == 0
    assert added == []
    scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")  # which the observer sees
    assert added


def test_a_log_of_another_program_stays(run: Run, files: Path, tmp_path: Path) -> None:
    log = tmp_path / "out" / "logs" / "case.json"
    log.parent.mkdir(parents=True)
    log.write_text('{"mine": 1}')
    for pet, code in (("missing.nii.gz", 1), ("PET.nii.gz", 0)):
        pairs = table(files / "pairs.csv", (pet, "MRI.nrrd", "case.nrrd"), header=("pet", "mri", "output"))
        assert run("--pairs", pairs, "--output", tmp_path / "out", "--device", "cpu") == code
        assert log.read_text() == '{"mine": 1}'
