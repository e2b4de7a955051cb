"""Results that came with the data: links are not followed for writing, and nothing is believed without the user's key."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cohorts import write_dataset
from cspadn.cohort import proof
from cspadn.cohort.bids import pairs_of_dataset
from cspadn.cohort.derivative import Derivative, make_derivative
from cspadn.cohort.engine import Job, fuse_pair
from cspadn.cohort.failures import remove_record
from cspadn.cohort.group import write_group
from cspadn.cohort.pairs import Pair
from cspadn.cohort.progress import Progress
from cspadn.cohort.proof import PROOF, is_proven, user_key, with_proof
from cspadn.cohort.sources import BidsDataset
from cspadn.cohort.windows import WINDOWS_FILE, read_windows, with_cohort_windows
from cspadn.errors import UsageError
from cspadn.io.atomic_output import check_no_links
from cspadn.io.images import stage_text
from cspadn.models.weights import load_model
from cspadn.settings import FusionSettings
from message_calls import raises, says

_SETTINGS = FusionSettings(device="cpu")
LINKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows lets only some users make links")

pytestmark = pytest.mark.usefixtures("plain_plots", "one_reading_process")


@pytest.fixture
def job(pair, tmp_path: Path) -> Job:
    dataset = write_dataset(tmp_path / "in", {"sub-01": pair})
    output = make_derivative(BidsDataset(dataset), tmp_path / "out")
    return Job(dataset, Derivative(output), _SETTINGS, load_model(_SETTINGS.model).card.sha256)


@pytest.fixture
def first(job: Job) -> Pair:
    return pairs_of_dataset(job.source)[0]


def _forge(first: Pair, job: Job) -> bytes:
    """Replace the volume and the page, and write their hashes into the side file; return the forged volume."""
    files = job.layout.files(first)
    image = sitk.ReadImage(str(files.fused))
    black = sitk.GetImageFromArray(np.zeros_like(sitk.GetArrayFromImage(image)))
    black.CopyInformation(image)
    sitk.WriteImage(black, str(files.fused))
    files.others["page"].write_text("<script>all is well</script></html>")
    told = json.loads(files.sidecar.read_text())
    for name, file in files.outputs.items():
        told["CSpADNFusion"][f"{name}_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    files.sidecar.write_text(json.dumps(told))
    return files.fused.read_bytes()


def test_forged_hashes_are_not_believed(first: Pair, job: Job) -> None:
    fuse_pair(first, job)
    forged = _forge(first, job)
    write_group(job.layout.folder)
    overview = (job.layout.folder / "index.html").read_text()
    assert says(overview, "result-not-proven")
    assert '"sub-01.html"' not in overview
    outcome = fuse_pair(first, job)
    assert (outcome.status, outcome.unproven) == ("done", True)
    files = job.layout.files(first)
    assert files.fused.read_bytes() != forged
    assert "<script>all is well" not in files.others["page"].read_text()
    outcome = fuse_pair(first, job)
    assert (outcome.status, outcome.unproven) == ("unchanged", False)


def test_a_result_of_another_user_is_fused_again_and_told_once(first: Pair, job: Job) -> None:
    fuse_pair(first, replace(job, key=b"of somebody else"))
    lines: list[str] = []
    progress = Progress(lines.append)
    for _ in range(2):
        progress.show(fuse_pair(first, job))
    progress.finish()
    assert [line for line in lines if says(line, "results-not-proven", count=1)] == lines[-2:-1]


def test_a_page_that_was_exchanged_is_not_linked(first: Pair, job: Job) -> None:
    fuse_pair(first, job)
    job.layout.files(first).others["page"].write_text("<script>all is well</script></html>")
    write_group(job.layout.folder)
    assert '"sub-01.html"' not in (job.layout.folder / "index.html").read_text()


def test_windows_of_others_are_not_believed(first: Pair, job: Job) -> None:
    chosen = {"pet": {"unknown": [0.0, 1e9]}, "mri": {"T1w": [0.0, 1e9]}}
    file = job.layout.folder / WINDOWS_FILE
    file.write_text(json.dumps(chosen))
    assert read_windows(file, job.key)[1] is False
    _, windows = with_cohort_windows([first], [first], job, lambda _: [])
    assert windows == {"pet": {}, "mri": {}}
    file.write_text(json.dumps(with_proof(chosen, WINDOWS_FILE, job.key)))
    _, windows = with_cohort_windows([first], [first], job, lambda _: [])
    assert windows == {kind: {key: tuple(ends) for key, ends in these.items()} for kind, these in chosen.items()}


def test_a_proof_is_of_one_content_one_place_and_one_key() -> None:
    content = {"b": [1, 0.1, float("nan")], "a": {"warnings": ["ä"]}}
    told = json.loads(json.dumps(with_proof(content, "a.json", b"key")))
    assert is_proven(told, "a.json", b"key")
    assert not is_proven(told, "b.json", b"key")
    assert not is_proven(told, "a.json", b"other")
    assert not is_proven({**told, "b": [1]}, "a.json", b"key")
    for wrong in (None, [], {}, {PROOF: None}, {PROOF: "\ud800"}, {**told, PROOF: ""}):
        assert not is_proven(wrong, "a.json", b"key")


def test_the_key_stays_and_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME", str(tmp_path))
    key, file = user_key(), tmp_path / "cspadn" / "key"
    assert user_key() == key == file.read_bytes()
    assert len(key) == 32
    assert sys.platform == "win32" or file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"short")
    again = user_key()
    assert len(again) == 32
    assert again not in (key, b"short")
    assert user_key() == again
    monkeypatch.setattr(proof, "user_folder", lambda: None)
    assert user_key() != user_key()


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


@LINKS
@pytest.mark.parametrize(
    "link",
    ["sub-01", "sub-01/pet", "sub-01.html", "figures", "sub-01/pet/sub-01_space-T1w_desc-fused_brightness.nii.gz", "logs"],
)
def test_a_link_in_the_outputs_is_not_followed(link: str, first: Pair, job: Job, tmp_path: Path) -> None:
    (home := tmp_path / "home").mkdir()
    if (target := home / "precious" if "." in link else home) != home:
        target.write_text("precious")
    _link(job.layout.folder / link, target)
    outcome = fuse_pair(first, job)
    assert (outcome.status, outcome.identifier) == ("failed", "output-is-link")
    assert says(outcome.message, "output-is-link", path=link)
    assert [path.name for path in home.iterdir()] == (["precious"] if "." in link else [])
    assert "." not in link or (home / "precious").read_text() == "precious"


@LINKS
@pytest.mark.parametrize("name", ["index.html", "group_metrics.tsv", "logs"])
def test_the_group_level_follows_no_link(name: str, first: Pair, job: Job, tmp_path: Path) -> None:
    (target := tmp_path / "precious").write_text("precious")
    _link(job.layout.folder / name, target)
    with raises(UsageError, "output-is-link", path=job.layout.folder / name):
        write_group(job.layout.folder)
    assert target.read_text() == "precious"


@LINKS
@pytest.mark.parametrize("name", ["README.md", ".bidsignore"])
def test_the_description_follows_no_link(name: str, job: Job, tmp_path: Path) -> None:
    (file := job.layout.folder / name).unlink()
    _link(file, tmp_path / "new")
    with raises(UsageError, "output-is-link", path=file):
        make_derivative(BidsDataset(job.source), job.layout.folder)
    assert not (tmp_path / "new").exists()


@LINKS
def test_side_files_of_the_dataset_are_not_taken_for_records(tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "sub-01.json"
    raw.parent.mkdir()
    raw.write_text('{"software": "CSpADNFusion 1"}')
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "logs").symlink_to(raw.parent)
    remove_record(tmp_path / "out" / "logs" / "sub-01.json")
    assert raw.exists()


@LINKS
def test_only_the_folder_of_the_outputs_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (folder := tmp_path / "link").symlink_to(tmp_path / "real")
    check_no_links(folder, [folder / "sub" / "a", folder / "none" / "b"])
    (folder / "c").symlink_to(tmp_path)
    with raises(UsageError, "output-is-link", path=folder / "c"):
        check_no_links(folder, [folder / "c" / "d"])
    with raises(UsageError, "output-is-link"):
        stage_text(folder / "c", "text")
    assert (folder / "c").readlink() == tmp_path
