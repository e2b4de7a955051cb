"""The shipped models keep their promises; docs/results is computed again for a few slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from cspadn.metrics import measure
from cspadn.models.weights import list_models
from cspadn.settings import DEFAULT_MODEL, MODELS

pytest.importorskip("lightning")

from training.evaluation import sizes
from training.evaluation.pairs import SAME_HEAD, SECOND_SUBJECT, Pair, read_set
from training.evaluation.rows import Row, fuser

NAMES = [card.name for card in list_models()]


@pytest.fixture(scope="session")
def second_subject(shared: Path) -> list[Pair]:
    """Return three slices of the other head, from its base to its top."""
    return read_set(shared / SECOND_SUBJECT[0], SECOND_SUBJECT[1])[3::6]


def test_the_named_models_are_shipped() -> None:
    assert sorted(MODELS) == NAMES
    assert DEFAULT_MODEL in MODELS


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_fusion_and_no_copy(name: str, second_subject: list[Pair]) -> None:
    """The fused image contains at least a trace of each source, and is black where both are black."""
    for pair in second_subject:
        fused = fuser(Row(name, "model", name))(pair)
        scores = measure(pair.pet, pair.mri, fused, ("r_pet", "r_mri"))
        assert min(scores.values()) > 0.1
        assert fused[(pair.pet == 0) & (pair.mri == 0)].max() == 0


def test_brightness_of_the_default_is_mostly_the_pets(second_subject: list[Pair]) -> None:
    """Least squares of fused = a PET + b MRI + c: a copy of the MRI with a trace of the PET has a near 0."""
    make = fuser(Row(DEFAULT_MODEL, "model", DEFAULT_MODEL))
    for pair in second_subject:
        pet_share, mri_share, _ = _shares(make(pair), pair.pet, pair.mri, np.ones_like(pair.pet))
        assert pet_share >= 0.5
        assert mri_share > 0.1


def test_fine_detail_of_the_default_is_the_mris(second_subject: list[Pair]) -> None:
    """The same of what a Gaussian of one pixel takes away: the PET alone has an MRI share of 0, the average 0.5."""
    make = fuser(Row(DEFAULT_MODEL, "model", DEFAULT_MODEL))
    for pair in second_subject:
        _, mri_share = _shares(*(_detail(levels) for levels in (make(pair), pair.pet, pair.mri)))
        assert mri_share >= 0.4


def _shares(fused: np.ndarray, *parts: np.ndarray) -> np.ndarray:
    """Return the weights of the parts whose sum is nearest to the fused image."""
    columns = np.stack([part.ravel() for part in parts], axis=1).astype(np.float64)
    return np.linalg.lstsq(columns, fused.ravel().astype(np.float64), rcond=None)[0]


def _detail(levels: np.ndarray) -> np.ndarray:
    return levels - gaussian_filter(levels.astype(np.float64), 1)


@pytest.mark.parametrize("name", NAMES)
def test_attention_of_patches_holds_on_slices_of_any_size(name: str, shared: Path) -> None:
    pair = read_set(shared / SAME_HEAD[0], SAME_HEAD[1])[10]
    row = Row(name, "model", name)
    scores = [sizes.measured(sizes._Task(row, pair, extent)) for extent in sizes.EXTENTS]
    for measure_name in sizes.MEASURES:
        assert np.ptp([each[measure_name] for each in scores]) <= sizes.ALLOWED
