"""One window per tracer and contrast for a whole cohort."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cohorts import write_dataset
from cspadn import FusionSettings
from cspadn.cohort.bids import named_by_bids, pairs_of_dataset
from cspadn.cohort.derivative import Derivative, make_derivative
from cspadn.cohort.engine import Job, fuse_pair
from cspadn.cohort.pairs import Pair
from cspadn.cohort.sources import BidsDataset
from cspadn.cohort.windows import WINDOWS_FILE, survey_pair, windows_text, with_cohort_windows
from cspadn.errors import UsageError
from cspadn.models.weights import load_model
from message_calls import identifiers, raises

pytestmark = pytest.mark.usefixtures("plain_plots", "one_reading_process")
SETTINGS = FusionSettings(device="cpu", skip_alignment_check=True)


def cohort(pair, folder: Path, scales: dict[str, tuple[float, float]]) -> tuple[list[Pair], Job]:
    """Return a dataset of one head, with PET and MRI scaled by the factors of each subject."""
    pet, mri = (sitk.Cast(image, sitk.sitkFloat32) for image in pair)
    root = write_dataset(folder / "in", {name: (pet * a, mri * b) for name, (a, b) in scales.items()})
    output = make_derivative(BidsDataset(root), folder / "out")
    job = Job(root, Derivative(output), SETTINGS, load_model(SETTINGS.model).card.sha256)
    return named_by_bids(pairs_of_dataset(root)), job


def windowed(pairs: list[Pair], job: Job, everyone: list[Pair] | None = None):
    return with_cohort_windows(pairs, everyone or pairs, job, lambda these: [survey_pair(pair, job) for pair in these])


def brightness(job: Job, pair: Pair) -> float:
    return float(sitk.GetArrayFromImage(sitk.ReadImage(str(job.layout.files(pair).fused))).mean())


def test_a_global_change_of_uptake_is_seen(pair, tmp_path: Path) -> None:
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1), "sub-02": (0.8, 1), "sub-03": (1, 1)})
    for each in pairs:
        fuse_pair(each, job)
    assert brightness(job, pairs[1]) == pytest.approx(brightness(job, pairs[0]), rel=1e-3)  # each with its own window
    pairs, windows = windowed(pairs, job)
    assert [fuse_pair(each, job).status for each in pairs] == ["done", "done", "done"]
    assert brightness(job, pairs[1]) < 0.97 * brightness(job, pairs[0])
    assert brightness(job, pairs[2]) == pytest.approx(brightness(job, pairs[0]), rel=1e-6)
    recorded = json.loads((job.layout.folder / WINDOWS_FILE).read_text())
    assert recorded["pet"]["unknown"] == list(windows["pet"]["unknown"])
    assert windows_text(windows).startswith("PET unknown 0 to ")


def test_finished_pairs_stay_as_the_cohort_grows(pair, tmp_path: Path) -> None:
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1), "sub-02": (1.5, 1)})
    first, windows = windowed(pairs[:1], job, pairs)
    assert windows["pet"]["unknown"][1] == pytest.approx(1.5 * survey_pair(pairs[0], job).windows[0][1], rel=1e-6)
    assert fuse_pair(first[0], job).status == "done"
    (again, other), later = windowed(pairs, job)
    assert later == windows
    assert fuse_pair(again, job).status == "unchanged"
    assert other.pet_window == again.pet_window


def test_a_dim_mri_has_its_own_window(pair, tmp_path: Path) -> None:
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1), "sub-02": (0.5, 0.5), "sub-03": (1, 0.7)})
    pairs, _ = windowed(pairs, job)
    assert [each.mri_window is None for each in pairs] == [False, True, False]
    assert [each.pet_window for each in pairs] == [pairs[0].pet_window] * 3
    assert not any(each.warnings for each in pairs)


def test_volumes_of_another_scale(pair, tmp_path: Path) -> None:
    """A PET keeps the window, with a warning; an MRI has its own."""
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1), "sub-02": (1, 1), "sub-03": (50, 1), "sub-04": (1, 0.02)})
    pairs, windows = windowed(pairs, job)
    own = survey_pair(pairs[0], job).windows
    np.testing.assert_allclose([windows["pet"]["unknown"], windows["mri"]["T1w"]], own, rtol=1e-6)
    assert [identifiers(each.warnings) for each in pairs] == [[], [], ["cohort-window-unfit"], []]
    assert [each.mri_window is None for each in pairs] == [False, False, False, True]
    assert pairs[2].pet_window == pairs[0].pet_window
    assert "cohort-window-unfit" in identifiers(fuse_pair(pairs[2], job).warnings)


def test_windows_that_are_given_come_first(pair, tmp_path: Path) -> None:
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1), "sub-02": (1, 1)})
    job = replace(job, settings=replace(SETTINGS, pet_window=(0.0, 77.0)))
    pairs, windows = windowed(pairs, job)
    assert list(windows) == ["mri"]
    fuse_pair(pairs[0], job)
    told = json.loads(job.layout.files(pairs[0]).sidecar.read_text())["CSpADNFusion"]
    assert told["pet_window"] == [0, 77]
    assert told["mri_window"] == list(windows["mri"]["T1w"])


def test_volumes_are_still_checked(pair, tmp_path: Path) -> None:
    """The checks are those for automatic windows, because no user has chosen the window."""
    mri = sitk.Cast(pair[1], sitk.sitkFloat32)
    root = write_dataset(tmp_path / "in", {"sub-01": (mri, mri)})
    output = make_derivative(BidsDataset(root), tmp_path / "out")
    job = Job(root, Derivative(output), SETTINGS, load_model(SETTINGS.model).card.sha256)
    pairs, _ = windowed(named_by_bids(pairs_of_dataset(root)), job)
    assert fuse_pair(pairs[0], job).identifier == "same-voxels-twice"


def test_padding_is_still_reported(pair, tmp_path: Path) -> None:
    """As with automatic windows; where the user gives the window, no padding is guessed, as by ``cspadn fuse``."""
    pet, mri = (sitk.Cast(image, sitk.sitkFloat32) for image in pair)
    pet[:, :2, :] = -1000.0
    mri[:2, :, :] = -1000.0
    root = write_dataset(tmp_path / "in", {"sub-01": (pet, mri)})
    output = make_derivative(BidsDataset(root), tmp_path / "out")
    job = Job(root, Derivative(output), SETTINGS, load_model(SETTINGS.model).card.sha256)
    pairs = named_by_bids(pairs_of_dataset(root))
    padded = [("padding-taken-as-background", "The PET"), ("padding-taken-as-background", "The MRI")]
    for each in (pairs[0], windowed(pairs, job)[0][0]):
        outcome = fuse_pair(each, job)
        assert _padded(outcome.warnings) == padded
        assert outcome.warnings == tuple(json.loads(job.layout.files(each).sidecar.read_text())["CSpADNFusion"]["warnings"])
    job = replace(job, settings=replace(SETTINGS, pet_window=(0.0, 200.0)))
    assert _padded(fuse_pair(windowed(pairs, job)[0][0], job).warnings) == padded[1:]


def _padded(warnings) -> list[tuple[str, str]]:
    return [(each.identifier, each.fields["volume"]) for each in warnings if each.identifier.startswith("padding")]


def test_a_pair_that_cannot_be_read_has_no_windows(pair, tmp_path: Path) -> None:
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1), "sub-02": (1, 1)})
    Path(pairs[1].pet).write_bytes(b"no image")
    pairs, windows = windowed(pairs, job)
    assert windows["pet"]
    assert fuse_pair(pairs[1], job).status == "failed"
    assert not (job.layout.folder / "logs" / "sub-01.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"pet": {"FDG": [3, 1]}}', '{"pet": {"FDG": ["a", 1]}}', '{"pet": [1]}'])
def test_a_damaged_record(pair, tmp_path: Path, text: str) -> None:
    pairs, job = cohort(pair, tmp_path, {"sub-01": (1, 1)})
    (job.layout.folder / WINDOWS_FILE).write_text(text)
    with raises(UsageError, "cohort-windows-damaged"):
        windowed(pairs, job)
