"""The shipped models do what they are shipped for. Everything in docs/results is computed anew here, for a few slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspadn.metrics import measure
from cspadn.settings import DEFAULT_MODEL
from cspadn.weights import list_models

pytest.importorskip("lightning")

from training.evaluation import sizes
from training.evaluation.pairs import SAME_HEAD, SECOND_SUBJECT, Pair, read_set
from training.evaluation.rows import RANKED, Row, fuser

NAMES = [card.name for card in list_models()]


@pytest.fixture(scope="session")
def second_subject(shared: Path) -> list[Pair]:
    """Three slices of the other head, from its base to its top."""
    return read_set(shared / SECOND_SUBJECT[0], SECOND_SUBJECT[1])[3::6]


def test_both_models_are_shipped() -> None:
    assert NAMES == ["cspadn", "cspadn-paper"]
    assert DEFAULT_MODEL == "cspadn"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_fusion_and_no_copy(name: str, second_subject: list[Pair]) -> None:
    """Detail of the MRI and uptake of the PET are both there, and where both are black, nothing is."""
    for pair in second_subject:
        fused = fuser(Row(name, "model", name))(pair)
        scores = measure(pair.pet, pair.mri, fused, ("r_pet", "r_mri"))
        assert min(scores.values()) > 0.1
        assert fused[(pair.pet == 0) & (pair.mri == 0)].max() == 0


def test_the_default_is_better_than_the_maximum_where_it_is_said_to_be(second_subject: list[Pair]) -> None:
    """In the mean; docs/adr/0007 says what it does not do yet."""
    make = fuser(Row(DEFAULT_MODEL, "model", DEFAULT_MODEL))
    wins = np.zeros(len(RANKED))
    for pair in second_subject:
        ours, maximum = (measure(pair.pet, pair.mri, image, RANKED) for image in (make(pair), np.maximum(pair.pet, pair.mri)))
        wins += [ours[name] - maximum[name] for name in RANKED]
    won = {name for name, margin in zip(RANKED, wins, strict=True) if margin > 0}
    assert won >= {"EN", "FMI_dct", "SSIM", "r_pet"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_attention_of_patches_holds_on_slices_of_any_size(name: str, shared: Path) -> None:
    pair = read_set(shared / SAME_HEAD[0], SAME_HEAD[1])[10]
    row = Row(name, "model", name)
    scores = [sizes._measured(sizes._Task(row, pair, factor)) for factor in sizes.FACTORS]
    for measure_name in sizes.MEASURES:
        assert np.ptp([each[measure_name] for each in scores]) <= sizes.ALLOWED
