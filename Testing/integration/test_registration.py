"""Registration as Python and the command line offer it: on a head of ellipsoids, in files and in DICOM series."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

import cspadn
from cspadn.cli import entry
from cspadn.errors import CancelledError, InputError, UsageError
from cspadn.registration.placing import placed, transform_of
from dicom_files import write_series
from head_phantom import distance_mm, phantom_mri, phantom_pet, rigid
from message_calls import identifiers, raises, says

pytestmark = pytest.mark.usefixtures("one_reading_process")

MOVED = rigid((12, -20, 9), (25.0, -30, 40))
APART = rigid((-10, 5, 25), (400.0, 0, -250))  # the fields of view do not touch


@pytest.fixture(scope="module")
def mri() -> sitk.Image:
    return phantom_mri()


@pytest.mark.parametrize(
    ("truth", "spacing"), [(sitk.Transform(), (4.0, 4.0, 4.0)), (MOVED, (3.0, 3.0, 8.0)), (APART, (4.0, 4.0, 4.0))]
)
def test_a_moved_head_is_found(mri: sitk.Image, truth: sitk.Transform, spacing: tuple[float, float, float]) -> None:
    pet = phantom_pet(truth, spacing)
    result = cspadn.register(pet, mri)
    assert distance_mm(result.transform, truth) < 1.5
    back = sitk.Resample(pet, mri, result.transform)
    expected = sitk.Resample(phantom_pet(spacing=spacing), mri)
    difference = np.abs(sitk.GetArrayFromImage(back) - sitk.GetArrayFromImage(expected)).mean()
    assert difference < 0.1 * sitk.GetArrayFromImage(expected).std()
    assert result.overlap > 0.9
    assert result.agreement > 0.5


def test_a_head_that_the_field_of_view_cuts_is_found(mri: sitk.Image) -> None:
    pet = phantom_pet(MOVED)[:, :, 12:48]  # 144 of 232 mm
    assert distance_mm(cspadn.register(pet, mri).transform, MOVED) < 2
    part = mri[:, :, 30:]  # without the lower 90 mm
    assert distance_mm(cspadn.register(phantom_pet(MOVED), part).transform, MOVED) < 2


def test_nan_and_the_stored_order_do_not_matter(mri: sitk.Image) -> None:
    pet = phantom_pet(MOVED)
    values = sitk.GetArrayFromImage(pet)
    values[:2] = np.nan
    with_nan = sitk.GetImageFromArray(values)
    with_nan.CopyInformation(pet)
    result = cspadn.register(sitk.DICOMOrient(with_nan, "PIR"), sitk.DICOMOrient(mri, "SAL"))
    assert distance_mm(result.transform, cspadn.register(pet, mri).transform) < 0.3


def test_the_number_of_threads_does_not_matter(mri: sitk.Image) -> None:
    pet, threads = phantom_pet(MOVED), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    found = []
    try:
        for count in (1, 2, 5):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(count)
            found.append(cspadn.register(pet, mri).transform.GetParameters())
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    assert found[0] == found[1] == found[2]


def test_inputs_that_cannot_be_registered(mri: sitk.Image) -> None:
    noise = sitk.GetImageFromArray(np.random.default_rng(0).random((50, 50, 50), np.float32))
    noise.SetSpacing((4, 4, 4))
    with raises(InputError, "registration-no-match"):
        cspadn.register(noise, mri)
    with raises(InputError, "registration-no-match"):
        cspadn.register(_legs(), mri)
    with raises(InputError, "registration-too-small", volume="The MRI", extent=30.0):
        cspadn.register(phantom_pet(), mri[:, :, :10])
    with pytest.raises(InputError, match="The PET is empty"):
        cspadn.register(noise * 0, mri)
    with pytest.raises(InputError, match="The MRI"):
        cspadn.register(noise, sitk.Image(20, 20, sitk.sitkFloat32))


@pytest.mark.parametrize("kind", ["uniform", "with foci", "graded"])
def test_a_phantom_with_the_shape_of_a_head_is_refused(mri: sitk.Image, kind: str) -> None:
    """Only the outline of the phantom fits the head."""
    with raises(InputError, "registration-no-match"):
        cspadn.register(_ellipsoid(kind), mri)


def _ellipsoid(kind: str) -> sitk.Image:
    """Return a PET of a phantom: an ellipsoid as large as a head, filled with an activity."""
    z, y, x = np.meshgrid(*(np.arange(count) * 4.0 - 2 * count for count in (56, 64, 64)), indexing="ij")
    values = ((x / 75) ** 2 + (y / 95) ** 2 + (z / 90) ** 2 < 1).astype(np.float32)
    if kind == "graded":
        values *= 1 + 0.3 * z / 90
    if kind == "with foci":  # spheres, as in a phantom for image quality
        for angle, radius in zip(np.radians(range(0, 360, 60)), (5, 6.5, 8.5, 11, 14, 18), strict=True):
            values += 3 * (np.sqrt((x - 57 * np.cos(angle)) ** 2 + (y - 57 * np.sin(angle)) ** 2 + z**2) < radius)
    noise = np.random.default_rng(4).standard_normal(values.shape)
    image = sitk.GetImageFromArray((np.abs(gaussian_filter(values, 1) + 0.03 * noise) * 1000).astype(np.float32))
    image.SetSpacing((4, 4, 4))
    return image


def _legs() -> sitk.Image:
    """Return a PET of two legs."""
    z, y, x = np.meshgrid(*(np.arange(count) * 4.0 - 2 * count for count in (80, 50, 100)), indexing="ij")
    values = np.minimum(np.hypot(x - 90, y), np.hypot(x + 90, y)) < 70
    image = sitk.GetImageFromArray(values.astype(np.float32) + 0.01 * np.sin(z).astype(np.float32))
    image.SetSpacing((4, 4, 4))
    return image


def test_progress_and_cancelling(mri: sitk.Image) -> None:
    steps: list[tuple[int, int]] = []
    cspadn.register(phantom_pet(), mri, progress=lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1][0] == steps[-1][1]
    with raises(CancelledError, "registration-cancelled"):
        cspadn.register(phantom_pet(), mri, cancelled=lambda: True)


@pytest.fixture
def files(mri: sitk.Image, tmp_path: Path) -> tuple[Path, Path]:
    """Return an unregistered PET and an MRI."""
    names = tmp_path / "pet.nii.gz", tmp_path / "mri.nii.gz"
    for image, name in zip((phantom_pet(MOVED), mri), names, strict=True):
        sitk.WriteImage(image, str(name))
    return names


def test_command_writes_a_transform_for_resampling(files: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    output = tmp_path / "pet_to_mri.tfm"
    assert entry.main(["register", *map(str, files), "-o", str(output)]) == 0
    assert distance_mm(sitk.ReadTransform(str(output)), MOVED) < 1.5
    assert says(capsys.readouterr().out, "registration-written", path=output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mri.nii.gz", "pet.nii.gz", "pet_to_mri.tfm"]
    assert entry.main(["register", *map(str, files), "-o", str(output)]) == 2
    assert "exists" in capsys.readouterr().err


def test_command_reports_to_programs_and_can_be_cancelled(files: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    options = ["register", *map(str, files), "--progress", "json", "-o", str(tmp_path / "t.txt")]
    assert entry.main(options) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"progress", "finished"}
    assert events[-1]["millimetres"] == pytest.approx(distance_mm(MOVED, sitk.Transform()), rel=0.2)
    (tmp_path / "stop").touch()
    assert entry.main([*options[:-1], str(tmp_path / "u.txt"), "--cancel-file", str(tmp_path / "stop")]) == 130
    assert not (tmp_path / "u.txt").exists()


def test_command_writes_a_page_to_look_at(files: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.html"
    options = ["register", *map(str, files), "--report", str(page)]
    assert entry.main([*options, "-o", str(tmp_path / "t.tfm")]) == 0
    text = page.read_text(encoding="utf-8")
    modes = re.findall(r'name="mode" id="mode-\w+" value="(\w+)"', text)
    assert modes == ["outlines", "before", "checker", "blend", "pet", "mri"]
    assert text.count("MRI outlines on the PET</figcaption>") == 7
    assert says(capsys.readouterr().out, "registration-written", path=tmp_path / "t.tfm")
    assert re.search(r"Rotation</th><td>2\d\.\d degrees", text)
    assert entry.main([*options, "--check"]) == 2
    assert says(capsys.readouterr().err, "report-needs-registration")
    (tmp_path / "t.tfm").unlink()
    assert entry.main([*options, "-o", str(tmp_path / "t.tfm")]) == 2  # the page exists
    assert not (tmp_path / "t.tfm").exists()


def test_command_only_checks(files: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    before = sorted(tmp_path.iterdir())
    assert entry.main(["register", *map(str, files), "--check"]) == 0
    told = capsys.readouterr()
    assert says(told.out, "alignment-checked")
    assert says(told.err, "pair-misaligned")
    assert entry.main(["register", *map(str, files), "--check", "--progress", "json"]) == 0
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert event["millimetres"] == pytest.approx(distance_mm(MOVED, sitk.Transform()), rel=0.2)
    assert event["suspect"]
    noise = tmp_path / "noise.nii.gz"
    image = sitk.GetImageFromArray(np.random.default_rng(0).random((50, 50, 50), np.float32))
    image.SetSpacing((4, 4, 4))
    sitk.WriteImage(image, str(noise))
    assert entry.main(["register", str(noise), str(files[1]), "--check"]) == 0
    assert says(capsys.readouterr().out, "alignment-unknown")
    assert sorted(tmp_path.iterdir()) == sorted([*before, noise])
    with pytest.raises(SystemExit):
        entry.main(["register", *map(str, files), "--check", "-o", str(tmp_path / "t.tfm")])


def test_command_refuses_what_it_cannot_register(files: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    legs = tmp_path / "legs.nii.gz"
    sitk.WriteImage(_legs(), str(legs))
    for inputs, name, code, identifier in (
        ((legs, files[1]), "t.tfm", 3, "registration-no-match"),
        ((tmp_path / "a.png", tmp_path / "b.png"), "t.tfm", 2, "registration-of-pictures"),
    ):
        assert entry.main(["register", *map(str, inputs), "-o", str(tmp_path / name)]) == code
        error = capsys.readouterr().err
        assert says(error, identifier)
        assert error.count("\n") == 1
        assert not (tmp_path / name).exists()
    assert entry.main(["register", *map(str, files), "-o", str(tmp_path / "t.nii")]) == 2


@pytest.mark.ci
def test_fusing_two_dicom_series_that_are_not_registered(mri: sitk.Image, tmp_path: Path, capsys) -> None:
    pet = write_series(tmp_path / "pet", phantom_pet(MOVED), "PT")
    folders = [str(pet), str(write_series(tmp_path / "mri", mri, "MR"))]
    fused, table = tmp_path / "fused.nrrd", tmp_path / "metrics.csv"
    assert entry.main(["fuse", *folders, "-o", str(fused), "--register", "rigid", "--metrics", str(table)]) == 0
    assert capsys.readouterr().err == ""
    image = sitk.ReadImage(str(fused))
    registered = cspadn.fuse(phantom_pet(), mri, cspadn.FusionSettings(device="cpu")).image
    assert np.corrcoef(*(sitk.GetArrayFromImage(each).ravel() for each in (image, registered)))[0, 1] > 0.98
    provenance = json.loads(fused.with_suffix(".json").read_text())
    assert distance_mm(transform_of(provenance["registration_matrix"]), MOVED) < 1.5
    assert (provenance["pet_units"], provenance["pet_source"]) == ("BQML", "pet")  # the registration keeps what is known

    assert entry.main(["metrics", *folders, str(fused), "--json"]) == 0  # the file records where the PET was
    mean = json.loads(capsys.readouterr().out)["mean"]
    rows = list(csv.reader(table.open()))
    measured = dict(zip(rows[0], rows[-1], strict=True))
    names = set(mean) & set(measured)
    assert len(names) >= 4
    assert {name: float(measured[name]) for name in names} == pytest.approx({name: mean[name] for name in names}, abs=1e-4)


def test_a_registration_does_not_hide_another_patient(mri: sitk.Image, tmp_path: Path, capsys) -> None:
    pet = write_series(tmp_path / "pet", phantom_pet(MOVED), "PT", PatientID="12", PatientName="Roe^Richard")
    folders = [str(pet), str(write_series(tmp_path / "mri", mri, "MR"))]
    assert entry.main(["fuse", *folders, "-o", str(tmp_path / "fused.nrrd"), "--register", "rigid"]) == 3
    assert says(capsys.readouterr().err, "patients-differ")
    assert not (tmp_path / "fused.nrrd").exists()


def test_the_check_warns_and_changes_no_voxel(mri: sitk.Image, tmp_path: Path, capsys) -> None:
    pet = phantom_pet(rigid((0, 0, 5), (4, 6, -5)), following=False)
    results = [
        cspadn.fuse(pet, mri, cspadn.FusionSettings(device="cpu", skip_alignment_check=skipped)) for skipped in (False, True)
    ]
    assert np.array_equal(*(sitk.GetArrayViewFromImage(result.image) for result in results))
    assert identifiers(results[0].warnings) == ["pair-misaligned"]
    assert results[0].provenance["alignment_mm"] > 3
    assert results[1].warnings == []
    assert results[1].provenance["alignment"].startswith("not determined")
    names = tmp_path / "pet.nrrd", tmp_path / "mri.nrrd"
    for image, name in zip((pet, mri), names, strict=True):
        sitk.WriteImage(image, str(name))
    assert entry.main(["fuse", *map(str, names), "-o", str(tmp_path / "fused.nrrd"), "--device", "cpu"]) == 0
    told = capsys.readouterr()
    assert says(told.err, "pair-misaligned")
    assert says(told.out, "alignment-checked", millimetres=results[0].alignment.displacement_mm)


def test_pictures_are_not_registered() -> None:
    picture = sitk.Image(20, 20, sitk.sitkUInt8)
    with raises(UsageError, "registration-of-pictures"):
        cspadn.fusion.fuse_pictures(picture, picture, cspadn.FusionSettings(register="rigid"))


def test_the_atlas_pair_comes_back(shared: Path) -> None:
    folder = shared / "data" / "volumes" / "aanlib"
    pet, mri = (sitk.ReadImage(str(folder / f"{name}_axial.nii.gz")) for name in ("PET", "MRI"))
    truth = rigid((12, -9, 20), (30.0, 25, -45))
    found = cspadn.register(placed(pet, truth.GetInverse()), mri)
    given = cspadn.register(pet, mri)
    moved_back = sitk.CompositeTransform([truth.GetInverse(), found.transform])
    assert distance_mm(moved_back, given.transform) < 1.5
    assert given.displacement_mm < 3  # the atlas registered its volumes to about 2 mm
