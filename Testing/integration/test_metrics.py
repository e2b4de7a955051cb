"""Metrics of real images and fusions, against published code, and the command."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn import FusionSettings, fuse
from cspadn.cli import entry
from cspadn.errors import InputError, UsageError
from cspadn.imaging import geometry
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.io.images import read_in_process, write_image
from cspadn.metrics import NAMES, measure, measure_volumes
from message_calls import raises, says
from metric_images import WINDOW, pattern_images, pattern_volumes, rescaled
from repository import ROOT
from volumes import blobs, volume

pytestmark = pytest.mark.usefixtures("one_reading_process")

GOLDEN = list(itertools.product(("12", "19", "28"), ("average", "max", "IFCNN", "MSVD", "GeSeNet")))


@pytest.fixture(scope="module")
def pattern() -> dict[str, np.ndarray]:
    return pattern_images()


@pytest.fixture
def volumes() -> dict[str, sitk.Image]:
    return pattern_volumes()


@pytest.mark.parametrize(("name", "method"), GOLDEN)
def test_golden_values(shared: Path, name: str, method: str) -> None:
    """Values of the public MATLAB code, or of a careful reading of it (FMI_edge, SSIM)."""
    folder = shared / "data" / "golden"
    with (folder / "golden.csv").open(newline="", encoding="utf-8") as table:
        row = next(row for row in csv.DictReader(table) if (row["id"], row["method"]) == (name, method))
    images = [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{name}_{kind}.png"))) for kind in ("pet", "mri", method)]
    scores = measure(*images)
    assert tuple(scores) == NAMES
    assert len(set(row) & set(scores)) >= 14
    for key, value in scores.items():
        if key in row:  # the table is older than some metrics
            assert value == pytest.approx(float(row[key]), abs=1e-6), key


def test_needs_no_torch() -> None:
    code = "import sys, cspadn.metrics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "CSpADNFusion")
    assert done.stdout.strip() == "False"


# Volumes


@pytest.fixture(scope="module")
def fusion() -> dict[str, object]:
    """Return a real fusion of two small volumes on different grids."""
    mri = volume(blobs((4, 48, 52), seed=1), spacing=(2, 2, 3), origin=(-24, -20, 5))
    pet = volume(blobs((6, 32, 34), seed=2), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3))
    return {"pet": pet, "mri": mri, "result": fuse(pet, mri, FusionSettings(device="cpu", mri_window=(1, 70)))}


def test_a_fused_file_brings_its_windows(fusion, tmp_path: Path) -> None:
    pet, mri, result = fusion.values()
    write_image(result.image, tmp_path / "fused.nrrd", result.provenance)
    stored = read_in_process(tmp_path / "fused.nrrd", "The fused volume")
    scores = measure_volumes(pet, mri, stored, names=["SSIM"])
    assert list(scores.pet_window) == result.provenance["pet_window"]
    assert scores.mri_window == (1, 70)
    assert measure_volumes(pet, mri, stored, mri_window=(0, 9), names=["EN"]).mri_window == (0, 9)
    assert measure_volumes(pet, mri, result.image, mri_window=(1, 70), names=["SSIM"]) == scores


def test_automatic_windows_are_those_of_the_fusion(fusion) -> None:
    pet, mri, _ = fusion.values()
    for other_pet in (pet, pet[14:17, 14:17, 2:4]):  # the second is small, as a field of view may be
        result = fuse(other_pet, mri, FusionSettings(device="cpu"))
        scores = measure_volumes(other_pet, mri, result.image, names=["EN"])
        assert list(scores.pet_window) == result.provenance["pet_window"]
        assert list(scores.mri_window) == result.provenance["mri_window"]


def test_sources_are_where_they_lie_in_space(fusion) -> None:
    """The same levels as the network saw, on the fused volume's grid."""
    pet, mri, result = fusion.values()
    scores = measure_volumes(pet, mri, result.image, mri_window=(1, 70), names=["r_pet", "SD"])
    on_grid = geometry.resample(pet, result.image)
    assert measure_volumes(on_grid, mri, result.image, pet_window=scores.pet_window, mri_window=(1, 70), names=["r_pet"]).mean[
        "r_pet"
    ] == pytest.approx(scores.mean["r_pet"], abs=1e-6)
    levels = np.rint(sitk.GetArrayFromImage(result.image) * (255 / FUSED_MAXIMUM))
    assert scores.mean["SD"] == pytest.approx(np.mean([slice_.std() for slice_ in levels]), rel=1e-3)


def test_what_cannot_be_measured_is_refused(volumes) -> None:
    elsewhere = sitk.Image(volumes["pet"])
    elsewhere.SetOrigin((1000, 0, 0))
    with raises(InputError, "fused-does-not-overlap", volume="The PET"):
        measure_volumes(**{**volumes, "pet": elsewhere})
    with raises(InputError, "volume-not-scalar", volume="The fused volume", components=3):
        measure_volumes(**{**volumes, "fused": sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3)})
    with raises(UsageError, "window-invalid", name="MRI"):
        measure_volumes(**volumes, mri_window=(2, 1))
    with raises(UsageError, "window-invalid", name="fused"):
        measure_volumes(**volumes, fused_window=(2, 1))
    volumes["fused"].SetMetaData("CSpADNFusion.pet_window", "wide")
    with raises(InputError, "recorded-window-invalid", key="CSpADNFusion.pet_window", text="wide"):
        measure_volumes(**volumes)


# The command


@pytest.fixture
def files(volumes, tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.nrrd" for name in volumes}
    for kind in ("pet", "mri"):
        volumes["fused"].SetMetaData(f"CSpADNFusion.{kind}_window", "[0.0, 255.0]")
    for name, image in volumes.items():
        sitk.WriteImage(image, str(paths[name]))
    return paths


@pytest.fixture
def pictures(pattern, tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.png" for name in pattern}
    for name, levels in pattern.items():
        sitk.WriteImage(sitk.GetImageFromArray(levels.astype(np.uint8)), str(paths[name]))
    return paths


def _metrics(paths: dict[str, Path], *more: str) -> int:
    return entry.main(["metrics", *(str(paths[name]) for name in ("pet", "mri", "fused")), *more])


def test_pictures_as_json(pictures, pattern, capfd) -> None:
    assert _metrics(pictures, "--json") == 0
    assert json.loads(capfd.readouterr().out) == pytest.approx(measure(**pattern))


def test_pictures_as_a_table(pictures, capfd) -> None:
    assert _metrics(pictures) == 0
    header, row = capfd.readouterr().out.splitlines()
    assert header.split() == list(NAMES)
    assert len(header) == len(row)
    assert len(row.split()) == len(NAMES)


def test_of_coloured_pictures_the_luma_counts(pictures, capfd) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (44, 47, 3), np.uint8)
    luma = np.rint(rgb @ [0.299, 0.587, 0.114])
    for name in ("pet", "fused"):
        sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(pictures[name]))
    assert _metrics(pictures, "--json") == 0
    colored = json.loads(capfd.readouterr().out)
    for name in ("pet", "fused"):
        sitk.WriteImage(sitk.GetImageFromArray(luma.astype(np.uint8)), str(pictures[name]))
    assert _metrics(pictures, "--json") == 0
    assert json.loads(capfd.readouterr().out) == colored


def test_pictures_of_16_bits_and_with_windows(pictures, pattern, capfd) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(pattern["mri"].astype(np.uint16) * 257), str(pictures["mri"]))
    assert _metrics(pictures, "--json", "--pet-window", "0", "510") == 0
    halved = measure(np.rint(pattern["pet"] / 2), pattern["mri"], pattern["fused"])
    assert json.loads(capfd.readouterr().out) == pytest.approx(halved)
    assert _metrics(pictures, "--json", "--fused-window", "0", "510") == 0
    halved = measure(pattern["pet"], pattern["mri"], np.rint(pattern["fused"] / 2))
    assert json.loads(capfd.readouterr().out) == pytest.approx(halved)


def test_volumes_as_json(files, volumes, capfd) -> None:
    assert _metrics(files, "--json") == 0
    printed = json.loads(capfd.readouterr().out)
    expected = measure_volumes(**volumes, **WINDOW)
    assert printed == expected.to_dict()
    assert printed["pet_window"] == [0, 255]
    assert printed["fused_window"] == [0, 4095]
    assert set(list(printed["slices"][0].values())[3:]) == {None}
    assert printed["slices"][1]["position_mm"] == 33
    assert printed["mean"]["SSIM"] == expected.mean["SSIM"]


def test_volumes_as_a_table(files, capfd) -> None:
    assert _metrics(files) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["slice", "*0", "1", "2", "mean"]
    assert lines[0].split() == ["slice", "mm", *NAMES]
    assert len({len(line) for line in lines[:-1]}) == 1
    assert set(lines[1].split()[2:]) == {"-"}
    assert lines[-1] == "* empty in PET and MRI: not measured, left out of the mean"


def test_a_fused_window_on_the_command_line(files, volumes, capfd) -> None:
    sitk.WriteImage(rescaled(volumes["fused"], 0, 1), str(files["fused"]))
    windows = ["--pet-window", "0", "255", "--mri-window", "0", "255"]
    assert _metrics(files, *windows) == 3
    assert _metrics(files, "--json", *windows, "--fused-window", "0", "1") == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["fused_window"] == [0, 1]
    assert printed["mean"] == pytest.approx(measure_volumes(**volumes, **WINDOW).mean)


BAD_INPUT = {
    "missing file": (lambda paths: paths["fused"].unlink(), [], 3, "image-missing", {"volume": "The fused image"}),
    "not an image": (lambda paths: paths["pet"].write_text("patient list", encoding="utf-8"), [], 3, "format-unknown", {}),
    "PNG and volume": (
        lambda paths: paths.update(fused=paths["fused"].with_suffix(".png")),
        [],
        3,
        "pictures-and-volumes",
        {},
    ),
    "two-dimensional": (
        lambda paths: sitk.WriteImage(sitk.Image(9, 9, sitk.sitkUInt8), str(paths["mri"])),
        [],
        3,
        "volume-two-dimensional",
        {"volume": "The MRI"},
    ),
    "empty volume": (
        lambda paths: sitk.WriteImage(sitk.Image(9, 9, 9, sitk.sitkUInt8), str(paths["pet"])),
        [],
        3,
        "fused-does-not-overlap",
        {"volume": "The PET"},
    ),
    "another scale": (
        lambda paths: sitk.WriteImage(sitk.Image(9, 9, 9, sitk.sitkUInt8) + 9, str(paths["fused"])),
        [],
        3,
        "fused-scale-unknown",
        {"lowest": 9, "highest": 9, "maximum": 4095},
    ),
    "reversed window": (lambda paths: None, ["--pet-window", "9", "1"], 2, "window-invalid", {"name": "PET"}),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_line(case: str, files, capfd) -> None:
    spoil, more, code, identifier, fields = BAD_INPUT[case]
    spoil(files)
    assert _metrics(files, *more) == code
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("cspadn: ")
    assert errors.count("\n") == 1, errors
    assert says(errors, identifier, **fields)


def test_pictures_of_two_sizes_get_one_clear_line(pictures, capfd) -> None:
    sitk.WriteImage(sitk.Image(31, 24, sitk.sitkUInt8), str(pictures["fused"]))
    assert _metrics(pictures) == 3
    assert says(capfd.readouterr().err, "measured-sizes-differ", fused="31 x 24")


def test_the_real_volume(shared: Path, tmp_path: Path, capfd) -> None:
    """The atlas volume's mean of both as the fused volume, in a NIfTI, which holds no windows: a plausible table."""
    folder = shared / "data" / "volumes" / "aanlib"
    pet, mri = (sitk.ReadImage(str(folder / f"{name}_axial.nii.gz")) for name in ("PET", "MRI"))
    mri = mri[:, :, 40:44]
    mean = (
        sitk.Resample(pet, mri, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32) + sitk.Cast(mri, sitk.sitkFloat32)
    ) / 2
    sitk.WriteImage(mean * (FUSED_MAXIMUM / 255), str(tmp_path / "fused.nii.gz"))
    sitk.WriteImage(mri, str(tmp_path / "mri.nii.gz"))
    paths = {"pet": folder / "PET_axial.nii.gz", "mri": tmp_path / "mri.nii.gz", "fused": tmp_path / "fused.nii.gz"}
    assert _metrics(paths, "--json") == 0
    mean_scores = json.loads(capfd.readouterr().out)["mean"]
    assert 0.5 < mean_scores["SSIM"] < 1
    assert mean_scores["r_mri"] > 0.3
