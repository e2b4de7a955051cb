"""Simulated heads: reproducible by the seed, of every kind, and in the form that the training needs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

if importlib.util.find_spec("lightning") is None:
    pytest.skip("the packages of the training are not installed", allow_module_level=True)

import nibabel
import torch

from cspadn.errors import InputError
from training import heads
from training.data import EpochSampler, PatchDataset, SynthesisDataset
from training.synthesis import Synthesis, flat_patches
from training.target import WHITE, gaussian, layered_target


@pytest.fixture(scope="module")
def label_maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return two round heads with skull, skin, cortex, white matter and ventricles, stored as L, I, A."""
    folder = tmp_path_factory.mktemp("label_maps")
    grid = np.stack(np.meshgrid(*[np.arange(120) - 60] * 3, indexing="ij"))
    for number, squeeze in ((1, 1.0), (2, 1.15)):
        distance = np.hypot(np.hypot(grid[0] * squeeze, grid[1]), grid[2] * 1.1)
        labels = np.zeros(distance.shape, np.float32)
        for radius, label in ((56, 511), (53, 507), (50, 515), (46, 24), (44, 3), (38, 2), (12, 4)):
            labels[distance < radius] = label
        affine = np.array([[-1, 0, 0, 60], [0, 0, 1, -60], [0, -1, 0, 60], [0, 0, 0, 1.0]])
        nibabel.save(nibabel.Nifti1Image(labels, affine), folder / f"head{number:02d}.nii.gz")
    return folder


def test_label_maps_are_read_as_tissues(label_maps: Path) -> None:
    tissues = heads.read_tissues(label_maps / "head01.nii.gz")
    assert heads.NAMES[tissues[60, 60, 60]] == "csf"
    assert heads.NAMES[tissues[60, 60, 30]] == "white"
    assert heads.NAMES[tissues[0, 0, 0]] == "air"
    assert heads.of_tissues(tissues, ("bone",)).any()


@pytest.mark.parametrize("content", [None, b"", b"no label map"])
def test_a_bad_label_map_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "head01.nii.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"head01\.nii\.gz"):
        heads.read_tissues(path)


def test_every_table_names_every_tissue() -> None:
    for table in (*heads.MRI_CONTRASTS.values(), *heads.TRACERS.values()):
        assert set(table) == set(heads.NAMES)
        assert table["air"] == 0


def test_blocks_follow_from_seed_and_index(label_maps: Path) -> None:
    first, again, other = (Synthesis(label_maps, (1, 2), seed, slabs=2, patches=6) for seed in (5, 5, 6))
    block = first.block(3)
    assert np.array_equal(block, again.block(3))
    assert not np.array_equal(block, first.block(4))
    assert not np.array_equal(block, other.block(3))
    assert block.shape == (12, 3, 64, 64)
    assert block.dtype == np.float32
    assert block.min() >= 0
    assert block.max() <= 1


def test_pairs_differ_in_contrast(label_maps: Path) -> None:
    """Tissues change their order in PET and MRI from draw to draw."""
    synthesis = Synthesis(label_maps, (1, 2), 1)
    slabs = [synthesis.slab(np.random.default_rng(index)) for index in range(12)]
    correlations = [np.corrcoef(*(slab[3, i][slab[3, :2].max(0) > 0.05] for i in (0, 1)))[0, 1] for slab in slabs]
    assert min(correlations) < 0.2
    assert max(correlations) > 0.5
    assert min(slab[:, 0].max() for slab in slabs) > 0.1


def test_flat_patches_are_flat_or_plateaus() -> None:
    patches = flat_patches(40, 64, np.random.default_rng(0))
    assert all(len(np.unique(source)) == 1 for patch in patches[20:] for source in patch[:2])
    assert np.any((patches[:, :2] == 1).all((1, 2, 3)))
    assert all(patch[1, 0, 0] != patch[1, 32, 32] or len(np.unique(patch[1])) <= 2 for patch in patches[:20])


def test_the_dataset_mixes_and_repeats(label_maps: Path) -> None:
    pair = np.full((2, 80, 80), 0.123, np.float32)
    make = lambda: SynthesisDataset(Synthesis(label_maps, (1,), 9, slabs=1, patches=8), PatchDataset([pair], 64, 9), 0.2, 0.2)  # noqa: E731
    dataset, again = make(), make()
    items = [dataset[index] for index in EpochSampler(2, 7)]
    assert all(torch.equal(items[index], again[index]) for index in (0, 13, 5))
    real = sum(bool((item[:2] == 0.123).all()) for item in items)
    assert real >= 2
    assert items[0].shape == (3, 64, 64)


def test_the_gaussian_keeps_a_constant_and_its_sigma() -> None:
    flat = torch.full((1, 1, 40, 40), 0.3)
    assert torch.allclose(gaussian(flat, 2.7), flat, atol=1e-6)
    point = torch.zeros(1, 1, 41, 41)
    point[..., 20, 20] = 1
    spread = gaussian(point, 2.0)[0, 0].sum(0)
    places = torch.arange(41.0) - 20
    assert float((spread * places**2).sum()) == pytest.approx(4, rel=0.05)


def test_the_target_answers_flat_inputs_in_order() -> None:
    levels = torch.linspace(0, 1, 21)
    sources = torch.cartesian_prod(levels, levels).reshape(-1, 2, 1, 1).expand(-1, -1, 24, 24)
    table = layered_target(sources)[:, 0, 12, 12].reshape(21, 21)
    assert float(table.diff(dim=0).min()) > 0
    assert float(table.diff(dim=1).min()) > 0
    assert float((table - torch.minimum(levels[:, None], levels)).min()) > -0.02
    assert table[0, 0] == pytest.approx(0, abs=2e-3)
    assert 0.98 < float(table[-1, -1]) <= WHITE


def test_the_target_shows_a_small_lesion_of_each_source() -> None:
    sources = torch.full((1, 2, 48, 48), 0.5)
    for source, fwhm, least in ((0, 8.0, 0.6), (1, 3.0, 0.5)):
        lesion = 0.1 * torch.from_numpy(heads.blob((48, 48), (24, 24), (fwhm, fwhm)))
        for sign in (1, -1):
            changed = sources.clone()
            changed[0, source] += sign * lesion
            change = (layered_target(changed) - layered_target(sources))[0, 0, 24, 24]
            assert sign * float(change) > least * 0.1
