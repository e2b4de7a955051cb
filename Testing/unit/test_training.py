"""Options, losses and data of the training."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image as pillow

from cspadn.errors import InputError
from cspadn.imaging.alignment import Pair
from cspadn.imaging.windowing import automatic_window, to_unit
from cspadn.models.cspadn import NetworkConfig
from cspadn.settings import FusionSettings
from training.config import Augmentation, config_from_dict, load_config
from training.data import EpochSampler, PairDataset, PatchDataset, augment, read_pairs
from training.losses import fusion_loss
from training.volumes import read_slices, read_volume
from training_runs import PAPER, tiny, write_pictures, write_volumes
from volumes import blobs, volume


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    return write_volumes(tmp_path / "volumes")


def test_paper_preset_is_the_papers() -> None:
    paper = load_config(PAPER)
    assert (paper.epochs, paper.batch_size, paper.patch_size) == (600, 64, 64)
    assert paper.epochs * paper.steps_per_epoch == 3000
    assert (paper.network, paper.augmentation) == (NetworkConfig(), Augmentation(saturation=0.6))
    assert (paper.loss, paper.architecture) == ({"mse": 1.0, "weighted_ssim": 1.0}, "cspa-dn")
    assert config_from_dict(paper.to_dict(), "here") == paper


def test_subsets_and_precision_may_be_written_plainly() -> None:
    values = {**load_config(PAPER).to_dict(), "train_subset": "train", "precision": 32}
    settings = config_from_dict(values, "x.yaml")
    assert (settings.train_subset, settings.precision) == (("train",), "32")
    settings = config_from_dict({**values, "train_subset": ["train", "extra"]}, "x.yaml")
    assert settings.train_subset == ("train", "extra")
    assert config_from_dict(settings.to_dict(), "x.yaml") == settings


def test_config_errors_name_the_options(tmp_path: Path) -> None:
    values = load_config(PAPER).to_dict()
    with pytest.raises(ValueError, match="lacks options: epochs, loss"):
        config_from_dict({k: v for k, v in values.items() if k not in ("loss", "epochs")}, "x.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ValueError, match="contains no options"):
        load_config(tmp_path / "empty.yaml")


def _ssim(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of Wang et al. 2004, from its definition: a Gaussian window of 11 pixels at every pixel, borders reflected."""
    x, y = (np.pad(image, 5, mode="reflect") for image in (x, y))
    offsets = np.arange(11) - 5
    kernel = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(kernel, kernel) / kernel.sum() ** 2
    values = []
    for i in range(x.shape[0] - 10):
        for j in range(x.shape[1] - 10):
            a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            var_a, var_b = (window * a * a).sum() - mean_a**2, (window * b * b).sum() - mean_b**2
            covariance = (window * a * b).sum() - mean_a * mean_b
            c1, c2 = 0.01**2, 0.03**2
            luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
            values.append(luminance * (2 * covariance + c2) / (var_a + var_b + c2))
    return float(np.mean(values))


def test_loss_is_equation_5() -> None:
    random = np.random.default_rng(2)
    sources = random.random((1, 2, 32, 32))
    fused = 0.5 * sources.mean(axis=1, keepdims=True) + 0.5 * random.random((1, 1, 32, 32))
    terms = fusion_loss(torch.from_numpy(fused), torch.from_numpy(sources), {"mse": 1.0, "ssim": 3.0})
    mse = np.mean([(fused[0, 0] - sources[0, k]) ** 2 for k in (0, 1)])
    ssim = np.mean([_ssim(fused[0, 0], sources[0, k]) for k in (0, 1)])
    assert terms["mse_loss"] == pytest.approx(mse, rel=1e-6)
    assert terms["ssim_loss"] == pytest.approx(1 - ssim, rel=1e-6)
    assert terms["loss"] == pytest.approx(mse + 3 * (1 - ssim), rel=1e-6)


def test_pairs_are_luma_and_grey(data: Path) -> None:
    pairs = read_pairs(data, "train")
    assert [pair.shape for pair in pairs] == [(2, 32, 40)] * 3
    assert all(pair.dtype == np.float32 for pair in pairs)
    rgb = sitk.GetArrayFromImage(sitk.ReadImage(str(data / "pet" / "b.png")))
    np.testing.assert_array_equal(pairs[1][0], np.float32(np.rint(rgb @ [0.299, 0.587, 0.114])) / np.float32(255))
    assert len(read_pairs(data, "test_same_head", "train")) == 4


def test_grey_as_rgb_is_the_same_pair(data: Path) -> None:
    expected = read_pairs(data, "train")[0][1]
    path = data / "mri" / "a.png"
    grey = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    sitk.WriteImage(sitk.GetImageFromArray(np.stack([grey] * 3, -1), isVector=True), str(path))
    np.testing.assert_array_equal(read_pairs(data, "train")[0][1], expected)


BAD_PICTURES = {
    "16 bits": (("I;16", (40, 32)), r"a\.png has 16 bits: save it with 8"),
    "RGB with alpha": (("RGBA", (40, 32)), r"a\.png has an alpha channel: save it"),
    "grey with alpha": (("LA", (40, 32)), r"a\.png has an alpha channel: save it"),
    "another size": (("L", (32, 40)), r"of the pair 'a' in .* have 40 x 32 and 32 x 40 pixels"),
}


@pytest.mark.parametrize(("form", "problem"), BAD_PICTURES.values(), ids=BAD_PICTURES)
def test_a_bad_picture_is_named(form: tuple[str, tuple[int, int]], problem: str, data: Path) -> None:
    pillow.new(*form).save(data / "mri" / "a.png")
    with pytest.raises(InputError, match=problem):
        read_pairs(data, "train")


def test_a_transparent_palette_is_alpha_as_well(data: Path) -> None:
    pillow.new("P", (40, 32)).save(data / "mri" / "a.png", transparency=0)
    with pytest.raises(InputError, match=r"a\.png has an alpha channel"):
        read_pairs(data, "train")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"nothing"])
def test_a_damaged_picture_is_named(content: bytes, data: Path) -> None:
    (data / "mri" / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        read_pairs(data, "train")


def test_a_missing_partner_is_named(data: Path) -> None:
    (data / "pet" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png does not exist"):
        read_pairs(data, "train")


def test_a_bad_table_is_named(data: Path) -> None:
    with pytest.raises(InputError, match="no pair of the subset 'none'"):
        read_pairs(data, "train", "none")
    (data / "split.csv").write_text("id,subset\n")
    with pytest.raises(InputError, match="no pair of the subset 'train'"):
        read_pairs(data, "train")
    (data / "split.csv").write_text("name,subset\na,train\n")
    with pytest.raises(InputError, match="no column id"):
        read_pairs(data, "train")
    (data / "split.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(data, "train")
    (data / "split.csv").unlink()
    with pytest.raises(InputError, match=r"split\.csv does not exist"):
        read_pairs(data, "train")


OBLIQUE = np.array([[0.0, -0.8, 0.6], [1.0, 0.0, 0.0], [0.0, 0.6, 0.8]])  # sagittal slices, turned


@pytest.mark.parametrize("direction", [np.eye(3), np.diag([1.0, -1.0, -1.0]), np.diag([-1.0, 1.0, 1.0]), OBLIQUE])
def test_volumes_lie_where_simpleitk_sees_them(direction: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "x.nii.gz"
    sitk.WriteImage(volume(blobs(), (1.5, 2.0, 3.0), (7, -8, 9), direction), str(path))
    ours, theirs = read_volume(path, "The PET"), sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))
    for part in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(ours, part)(), getattr(theirs, part)(), atol=1e-5)


def test_slices_are_what_fusing_would_give_the_network(tmp_path: Path) -> None:
    """The same head, stored sagittally, turned and with a coarser PET: axial slices, one window, PET on the MRI's grid."""
    head = np.pad(blobs((28, 36, 44), seed=3), ((7, 5), (0, 0), (0, 0)))
    mri = volume(head, origin=(-22, -18, -20))
    pet = sitk.Resample(
        mri, volume(np.zeros((50, 50, 50), np.float32), origin=(-25, -25, -25)), sitk.Transform(), sitk.sitkLinear
    )
    sitk.WriteImage(pet * 7, str(tmp_path / "pet.nii.gz"))
    sitk.WriteImage(sitk.DICOMOrient(mri, "PIR"), str(tmp_path / "mri.nii.gz"))
    slices = read_slices(tmp_path / "pet.nii.gz", tmp_path / "mri.nii.gz")
    expected = to_unit(head, automatic_window(head, "it"))
    kept = (expected > 0.1).mean(axis=(1, 2)) >= 0.05
    assert 5 < kept.sum() < 40
    np.testing.assert_allclose(slices[:, 1], expected[kept], atol=1e-4)
    np.testing.assert_allclose(slices[:, 0], expected[kept], atol=0.02)  # its window is taken from a thinned grid


def test_windows_of_training_are_those_of_the_product(tmp_path: Path) -> None:
    """Padding is background, and the PET's window reaches a small hot focus."""
    head = np.pad(blobs((40, 60, 56), seed=3), 8)
    padded, hot = head.copy(), head.copy()
    padded[:6] = -1000
    hot[26:34, 34:42, 30:38] *= 4
    pet, mri = (volume(values, spacing=(2, 2, 2), origin=(-70, -70, -50)) for values in (hot, padded))
    sitk.WriteImage(pet, str(tmp_path / "pet.nii.gz"))
    sitk.WriteImage(mri, str(tmp_path / "mri.nii.gz"))
    slices = read_slices(tmp_path / "pet.nii.gz", tmp_path / "mri.nii.gz")
    plain = volume(head, spacing=(2, 2, 2), origin=(-70, -70, -50))
    windows = Pair.of(pet, mri, FusionSettings())
    assert windows.pet.window.upper > 1.5 * automatic_window(head, "it").upper
    expected = [to_unit(hot, windows.pet.window), to_unit(sitk.GetArrayFromImage(plain), windows.mri.window)]
    kept = (np.stack(expected) > 0.1).mean(axis=(2, 3)).min(axis=0) >= 0.05
    np.testing.assert_allclose(slices, np.stack(expected, axis=1)[kept], atol=1e-3)


def test_pairs_of_volumes_may_differ_in_size(volumes: Path) -> None:
    (train_size,), (validation_size,) = (
        {pair.shape for pair in read_pairs(volumes, name)} for name in ("train", "test_same_head")
    )
    assert (train_size, validation_size) == ((2, 20, 24), (2, 26, 18))
    pairs = read_pairs(volumes, "train", "test_same_head")
    assert {PatchDataset(pairs, 18, seed=0)[index].shape for index in range(len(pairs))} == {(2, 18, 18)}
    assert all(pair.dtype == np.float32 and 0 <= pair.min() < pair.max() <= 1 for pair in pairs)


def _spot() -> np.ndarray:
    return np.pad(np.ones((3, 3, 3), np.float32), ((30, 30), (30, 30), (42, 18)))


def _shift(millimetres: float) -> np.ndarray:
    return np.diag([1.0, 1, 1, 1]) + np.outer([1, 1, 1, 0], [0, 0, 0, millimetres])


def _flatten(path: Path) -> None:
    """Place all slices at one position."""
    file = nibabel.load(path)
    file.header["srow_z"] = 0
    file.header["sform_code"], file.header["qform_code"] = 2, 0
    content = bytearray(path.read_bytes())
    content[: len(file.header.binaryblock)] = file.header.binaryblock
    path.write_bytes(content)


def _nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> None:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)


BAD_VOLUMES = {
    "missing": (lambda path: path.unlink(), "does not exist"),
    "damaged": (lambda path: path.write_bytes(path.read_bytes()[:400]), "cannot be read"),
    "no NIfTI": (lambda path: path.write_text("nothing"), "cannot be read"),
    "two frames": (lambda path: _nifti(path, np.zeros((4, 4, 4, 2), np.float32)), "has 4 dimensions"),
    "complex": (lambda path: _nifti(path, np.zeros((4, 4, 4), np.complex64)), "contains colours or complex numbers"),
    "flat": (lambda path: _flatten(path), "cannot be used"),
    "elsewhere": (lambda path: _nifti(path, np.ones((4, 4, 4), np.float32), _shift(900)), "do not overlap in space"),
    "dark": (lambda path: _nifti(path, _spot(), _shift(-30)), "have no slice"),
    "constant": (lambda path: _nifti(path, np.ones((90, 90, 90), np.float32)), "is empty"),
}


@pytest.mark.parametrize(("spoil", "problem"), BAD_VOLUMES.values(), ids=BAD_VOLUMES)
def test_a_bad_volume_is_named_with_its_row(spoil, problem: str, volumes: Path) -> None:
    path = volumes.parent / "pet_b.nii"
    spoil(path)
    with pytest.raises(InputError, match=rf"Line 3 of .*pairs\.csv: .*pet_b\.nii.*{problem}"):
        read_pairs(volumes, "test_same_head")


def _contains(image: np.ndarray, patch: np.ndarray, turns: tuple[int, ...] = (0,)) -> bool:
    forms = [np.flip(np.rot90(patch, k), axes) for k in turns for axes in ((), (0,), (1,), (0, 1))]
    windows = np.lib.stride_tricks.sliding_window_view(image, patch.shape)
    return any((windows == form).all(axis=(-1, -2)).any() for form in forms)


@pytest.mark.parametrize("rotate", [False, True])
def test_patches_come_from_one_place_of_both_sources(rotate: bool, data: Path) -> None:
    pairs = read_pairs(data, "train")
    patches = PatchDataset(pairs, 12, 7, Augmentation(rotate=rotate))
    turned = []
    for index in range(9):
        patch = patches[index].numpy()
        assert patch.shape == (2, 12, 12)
        homes = [k for k in range(3) if _contains(pairs[k][0], patch[0], (0, 1))]
        assert len(homes) == 1
        assert _contains(pairs[homes[0]][1], patch[1], (0, 1))
        turned.append(not _contains(pairs[homes[0]][1], patch[1]))
    assert any(turned) == rotate


def test_by_default_patches_are_those_of_the_first_model(data: Path) -> None:
    """Position and flips alone, drawn in this order: a run with the paper's preset can be repeated."""
    pairs = read_pairs(data, "train")
    random = np.random.default_rng((7, 2, 1))
    top, left = int(random.integers(32 - 12 + 1)), int(random.integers(40 - 12 + 1))
    pair = pairs[np.random.default_rng((7, 2)).permutation(3)[1]]
    flips = tuple(axis for axis in (1, 2) if random.random() < 0.5)
    expected = np.flip(pair[:, top : top + 12, left : left + 12], flips)
    np.testing.assert_array_equal(PatchDataset(pairs, 12, 7)[7].numpy(), expected)


def test_patches_show_the_head_where_they_shall() -> None:
    pair = np.zeros((2, 64, 64), np.float32)
    pair[0, :40, :36] = 0.5
    shares = [float((PatchDataset([pair], 16, 3, None, 0.6)[i].amax(0) > 0).float().mean()) for i in range(40)]
    assert min(shares) >= 0.6
    nothing = PatchDataset([0 * pair], 16, 3, None, 0.6)[0]  # an empty slice does not hang the training
    assert nothing.shape == (2, 16, 16)


def test_saturation_cuts_half_of_the_sources_at_white() -> None:
    random, pair = np.random.default_rng(0), np.stack([np.linspace(0, 0.9, 10), np.linspace(0, 1, 10)])[:, np.newaxis]
    drawn = np.stack([augment(pair.astype(np.float32), Augmentation(flip=False, saturation=0.5), random) for _ in range(200)])
    assert drawn.dtype == np.float32
    assert drawn.max() == 1
    unchanged = np.isclose(drawn, pair).all(axis=(2, 3))
    assert unchanged.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.1)
    assert 0.15 < unchanged.all(axis=1).mean() < 0.35  # each by itself
    factors = drawn[:, :, 0, 4] / pair[:, 0, 4]
    assert factors.min() == pytest.approx(1)
    assert 1.45 < factors.max() <= 1.5 + 1e-6
    assert (drawn[:, 0, 0, -1] == 1).mean() > 0.3


def test_gain_and_curve_vary_each_source_by_itself() -> None:
    pair = np.full((2, 3, 3), 0.5, np.float32)
    random = np.random.default_rng(0)
    gains = np.stack([augment(pair, Augmentation(flip=False, gain=0.2), random)[:, 0, 0] for _ in range(50)]) / 0.5
    assert gains.min() >= 0.8
    assert gains.max() <= 1
    assert np.ptp(gains, axis=0).min() > 0.15
    assert abs(np.corrcoef(gains.T)[0, 1]) < 0.5
    curved = [augment(pair, Augmentation(flip=False, curve=0.5), random)[:, 0, 0] for _ in range(50)]
    powers = np.log(np.stack(curved)) / np.log(0.5)
    assert 1 / 1.5 <= powers.min() < 0.8
    assert 1.2 < powers.max() <= 1.5
    assert augment(pair, Augmentation(gain=0.2, curve=0.5), random).dtype == np.float32


@pytest.mark.parametrize("augmentation", [None, Augmentation(rotate=True, gain=0.3, curve=0.3)])
def test_patches_depend_on_seed_and_index_alone(augmentation: Augmentation | None, data: Path) -> None:
    pairs = read_pairs(data, "train")
    first, again, other = (PatchDataset(pairs, 12, seed, augmentation) for seed in (7, 7, 8))
    assert torch.equal(first[5], again[5])
    assert not torch.equal(first[5], first[6])
    assert not torch.equal(first[5], other[5])


def test_every_pair_is_used_equally_often() -> None:
    pairs = np.arange(5, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 8, 8), np.float32)
    patches = PatchDataset(pairs, 4, seed=1)
    used = [round(float(patches[i].mean())) for i in range(20)]
    assert sorted(used) == sorted(list(range(5)) * 4)


def test_epochs_follow_each_other() -> None:
    sampler = EpochSampler(steps=3, batch=2)
    assert list(sampler) == [0, 1, 2, 3, 4, 5]
    sampler.set_epoch(2)
    assert list(sampler) == [12, 13, 14, 15, 16, 17]


def test_processes_share_each_batch() -> None:
    parts = [EpochSampler(steps=2, batch=6, rank=rank, processes=3) for rank in range(3)]
    assert [list(part) for part in parts] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    assert [len(part) for part in parts] == [4, 4, 4]


def test_slices_that_are_too_small_are_refused(data: Path) -> None:
    with pytest.raises(
        InputError, match="Patches of 33 pixels do not fit into slices of 40 x 32 pixels: set patch_size to 32 or less"
    ):
        PatchDataset(read_pairs(data, "train"), 33, seed=0)
    with pytest.raises(InputError, match="needs 41 pixels"):
        PairDataset(read_pairs(data, "train"), tiny(loss={"vif": 1.0}, patch_size=41).least_pixels)


def test_whole_slices(data: Path) -> None:
    slices = PairDataset(read_pairs(data, "test_same_head"))
    assert len(slices) == 1
    assert slices[0].shape == (2, 32, 40)
    assert 0 <= slices[0].min() < slices[0].max() <= 1
