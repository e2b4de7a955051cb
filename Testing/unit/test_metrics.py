"""Metrics: values of images computed by hand, properties, and volumes."""

from __future__ import annotations

import itertools
import math
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

import metrics_page
from cspadn.errors import InputError, UsageError
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.io.images import read_in_process, write_image
from cspadn.metrics import (
    METRICS,
    NAMES,
    Metric,
    contrast,
    differences,
    edges,
    feature_information,
    information,
    measure,
    measure_volumes,
    registry,
)
from cspadn.metrics import volumes as volume_metrics
from message_calls import raises
from metric_images import WINDOW, pattern_images, pattern_volumes, rescaled


@pytest.fixture(scope="module")
def pattern() -> dict[str, np.ndarray]:
    return pattern_images()


@pytest.fixture
def volumes() -> dict[str, sitk.Image]:
    return pattern_volumes()


def test_hard_coded_values(pattern) -> None:
    """Compare with earlier values of this code, which agreed with the golden values, in case those are missing."""
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
    """A record may name the metric that has the value instead."""
    other = measure(pattern["mri"], pattern["pet"], pattern["fused"])
    expected = {
        metric.exchanged or metric.name: value for metric, value in zip(METRICS, measure(**pattern).values(), strict=True)
    }
    assert other == pytest.approx(expected, abs=1e-12)


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
    assert information.entropy(halves) == 1
    assert information.entropy(quarters) == 2
    assert information.mutual_information(halves, 255 - halves, halves) == 2
    assert information.mutual_information(halves, halves.T.reshape(4, 2), halves) == 1  # the second is independent of it


def test_contrast_of_simple_images() -> None:
    board = 255.0 * (np.indices((6, 8)).sum(axis=0) % 2)
    assert contrast.standard_deviation(board) == 127.5
    assert contrast.spatial_frequency(board) == pytest.approx(255 * math.sqrt(2))
    ramp = np.tile(np.arange(8.0) * 10, (6, 1))
    assert contrast.average_gradient(ramp) == pytest.approx(10 * math.sqrt(0.5) * 48 / 35)
    assert differences.difference_correlation(ramp, board, board + 2 * ramp) == pytest.approx(1)
    assert differences.difference_correlation(ramp, board, board - ramp) == pytest.approx(-1)


def test_edges_are_thin() -> None:
    step = np.zeros((12, 12))
    step[:, 6:] = 100
    edges = feature_information.sobel_edge_map(step)
    assert edges.sum() == 12
    assert edges[:, 6].all()


def _dots(left: float, right: float) -> np.ndarray:
    """Return two dots whose Sobel edges do not touch; each edge is proportional to its dot, with the same direction."""
    image = np.zeros((3, 7))
    image[1, 1], image[1, 5] = left, right
    return image


def test_artefacts_of_dots_computed_by_hand() -> None:
    black, dot = _dots(0, 0), _dots(10, 0)
    kept = 0.9994 / (1 + math.exp(0)) * 0.9879 / (1 + math.exp(-22 * 0.2))  # half as strong, in the same direction
    assert edges.fusion_artefacts(black, dot, 2 * dot) == pytest.approx(1 - kept)
    assert edges.fusion_artefacts(dot, black, 2 * dot) == pytest.approx(1 - kept)
    # The other dot has as many edges, and came over as it is: half of all edges are exaggerated.
    assert edges.fusion_artefacts(_dots(0, 10), dot, _dots(20, 10)) == pytest.approx((1 - kept) / 2)
    assert edges.fusion_artefacts(_dots(40, 0), dot, 2 * dot) == 0  # an edge of the PET is stronger
    assert edges.fusion_artefacts(black, dot, _dots(10, 20)) == 0  # neither source has an edge there: of weight 0
    assert edges.fusion_artefacts(black, black, dot) == 0


def test_artefacts_of_copies_and_halos(pattern) -> None:
    pet, mri = (pattern[name].astype(float) for name in ("pet", "mri"))
    assert edges.fusion_artefacts(pet, mri, pet) == edges.fusion_artefacts(pet, mri, mri) == 0
    halos = [mri + gain * (mri - ndimage.gaussian_filter(mri, 2)) for gain in (0.25, 0.5, 1)]
    found = [edges.fusion_artefacts(pet, mri, halo) for halo in halos]
    assert 0 < found[0] < found[1] < found[2] < 1


@pytest.mark.parametrize("height", [1, 255])
def test_an_edge_that_came_over_counts_whatever_the_other_source(height: int) -> None:
    step = np.zeros((20, 20))
    step[:10] = height
    assert edges.edge_transfer(step, np.zeros((20, 20)), step) > 0.97
    assert edges.edge_transfer(step, np.zeros((20, 20)), np.zeros((20, 20))) < 0.001


def _window_score(a: np.ndarray, f: np.ndarray) -> float:
    """Return the score of one 3x3 window by the definition, with all 81 probabilities."""
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
    """Rounding causes such windows in the transform of smooth images."""
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
    scores = measure(*pattern_images(side, 50).values())
    too_large = {metric.name for metric in METRICS if metric.smallest_side > side}
    assert {name for name, value in scores.items() if math.isnan(value)} == too_large
    assert math.isnan(scores["VIF"]) == (side < 41)


def test_images_must_match(pattern) -> None:
    with raises(InputError, "measured-sizes-differ", pet="47 x 44", mri="47 x 40", fused="47 x 44"):
        measure(pattern["pet"], pattern["mri"][:40], pattern["fused"])
    with raises(InputError, "measured-sizes-differ"):
        measure(*[np.zeros((2, 2, 2))] * 3)
    with raises(UsageError, "metric-unknown", metric="no-metric"):
        measure(**pattern, names=["EN", "no-metric"])


@pytest.mark.parametrize("name", ["pet", "mri", "fused"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_only_numbers_are_measured(pattern, name: str, value: float) -> None:
    spoilt = pattern[name].astype(np.float32)
    spoilt[3, 4] = value
    volume_name = {"pet": "The PET", "mri": "The MRI", "fused": "The fused image"}[name]
    with raises(InputError, "levels-not-finite", volume=volume_name):
        measure(**{**pattern, name: spoilt})


def test_a_slice_takes_less_than_1500_milliseconds() -> None:
    """Measure one processor on slices without flat areas: the worst case, twice the time of heads."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (256, 256)) for _ in range(3)]
    start = time.process_time()
    measure(*images)
    assert time.process_time() - start < 1.5


def test_records_are_complete(pattern) -> None:
    """This also holds for a copy of each source, which reaches the ends of some ranges."""
    assert len(METRICS) == len(set(NAMES))
    copies = [{**pattern, "fused": pattern[name]} for name in ("pet", "mri", "fused")]
    for metric, scores in itertools.product(METRICS, [measure(**images) for images in copies]):
        assert metric.label
        assert metric.explanation == f"{metric.title}: {metric.doc}"
        assert metric.doc.endswith(".")
        assert metric.caution.endswith(".")
        assert metric.range[0] <= scores[metric.name] <= metric.range[1]


def test_a_record_is_all_that_a_metric_needs(pattern, monkeypatch) -> None:
    peak = Metric("Peak", lambda _pet, _mri, fused: fused.max(), (0, 255), "peak (grey levels)", "Highest level.", 45)
    monkeypatch.setitem(registry.BY_NAME, peak.name, peak)
    assert math.isnan(measure(**pattern, names=["Peak"])["Peak"])
    larger = pattern_images(45, 45)
    assert measure(**larger, names=["Peak"]) == {"Peak": larger["fused"].max()}


def test_the_page_of_metrics_is_up_to_date() -> None:
    assert metrics_page.PAGE.read_text(encoding="utf-8") == metrics_page.page()
    assert all(f"| {metric.name} | {metric.title} |" in metrics_page.page() for metric in METRICS)


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


def test_a_window_above_everything_leaves_no_slice(volumes, monkeypatch) -> None:
    monkeypatch.setattr(volume_metrics, "measure", None)  # nothing is measured that does not count
    result = measure_volumes(**volumes, pet_window=(900, 901), mri_window=(900, 901), names=["EN"])
    assert not any(row.counted for row in result.slices)
    assert all(math.isnan(row.scores["EN"]) for row in result.slices)
    assert math.isnan(result.mean["EN"])
    assert result.to_dict()["mean"] == {"EN": None}
    with raises(UsageError, "metric-unknown", metric="no-metric"):
        measure_volumes(**volumes, pet_window=(900, 901), mri_window=(900, 901), names=["no-metric"])


@pytest.mark.parametrize(
    ("recorded", "own", "alike"),
    [
        ("BQML", "Becquerels/milliliter", True),  # in Slicer, and in the series
        ("BQML", "Bq/mL", True),
        ("SUVbw", "{SUVbw}g/ml", True),
        ("BQML", None, True),
        ("BQML", "SUVbw", False),
        ("BQML", "kBq/ml", False),
    ],
)
def test_the_pet_needs_the_units_that_were_fused(volumes, recorded: str, own: str | None, alike: bool) -> None:
    volumes["fused"].SetMetaData("CSpADNFusion.pet_units", recorded)
    if own:
        volumes["pet"].SetMetaData("CSpADNFusion.units", own)
    with nullcontext() if alike else raises(InputError, "pet-units-differ", recorded=recorded, units=own):
        measure_volumes(**volumes, **WINDOW, names=["EN"])


SCALES = [(0, 1), (0, 100), (0, 255), (-1, 1), (-1024, 3000), (0, 65535), (0, 3e6)]


@pytest.mark.parametrize("scale", SCALES)
def test_a_fused_volume_of_another_scale_needs_its_window(volumes, scale: tuple[float, float]) -> None:
    expected = measure_volumes(**volumes, **WINDOW)
    assert expected.fused_window == (0, FUSED_MAXIMUM)
    volumes["fused"] = rescaled(volumes["fused"], *scale)
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
    volumes["fused"] = read_in_process(tmp_path / f"fused{suffix}", "The fused volume")
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
