"""The training: its loss, its data, and that a killed run goes on as if nothing had happened."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import yaml

from conftest import ROOT
from cspadn.errors import InputError
from cspadn.network import NetworkConfig
from cspadn.weights import load_model

pytest.importorskip("lightning")

from training import export, train
from training.config import config_from_dict, load_config
from training.data import EpochSampler, PairDataset, PatchDataset, read_pairs
from training.losses import fusion_loss

PAPER = ROOT / "training" / "configs" / "paper.yaml"
TINY = NetworkConfig(common_channels=2, growth_channels=2, dense_modules=1, reduced_channels=1, decoder_channels=(2,))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with three training pairs and one validation pair of 32x40 pixels; the PET in colour."""
    folder = tmp_path / "data"
    random = np.random.default_rng(0)
    for kind, shape in (("pet", (32, 40, 3)), ("mri", (32, 40))):
        (folder / kind).mkdir(parents=True)
        for name in "abcd":
            pixels = random.integers(0, 256, shape, np.uint8)
            sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=kind == "pet"), str(folder / kind / f"{name}.png"))
    (folder / "split.csv").write_text("id,subset\na,train\nb,train\nc,train\nd,test_same_head\n")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run of a few seconds."""
    paper = load_config(PAPER)
    tiny = replace(paper, epochs=8, steps_per_epoch=2, batch_size=2, patch_size=12, validate_every=3, network=TINY)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny.to_dict()))
    return path


def test_paper_preset_is_the_papers() -> None:
    paper = load_config(PAPER)
    assert (paper.epochs, paper.batch_size, paper.patch_size) == (600, 64, 64)
    assert paper.network == NetworkConfig()
    assert config_from_dict(paper.to_dict(), "here") == paper


def test_config_errors_name_the_options(tmp_path: Path) -> None:
    values = load_config(PAPER).to_dict()
    with pytest.raises(ValueError, match="unknown options: epoch"):
        config_from_dict({**values, "epoch": 3}, "x.yaml")
    with pytest.raises(ValueError, match="lacks options: gamma"):
        config_from_dict({k: v for k, v in values.items() if k != "gamma"}, "x.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ValueError, match="holds no options"):
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
    terms = fusion_loss(torch.from_numpy(fused), torch.from_numpy(sources), gamma=3.0)
    mse = np.mean([(fused[0, 0] - sources[0, k]) ** 2 for k in (0, 1)])
    ssim = np.mean([_ssim(fused[0, 0], sources[0, k]) for k in (0, 1)])
    assert terms["mse"] == pytest.approx(mse, rel=1e-6)
    assert terms["ssim"] == pytest.approx(ssim, rel=1e-6)
    assert terms["loss"] == pytest.approx(float(terms["mse"] + 3 * (1 - terms["ssim"])), rel=1e-6)


def test_pairs_are_luma_and_grey(data: Path) -> None:
    pairs = read_pairs(data, "train")
    assert pairs.shape == (3, 2, 32, 40)
    assert pairs.dtype == np.float32
    rgb = sitk.GetArrayFromImage(sitk.ReadImage(str(data / "pet" / "b.png")))
    np.testing.assert_array_equal(pairs[1, 0], np.float32(np.rint(rgb @ [0.299, 0.587, 0.114])) / np.float32(255))
    with pytest.raises(ValueError, match="no pair of the subset 'none'"):
        read_pairs(data, "none")


def test_other_forms_of_grey_are_the_same_pair(data: Path) -> None:
    """16 bits, and grey with alpha or as RGB: what the network sees in training is what it sees in use."""
    expected = read_pairs(data, "train")[0, 1]
    path = data / "mri" / "a.png"
    grey = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    forms = [grey.astype(np.uint16) * 257, np.stack([grey] * 3, -1), np.stack([grey, grey, grey, 255 - grey], -1)]
    for form in forms:
        sitk.WriteImage(sitk.GetImageFromArray(form, isVector=form.ndim == 3), str(path))
        np.testing.assert_allclose(read_pairs(data, "train")[0, 1], expected, rtol=1e-6)


def test_a_missing_partner_is_named(data: Path) -> None:
    (data / "pet" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png does not exist"):
        read_pairs(data, "train")


def _contains(image: np.ndarray, patch: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(image, patch.shape)
    return any((windows == np.flip(patch, axes)).all(axis=(-1, -2)).any() for axes in ((), (0,), (1,), (0, 1)))


def test_patches_come_from_one_place_of_both_sources(data: Path) -> None:
    pairs = read_pairs(data, "train")
    patches = PatchDataset(pairs, size=12, seed=7)
    for index in range(6):
        patch = patches[index].numpy()
        assert patch.shape == (2, 12, 12)
        homes = [k for k in range(3) if _contains(pairs[k, 0], patch[0])]
        assert len(homes) == 1
        assert _contains(pairs[homes[0], 1], patch[1])


def test_patches_depend_on_seed_and_index_alone(data: Path) -> None:
    pairs = read_pairs(data, "train")
    first, again, other = (PatchDataset(pairs, 12, seed) for seed in (7, 7, 8))
    assert torch.equal(first[5], again[5])
    assert not torch.equal(first[5], first[6])
    assert not torch.equal(first[5], other[5])


def test_every_pair_is_used_equally_often() -> None:
    pairs = np.arange(5, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 8, 8), np.float32)
    patches = PatchDataset(pairs, 4, seed=1)
    used = [round(float(patches[i].mean())) for i in range(20)]
    assert sorted(used) == sorted(list(range(5)) * 4)


def test_epochs_follow_each_other() -> None:
    sampler = EpochSampler(3)
    assert list(sampler) == [0, 1, 2]
    sampler.set_epoch(2)
    assert list(sampler) == [6, 7, 8]


def test_patches_larger_than_slices_are_refused(data: Path) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        PatchDataset(read_pairs(data, "train"), 33, seed=0)


def test_whole_slices(data: Path) -> None:
    slices = PairDataset(read_pairs(data, "test_same_head"))
    assert len(slices) == 1
    assert slices[0].shape == (2, 32, 40)
    assert 0 <= slices[0].min() < slices[0].max() <= 1


def _command(config: Path, data: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "training.train", "--config", str(config), "--data", str(data), "--output", str(output)]


def _curve(output: Path) -> dict[int, str]:
    """Training loss by epoch, as the newest start wrote it."""
    logs = sorted(output.glob("logs/version_*/metrics.csv"))
    if not logs:
        return {}
    with logs[-1].open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("train_loss")]
    curve = {int(row["epoch"]): row["train_loss"] for row in rows}
    assert len(curve) == len(rows), "an epoch was logged twice"
    return curve


ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'CSpADNFusion'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}


def test_a_killed_run_resumes_with_the_same_curve(config: Path, data: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(_command(config, data, whole), cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    process = subprocess.Popen(
        _command(config, data, killed), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (killed / train.CHECKPOINT).exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    checkpoint = torch.load(killed / train.CHECKPOINT, weights_only=True)
    assert len(checkpoint["history"]) < 8, "the run ended before it was killed"
    checkpoint["history"][0]["mark"] = 7.0  # comes back only if the run goes on from here: starting anew gives the same curve
    torch.save(checkpoint, killed / train.CHECKPOINT)
    subprocess.run(_command(config, data, killed), cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    assert _curve(killed) == _curve(whole)
    assert sorted(_curve(whole)) == list(range(8))
    assert "7.0" in (killed / "logs" / "version_1" / "metrics.csv").read_text().splitlines()[1].split(",")
    states = [torch.load(folder / train.CHECKPOINT, weights_only=True)["state_dict"] for folder in (whole, killed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_training_lowers_the_loss_and_exports(config: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = replace(load_config(config), epochs=30, learning_rate=0.02)
    config.write_text(yaml.safe_dump(settings.to_dict()))
    run, weights = tmp_path / "run", tmp_path / "exported.safetensors"
    assert train.main(_command(config, data, run)[3:]) == 0
    curve = [float(loss) for loss in _curve(run).values()]
    assert np.mean(curve[-5:]) < 0.98 * np.mean(curve[:5])
    arguments = ["--run", str(run), "--data", str(data), "--output", str(weights), "--description", "a test"]
    assert export.main(arguments) == 0
    model = load_model(weights)
    assert model.card.training["steps"] == 60
    assert model.card.metrics["test_same_head"]["loss"] > 0
    module, _ = export.load_run(run)
    sources = torch.rand(1, 2, 9, 7)
    with torch.inference_mode():
        assert torch.equal((model.network(sources * 2 - 1) + 1) / 2, module(sources))


def test_a_run_with_other_options_is_not_continued(config: Path, data: Path, tmp_path: Path) -> None:
    settings = load_config(config)
    train.train(settings, data, tmp_path / "run", epochs=1)
    with pytest.raises(ValueError, match=r"other options \(gamma, seed\)"):
        train.train(replace(settings, gamma=1.0, seed=2), data, tmp_path / "run")


def test_bad_arguments_get_a_line(config: Path, data: Path, tmp_path: Path, capsys) -> None:
    assert train.main(_command(tmp_path / "none.yaml", data, tmp_path / "run")[3:]) == 3
    assert train.main(_command(config, tmp_path / "nowhere", tmp_path / "run")[3:]) == 3
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert all(line.startswith("training: ") for line in errors)
    arguments = [
        "--run",
        str(tmp_path),
        "--data",
        str(data),
        "--output",
        str(tmp_path / "x.safetensors"),
        "--description",
        "-",
    ]
    assert export.main(arguments) == 3
