"""The numerical observer agrees with theory, and counts the faults of a display."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("lightning") is None:
    pytest.skip("the packages of the training are not installed", allow_module_level=True)

from cspadn.imaging import oklab
from cspadn.palettes import DEFAULT_PALETTE
from training import heads
from training.evaluation import color_reading, colors, observer
from training.evaluation.cases import DISTANCE_MM, TASKS, Case, _hexagons
from training.evaluation.reading import Reading, contrast_kept, fused_planes, interval, read, vanished, volume_fuser, worst
from training.evaluation.rows import Row


def test_channels_pass_bands_and_no_constant() -> None:
    templates = observer.channels(64).reshape(observer.CHANNELS, 64, 64)
    assert np.abs(templates.sum((1, 2))).max() < 1e-9
    spectra = np.abs(np.fft.fft2(templates))
    radius = np.hypot(np.fft.fftfreq(64)[:, np.newaxis], np.fft.fftfreq(64))
    centres = [(radius * spectrum).sum() / spectrum.sum() for spectrum in spectra]
    assert np.all(np.diff(centres) > 0)


def test_oklab_of_known_colours() -> None:
    """Values of the publication (Ottosson, 2020), from XYZ as sRGB gives it."""
    assert oklab.from_srgb(np.array([1.0, 1.0, 1.0])) == pytest.approx([1, 0, 0], abs=1e-3)
    assert oklab.from_srgb(np.array([1.0, 0.0, 0.0])) == pytest.approx([0.62796, 0.22486, 0.12585], abs=1e-3)
    assert oklab.from_srgb(np.array([0.0, 0.0, 1.0])) == pytest.approx([0.45201, -0.03246, -0.31153], abs=1e-3)
    greys = np.linspace(0, 1, 11)
    np.testing.assert_allclose(oklab.lightness(greys), oklab.from_srgb(np.repeat(greys[:, np.newaxis], 3, 1))[:, 0], atol=1e-6)


def signals(amount: float, count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return patches of white noise, the same with a lesion, and the lesion."""
    random = np.random.default_rng(2)
    background = random.normal(0, 0.05, (count, 1, observer.PATCH, observer.PATCH))
    middle = observer.PATCH // 2
    lesion = amount * heads.blob((observer.PATCH, observer.PATCH), (middle, middle), (8.0, 8.0))
    return background, background + lesion, lesion


def absent(outputs: np.ndarray) -> observer.Absent:
    part = np.arange(len(outputs)) % observer.PARTS
    return observer.Absent(outputs, part, outputs, part)


def test_detectability_in_white_noise_is_that_of_theory() -> None:
    """d'^2 = s^T U (U^T K U)^-1 U^T s, where the noise of the background and of the display add up."""
    background, present, lesion = signals(0.03)
    noise = observer.noise_covariance(1)
    found = observer.detectability(absent(observer.responses(background)), observer.responses(present), noise)
    templates = observer.channels()
    signal = templates @ lesion.ravel()
    covariance = (0.05**2 + observer.LIGHTNESS_NOISE**2) * templates @ templates.T
    assert found == pytest.approx(np.sqrt(signal @ np.linalg.solve(covariance, signal)), rel=0.08)


def test_a_display_with_half_the_contrast_has_half_the_index_under_display_noise_alone() -> None:
    _, _, lesion = signals(0.03, 2)
    empty = np.zeros((40, 1, observer.PATCH, observer.PATCH)) + np.random.default_rng(0).normal(0, 1e-5, (40, 1, 1, 1))
    noise = observer.noise_covariance(1)
    whole, half = (
        observer.detectability(absent(observer.responses(empty)), observer.responses(empty + share * lesion), noise)
        for share in (1, 0.5)
    )
    assert half / whole == pytest.approx(0.5, rel=1e-3)


def test_a_lesion_of_the_opposite_sign_is_found_as_well_but_no_lesion_is_not() -> None:
    background, present, _ = signals(-0.03)
    noise = observer.noise_covariance(1)
    without = absent(observer.responses(background))
    assert observer.detectability(without, observer.responses(present), noise) > 2
    other = observer.responses(background[::-1])
    assert abs(observer.detectability(without, other, noise)) < 0.7  # what a template makes of chance alone


def test_few_places_are_read_as_many_are_where_the_background_is_known() -> None:
    """With forty places and thirty channels, the covariance of the places alone gives a random template."""
    random = np.random.default_rng(5)
    outputs, lesion = random.normal(0, 1, (1600, 30)), np.full(30, 0.3)
    part = np.arange(1600) % observer.PARTS
    few = slice(0, 40)
    known = observer.Absent(outputs[few], part[few], outputs, part)
    noise = 1e-9 * np.eye(30)
    expected = observer.detectability(absent(outputs), outputs + lesion, noise)
    assert observer.detectability(known, outputs[few] + lesion, noise) == pytest.approx(expected, rel=0.25)
    assert observer.detectability(absent(outputs[few]), outputs[few] + lesion, noise) < 0.7 * expected


@pytest.fixture(scope="module")
def case() -> Case:
    """Return a head of two tissues with its uptake, and places in its middle."""
    random = np.random.default_rng(4)
    shape = (4, 150, 150)
    mri = np.clip(0.5 + 0.06 * heads.smooth_noise(shape, (0, 2, 2), random), 0, 1).astype(np.float32)
    pet = np.clip(0.5 + 0.1 * heads.smooth_noise(shape, (0, 5, 5), random), 0, 1).astype(np.float32)
    places = [(plane, row, column) for plane in range(4) for row in range(25, 130, 26) for column in range(25, 130, 26)]
    return Case("made", "made", pet, mri, np.array(places))


def _read(row: Row, case: Case) -> Reading:
    return read(row, case, fused_planes(row, case))


def efficiency(row: str, case: Case) -> np.ndarray:
    return _read(Row(row, "method"), case).efficiency[0]


def test_a_copy_of_a_source_keeps_that_source_and_nothing_of_the_other(case: Case) -> None:
    of_mri, of_pet = efficiency("MRI only", case), efficiency("PET only", case)
    np.testing.assert_allclose(of_mri[2:], 1, atol=1e-9)
    np.testing.assert_allclose(of_pet[:2], 1, atol=1e-9)
    np.testing.assert_allclose(of_mri[:2], 0, atol=1e-9)
    np.testing.assert_allclose(of_pet[2:], 0, atol=1e-9)


def test_the_average_keeps_some_of_both(case: Case) -> None:
    kept = efficiency("average", case)
    assert np.all((kept > 0.2) & (kept < 0.97))


def test_faults_are_counted(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The faults of a display that inverts the PET, omits the MRI and has a hole are counted."""

    def turned(pet: np.ndarray, mri: np.ndarray) -> np.ndarray:
        fused = (1 - pet).astype(np.float32)
        fused[0, 70:73, 70:73] = 0
        return fused

    monkeypatch.setattr("training.evaluation.reading.volume_fuser", lambda row: turned)
    reading = _read(Row("turned", "method"), case)
    gone, wrong, count = vanished([reading], TASKS[0])
    assert (gone, wrong, count) == (1, 1, len(case.places))
    assert vanished([reading], TASKS[2])[0] == 1
    assert reading.holes >= 9
    assert reading.white < 0.01


def test_contrast_is_a_share_of_that_in_the_source(case: Case) -> None:
    task = TASKS[0]
    pet, _ = case.with_lesions(task)
    difference = pet - case.pet
    np.testing.assert_allclose(contrast_kept(case, task, difference, 0.4 * difference), 0.4, atol=1e-5)


def test_lesions_have_their_sign_size_and_place(case: Case) -> None:
    for task in TASKS:
        sources = case.with_lesions(task)
        changed, same = sources if task.source == "pet" else sources[::-1]
        before, other = (case.pet, case.mri) if task.source == "pet" else (case.mri, case.pet)
        assert np.array_equal(same, other)
        plane, row, column = case.places[7]
        local = case.pet[plane, row, column] if task.source == "pet" else 1
        change = (changed - before)[plane, row, column]
        assert change == pytest.approx(task.amount * local, rel=0.3)


def test_places_are_far_from_each_other() -> None:
    places = np.array(list(_hexagons((200, 180), DISTANCE_MM, np.random.default_rng(3))))
    distances = np.hypot(*(places[:, np.newaxis] - places).transpose(2, 0, 1))
    np.fill_diagonal(distances, 99)
    assert distances.min() > DISTANCE_MM - 1.5  # rounded to pixels
    assert len(places) > 40


def test_the_interval_is_over_heads_and_not_over_cases() -> None:
    values = np.array([0.5, 0.5, 0.5, 0.9, 0.9, 0.9])
    low, high = interval(values, ["a", "a", "a", "b", "b", "b"])
    assert (low, high) == pytest.approx((0.5, 0.9))


def test_worst_takes_the_least_of_the_named_tasks(case: Case) -> None:
    reading = _read(Row("average", "method"), case)
    assert worst([reading], (0, 1))[0] == pytest.approx(reading.efficiency[0, :2].min())


def test_methods_make_whole_volumes(case: Case) -> None:
    fused = volume_fuser(Row("maximum", "method"))(case.pet, case.mri)
    assert np.array_equal(fused, np.maximum(case.pet, case.mri))


def _made_case() -> Case:
    random = np.random.default_rng(2)
    pet = oklab.lightness(0.3 + 0.2 * random.random((3, 120, 120))).astype(np.float32)
    mri = (0.3 + 0.4 * random.random((3, 120, 120))).astype(np.float32)
    places = np.array([(plane, row, column) for plane in range(3) for row in (25, 60, 95) for column in (25, 60, 95)] * 3)
    return Case("made T1/FDG", "made", pet, mri, places)


def test_a_display_of_the_source_alone_has_efficiency_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the ends of the slider, the display is the PET in the palette, or the MRI in grey."""
    monkeypatch.setattr(colors, "OPACITIES", (0.0, 1.0))
    case = _made_case()
    sources = [case.with_lesions(task) for task in TASKS]
    shown = [(case.pet, case.mri, case.mri, case.mri), *((pet, mri, mri, mri) for pet, mri in sources)]
    absent, *present = (color_reading._patches(volumes, case.places) for volumes in shown)
    reading = color_reading._read_palette(case, DEFAULT_PALETTE, case.mri, (absent, absent), present)
    np.testing.assert_allclose(reading.efficiency["1"][:, :2], 1)
    np.testing.assert_allclose(reading.efficiency["0"][:, 2:], 1)


def test_the_displays_of_a_made_case() -> None:
    case = _made_case()
    blend = colors.slider(case.pet, case.mri, "PET-Heat", 0.3)
    expected = 0.3 * colors.pet_alone(case.pet, "PET-Heat") + 0.7 * case.mri[..., None]
    np.testing.assert_allclose(blend, expected)
    fused = (case.pet + case.mri) / 2
    shown = colors.ours(case.pet, case.mri, "PET-Heat", fused, colors.detail_of(case.mri, case))
    assert shown.shape == (*case.pet.shape, 3)
    median, high = colors.read_back_errors(case, "PET-Heat", fused)
    assert 0 <= median <= 0.03
    assert median <= high <= 0.08
