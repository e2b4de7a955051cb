"""Metrics: the published code's values, their properties, volumes, and the command."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from cspadn import FusionSettings, fuse
from cspadn.cli import entry
from cspadn.errors import InputError, UsageError
from cspadn.imaging import geometry
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.io.images import read_image, write_image
from cspadn.metrics import METRICS, NAMES, Metric, feature_information, measure, measure_volumes, measures, registry
from cspadn.metrics import volumes as volume_metrics
from message_calls import raises, says
from repository import ROOT
from volumes import blobs, volume

GOLDEN = list(itertools.product(("12", "19", "28"), ("average", "max", "IFCNN", "MSVD", "GeSeNet")))


def _pattern(rows: int = 44, columns: int = 47) -> dict[str, np.ndarray]:
    """Integer arithmetic, the same everywhere: flat parts, edges, texture; a mean as the fused image."""
    y, x = np.mgrid[:rows, :columns]
    pet = np.where((x - 20) ** 2 + (y - 18) ** 2 < 200, 40 + 5 * x, 0)
    mri = np.where((x > 5) & (x < 40) & (y > 8), (x * x + 3 * y) % 97 + 60, 0)
    return {"pet": pet, "mri": mri, "fused": (pet + mri) // 2}


@pytest.fixture(scope="module")
def pattern() -> dict[str, np.ndarray]:
    return _pattern()


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


def test_hard_coded_values(pattern) -> None:
    """What the code gave when it agreed with the golden values: for where those are not at hand."""
    expected = {
        "EN": 5.1941775,
        "MI": 5.1413975,
        "Qabf": 0.4274249,
        "FMI_edge": 0.8107014,
        "FMI_pixel": 0.6454002,
        "FMI_dct": 0.4097156,
        "SSIM": 0.5771273,
        "VIF": 0.3522190,
        "SCD": 1.0990141,
        "r_pet": 0.6430646,
        "r_mri": 0.4559495,
        "SD": 51.7712878,
        "SF": 28.8344291,
        "AG": 8.0254542,
    }
    assert measure(**pattern) == pytest.approx(expected, abs=1e-6)


def test_a_subset_in_the_order_asked_for(pattern) -> None:
    everything = measure(**pattern)
    some = measure(**pattern, names=("SSIM", "EN"))
    assert list(some) == ["SSIM", "EN"]
    assert some == {name: everything[name] for name in some}


def test_the_order_of_the_sources_does_not_matter(pattern) -> None:
    one = measure(**pattern)
    other = measure(pattern["mri"], pattern["pet"], pattern["fused"])
    assert (other.pop("r_mri"), other.pop("r_pet")) == (one.pop("r_pet"), one.pop("r_mri"))
    assert other == pytest.approx(one, abs=1e-12)


def test_mri_alone_keeps_nothing_of_the_pet(pattern) -> None:
    scores = measure(pattern["pet"], pattern["mri"], pattern["mri"])
    assert scores["r_pet"] == 0
    assert scores["SCD"] == scores["r_mri"] != 0


def test_three_equal_images(pattern) -> None:
    scores = measure(*[pattern["mri"]] * 3)
    assert scores["MI"] == pytest.approx(2 * scores["EN"])
    assert scores["VIF"] == pytest.approx(2)
    for name in ("FMI_edge", "FMI_pixel", "FMI_dct", "SSIM"):
        assert scores[name] == pytest.approx(1), name
    assert scores["Qabf"] == pytest.approx(0.9994 * 0.9879 / (1 + math.exp(-22 * 0.2)))


def test_levels_are_rounded_and_clipped() -> None:
    fused = np.array([[-7.0, 0.2, 99.6], [100.4, 255.0, 300.0], [0.0, 0.0, 0.0]])
    rounded = np.array([[0, 0, 100], [100, 255, 255], [0, 0, 0]], np.uint8)
    zeros = np.zeros((3, 3))
    assert measure(zeros, zeros, fused, ["EN", "SD"]) == measure(zeros, zeros, rounded, ["EN", "SD"])


def test_information_of_simple_images() -> None:
    halves = np.repeat([[0.0, 200.0]], 4, axis=0)
    quarters = np.array([[0.0, 50.0], [100.0, 150.0]])
    assert measures.entropy(halves) == 1
    assert measures.entropy(quarters) == 2
    assert measures.mutual_information(halves, 255 - halves, halves) == 2
    assert measures.mutual_information(halves, halves.T.reshape(4, 2), halves) == 1  # the second is independent of it


def test_contrast_of_simple_images() -> None:
    board = 255.0 * (np.indices((6, 8)).sum(axis=0) % 2)
    assert measures.standard_deviation(board) == 127.5
    assert measures.spatial_frequency(board) == pytest.approx(255 * math.sqrt(2))
    ramp = np.tile(np.arange(8.0) * 10, (6, 1))
    assert measures.average_gradient(ramp) == pytest.approx(10 * math.sqrt(0.5) * 48 / 35)
    assert measures.difference_correlation(ramp, board, board + 2 * ramp) == pytest.approx(1)
    assert measures.difference_correlation(ramp, board, board - ramp) == pytest.approx(-1)


def test_edges_are_thin() -> None:
    step = np.zeros((12, 12))
    step[:, 6:] = 100
    edges = feature_information.sobel_edge_map(step)
    assert edges.sum() == 12
    assert edges[:, 6].all()


def _dots(left: float, right: float) -> np.ndarray:
    """Two dots whose Sobel edges do not touch; each edge is proportional to its dot, and points the same way."""
    image = np.zeros((3, 7))
    image[1, 1], image[1, 5] = left, right
    return image


def test_artefacts_of_dots_computed_by_hand() -> None:
    black, dot = _dots(0, 0), _dots(10, 0)
    kept = 0.9994 / (1 + math.exp(0)) * 0.9879 / (1 + math.exp(-22 * 0.2))  # half as strong, in the same direction
    assert measures.fusion_artefacts(black, dot, 2 * dot) == pytest.approx(1 - kept)
    assert measures.fusion_artefacts(dot, black, 2 * dot) == pytest.approx(1 - kept)
    # The other dot has as many edges, and came over as it is: half of all edges are exaggerated.
    assert measures.fusion_artefacts(_dots(0, 10), dot, _dots(20, 10)) == pytest.approx((1 - kept) / 2)
    assert measures.fusion_artefacts(_dots(40, 0), dot, 2 * dot) == 0  # an edge of the PET is stronger
    assert measures.fusion_artefacts(black, dot, _dots(10, 20)) == 0  # neither source has an edge there: of weight 0
    assert measures.fusion_artefacts(black, black, dot) == 0


def test_artefacts_of_copies_and_halos(pattern) -> None:
    pet, mri = (pattern[name].astype(float) for name in ("pet", "mri"))
    assert measures.fusion_artefacts(pet, mri, pet) == measures.fusion_artefacts(pet, mri, mri) == 0
    halos = [mri + gain * (mri - ndimage.gaussian_filter(mri, 2)) for gain in (0.25, 0.5, 1)]
    found = [measures.fusion_artefacts(pet, mri, halo) for halo in halos]
    assert 0 < found[0] < found[1] < found[2] < 1


@pytest.mark.parametrize("height", [1, 255])
def test_an_edge_that_came_over_counts_whatever_the_other_source(height: int) -> None:
    step = np.zeros((20, 20))
    step[:10] = height
    assert measures.edge_transfer(step, np.zeros((20, 20)), step) > 0.97
    assert measures.edge_transfer(step, np.zeros((20, 20)), np.zeros((20, 20))) < 0.001


def _window_score(a: np.ndarray, f: np.ndarray) -> float:
    """One 3x3 window's score, written straight from the definition: all 81 probabilities, one by one."""
    if (a == f).all():
        return 1.0
    a_pdf, f_pdf = (_plain_distribution(window) for window in (a, f))
    if np.allclose(a_pdf, f_pdf, atol=1e-15) and a.max() == a.min():
        return 1.0
    a_cdf, f_cdf = np.cumsum(a_pdf), np.cumsum(f_pdf)
    joint = np.outer(a_pdf, f_pdf)
    spread = _plain_deviation(a_pdf) * _plain_deviation(f_pdf)
    if a_pdf.std() > 1e-12 and f_pdf.std() > 1e-12 and spread > 0:
        correlation = np.corrcoef(a_pdf, f_pdf)[0, 1]
        bound = np.minimum if correlation >= 0 else lambda x, y: np.maximum(x + y - 1, 0)
        bound_cdf = np.array([[bound(x, y) for y in f_cdf] for x in a_cdf])
        phi = correlation * spread / (bound_cdf - np.outer(a_cdf, f_cdf)).sum()
        bound_pdf = np.diff(np.diff(np.pad(bound_cdf, ((1, 0), (1, 0))), axis=0), axis=1)
        joint = phi * bound_pdf + (1 - phi) * joint
    entropies = _plain_entropy(a_pdf) + _plain_entropy(f_pdf)
    return 2 * (entropies - _plain_entropy(joint)) / entropies if entropies else 0.0


def _plain_distribution(window: np.ndarray) -> np.ndarray:
    column_by_column = window.T.ravel().astype(float)
    risen = column_by_column - column_by_column.min()
    return risen / risen.sum() if risen.any() else np.full(9, 1 / 9)


def _plain_deviation(pdf: np.ndarray) -> float:
    places = np.arange(1, 10)
    return math.sqrt(max((places**2 * pdf).sum() - (places * pdf).sum() ** 2, 0))


def _plain_entropy(probabilities: np.ndarray) -> float:
    return sum(-p * math.log2(abs(p)) for p in probabilities.ravel() if abs(p) > 1e-15)


WINDOWS = {
    "equal": ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    "scaled": ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[11, 21, 31], [41, 51, 61], [71, 81, 91]]),
    "flat": ([[0, 0, 0]] * 3, [[7, 7, 7]] * 3),
    "one flat": ([[0, 0, 0]] * 3, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    "one cell": ([[0, 0, 0], [0, 9, 0], [0, 0, 0]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
    "one cell each": ([[0, 0, 0], [0, 9, 0], [0, 0, 0]], [[0, 0, 0], [0, 5, 0], [0, 0, 0]]),
    "correlated": ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[1, 3, 2], [4, 6, 9], [5, 8, 7]]),
    "opposed": ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [[9, 7, 8], [6, 6, 2], [3, 1, 2]]),
    "sparse": ([[0, 0, 3], [0, 0, 6], [0, 0, 0]], [[0, 1, 0], [0, 2, 0], [0, 0, 0]]),
}


@pytest.mark.parametrize("case", WINDOWS)
def test_feature_information_of_one_window(case: str) -> None:
    source, fused = (np.array(window, float) for window in WINDOWS[case])
    assert feature_information.feature_information(source, fused, fused) == pytest.approx(
        (_window_score(source, fused) + 1) / 2, abs=1e-9
    )


def test_feature_information_is_the_mean_over_windows_and_sources() -> None:
    random = np.random.default_rng(0)
    pet, mri, fused = (random.integers(0, 4, (9, 11)).astype(float) for _ in range(3))
    fused[:4, :4], pet[:4, :5] = 2, 0
    places = list(itertools.product(range(7), range(9)))
    plain = [
        _window_score(image[i : i + 3, j : j + 3], fused[i : i + 3, j : j + 3]) for image in (pet, mri) for i, j in places
    ]
    assert feature_information.feature_information(pet, mri, fused) == pytest.approx(np.mean(plain), abs=1e-9)


def test_nearly_certain_windows_stay_finite() -> None:
    """Rounding leaves such windows in the transform of smooth images."""
    almost = np.zeros((3, 3))
    almost[2, 2], almost[0, 0] = 1, 1e-17
    others = [almost, almost.T[::-1], np.arange(9.0).reshape(3, 3), np.full((3, 3), 1e-17)]
    for source, fused in itertools.product(others, repeat=2):
        assert math.isfinite(feature_information.feature_information(source, fused, fused))


LEVELS = {"black": 0, "grey": 9, "white": 255}


@pytest.mark.parametrize(("source", "fused"), list(itertools.product(LEVELS, LEVELS)))
def test_constant_images_have_finite_values(pattern, source: str, fused: str) -> None:
    pet, constant = np.full((44, 47), LEVELS[source]), np.full((44, 47), LEVELS[fused])
    for images in ((pet, pet, constant), (pet, pattern["mri"], constant), (pet, pattern["mri"], pattern["fused"])):
        assert all(math.isfinite(value) for value in measure(*images).values())
    scores = measure(pet, pet, constant)
    for name in ("EN", "MI", "VIF", "SCD", "r_pet", "r_mri", "SD", "SF", "AG"):
        assert scores[name] == 0, name


@pytest.mark.parametrize("side", sorted({1, 40} | {metric.smallest_side for metric in METRICS}))
def test_only_metrics_with_a_larger_window_are_nan(side: int) -> None:
    scores = measure(*_pattern(side, 50).values())
    too_large = {metric.name for metric in METRICS if metric.smallest_side > side}
    assert {name for name, value in scores.items() if math.isnan(value)} == too_large
    assert math.isnan(scores["VIF"]) == (side < 41)


def test_images_must_match(pattern) -> None:
    with raises(InputError, "measured-sizes-differ", pet="47 x 44", mri="47 x 40", fused="47 x 44"):
        measure(pattern["pet"], pattern["mri"][:40], pattern["fused"])
    with raises(InputError, "measured-sizes-differ"):
        measure(*[np.zeros((2, 2, 2))] * 3)
    with raises(UsageError, "metric-unknown", metric="PSNR"):
        measure(**pattern, names=["EN", "PSNR"])


@pytest.mark.parametrize("name", ["pet", "mri", "fused"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_numbers_are_measured(pattern, name: str, value: float) -> None:
    spoilt = pattern[name].astype(np.float32)
    spoilt[3, 4] = value
    volume_name = {"pet": "The PET", "mri": "The MRI", "fused": "The fused image"}[name]
    with raises(InputError, "levels-not-finite", volume=volume_name):
        measure(**{**pattern, name: spoilt})


def test_a_slice_takes_less_than_1500_milliseconds() -> None:
    """Of one processor, where nothing is flat: the worst case, twice what heads take."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (256, 256)) for _ in range(3)]
    start = time.process_time()
    measure(*images)
    assert time.process_time() - start < 1.5


def test_records_are_complete(pattern) -> None:
    """Also for a copy of each source, which reaches the ends of some ranges."""
    assert len(METRICS) == len(set(NAMES))
    copies = [{**pattern, "fused": pattern[name]} for name in ("pet", "mri", "fused")]
    for metric, scores in itertools.product(METRICS, [measure(**images) for images in copies]):
        assert metric.label
        assert metric.doc.endswith(".")
        assert metric.range[0] <= scores[metric.name] <= metric.range[1]


def test_a_record_is_all_that_a_metric_needs(pattern, monkeypatch) -> None:
    peak = Metric("Peak", lambda _pet, _mri, fused: fused.max(), (0, 255), "peak (grey levels)", "Highest level.", 45)
    monkeypatch.setitem(registry.BY_NAME, peak.name, peak)
    assert math.isnan(measure(**pattern, names=["Peak"])["Peak"])
    larger = _pattern(45, 45)
    assert measure(**larger, names=["Peak"]) == {"Peak": larger["fused"].max()}


def test_the_readme_lists_all_metrics() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## How good is a fused image?")[1]
    assert not [name for name in NAMES if not re.search(rf"^\| (\w+, )*{name}(, \w+)* \|", table, re.MULTILINE)]


def test_needs_no_torch() -> None:
    code = "import sys, cspadn.metrics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "CSpADNFusion")
    assert done.stdout.strip() == "False"


# Volumes

WINDOW = {"pet_window": (0, 255), "mri_window": (0, 255)}


@pytest.fixture
def volumes(pattern) -> dict[str, sitk.Image]:
    """Three slices on one grid, whose levels are known; the lowest is empty in PET and MRI."""
    images = {}
    for name, levels in pattern.items():
        scale = FUSED_MAXIMUM / 255 if name == "fused" else 1
        slices = np.stack([levels * 0 + 3 * (name == "fused"), levels, levels[:, ::-1]]) * scale
        images[name] = volume(slices.astype(np.float32), spacing=(2, 2, 3), origin=(10, -20, 30))
    return images


def test_volumes_are_measured_slice_by_slice(volumes, pattern) -> None:
    done: list[tuple[int, int]] = []
    result = measure_volumes(**volumes, **WINDOW, progress=lambda *count: done.append(count))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert [(row.index, row.position, row.counted) for row in result.slices] == [(0, 30, False), (1, 33, True), (2, 36, True)]
    assert result.slices[1].scores == measure(**pattern)
    assert result.slices[2].scores == measure(*(levels[:, ::-1] for levels in pattern.values()))
    for name, value in result.mean.items():
        assert value == pytest.approx((result.slices[1].scores[name] + result.slices[2].scores[name]) / 2), name


@pytest.mark.parametrize("code", ["RAS", "PIR", "ASL"])
def test_stored_order_and_grid_do_not_matter(volumes, code: str) -> None:
    names = ("SSIM", "r_pet", "FMI_pixel")
    expected = measure_volumes(**volumes, **WINDOW, names=names)
    volumes["fused"] = sitk.DICOMOrient(volumes["fused"], code)
    volumes["pet"] = sitk.ConstantPad(volumes["pet"], (3, 2, 1), (1, 4, 2))  # a larger field of view
    result = measure_volumes(**volumes, **WINDOW, names=names)
    assert list(result.mean) == list(names)
    assert result.mean == pytest.approx(expected.mean, abs=1e-9)
    assert [row.position for row in result.slices] == pytest.approx([row.position for row in expected.slices])


@pytest.fixture(scope="module")
def fusion() -> dict[str, object]:
    """A real fusion of two small volumes on different grids."""
    mri = volume(blobs((4, 48, 52), seed=1), spacing=(2, 2, 3), origin=(-24, -20, 5))
    pet = volume(blobs((6, 32, 34), seed=2), spacing=(3.5, 3.5, 4), origin=(-24, -21, 3))
    return {"pet": pet, "mri": mri, "result": fuse(pet, mri, FusionSettings(device="cpu", mri_window=(1, 70)))}


def test_a_fused_file_brings_its_windows(fusion, tmp_path: Path) -> None:
    pet, mri, result = fusion.values()
    write_image(result.image, tmp_path / "fused.nrrd", result.provenance)
    stored = read_image(tmp_path / "fused.nrrd", "The fused volume")
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


def test_a_window_above_everything_leaves_no_slice(volumes, monkeypatch) -> None:
    monkeypatch.setattr(volume_metrics, "measure", None)  # nothing is measured that does not count
    result = measure_volumes(**volumes, pet_window=(900, 901), mri_window=(900, 901), names=["EN"])
    assert not any(row.counted for row in result.slices)
    assert all(math.isnan(row.scores["EN"]) for row in result.slices)
    assert math.isnan(result.mean["EN"])
    assert result.to_dict()["mean"] == {"EN": None}
    with raises(UsageError, "metric-unknown", metric="PSNR"):
        measure_volumes(**volumes, pet_window=(900, 901), mri_window=(900, 901), names=["PSNR"])


def _rescaled(image: sitk.Image, lower: float, upper: float) -> sitk.Image:
    """The levels of a fused volume between two other ends."""
    return sitk.Cast(image, sitk.sitkFloat64) * ((upper - lower) / FUSED_MAXIMUM) + lower


SCALES = [(0, 1), (0, 100), (0, 255), (-1, 1), (-1024, 3000), (0, 65535), (0, 3e6)]


@pytest.mark.parametrize("scale", SCALES)
def test_a_fused_volume_of_another_scale_needs_its_window(volumes, scale: tuple[float, float]) -> None:
    expected = measure_volumes(**volumes, **WINDOW)
    assert expected.fused_window == (0, FUSED_MAXIMUM)
    volumes["fused"] = _rescaled(volumes["fused"], *scale)
    with raises(InputError, "fused-scale-unknown", maximum=FUSED_MAXIMUM):
        measure_volumes(**volumes, **WINDOW)
    result = measure_volumes(**volumes, **WINDOW, fused_window=scale)
    assert result.fused_window == scale
    assert result.mean == pytest.approx(expected.mean, abs=1e-3)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".nii.gz"])
@pytest.mark.parametrize(("highest", "passes"), [(0.9, False), (200, True), (4095, True), (4097, False)])
def test_a_file_that_says_that_we_made_it_may_be_dark(
    volumes, tmp_path: Path, suffix: str, highest: float, passes: bool
) -> None:
    brightest = sitk.GetArrayViewFromImage(volumes["fused"]).max()
    write_image(volumes["fused"] * (highest / float(brightest)), tmp_path / f"fused{suffix}", {"model": "cspadn"})
    volumes["fused"] = read_image(tmp_path / f"fused{suffix}", "The fused volume")
    if passes:
        assert measure_volumes(**volumes, **WINDOW, names=["EN"]).fused_window == (0, FUSED_MAXIMUM)
    else:
        with raises(InputError, "fused-scale-unknown"):
            measure_volumes(**volumes, **WINDOW, names=["EN"])


def test_a_fused_volume_without_a_number_is_refused(volumes) -> None:
    volumes["fused"] = volumes["fused"] * math.nan
    with raises(InputError, "fused-scale-unknown") as caught:
        measure_volumes(**volumes, **WINDOW)
    assert all(math.isnan(caught.value.fields[end]) for end in ("lowest", "highest"))


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
    sitk.WriteImage(_rescaled(volumes["fused"], 0, 1), str(files["fused"]))
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
