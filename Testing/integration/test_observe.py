"""The observer's command writes a page with every display and names the cases."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation_data import TRAINING
from training_runs import TINY

pytest.importorskip("lightning")

from cspadn.models.cspadn import CSpADN, NetworkConfig
from cspadn.models.weights import save_model
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from cspadn.settings import DEFAULT_MODEL
from training import heads, observe
from training.evaluation import ablation, attention, sizes
from training.evaluation.cases import CONTRASTS, TASKS, Case
from training.evaluation.color_reading import OURS, color_summary, read_colors
from training.evaluation.observer import patches
from training.evaluation.reading import NOISES, Reading, fused_planes, read
from training.evaluation.rows import Row, trivial_rows
from training.evaluation.tables import Section, number


@pytest.fixture(scope="module")
def case() -> Case:
    """Return four planes with a smooth uptake and a textured MRI."""
    random = np.random.default_rng(6)
    shape = (4, 140, 140)
    mri = np.clip(0.5 + 0.08 * heads.smooth_noise(shape, (0, 2, 2), random), 0, 1).astype(np.float32)
    pet = np.clip(0.5 + 0.15 * heads.smooth_noise(shape, (0, 6, 6), random), 0, 1).astype(np.float32)
    places = [(plane, row, column) for plane in range(4) for row in range(30, 120, 27) for column in range(30, 120, 27)]
    return Case("made", "made", pet, mri, np.array(places))


@pytest.fixture(scope="module")
def in_color(case: Case) -> list:
    case = Case(case.name, case.head, case.pet[:2], case.mri[:2], case.places[case.places[:, 0] < 2])
    return read_colors(case, fused_planes(Row(DEFAULT_MODEL, "model", DEFAULT_MODEL), case))


def _reading(row: Row, case: Case) -> Reading:
    return read(row, case, fused_planes(row, case))


def test_every_palette_is_read(in_color: list) -> None:
    assert [reading.palette for reading in in_color] == list(PALETTES)
    for reading in in_color:
        assert all(efficiency.shape == (len(NOISES), len(TASKS)) for efficiency in reading.efficiency.values())


def test_more_opacity_shows_more_of_the_pet_and_less_of_the_mri(in_color: list) -> None:
    reading = next(reading for reading in in_color if reading.palette == DEFAULT_PALETTE)
    low, high = reading.efficiency["0.3"][0], reading.efficiency["0.7"][0]
    assert high[:2].mean() > low[:2].mean()
    assert high[2:4].mean() < low[2:4].mean()


def test_the_uptake_can_be_read_from_the_colour_volume(in_color: list) -> None:
    reading = next(reading for reading in in_color if reading.palette == DEFAULT_PALETTE)
    assert np.all(reading.efficiency[OURS][0] > 0.2)
    assert reading.errors[0] <= 0.03
    assert reading.errors[1] <= 0.08


def test_the_page_has_every_display(case: Case, in_color: list, tmp_path: Path) -> None:
    table = trivial_rows("PET only", "MRI only", "average")
    readings = {row.name: [_reading(row, case)] for row in table}
    section = observe.report(table, readings, readings, in_color, tmp_path)
    for row in table:
        assert f"\n| {row.name} | " in section.body
    for task in TASKS:
        assert task.name in section.body
    for palette in PALETTES:
        assert palette in section.body
    assert f"**{DEFAULT_PALETTE}**" in section.body
    lines = (tmp_path / "observer.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * len(table) * len(NOISES) * len(TASKS)
    average = section.body.split("\n| average | ")[1].split(" | ")[0]
    assert 0 < float(average) < 1


def test_tumours_keep_their_contrast_and_make_no_holes(case: Case) -> None:
    pet, mri, in_pet, in_both = case.with_tumours()
    assert len(in_pet) - len(in_both) in (0, 1)
    assert len(in_both) >= 2
    for core, plane in in_pet:
        assert (pet - case.pet)[plane][core].min() > 0.2
        assert not (mri - case.mri)[plane][core].any()
    for core, plane in in_both:
        assert (pet - case.pet)[plane][core].min() > 0.2
        assert (mri - case.mri)[plane][core].min() > 0.1
    alone, mean, hole = (_reading(row, case) for row in trivial_rows("PET only", "average", "MRI only"))
    np.testing.assert_allclose(alone.tumours, 1, rtol=1e-5)
    np.testing.assert_allclose(mean.tumours, 0.5, rtol=1e-5)
    np.testing.assert_allclose(hole.tumours, 0, atol=1e-6)
    assert mean.in_both.min() >= 0
    assert len(mean.in_both) == len(in_both)


def test_the_summary_is_a_table(in_color: list) -> None:
    lines = color_summary(in_color).splitlines()
    assert len(lines) == 2 + len(PALETTES)
    assert len({line.count("|") for line in lines}) == 1


def test_the_attention_is_observed_by_one_command(few_planes: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / attention.FOLDER
    weights.mkdir()
    network = CSpADN(NetworkConfig(**vars(TINY)))
    save_model(network, weights / "both-1.safetensors", version="1", description="", date="", training=TRAINING, metrics={})
    cases = [replace(few_planes, name=f"{head} {contrast}") for head in "ab" for contrast, _ in CONTRASTS]
    sized = list[str]()

    def report(table, cases, chosen, folder, mapper) -> Section:
        sized.extend(case.name for case in chosen)
        return Section(attention.FOLDER, "Made", ", ".join(row.name for row in table))

    monkeypatch.setattr(observe, "_WEIGHTS", tmp_path)
    monkeypatch.setattr(observe, "label_map_cases", lambda folder, numbers: cases)
    monkeypatch.setattr(attention, "report", report)
    arguments = ["--data", str(tmp_path), "--output", str(tmp_path / "out"), "--attention", "--validation"]
    assert observe.main(arguments) == 0
    assert (tmp_path / "out" / "attention.md").read_text().endswith("both-1\n")
    assert sized == ["a T1", "b T2", "a FLAIR", "b T1c"]
    (weights / "both-1.safetensors").write_bytes(b"damaged")
    assert observe.main([*arguments[:3], str(tmp_path / "other"), "--attention"]) == 4
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "arguments", [["--data", "nowhere", "--output", "out"], ["--data", "nowhere", "--output", "out", "--attention"]]
)
def test_missing_data_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert observe.main(arguments) in (3, 4)
    error = capsys.readouterr().err
    assert error.startswith("observe: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("extent", sizes.EXTENTS)
def test_slices_of_every_size_show_the_same_around_the_lesions(case: Case, extent: int) -> None:
    other = attention.at_extent(case, extent)
    assert other.pet.shape[1:] == other.mri.shape[1:] == (extent, extent)
    for kind in ("places", "background"):
        places, moved = getattr(case, kind), getattr(other, kind)
        kept = places[np.abs(places[:, 1:] - 70).max(axis=1) < 28]
        assert 0 < len(kept) < len(places)
        for name in ("pet", "mri"):
            np.testing.assert_array_equal(patches(getattr(other, name), moved), patches(getattr(case, name), kept))


@pytest.fixture
def few_planes(case: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Return a case of two planes, and make all slices small."""
    monkeypatch.setattr(attention, "EXTENTS", (128, 144))
    return Case(case.name, case.head, case.pet[:2], case.mri[:2], case.places[case.places[:, 0] < 2])


def test_what_attention_brings_is_compared_by_seed(few_planes: Case, tmp_path: Path) -> None:
    for seed in (1, 2):
        for variant in ("both", "none"):
            torch.manual_seed(seed)
            network = CSpADN(NetworkConfig(**{**vars(TINY), "attention": variant}))
            path = tmp_path / f"{variant}-{seed}.safetensors"
            save_model(network, path, version="1", description="", date="", training=TRAINING, metrics={})
    table = ablation.rows(tmp_path)
    section = attention.report(table, [few_planes], [few_planes], tmp_path, map)
    with (tmp_path / "attention.csv").open(newline="") as file:
        rows = {(row["slices"], row["attention"], row["seed"]): float(row["worst"]) for row in csv.DictReader(file)}
    assert len(rows) == len(table) * 3
    for seed in "12":  # without attention, nothing is seen at a distance
        assert rows["144", "none", seed] == pytest.approx(rows["128", "none", seed], rel=1e-4)
    for slices, name in (("whole", "whole"), ("144", "144 pixels")):
        mean = float(np.mean([rows[slices, "both", seed] - rows[slices, "none", seed] for seed in "12"]))
        assert f"\n| both - none | {name} | worst | {number(mean, 3)} | " in section.body


def test_one_seed_makes_no_comparison(few_planes: Case, tmp_path: Path) -> None:
    row = Row("both-1", "model", DEFAULT_MODEL)
    section = attention.report([row], [few_planes], [few_planes], tmp_path, map)
    assert "too few seeds" in section.body
