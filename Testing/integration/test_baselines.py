"""The baselines make the images that their public code makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("scipy")

from cspadn.io.png_pairs import grey_levels, picture_pixels
from training.baselines import METHODS
from training.baselines.form import Method
from training.baselines.ifcnn import WEIGHTS, ifcnn

IDS = [str(number) for number in range(11, 31)]  # the second subject
FEW_AND_ALL = [pytest.param(IDS[::8], id="few"), pytest.param(IDS, id="all", marks=pytest.mark.slow)]


def _levels(path: Path) -> np.ndarray:
    """Return a picture as published methods fuse it: grey, or rounded luma, 0 to 255."""
    return grey_levels(picture_pixels(sitk.ReadImage(str(path)), path.name)).astype(float)


def _pair(shared: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    folder = shared / "data" / "subject2_pet_mri"
    return _levels(folder / "pet" / f"{name}.png") / 255, _levels(folder / "mri" / f"{name}.png") / 255


def _saved(fused: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(255 * fused), 0, 255)


def _differences(method: Method, name: str, shared: Path, ids: list[str]) -> np.ndarray:
    """Return the differences in grey levels between the method and the public code, (pairs, H, W)."""
    given = shared / "peers" / "fused" / "subject2" / name
    return np.stack([abs(_saved(method(*_pair(shared, i))) - _levels(given / f"{i}.png")) for i in ids])


@pytest.mark.parametrize("ids", FEW_AND_ALL)
def test_gtf_is_the_public_codes(shared: Path, ids: list[str]) -> None:
    differences = _differences(METHODS["GTF"], "GTF", shared, ids)
    assert differences.mean() < 0.001
    assert differences.max() <= 1


@pytest.mark.parametrize("ids", FEW_AND_ALL)
def test_msvd_is_the_public_codes(shared: Path, ids: list[str]) -> None:
    assert (_differences(METHODS["MSVD"], "MSVD", shared, ids) <= 1).mean() > 0.9999


@pytest.mark.parametrize("ids", FEW_AND_ALL)
def test_ifcnn_is_the_public_codes(shared: Path, ids: list[str]) -> None:
    method = ifcnn(shared / WEIGHTS)
    assert (_differences(method, "IFCNN", shared, ids) <= 1).mean() > 0.9999


def _entropy(levels: np.ndarray) -> float:
    shares = np.bincount(levels.astype(int).ravel(), minlength=256) / levels.size
    return float(-sum(share * np.log2(share) for share in shares if share > 0))


def test_laplacian_has_the_known_scores(shared: Path) -> None:
    """Entropy and the two correlations of differences, measured with another program."""
    rows = []
    for name in IDS:
        pet, mri = _pair(shared, name)
        fused = _saved(METHODS["Laplacian"](pet, mri))
        of_pet, of_mri = (
            np.corrcoef((fused - 255 * other).ravel(), source.ravel())[0, 1] for source, other in ((pet, mri), (mri, pet))
        )
        rows.append((_entropy(fused), of_pet, of_mri))
    assert np.mean(rows, axis=0) == pytest.approx((4.269, 0.918, 0.811), abs=6e-4)


def _gtf_objective(fused: np.ndarray, pet: np.ndarray, mri: np.ndarray) -> float:
    rows, columns = (np.diff(fused - mri, axis=axis) for axis in (0, 1))
    slopes = np.hypot(np.pad(rows, ((0, 1), (0, 0))), np.pad(columns, ((0, 0), (0, 1))))
    return float(abs(fused - pet).sum() + 4 * slopes.sum())


def test_gtf_lowers_its_objective(shared: Path) -> None:
    pet, mri = _pair(shared, IDS[9])
    reached = _gtf_objective(METHODS["GTF"](pet, mri), pet, mri)
    assert reached < min(_gtf_objective(start, pet, mri) for start in (pet, mri, (pet + mri) / 2))
