"""The parts of the evaluation: rows, tables, intervals, figures."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from cspadn.errors import UsageError
from cspadn.imaging.color import luma
from cspadn.inference.bounds import DEPTH
from cspadn.models.cspadn import CSpADN
from cspadn.models.weights import save_model
from evaluation_data import TRAINING, slice_of
from training.evaluation import ablation, curves, paper, sizes, trained
from training.evaluation.black import largest_level_on_black
from training.evaluation.figures import head_box
from training.evaluation.folder import staged
from training.evaluation.inputs import PAPER_MODEL, network_rows
from training.evaluation.intervals import spread
from training.evaluation.pairs import Pair, colored, some_of
from training.evaluation.rows import Outcome, Row, check_rows, fuser
from training.evaluation.tables import best_of, listed, markdown, number, write_csv
from training_runs import TINY


def test_a_model_that_saw_other_planes_is_marked(tmp_path: Path) -> None:
    rows = []
    for name, subsets in (("apart", ["train"]), ("seen", ["train", "extra"])):
        training = {"steps": 7, "config": {**TRAINING["config"], "train_subset": subsets}}
        path = tmp_path / f"{name}.safetensors"
        save_model(CSpADN(TINY), path, version="1", description="", date="", training=training, metrics={})
        rows.append(Row(name, "model", str(path)))
    assert [paper._noted(row) for row in rows] == ["apart (ours)", f"seen (ours), {paper.SEEN}"]
    assert trained.has_seen_other_planes(replace(rows[1], kind="network"))
    assert not trained.has_seen_other_planes(Row("TFNet", "trained"))


def test_the_trap_is_told_of_the_mean_ssim_alone() -> None:
    plain, weighted = ({"loss": {"mse": 1.0, term: 1.0}} for term in ("ssim", "weighted_ssim"))
    assert "The loss has a trap" in ablation.trap([weighted, plain])
    assert ablation.trap([weighted, weighted]) == ablation.trap([{}]) == ""


def test_interval_is_that_of_students_t() -> None:
    mean, deviation, lower, upper = found = spread([1.0, 2.0, 4.0])
    assert (mean, deviation) == pytest.approx((7 / 3, math.sqrt(7 / 3)))
    half = 4.302653 * deviation / math.sqrt(3)  # the tabulated quantile of two degrees of freedom
    assert (lower, upper) == pytest.approx((mean - half, mean + half), rel=1e-6)
    assert not found.excludes_zero
    assert spread([-1.0, -1.1, -1.2]).excludes_zero
    assert not spread([3.0]).excludes_zero


def test_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Another project\n")
    for place, message in ((tmp_path, "was not written by the evaluation"), (tmp_path / "README.md", "is a file")):
        with pytest.raises(UsageError, match=message), staged(place):
            pytest.fail("nothing is computed")


def test_tables(tmp_path: Path) -> None:
    assert markdown(["method", "EN"], [["a", "1"]]) == "| method | EN |\n| --- | ---: |\n| a | 1 |"
    assert [number(value) for value in (1.23456, None, math.nan, -0.00001)] == ["1.2346", "", "", "0.0000"]
    assert [number(value, 2, bold=True) for value in (1.0, None)] == ["**1.00**", ""]
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["none", "a", "a and b", "a, b and c"]
    assert best_of({"a": {"EN": 1.00001}, "b": {"EN": 1.00002}, "c": {"EN": 0.9}}, "EN", 4) == {"a", "b"}
    write_csv(tmp_path / "table.csv", ["x", "y"], [["a", 0.5], [None, -1e-9], [3, math.nan]])
    assert (tmp_path / "table.csv").read_text() == "x,y\na,0.500000\n,0.000000\n3,\n"


def test_black_check_looks_only_where_both_are_black() -> None:
    pet, mri = np.array([[0, 0, 9, 0]], np.uint8), np.array([[0, 7, 0, 0]], np.uint8)
    pair = Pair("x", pet, mri, pet)
    outcomes = [Outcome(np.array([fused], np.uint8), {}) for fused in ([0, 200, 200, 0], [0, 200, 200, 3])]
    assert largest_level_on_black([pair], outcomes[:1]) == (2, 0, 0)
    assert largest_level_on_black([pair, pair], outcomes) == (4, 1, 3)


def test_fused_colour_has_the_fused_luma() -> None:
    color = np.full((2, 2, 3), (90, 120, 140), np.uint8)
    fused = np.array([[100, 110], [120, 130]], np.uint8)
    pair = Pair("x", fused, fused, color)
    assert luma(colored(pair, fused)) == pytest.approx(fused, abs=1)
    grey = colored(Pair("x", fused, fused, fused), fused)
    assert (grey == fused[..., None]).all()


def test_our_models_fuse_as_the_product_does() -> None:
    pair = Pair("x", slice_of(1), slice_of(2), slice_of(1))
    images = [sitk.GetImageFromArray(levels) for levels in (pair.pet, pair.mri)]
    from cspadn.fusion import fuse_pictures
    from cspadn.settings import FusionSettings

    product = fuse_pictures(*images, FusionSettings(model=PAPER_MODEL, device="cpu")).image
    assert (fuser(Row(PAPER_MODEL, "model", PAPER_MODEL))(pair) == sitk.GetArrayFromImage(product)).all()


def test_the_product_blackens_and_raises_what_the_network_alone_answers() -> None:
    pet, mri = slice_of(1), slice_of(2)
    pet[:, :20] = mri[:, :20] = 0
    pair = Pair("x", pet, mri, pet)
    product = fuser(Row(PAPER_MODEL, "model", PAPER_MODEL))(pair)
    (row,) = [row for row in network_rows() if row.source == PAPER_MODEL]
    alone = fuser(row)(pair)
    black = (pet == 0) & (mri == 0)
    assert (product[~black] >= alone[~black]).all()
    assert (product >= np.minimum(pet, mri) - np.ceil(255 * DEPTH)).all()
    assert (product[black] == 0).all()
    assert (alone[black] > 0).any()


def test_learned_scales_are_read(tmp_path: Path) -> None:
    network = CSpADN(replace(TINY, attention="spatial"))
    with torch.no_grad():
        next(value for name, value in network.named_parameters() if name.endswith(".alpha")).fill_(0.25)
    save_model(network, tmp_path / "x.safetensors", version="1", description="", date="", training={}, metrics={})
    assert trained.learned_scales(str(tmp_path / "x.safetensors")) == {"alpha": 0.25}
    assert set(trained.learned_scales(PAPER_MODEL)) == {"alpha", "beta"}


def test_halves_of_a_level_are_rounded_up() -> None:
    pet, mri = np.arange(256, dtype=np.uint8)[None], np.full((1, 256), 5, np.uint8)
    average = fuser(Row("average", "method"))(Pair("x", pet, mri, pet))
    assert (average == (pet.astype(int) + mri + 1) // 2).all()
    assert (fuser(Row("PET only", "method"))(Pair("x", pet, mri, pet)) == pet).all()


def test_given_images_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"x\.png does not exist"):
        check_rows([Row("peer", "given", str(tmp_path))], [Pair("x", slice_of(1), slice_of(2), slice_of(1))])


def test_slices_are_chosen_evenly() -> None:
    pairs = [Pair(str(i), *[np.zeros((1, 1), np.uint8)] * 3) for i in range(20)]
    assert some_of(pairs, 5) == [2, 6, 10, 14, 18]
    assert some_of(pairs[:2], 5) == [0, 1]


def test_heads_are_cropped_with_a_margin() -> None:
    picture = np.zeros((30, 40), np.uint8)
    assert head_box([picture]) == (slice(0, 30), slice(0, 40))
    picture[10:12, 2:30] = 1
    assert head_box([np.zeros_like(picture), picture]) == (slice(6, 16), slice(0, 34))


def test_extents() -> None:
    levels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert sizes.with_extent(levels, 2).tolist() == [[5, 6], [9, 10]]
    assert (sizes.with_extent(levels, 4) == levels).all()
    larger = sizes.with_extent(levels, 8)
    assert (sizes.with_extent(larger, 4) == levels).all()
    assert larger[2].tolist() == [1, 0, 0, 1, 2, 3, 3, 2]


def test_ablation_takes_only_files_of_its_names(tmp_path: Path) -> None:
    for name in ("none-2", "both-10", "both-9", "spatial-1", "other-1", "both"):
        (tmp_path / f"{name}.safetensors").touch()
    assert [row.name for row in ablation.rows(tmp_path)] == ["both-9", "both-10", "spatial-1", "none-2"]


def test_curves_may_have_empty_cells(tmp_path: Path) -> None:
    (tmp_path / "run.csv").write_text("step,train_loss,validation_loss,train_ssim\n0,3,,1\n1,2,2.5,1\n1,,2.25,\n")
    train, validation = curves.read_curve(tmp_path / "run.csv")
    assert train.tolist() == [[0, 3], [1, 2]]
    assert validation.tolist() == [[1, 2.5], [1, 2.25]]
