"""Cohorts: fusing one pair, resuming, clusters whose workers die, and the command."""

from __future__ import annotations

import html
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from cohorts import WITHOUT_PLOTS, Cluster, cluster, cohort_command, environment, start_cohort, write_dataset
from cspadn import fuse
from cspadn.cli import entry
from cspadn.cohort import dask_runner
from cspadn.cohort.bids import named_by_bids, pairs_of_dataset
from cspadn.cohort.dask_runner import silent_libraries
from cspadn.cohort.derivative import Derivative, make_derivative
from cspadn.cohort.engine import Job, fuse_pair
from cspadn.cohort.group import write_group
from cspadn.cohort.pairs import Pair
from cspadn.cohort.proof import PROOF, with_proof
from cspadn.cohort.runner import SerialRunner
from cspadn.cohort.sources import BidsDataset, source_of
from cspadn.io import atomic_output
from cspadn.metrics import TABLE_NAMES
from cspadn.models.weights import load_model
from cspadn.report import plots
from cspadn.settings import FusionSettings
from dicom_files import write_series
from head_phantom import distance_mm, phantom_mri, phantom_pet, rigid
from message_calls import says
from volumes import small_pair

_SETTINGS = FusionSettings(device="cpu")
_PATIENCE = 1200  # seconds, for a busy machine: only a process that hangs takes as long


pytestmark = pytest.mark.usefixtures("plain_plots", "one_reading_process")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset, "in", and its derivative, "out", in which the pair that can be fused is finished."""
    folder, pair = tmp_path_factory.mktemp("finished"), small_pair()
    root = write_dataset(folder / "in", {"sub-01": pair, "sub-02_ses-a": (pair[0], None)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_svg", lambda width, height, draw, key: f'<svg id="{key}"></svg>')
        assert fuse_pair(pairs_of_dataset(root)[0], _job(root, folder / "out")).status == "done"
    return folder


@pytest.fixture
def dataset(finished: Path, tmp_path: Path) -> Path:
    """Return a dataset of one subject with PET and MRI, and one without an MRI."""
    return shutil.copytree(finished / "in", tmp_path / "in")


@pytest.fixture
def job(dataset: Path, tmp_path: Path) -> Job:
    """Return a run with a new derivative."""
    return _job(dataset, tmp_path / "out")


@pytest.fixture
def done(finished: Path, job: Job) -> Job:
    """Return a run with a derivative in which the pair that can be fused is finished."""
    shutil.copytree(finished / "out", job.layout.folder, dirs_exist_ok=True)
    return job


@pytest.fixture(scope="module")
def one_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a scheduler with one worker, for tests that leave both alive."""
    with cluster(tmp_path_factory.mktemp("dask"), workers=1, **WITHOUT_PLOTS) as here:
        yield here


def _job(dataset: Path, output: Path) -> Job:
    made = make_derivative(BidsDataset(dataset), output)
    return Job(dataset, Derivative(made), _SETTINGS, load_model(_SETTINGS.model).card.sha256)


@pytest.fixture
def first(dataset: Path) -> Pair:
    """Return the pair that can be fused."""
    return pairs_of_dataset(dataset)[0]


def _files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _states(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in _files_in(folder)}


# One pair


def test_a_pair_has_its_files_and_its_story(first, job, dataset, pair) -> None:
    outcome = fuse_pair(first, job)
    assert (outcome.status, outcome.message) == ("done", "")
    stem = "sub-01/pet/sub-01_space-T1w_desc-fused_brightness"
    described = {"dataset_description.json", ".bidsignore", "README.md"}
    assert _files_in(job.layout.folder) == described | {f"{stem}.nii.gz", f"{stem}.json", "sub-01.html", "figures/sub-01.webp"}
    told = json.loads((job.layout.folder / f"{stem}.json").read_text())
    assert told["Sources"] == ["bids:raw:sub-01/pet/sub-01_pet.nii.gz", "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"]
    assert told["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert told["SkullStripped"] is False
    assert set(told["CSpADNFusion"]["metrics"]["mean"]) == set(TABLE_NAMES)
    assert "not for diagnosis" in told["Description"]


def test_the_voxels_are_those_of_fuse(first, job) -> None:
    fuse_pair(first, job)
    written = sitk.ReadImage(str(job.layout.files(first).fused))
    expected = fuse(sitk.ReadImage(first.pet), sitk.ReadImage(first.mri), _SETTINGS).image
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(written.GetOrigin(), expected.GetOrigin(), atol=1e-4)


def test_what_is_done_stays(first, done) -> None:
    job = done
    before = _states(job.layout.folder)
    assert fuse_pair(first, job).status == "unchanged"
    assert _states(job.layout.folder) == before
    assert fuse_pair(first, replace(job, force=True)).status == "done"
    assert _states(job.layout.folder) != before


def test_a_worker_that_died_before_it_could_tell_was_no_earlier_run(first, job) -> None:
    mine = replace(job, run="a")
    assert fuse_pair(first, mine).status == "done"
    assert fuse_pair(first, mine).status == "done"
    assert fuse_pair(first, replace(job, run="b")).status == "unchanged"


def _change_the_pet(first: Pair, job: Job) -> Job:
    image = sitk.ReadImage(first.pet)
    state = Path(first.pet).stat()
    image[7, 6, 3] += 1.0
    sitk.WriteImage(image, first.pet)
    os.utime(first.pet, ns=(state.st_atime_ns, state.st_mtime_ns))  # the content counts, not the date
    return job


def _change_a_setting(first: Pair, job: Job) -> Job:
    return replace(job, settings=replace(job.settings, pet_window=(0.0, 50.0)))


def _damage_the_result(first: Pair, job: Job) -> Job:
    file = job.layout.files(first).fused
    file.write_bytes(file.read_bytes()[:-20])
    return job


def _lose_the_result(first: Pair, job: Job) -> Job:
    job.layout.files(first).fused.unlink()
    return job


def _lose_the_page(first: Pair, job: Job) -> Job:
    job.layout.files(first).others["page"].unlink()
    return job


def _an_older_page(first: Pair, job: Job) -> Job:
    job.layout.files(first).others["page"].write_text("<html></html>")
    return job


def _tell(first: Pair, job: Job, change: dict, key: bytes) -> None:
    """Change the record of a result, with a proof by a key."""
    file = job.layout.files(first).sidecar
    told = json.loads(file.read_text())
    del told[PROOF]
    told["CSpADNFusion"] |= change
    file.write_text(json.dumps(with_proof(told, file.relative_to(job.layout.folder).as_posix(), key)))


def _other_software(first: Pair, job: Job) -> Job:
    told = json.loads(job.layout.files(first).sidecar.read_text())
    _tell(first, job, {"origin": {**told["CSpADNFusion"]["origin"], "software": "0.0.1"}}, job.key)
    return job


_CHANGES = [
    _change_the_pet,
    _change_a_setting,
    _damage_the_result,
    _lose_the_result,
    _lose_the_page,
    _an_older_page,
    _other_software,
]


@pytest.mark.parametrize("change", _CHANGES)
def test_what_is_no_longer_what_would_be_made_is_made_again(first, done, change) -> None:
    changed = change(first, done)
    assert fuse_pair(first, changed).status == "done"
    assert fuse_pair(first, changed).status == "unchanged"


@pytest.mark.parametrize("named", [1, 2])
@pytest.mark.parametrize("earlier", [False, True])
def test_what_a_kill_left_between_two_names_is_made_again(first, job, request, named: int, earlier: bool) -> None:
    """A kill can happen while a pair is new, and while it is replaced."""
    if earlier:
        job = _change_a_setting(first, request.getfixturevalue("done"))
    give, given = atomic_output._give_name, []

    def killed(staged) -> None:
        if len(given) == named:
            os._exit(9)
        given.append(staged)
        give(staged)

    if (child := os.fork()) == 0:
        atomic_output._give_name = killed
        fuse_pair(first, job)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert fuse_pair(first, job).status == "done"
    assert fuse_pair(first, job).status == "unchanged"
    assert not list(job.layout.folder.rglob(".cspadn-*"))


def test_voxels_beside_a_header_are_contents_as_well(first, job, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.ReadImage(first.pet), str(tmp_path / "pet.mhd"))
    beside = replace(first, pet=str(tmp_path / "pet.mhd"))
    assert fuse_pair(beside, job).status == "done"
    voxels = bytearray((tmp_path / "pet.raw").read_bytes())
    voxels[len(voxels) // 2 + 3] ^= 1
    (tmp_path / "pet.raw").write_bytes(voxels)
    assert fuse_pair(beside, job).status == "done"
    assert fuse_pair(beside, job).status == "unchanged"


def test_another_version_on_the_worker_is_refused(first, job) -> None:
    assert fuse_pair(first, replace(job, version="0.0.1")).identifier == "worker-version-differs"


def test_a_file_of_another_origin_is_not_replaced(first, job) -> None:
    files = job.layout.files(first)
    files.sidecar.parent.mkdir(parents=True)
    files.sidecar.write_text('{"Manufacturer": "someone"}')
    outcome = fuse_pair(first, job)
    assert outcome.status == "failed"
    assert outcome.identifier == "result-not-recorded"
    assert files.sidecar.read_text() == '{"Manufacturer": "someone"}'
    assert not files.fused.exists()


def test_a_failure_is_noted_until_it_is_mended(first, job) -> None:
    whole = Path(first.pet).read_bytes()
    Path(first.pet).write_bytes(whole[:-200])
    outcome = fuse_pair(first, job)
    assert outcome.status == "failed"
    assert outcome.message.startswith("The PET sub-01/pet/sub-01_pet.nii.gz ")
    assert outcome.identifier == "compressed-data-cut"
    log = job.layout.files(first).log
    assert json.loads(log.read_text())["message"] == outcome.message
    assert json.loads(log.read_text())["identifier"] == outcome.identifier
    assert not job.layout.files(first).fused.exists()
    Path(first.pet).write_bytes(whole)
    assert fuse_pair(first, job).status == "done"
    assert not log.exists()


def test_the_pets_grid_has_a_name_of_its_own(first, job) -> None:
    chosen = replace(job, settings=replace(job.settings, grid="pet"), layout=replace(job.layout, grid="pet"))
    assert fuse_pair(first, chosen).status == "done"
    fused = job.layout.folder / "sub-01/pet/sub-01_space-pet_desc-fused_brightness.nii.gz"
    assert sitk.ReadImage(str(fused)).GetSize() == sitk.ReadImage(first.pet).GetSize()
    assert json.loads(fused.with_name(fused.name[:-7] + ".json").read_text())["SpatialReference"].endswith("sub-01_pet.nii.gz")
    assert fuse_pair(first, job).status == "done"  # beside it
    assert fuse_pair(first, chosen).status == "unchanged"
    write_group(job.layout.folder)
    page = (job.layout.folder / "index.html").read_text()
    assert '"sub-01.html"' in page
    assert '"sub-01_space-pet.html"' in page


def test_a_skull_stripped_mri_stays_one(first, job) -> None:
    Path(first.mri[:-7] + ".json").write_text('{"SkullStripped": true}')
    fuse_pair(first, job)
    assert json.loads(job.layout.files(first).sidecar.read_text())["SkullStripped"] is True


def test_another_model_on_the_worker_is_refused(first, job) -> None:
    outcome = fuse_pair(first, replace(job, model_sha256="0" * 64))
    assert outcome.identifier == "worker-model-differs"


@pytest.mark.parametrize("name", ["nowhere.nii.gz", "fifo.nii.gz", "no\0name.nii"])
def test_inputs_that_cannot_be_hashed_are_told(first, job, tmp_path: Path, name: str) -> None:
    if name.startswith("fifo"):
        os.mkfifo(tmp_path / name)
    outcome = fuse_pair(replace(first, pet=str(tmp_path / name)), job)
    assert outcome.status == "failed"
    assert "The PET" in outcome.message


def test_studies_become_a_derivative_without_dask(pair, tmp_path: Path, monkeypatch) -> None:
    """The source, the layout and the runner are independent of each other."""
    for package in ("dask", "distributed"):
        monkeypatch.setitem(sys.modules, package, None)
    pet, mri = pair
    (tmp_path / "studies" / "anna 1").mkdir(parents=True)
    for modality, image in (("PT", pet), ("MR", mri * 10)):
        write_series(tmp_path / "studies" / "anna 1" / modality, image, modality)
    (tmp_path / "studies" / "empty").mkdir()
    source = source_of(tmp_path / "studies", tmp_path / "out")
    layout = Derivative(make_derivative(source, tmp_path / "out"))
    job = Job(source.folder, layout, _SETTINGS, load_model(_SETTINGS.model).card.sha256, suv=True)
    pairs = named_by_bids(source.pairs())
    done, failed = SerialRunner().outcomes(pairs, job)
    assert (done.name, done.status, failed.name, failed.status) == ("sub-anna1", "done", "sub-empty", "failed")
    assert set(done.means) == set(TABLE_NAMES)
    told = json.loads(layout.files(pairs[0]).sidecar.read_text())
    assert told["Sources"] == ["../studies/anna 1"]
    assert told["CSpADNFusion"]["pet_units"] == "SUVbw"
    assert [outcome.status for outcome in SerialRunner().outcomes(pairs, job)] == ["unchanged", "failed"]
    write_group(layout.folder)
    assert says(failed.message, "study-needs-one-series", study="empty", modality="PT")
    assert failed.message in html.unescape((layout.folder / "index.html").read_text())


# The group


@pytest.mark.parametrize("text", ["[1]", "{}", "null", '{"message": "x", "warnings": 3}', "[" * 100_000, "\xff"])
def test_a_damaged_log_is_a_failure_of_its_own(done, text: str) -> None:
    job = done
    (job.layout.folder / "logs").mkdir(exist_ok=True)
    (job.layout.folder / "logs" / "sub-09.json").write_bytes(text.encode("latin-1"))
    write_group(job.layout.folder)
    page = (job.layout.folder / "index.html").read_text()
    assert says(page, "failure-record-damaged", path="logs/sub-09.json")
    assert '"sub-01.html"' in page


@pytest.mark.parametrize(
    "change", [{"metrics": None}, {"metrics": {"mean": {"EN": "x"}}}, {"seconds": "long"}, {"metrics": {}}]
)
def test_a_damaged_side_file_is_a_failure_of_its_own(first, done, change: dict) -> None:
    job = done
    _tell(first, job, change, job.key)
    write_group(job.layout.folder)
    assert says((job.layout.folder / "index.html").read_text(), "side-file-damaged")


# The command


def _run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with more variables in its environment."""
    command = cohort_command(*arguments)
    return subprocess.run(command, capture_output=True, text=True, env=environment() | more, timeout=_PATIENCE)


def _here(workers: Cluster, *arguments: object, device: str = "cpu") -> int:
    """Run the command in this process, on existing workers; on a busy machine they may take long to answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask_runner, "_CONNECT_SECONDS", _PATIENCE)
        patch.setattr(dask_runner, "_START_SECONDS", _PATIENCE)
        return entry.main(["cohort", *map(str, arguments), "--scheduler", workers.address, "--device", device])


@pytest.mark.ci
def test_both_levels_here(dataset: Path, one_worker: Cluster, capsys) -> None:
    """The first run has a cluster of its own, whose worker draws its plots; the next ones share another cluster."""
    output = dataset / "derivatives" / "cspadn"
    done = _run(dataset, output, "--device", "cpu", "--workers", "1")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert any(says(line, "t1w-missing", pet="sub-02/ses-a/pet/sub-02_ses-a_pet.nii.gz") for line in lines)
    assert lines[-1] == f"1 done, 1 failed: {output / 'index.html'}"
    assert '"></svg>' not in (output / "sub-01.html").read_text()  # as without plots
    page = (output / "index.html").read_text()
    assert page.index("sub-02_ses-a") < page.index('"sub-01.html"')
    rows = [line.split("\t") for line in (output / "group_metrics.tsv").read_text().splitlines()]
    assert [row[:2] for row in rows] == [["name", "status"], ["sub-02_ses-a", "failed"], ["sub-01", "done"]]
    assert _here(one_worker, dataset, output, "--participant-label", "01") == 0
    assert capsys.readouterr().out.splitlines()[0] == "[1/1] done before: sub-01"
    assert entry.main(["cohort", str(dataset), str(output), "group"]) == 0
    (dataset / "sub-02" / "ses-a" / "pet" / "sub-02_ses-a_pet.nii.gz").unlink()  # left out, as the message says
    assert _here(one_worker, dataset, output) == 0
    assert "sub-02" not in (output / "index.html").read_text()


def test_the_derivative_is_valid_bids(done) -> None:
    job = done
    fuse_pair(Pair("sub-05", obstacle="none"), job)
    assert entry.main(["cohort", str(job.layout.folder), str(job.layout.folder), "group"]) == 0
    command = [str(Path(sys.executable).with_name("bids-validator-deno")), "--format", "json", str(job.layout.folder)]
    checked = subprocess.run(command, capture_output=True, text=True)
    issues = json.loads(checked.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert checked.returncode == 0


@pytest.mark.ci
def test_a_registered_pair_has_its_transform(tmp_path: Path) -> None:
    moved = rigid((8, -5, 12), (20.0, -15, 30))
    source = BidsDataset(write_dataset(tmp_path / "raw", {"sub-01": (phantom_pet(moved), phantom_mri((4.0, 4.0, 4.0)))}))
    layout = Derivative(make_derivative(source, tmp_path / "out"), registered=True)
    job = Job(source.folder, layout, replace(_SETTINGS, register="rigid"), load_model(_SETTINGS.model).card.sha256)
    pair = source.pairs()[0]
    assert fuse_pair(pair, job).status == "done"
    transform = layout.folder / "sub-01" / "pet" / "sub-01_from-PET_to-T1w_mode-image_xfm.txt"
    assert distance_mm(sitk.ReadTransform(str(transform)), moved) < 1.5
    assert fuse_pair(pair, job).status == "unchanged"
    transform.unlink()
    assert fuse_pair(pair, job).status == "done"
    assert transform.is_file()
    command = [str(Path(sys.executable).with_name("bids-validator-deno")), "--format", "json", str(layout.folder)]
    issues = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []


def test_the_validator_would_see_a_fault(first, done) -> None:
    job = done
    (job.layout.files(first).sidecar.parent / "scan of monday.nii.gz").touch()
    command = [str(Path(sys.executable).with_name("bids-validator-deno")), str(job.layout.folder)]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_events_for_programs(dataset: Path, tmp_path: Path, one_worker: Cluster, capsys) -> None:
    assert _here(one_worker, dataset, tmp_path / "out", "participant", "--progress", "json") == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["subject", "subject", "finished"]
    outcomes = {(event["name"], event["status"], event["identifier"]) for event in events[:2]}
    assert outcomes == {("sub-01", "done", ""), ("sub-02_ses-a", "failed", "t1w-missing")}
    assert {key: events[-1][key] for key in ("done", "unchanged", "failed", "total")} == {
        "done": 1, "unchanged": 0, "failed": 1, "total": 2,
    }  # fmt: skip
    assert not (tmp_path / "out" / "index.html").exists()


@pytest.mark.parametrize(
    ("arguments", "identifier"),
    [
        (["{in}", "{in}"], "output-contains-dataset"),
        (["{in}/nowhere", "{out}"], "dataset-not-a-folder"),
        (["{in}", "{out}", "--participant-label", "99"], "label-without-pet"),
        (["{in}", "{out}", "group"], "cohort-not-fused"),
        (["{in}", "{out}", "--pet-window", "9", "0"], "window-invalid"),
        (["{in}", "{out}", "--device", "cuda:99"], "device-unavailable"),
        (["{in}", "{out}", "--suv"], "suv-not-for-bids"),
        (["{in}", "{out}", "--participant-label", "01", "participant"], "level-among-labels"),
        (["{in}", "{out}", "--participant-label", "01,02"], "label-without-pet"),
        (["{in}", "{out}", "--model", "nobody"], "model-unknown"),
        (["{in}", "{out}", "--scheduler", "tcp://127.0.0.1:9"], "scheduler-unreachable"),
        (["{in}", "{out}", "--scheduler", "nonsense://x"], "scheduler-unreachable"),
    ],
)
def test_wrong_usage_is_one_line_and_makes_nothing(dataset, tmp_path, capsys, monkeypatch, arguments, identifier) -> None:
    monkeypatch.setattr("cspadn.cohort.dask_runner._CONNECT_SECONDS", 2)
    places = {"in": dataset, "out": tmp_path / "results"}
    code = entry.main(["cohort", *(argument.format(**places) for argument in arguments)])
    told_lines = capsys.readouterr().err.splitlines()
    assert code in (2, 4)
    assert len(told_lines) == 1
    assert says(told_lines[0], identifier)
    made = tmp_path / "results"
    assert not made.exists() or not list(made.glob("sub-*"))


# Clusters


@pytest.fixture
def four(pair, tmp_path: Path) -> Path:
    """Return a dataset of four subjects that can be fused."""
    return write_dataset(tmp_path / "in", {f"sub-{number}": pair for number in range(4)})


@pytest.fixture
def two(pair, tmp_path: Path) -> Path:
    """Return a dataset of two subjects that can be fused."""
    return write_dataset(tmp_path / "in", {"sub-0": pair, "sub-1": pair})


@pytest.mark.ci
def test_a_worker_that_dies_loses_nothing(four, tmp_path: Path) -> None:
    with cluster(tmp_path / "dask", **WITHOUT_PLOTS) as here:
        process = start_cohort(four, tmp_path / "out", "--scheduler", here.address, "--device", "cpu")
        assert process.stdout is not None
        process.stdout.readline()  # one is done
        here.workers[0].kill()
        lines, errors = process.communicate(timeout=_PATIENCE)
    assert (process.returncode, errors) == (0, "")
    assert lines.splitlines()[-1].startswith("4 done, 0 failed")
    assert len(list((tmp_path / "out").glob("sub-*/pet/*.nii.gz"))) == 4
    assert not list((tmp_path / "out").rglob(".cspadn-*"))


@pytest.mark.ci
def test_a_pair_that_kills_its_workers_is_reported_and_the_rest_goes_on(two, tmp_path: Path) -> None:
    done = _run(
        two,
        tmp_path / "out",
        "--device",
        "cpu",
        "--workers",
        "1",
        CSPADN_POISON="sub-0",
        **WITHOUT_PLOTS,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("1 done, 1 failed")
    (told,) = (line for line in done.stdout.splitlines() if "failed: sub-0" in line)
    assert says(told, "worker-died", times=3)
    assert "sub-0" in (tmp_path / "out" / "index.html").read_text()
    assert (tmp_path / "out" / "logs" / "sub-0.json").exists()


def test_errors_in_the_cluster_library_stay_off_the_terminal(caplog) -> None:
    """Such as that of Dask 2026.8 on Ctrl-C: "cannot access free variable 'future'"."""
    from tornado.ioloop import IOLoop

    loop = IOLoop(make_current=False)
    expected = ["tornado.application", "distributed.client"]
    for context, shown in ((silent_libraries(), []), (nullcontext(), expected)):
        caplog.clear()
        with context:
            loop.add_callback(lambda: 1 / 0)
            loop.add_callback(loop.stop)
            loop.start()
            logging.getLogger("distributed.client").error("a worker was lost")
        assert [record.name for record in caplog.records] == shown
    loop.close()


@pytest.mark.parametrize(
    ("number", "in_terminal", "code"),
    [
        (signal.SIGINT, True, 130),
        pytest.param(signal.SIGINT, False, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, False, 143, marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C in a terminal", "SIGINT", "SIGTERM"],
)
@pytest.mark.ci
def test_a_run_that_is_ended_says_one_line_and_goes_on_later(
    two, tmp_path: Path, one_worker: Cluster, capsys, number: signal.Signals, in_terminal: bool, code: int
) -> None:
    """A terminal sends Ctrl-C to the workers as well."""
    variables = environment() | WITHOUT_PLOTS | {"CSPADN_SLOW": "2"}
    process = start_cohort(
        *(two, tmp_path / "out", "--device", "cpu", "--workers", "1"), env=variables, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    (os.killpg if in_terminal else os.kill)(process.pid, number)
    lines, errors = process.communicate(timeout=_PATIENCE)
    assert process.returncode == code
    assert len(errors.splitlines()) == 1
    assert says(errors, "run-interrupted" if number == signal.SIGINT else "run-terminated")
    assert "left: start it again to go on." in lines
    assert _here(one_worker, two, tmp_path / "out") == 0
    assert "of them before" in capsys.readouterr().out.splitlines()[-1]
    assert not list((tmp_path / "out").rglob(".cspadn-*"))


@pytest.mark.ci
def test_a_scheduler_that_dies_is_told(pair, tmp_path: Path) -> None:
    """The scheduler dies while some pairs have not been submitted yet."""
    eight = write_dataset(tmp_path / "in", {f"sub-{number}": pair for number in range(8)})
    with cluster(tmp_path / "dask", workers=1, **WITHOUT_PLOTS) as here:
        process = start_cohort(eight, tmp_path / "out", "--scheduler", here.address, "--device", "cpu")
        assert process.stdout is not None
        process.stdout.readline()
        here.scheduler.kill()
        _, errors = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 2, errors
    assert says(errors.splitlines()[-1], "scheduler-gone")


def test_a_scheduler_without_workers_is_told(dataset, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("cspadn.cohort.dask_runner._START_SECONDS", 2)
    with cluster(tmp_path / "dask", workers=0) as here:
        assert entry.main(["cohort", str(dataset), str(tmp_path / "out"), "--scheduler", here.address, "--device", "cpu"]) == 2
    assert says(capsys.readouterr().err, "scheduler-without-workers")


def test_nobody_else_can_run_code_in_the_cluster_here() -> None:
    from cspadn.cohort.dask_runner import connected

    with connected(None, 1, "cpu") as client:
        address = client.scheduler_info()["address"]
        port = client.scheduler_info()["services"].get("dashboard")
        for path in ("/json/identity.json", "/info/main/workers.html"):
            with pytest.raises(OSError, match=r"404|refused"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}")
        assert address.startswith("tls://127.0.0.1:")
        code = "import sys, distributed; distributed.Client(sys.argv[1], timeout=3).run(print)"
        for stranger in (address, address.replace("tls", "tcp")):
            done = subprocess.run([sys.executable, "-c", code, stranger], capture_output=True, text=True, check=False)
            assert done.returncode == 1
            assert "distributed" in done.stderr


def test_large_volumes_of_many_workers_share_the_processors(monkeypatch) -> None:
    from cspadn.cohort import dask_runner as runner

    monkeypatch.setattr(runner, "_processors", lambda: 8)
    for free, count in ((64e9, 8), (4e9, 2), (1e9, 1), (None, 8)):
        monkeypatch.setattr(runner, "free_main_memory", lambda free=free: free if free is None else int(free))
        assert runner.workers_here("cpu") == count


def test_one_worker_has_the_graphics_card(monkeypatch) -> None:
    from cspadn.cohort import dask_runner as runner
    from cspadn.runtime import device

    monkeypatch.setattr(runner, "_processors", lambda: 8)
    monkeypatch.setattr(device, "resolve_device", lambda name: torch.device("cuda", 0))
    assert runner.workers_here("cuda") == 1


def test_a_device_that_only_workers_elsewhere_have_is_no_wrong_usage(dataset, tmp_path: Path, one_worker, capsys) -> None:
    assert _here(one_worker, dataset, tmp_path / "out", device="cuda:7") == 1
    told = capsys.readouterr().out
    assert "failed: sub-01: " in told
    assert says(told, "device-unavailable", device="cuda:7")


@pytest.mark.ci
def test_letters_that_a_pipe_has_not_end_nothing(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "out", tmp_path / "結果")
    arguments = (finished / "in", tmp_path / "結果", "group")
    done = _run(*arguments, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "index.html" in done.stdout
