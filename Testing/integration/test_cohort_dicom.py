"""Cohorts and batches whose pairs become DICOM studies as well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import SimpleITK as sitk

from cohorts import write_dataset
from cspadn.cli import entry
from cspadn.cohort.batch import fuse_into_folder
from cspadn.cohort.bids import named_by_bids
from cspadn.cohort.derivative import Derivative, make_derivative
from cspadn.cohort.engine import Job, fuse_pair
from cspadn.cohort.runner import SerialRunner
from cspadn.cohort.sources import PairList
from cspadn.models.weights import load_model
from cspadn.settings import FusionSettings
from dicom_studies import write_sources
from message_calls import says

_SETTINGS = FusionSettings(device="cpu")

pytestmark = pytest.mark.usefixtures("plain_plots", "one_reading_process")


def states(folder: Path) -> dict[str, int]:
    """Return when each file below a folder was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def dicom_list(pair, tmp_path: Path) -> PairList:
    """Return a list of two pairs: two DICOM folders, and a PET in DICOM with an MRI in NIfTI."""
    write_sources(tmp_path, (pair[0], pair[1] * 10))
    sitk.WriteImage(pair[1], str(tmp_path / "mri.nii.gz"))
    (tmp_path / "pairs.csv").write_text("pet,mri\nPT,MR\nPT,mri.nii.gz\n")
    return PairList(tmp_path / "pairs.csv")


def _study_job(source: PairList, output: Path, **more: Any) -> Job:
    layout = Derivative(make_derivative(source, output), dicom=True)
    return Job(source.folder, layout, _SETTINGS, load_model(_SETTINGS.model).card.sha256, **more)


def test_each_pair_of_dicom_folders_becomes_a_study(dicom_list, tmp_path: Path) -> None:
    """Finished studies are kept, and damaged ones are written again; a pair without a DICOM MRI fails alone."""
    job, pairs = _study_job(dicom_list, tmp_path / "out"), named_by_bids(dicom_list.pairs())
    done, failed = SerialRunner().outcomes(pairs, job)
    assert (done.status, failed.status) == ("done", "failed")
    assert says(failed.message, "dicom-output-needs-series")
    study = job.layout.files(pairs[0]).others["dicom"]
    assert study.parent == tmp_path / "out" / "dicom"
    assert {path.name: len(list(path.iterdir())) for path in study.iterdir()} == {"grey": 8, "color": 8, "blending": 1}
    assert "dicom" in (tmp_path / "out" / ".bidsignore").read_text().splitlines()
    before = states(study)
    assert fuse_pair(pairs[0], job).status == "unchanged"
    assert states(study) == before
    (study / "color" / "0003.dcm").unlink()
    assert fuse_pair(pairs[0], job).status == "done"
    assert set(states(study)) == set(before)
    (study / "my notes.txt").write_text("x")
    outcome = fuse_pair(pairs[0], replace(job, force=True))
    assert says(outcome.message, "dicom-output-not-empty", path=Path("dicom") / study.name)
    assert (study / "my notes.txt").exists()
    assert not list((tmp_path / "out").rglob(".cspadn-*"))


def test_a_batch_writes_studies_beside_its_volumes(dicom_list, tmp_path: Path) -> None:
    assert fuse_into_folder(dicom_list, tmp_path / "out", _SETTINGS, dicom=True, say=lambda _: None) == 1
    (study,) = (path for path in (tmp_path / "out").iterdir() if path.name.endswith("DICOM"))
    assert {path.name for path in study.iterdir()} == {"grey", "color", "blending"}
    assert not list((tmp_path / "out").glob("*color.nrrd"))


def test_a_study_needs_dicom(pair, tmp_path: Path, capsys) -> None:
    assert entry.main(["cohort", str(write_dataset(tmp_path / "in", {"sub-01": pair})), str(tmp_path / "out"), "--dicom"]) == 2
    assert says(capsys.readouterr().err, "dicom-not-for-bids")
