"""The report on automatic windows, on a small label map."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from cspadn.imaging.windowing import Window
from training.evaluation import windows
from training.evaluation.windows import Head, Row


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A ball of white matter below cortex and scalp, as label map 5."""
    axes = np.meshgrid(*[np.linspace(-1, 1, 128)] * 3, indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes))
    labels = np.select([radius < 0.6, radius < 0.75, radius < 0.85], [2, 3, 507], 0).astype(np.int16)
    (tmp_path / "label_maps").mkdir()
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "label_maps" / "head05.nii.gz")
    return tmp_path


def test_errors_are_shares_of_the_right_width() -> None:
    assert windows.error(Window(-20, 150), Window(0, 200)) == (-0.1, -0.25)
    assert Row("case", (0, 0), (-0.1, 0.05)).worst == 0.1


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_padding_has_the_share_that_it_is_asked_for(share: float) -> None:
    values = np.zeros((4, 50, 100), np.float32)
    assert (windows.padded(values, share, -1000) == -1000).mean() == pytest.approx(share)
    assert not values.any()


def test_a_lesion_has_its_volume_and_its_level(data: Path) -> None:
    head = Head(data, 5)
    uptake = head.uptake("FDG")
    changed, level = head.lesion(uptake, 10.0, 4.0)
    assert (changed > uptake + 1.8).sum() * windows.STEP_MM**3 / 1000 == pytest.approx(10, rel=0.1)
    assert level == pytest.approx(4 * windows.PET_LEVEL, rel=0.02)
    assert head.lesion(uptake, 0.5, 4.0)[1] < 0.9 * level


@pytest.mark.slow
def test_padding_and_outliers_of_a_simulated_head_are_within_the_bound(data: Path) -> None:
    rows = list(windows.mri_rows(Head(data, 5)))
    assert {group for group, _ in rows} == {"padding", "outliers"}
    assert [row.name for _, row in rows if row.worst > windows.BOUND] == []
    assert max(max(map(abs, row.before)) for _, row in rows) > 10


def test_the_table_counts_what_is_within_the_bound() -> None:
    rows = [Row("good", (0, 2.0), (0, 0.05)), Row("bad", (0, 0.02), (-0.3, 0))]
    line = list(windows._error_table({"some": rows, "none": []}))[-2]
    assert line == "| some | 2 | 1 | 1 | 200% | 30% | bad |"


def test_missing_data_get_one_line(tmp_path: Path, capsys) -> None:
    assert windows.main(["--data", str(tmp_path), "--output", str(tmp_path / "windows.md")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "windows.md").exists()
