"""Training runs: resuming, two processes that train as one, and exported models."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import yaml
from torch import nn

from cspadn.errors import InputError
from cspadn.metrics import NAMES
from cspadn.models import registry
from cspadn.models.cspadn import ATTENTION, NetworkConfig
from cspadn.models.weights import list_models, load_model, models_folder, read_card
from repository import ROOT
from toy_network import TOY, ToyConfig
from training import train
from training.config import Augmentation, TrainingConfig, config_from_dict, load_config
from training.data import read_pairs
from training.parallel import BatchNormSync
from training_runs import PAPER, tiny, write_pictures, write_volumes

pytest.importorskip("lightning")

from safetensors.torch import load_file

from training import ablate, export
from training.pictures import contact_sheet


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "data")


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    return write_volumes(tmp_path / "volumes")


def _written(settings: TrainingConfig, path: Path) -> Path:
    path.write_text(yaml.safe_dump(settings.to_dict()))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return _written(tiny(), tmp_path / "tiny.yaml")


BAD_OPTIONS = {
    "epoch: 3": "unknown options: epoch",
    "batch_size: 0": "batch_size is 0: it must be a whole number from 1 on",
    "batch_size: many": "batch_size is 'many': it must be a whole number",
    "learning_rate: fast": "learning_rate is 'fast': it must be a number",
    "learning_rate: 1e-3": "YAML takes a number only as in 1.0e-3",
    "learning_rate: 0": "learning_rate is 0: it must be a number from 1e-12 on",
    "learning_rate: .nan": "learning_rate is nan: it must be a number",
    "final_learning_rate: 1": "final_learning_rate is 1: it must be a number from 0 to 0.002",
    "patch_size: 10": "patch_size is 10: it must be a whole number from 11 on",
    "name: 7": "name is 7: it must be a word",
    "architecture: u-net": "architecture is 'u-net': it must be cspa-dn or tfnet",
    "start: 3": "start is 3: it must be the name or file of a model",
    "precision: 16": "precision is '16': it must be auto or bf16 or 32",
    "loss: paper": "loss is 'paper': it must be terms with weights",
    "loss: {mse: 1, beauty: 2}": "a term of loss is 'beauty': it must be mse or",
    "loss: {mse: -1}": "loss.mse is -1: it must be a number from 0 on",
    "train_subset: []": "train_subset is []: it must be a word or a list of words",
    "train_subset: 3": "train_subset is [3]: it must be a word or a list of words",
    "train_subset: test_same_head": "share test_same_head: validate on other pairs",
    "augmentation: {gain: 2}": "augmentation.gain is 2: it must be a number from 0 to 1",
    "augmentation: {flip: 1}": "augmentation.flip is 1: it must be true or false",
    "augmentation: {turn: true}": "unknown options: turn",
    "augmentation: 3": "holds 3 where options belong",
    "network: {depth: 3}": "unknown options: depth",
    "network: {dense_modules: 0}": "dense_modules is 0",
    "network: {decoder_channels: 3}": "its values must have the types of",
    "epochs: [": "is not YAML",
    "\tepochs: 3": "is not YAML",
}


@pytest.mark.parametrize(("line", "problem"), BAD_OPTIONS.items(), ids=BAD_OPTIONS)
def test_a_bad_option_gets_a_line(line: str, problem: str, tmp_path: Path, capsys) -> None:
    name = line.partition(":")[0]
    others = {key: value for key, value in tiny().to_dict().items() if key != name}
    path = tmp_path / "x.yaml"
    path.write_text(f"{yaml.safe_dump(others)}{line}\n")
    assert train.main(["--config", str(path), "--data", "unread", "--output", "unwritten"]) == 3
    (error,) = capsys.readouterr().err.splitlines()
    assert problem in error
    assert str(path) in error


@pytest.mark.parametrize("preset", sorted(PAPER.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_preset_uses_a_test_image(preset: Path, shared: Path) -> None:
    settings = load_config(preset)
    forbidden = {"test_same_head", "gap"} if preset == PAPER else {"test_same_head"}
    tables = sorted(shared.glob("data/*/split.csv"))
    assert len(tables) == 2
    for table in tables:
        with table.open(newline="") as file:
            subsets = {row["id"]: row["subset"] for row in csv.DictReader(file)}
        trained, seen = (
            {name for name, subset in subsets.items() if subset in used}
            for used in (settings.train_subset, (*settings.train_subset, *settings.validation_subset))
        )
        assert not trained & {name for name, subset in subsets.items() if subset in forbidden}
        if table.parent.name.startswith("subject2"):
            assert not seen
        if preset in (PAPER, ablate.CONFIG):  # reported on these pairs: nothing may be chosen on them either
            assert not seen & {name for name, subset in subsets.items() if subset == "test_same_head"}


@pytest.mark.parametrize("name", [card.name for card in list_models()])
def test_a_shipped_model_is_what_its_preset_makes(name: str) -> None:
    """Options, subsets and command of the card are those of a preset, so the test above holds for the weights as well."""
    card = load_model(name).card
    training = card.training
    path = ROOT / next(word for word in training["command"].split() if word.endswith(".yaml"))
    preset = load_config(path)
    assert config_from_dict(training["config"], "the card") == preset
    assert preset.name == card.name
    assert training["steps"] == preset.total_steps
    assert all(path.stat().st_size < 1.5e6 for path in models_folder().glob("*.safetensors"))


def test_the_ablation_is_of_its_preset() -> None:
    cards = [read_card(path) for path in sorted(ablate.WEIGHTS.glob("*.json"))]
    base = load_config(ablate.CONFIG)
    assert len(cards) in (0, len(ATTENTION) * len(ablate.SEEDS))
    for card in cards:
        seed = card.training["config"]["seed"]
        expected = ablate.variant(base, card.network.attention, seed)
        assert config_from_dict(card.training["config"], "the card") == expected
        assert card.name == expected.name


def _command(config: Path, data: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "training.train", "--config", str(config), "--data", str(data), "--output", str(output)]


def _curve(output: Path, name: str = "train_loss") -> dict[int, str]:
    """Return a loss by epoch from the log of the latest start."""
    logs = sorted(output.glob("logs/version_*/metrics.csv"))
    if not logs:
        return {}
    with logs[-1].open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get(name)]
    curve = {int(row["epoch"]): row[name] for row in rows}
    assert len(curve) == len(rows), "an epoch was logged twice"
    return curve


ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT / 'CSpADNFusion'}{os.pathsep}{ROOT}",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
}


@pytest.mark.ci
def test_a_killed_run_resumes_with_the_same_curve(config: Path, data: Path, tmp_path: Path, one_thread) -> None:
    """Only the run that is killed needs a process of its own; the others train here."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train.main(_command(config, data, whole)[3:]) == 0
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
    assert train.main(_command(config, data, killed)[3:]) == 0
    assert _curve(killed) == _curve(whole)
    assert _curve(killed, "validation_loss") == _curve(whole, "validation_loss")
    assert sorted(_curve(whole, "validation_loss")) == [2, 5]  # every third epoch, and not again in between
    assert sorted(_curve(whole)) == list(range(8))
    assert "7.0" in (killed / "logs" / "version_1" / "metrics.csv").read_text().splitlines()[1].split(",")
    states = [torch.load(folder / train.CHECKPOINT, weights_only=True)["state_dict"] for folder in (whole, killed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_run_goes_on_with_its_own_pairs_alone(data: Path, tmp_path: Path) -> None:
    train.train(tiny(), data, tmp_path / "run", epochs=1)
    table = data / "split.csv"
    table.write_text(table.read_text().replace("c,train", "c,other"))
    with pytest.raises(ValueError, match="on other pairs"):
        train.train(tiny(), data, tmp_path / "run")


def test_an_unfinished_run_is_not_exported(data: Path, tmp_path: Path) -> None:
    train.train(tiny(), data, tmp_path / "run", epochs=3)
    with pytest.raises(InputError, match="has done 6 of 16 steps"):
        export.export(tmp_path / "run", data, tmp_path / "x.safetensors", "a test")
    assert not (tmp_path / "x.safetensors").exists()


def test_training_lowers_the_loss_and_exports(config: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = replace(load_config(config), epochs=30, learning_rate=0.02)
    config.write_text(yaml.safe_dump(settings.to_dict()))
    run, weights = tmp_path / "run", tmp_path / "exported.safetensors"
    assert train.main(_command(config, data, run)[3:]) == 0
    curve = [float(loss) for loss in _curve(run).values()]
    assert np.mean(curve[-5:]) < 0.98 * np.mean(curve[:5])
    table = tmp_path / "curve.csv"
    arguments = ["--run", str(run), "--data", str(data), "--output", str(weights), "--description", "a test"]
    assert export.main([*arguments, "--curve", str(table)]) == 0
    with table.open(newline="") as file:
        assert [float(row["train_loss"]) for row in csv.DictReader(file)] == pytest.approx(curve, rel=1e-5)
    model = load_model(weights)
    assert model.card.training["steps"] == 60
    assert model.card.training["command"].startswith("python -m training.train --config config.yaml --data data")
    scores = model.card.metrics["test_same_head"]
    assert list(scores) == list(NAMES)
    assert scores["EN"] > 0
    module, _ = export.load_run(run)
    module.to(memory_format=torch.contiguous_format)  # another layout sums in another order
    sources = torch.rand(1, 2, 9, 7)
    with torch.inference_mode():
        assert torch.equal((model.network(sources * 2 - 1) + 1) / 2, module(sources))


def test_at_first_the_mse_alone_is_minimised(data: Path, tmp_path: Path) -> None:
    short = {"epochs": 1, "validate_every": 9}
    warm = train.train(tiny(mse_steps=2, **short), data, tmp_path / "warm")
    mse = train.train(tiny(loss={"mse": sum(tiny().loss.values())}, mse_steps=0, **short), data, tmp_path / "mse")
    both = train.train(tiny(mse_steps=1, **short), data, tmp_path / "both")
    expected = mse.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in warm.state_dict().items())
    assert any(not torch.equal(value, expected[name]) for name, value in both.state_dict().items())


def test_a_training_may_start_from_a_model(data: Path, tmp_path: Path) -> None:
    first = tiny(epochs=1, validate_every=9)
    train.train(first, data, tmp_path / "first")
    weights = tmp_path / "first.safetensors"
    export.export(tmp_path / "first", data, weights, "a test")
    still = replace(first, start=str(weights), learning_rate=1e-12, final_learning_rate=0.0)
    module = train.train(still, data, tmp_path / "second")
    expected = load_model(weights).network.state_dict()
    learned = {name: value for name, value in module.network.state_dict().items() if not name.endswith(_STATISTICS)}
    assert all(torch.allclose(value, expected[name], atol=1e-9) for name, value in learned.items())
    export.export(tmp_path / "second", data, tmp_path / "second.safetensors", "a test")
    assert load_model(tmp_path / "second.safetensors").card.training["start_sha256"] == load_model(weights).card.sha256
    with pytest.raises(InputError, match="has other layers than the network of the options"):
        train.train(replace(still, network=NetworkConfig()), data, tmp_path / "third")


_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalisation


def test_the_ablation_trains_every_variant_once(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    config = _written(tiny(epochs=1, validate_every=1, foreground=0.0), tmp_path / "tiny.yaml")
    weights = tmp_path / "weights"
    folders = ["--output", str(tmp_path / "runs"), "--weights", str(weights), "--curves", str(tmp_path / "curves")]
    command = ["--config", str(config), "--data", str(data), *folders, "--seeds", "4"]
    assert ablate.main(command) == 0
    cards = [load_model(path).card for path in sorted(weights.glob("*.safetensors"))]
    assert [card.name for card in cards] == ["both-4", "channel-4", "none-4", "spatial-4"]
    assert (tmp_path / "curves" / "none-4.csv").is_file()
    assert [card.network.attention for card in cards] == ["both", "channel", "none", "spatial"]
    assert {card.training["config"]["seed"] for card in cards} == {4}
    given = f"--data {data.name} --output DIR --seeds 4 --config tiny.yaml --weights weights --curves curves"
    assert {card.training["command"] for card in cards} == {f"python -m training.ablate {given}"}
    stored = load_file(weights / "both-4.safetensors")["encoder.common.0.weight"]
    assert stored.dtype == torch.float16
    assert ablate.main([*command, "--seeds", "5", "--data", str(tmp_path / "nowhere")]) == 3
    monkeypatch.setattr(ablate, "train", None)  # what is there is not trained again
    capsys.readouterr()
    assert ablate.main(command) == 0
    kept = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert kept == {str(path) for path in weights.glob("*.safetensors")}


def test_training_from_volumes(volumes: Path, tmp_path: Path, capsys) -> None:
    config = _written(tiny(epochs=1, validate_every=1), tmp_path / "tiny.yaml")
    assert train.main(_command(config, volumes, tmp_path / "run")[3:]) == 0
    assert f"{tmp_path / 'run' / train.CHECKPOINT}: all" in capsys.readouterr().out
    assert len(_curve(tmp_path / "run")) == 1
    arguments = ["--run", str(tmp_path / "run"), "--data", str(volumes), "--output", str(tmp_path / "x.safetensors")]
    assert export.main([*arguments, "--description", "a test"]) == 0
    assert load_model(tmp_path / "x.safetensors").card.training["data"].startswith("pairs.csv, subset 'train': ")


def test_tfnet_trains_by_the_same_protocol_and_exports_half(data: Path, tmp_path: Path) -> None:
    settings = tiny(architecture="tfnet", loss={"l1": 1.0}, epochs=1, validate_every=1)
    train.train(settings, data, tmp_path / "run")
    weights = tmp_path / "tfnet.safetensors"
    assert export.main(["--run", str(tmp_path / "run"), "--data", str(data), "--output", str(weights)]) == 0
    tensors, module = load_file(weights), export.load_run(tmp_path / "run")[0]
    assert not weights.with_suffix(".json").exists()
    assert set(tensors) == set(module.network.state_dict())
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


def test_any_registered_network_is_trained_and_exported(data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(registry.ARCHITECTURES, "Toy", TOY)
    options = tiny(epochs=1, validate_every=1).to_dict() | {"architecture": "toy", "network": {"gain": 0.75}}
    settings = config_from_dict(options, "a test")
    train.train(settings, data, tmp_path / "run")
    export.export(tmp_path / "run", data, tmp_path / "toy.safetensors", "a test")
    model = load_model(tmp_path / "toy.safetensors")
    assert (model.card.architecture, model.network.config) == ("Toy", ToyConfig(0.75))
    with pytest.raises(ValueError, match="it must be a NetworkConfig"):
        replace(settings, architecture="cspa-dn")


@pytest.mark.ci
def test_two_processes_train_as_one(data: Path, tmp_path: Path) -> None:
    """The same loss to 1e-5, and the same weights after the steps of the optimiser.

    Only a bias before batch normalisation, or of the keys before a softmax, which ignores what all have, is arbitrary: it has
    no influence, so its gradient is but rounding, which Adam makes a step of. Batch normalisation takes the former out in
    training, and remembers it in the running mean.
    """
    loss = {"mse": 1.0, "ssim": 1.0, "qabf": 1.0, "scd": 1.0}
    short = {"epochs": 3, "steps_per_epoch": 1, "batch_size": 4, "learning_rate": 0.01, "loss": loss}
    settings = tiny(**short, attention_scale_rate=1.0, augmentation=Augmentation())  # whatever the paper's preset has
    config = _written(settings, tmp_path / "tiny.yaml")
    alone, together = tmp_path / "alone", tmp_path / "together"
    train.train(settings, data, alone)
    command = [*_command(config, data, together), "--devices", "2"]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    curves = [[float(loss) for loss in _curve(run).values()] for run in (alone, together)]
    assert len(curves[0]) == 3
    np.testing.assert_allclose(curves[1], curves[0], rtol=0, atol=1e-5)
    first, second = (torch.load(run / train.CHECKPOINT, weights_only=True)["state_dict"] for run in (alone, together))
    assert list(first) == list(second)
    arbitrary = re.compile(r"dense\.\d+\.(0\.bias|3\.bias|\d\.running_mean)$|spatial\.key\.bias$")
    for name in first:
        tolerance = 0.1 if arbitrary.search(name) else 1e-5
        np.testing.assert_allclose(first[name], second[name], rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.slow
def test_two_processes_train_in_mixed_precision(data: Path, tmp_path: Path) -> None:
    settings = tiny(epochs=1, steps_per_epoch=1, batch_size=4, precision="bf16")
    config = _written(settings, tmp_path / "tiny.yaml")
    train.train(settings, data, tmp_path / "alone")
    command = [*_command(config, data, tmp_path / "together"), "--devices", "2"]
    subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
    alone, together = ([float(loss) for loss in _curve(tmp_path / run).values()] for run in ("alone", "together"))
    assert together == pytest.approx(alone, rel=0.02)


def test_a_batch_that_cannot_be_shared_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 3: 2 processes cannot share it evenly"):
        train.train(tiny(batch_size=3), data, tmp_path / "run", devices=2)


def test_pictures_and_curves_for_eyes(data: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    train.train(tiny(epochs=4, validate_every=1, pictures_every=2), data, run)
    assert [path.name for path in sorted((run / "pictures").iterdir())] == ["epoch_00002.png", "epoch_00004.png"]
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(run / "pictures" / "epoch_00004.png")))
    (pair,) = read_pairs(data, "test_same_head")
    assert picture.shape == (32, 3 * 40)
    np.testing.assert_array_equal(picture[:, :80], np.rint(np.hstack(pair) * 255))
    log = EventAccumulator(str(run / "tensorboard" / "version_0")).Reload()
    assert [event.step for event in log.Images("validation")] == [4, 8]
    assert [event.value for event in log.Scalars("train_loss")] == pytest.approx([float(v) for v in _curve(run).values()])
    assert load_config(run / "config.yaml") == tiny(epochs=4, validate_every=1, pictures_every=2)


def test_a_run_that_diverges_stops_and_keeps_the_last_good_checkpoint(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    config, run = _written(tiny(steps_per_epoch=1), tmp_path / "tiny.yaml"), tmp_path / "run"
    terms = train.FusionTraining.loss_terms

    def spoiled(self: train.FusionTraining, fused: torch.Tensor, sources: torch.Tensor) -> dict[str, torch.Tensor]:
        factor = float("nan") if self.training and self.global_step == 4 else 1.0
        return {name: factor * term for name, term in terms(self, fused, sources).items()}

    monkeypatch.setattr(train.FusionTraining, "loss_terms", spoiled)
    assert train.main(_command(config, data, run)[3:]) == 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training: ")]
    assert "The loss is nan at step 5 of 8: the training has diverged" in line
    module, checkpoint = export.load_run(run)
    assert checkpoint["global_step"] == 4
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_weights_that_are_no_numbers_are_not_kept(data: Path, tmp_path: Path, monkeypatch) -> None:
    """A gradient may overflow where its loss does not: such a step must not reach the checkpoint."""

    def spoil(self: train.FusionTraining, optimizer: torch.optim.Optimizer) -> None:
        if self.global_step == 2:
            next(self.parameters()).grad.fill_(float("inf"))

    monkeypatch.setattr(train.FusionTraining, "on_before_optimizer_step", spoil)
    with pytest.raises(train.DivergedError, match="A weight is not a number after step 3 of 8"):
        train.train(tiny(steps_per_epoch=1), data, tmp_path / "run")
    assert export.load_run(tmp_path / "run")[1]["global_step"] == 2


def test_a_run_with_other_options_is_not_continued(data: Path, tmp_path: Path) -> None:
    settings = tiny()
    train.train(settings, data, tmp_path / "run", epochs=1)
    with pytest.raises(ValueError, match=r"other options \(loss, seed\)"):
        train.train(replace(settings, loss={"mse": 1.0}, seed=2), data, tmp_path / "run")
    with pytest.raises(ValueError, match=r"other options \(architecture\)"):
        train.train(replace(settings, architecture="tfnet"), data, tmp_path / "run")


def _save(run: Path, settings: TrainingConfig, weights_of: TrainingConfig) -> Path:
    """Save a checkpoint with the options of one run and the weights of another."""
    state = train.FusionTraining(weights_of).state_dict()
    run.mkdir()
    checkpoint = {
        "hyper_parameters": settings.to_dict(),
        "state_dict": state,
        "history": [],
        "global_step": settings.total_steps,
    }
    torch.save(checkpoint, run / train.CHECKPOINT)
    return run


BAD_CHECKPOINTS = {
    "another network": (lambda run: _save(run, tiny(), tiny(network=NetworkConfig())), "has another architecture"),
    "TFNet's weights": (lambda run: _save(run, tiny(), tiny(architecture="tfnet")), "has another architecture"),
    "damaged": (lambda run: (run.mkdir(), (run / train.CHECKPOINT).write_bytes(b"PK\x03\x04nothing")), "cannot be read"),
    "of others": (lambda run: (run.mkdir(), torch.save({"state_dict": {}}, run / train.CHECKPOINT)), "is not a checkpoint"),
}


@pytest.mark.parametrize(("make", "problem"), BAD_CHECKPOINTS.values(), ids=BAD_CHECKPOINTS)
def test_a_bad_checkpoint_is_neither_continued_nor_exported(
    make, problem: str, config, data: Path, tmp_path: Path, capsys
) -> None:
    run = tmp_path / "run"
    make(run)
    before = (run / train.CHECKPOINT).read_bytes()
    assert train.main(_command(config, data, run)[3:]) == 3
    assert export.main(_export(run, data, tmp_path / "x.safetensors")) == 3
    for line, program in zip(capsys.readouterr().err.splitlines(), ("training", "export"), strict=True):
        assert line.startswith(f"{program}: {run / train.CHECKPOINT} {problem}")
    assert (run / train.CHECKPOINT).read_bytes() == before
    assert not (tmp_path / "x.safetensors").exists()


def _export(run: Path, data: Path, output: Path) -> list[str]:
    return ["--run", str(run), "--data", str(data), "--output", str(output), "--description", "a test"]


def test_bad_arguments_get_a_line(config: Path, data: Path, tmp_path: Path, capsys) -> None:
    run = tmp_path / "run"
    assert train.main(_command(tmp_path / "none.yaml", data, run)[3:]) == 3
    assert train.main(_command(config, tmp_path / "nowhere", run)[3:]) == 3
    assert train.main(_command(config, tmp_path / "nowhere.csv", run)[3:]) == 3
    assert export.main(_export(tmp_path, data, tmp_path / "x.safetensors")) == 3
    _save(run, tiny(), tiny())
    assert export.main(_export(run, data, tmp_path / "x.ckpt")) == 2
    assert export.main(_export(run, data, tmp_path / "x.safetensors")[:-2]) == 2
    errors = capsys.readouterr().err.splitlines()
    problems = (
        "none.yaml does not exist",
        "split.csv does not exist",
        "nowhere.csv does not exist",
        "does not exist",
        "must end",
        "--description",
    )
    assert len(errors) == len(problems)
    assert all(problem in error for error, problem in zip(errors, problems, strict=True))


def test_loss_of_tfnet_is_the_mean_distance_to_both() -> None:
    sources = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    module = train.FusionTraining(tiny(loss={"l1": 1.0}))
    assert module.loss_terms(torch.full((1, 1, 4, 4), 0.25), sources)["loss"] == pytest.approx(0.5 * (0.25 + 0.75))


def test_learning_rate_falls_by_a_half_cosine_and_the_scales_have_their_own() -> None:
    rates = _rates(tiny(epochs=2, learning_rate=0.01, final_learning_rate=0.001, attention_scale_rate=10.0), 5)
    scales = {name for name in rates[0] if name.endswith((".alpha", ".beta"))}
    assert len(scales) == 2
    half_cosine = 0.001 + 0.009 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2
    for name in rates[0]:
        factor = 10 if name in scales else 1
        np.testing.assert_allclose([row[name] for row in rates], factor * half_cosine, rtol=1e-12)
    tfnet = _rates(tiny(architecture="tfnet"), 1)[0]
    assert set(tfnet.values()) == {tiny().learning_rate}


def test_precision_follows_the_device(monkeypatch) -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    for capability, expected in (((8, 6), "bf16-mixed"), ((7, 5), "16-mixed")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, answer=capability: answer)
        assert train.choose_precision(tiny(precision="auto"), cuda) == expected
        assert train.choose_precision(tiny(precision="32"), cuda) == "32-true"
        assert train.choose_precision(tiny(precision="bf16"), cuda) == expected
    assert train.choose_precision(tiny(precision="bf16"), cpu) == "bf16-mixed"
    assert train.choose_precision(tiny(precision="bf16"), torch.device("mps")) == "32-true"
    assert train.choose_precision(tiny(precision="auto"), cpu) == "32-true"
    assert train.choose_precision(tiny(precision="auto"), torch.device("mps")) == "32-true"


def test_the_loss_is_computed_in_float32() -> None:
    module = train.FusionTraining(tiny())
    sources = torch.rand(2, 2, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused = module(sources)
        terms = module.loss_terms(fused, sources)
    assert fused.dtype == torch.float32
    assert torch.equal(terms["loss"], module.loss_terms(fused, sources)["loss"])


def test_synced_batch_normalisation_changes_no_name_and_no_result_of_one_process() -> None:
    torch.manual_seed(0)
    plain, synced = (nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)) for _ in range(2))
    synced.load_state_dict(plain.state_dict())
    BatchNormSync().apply(synced)
    assert type(synced[1]) is not nn.BatchNorm2d
    image = torch.rand(2, 2, 8, 8)
    assert torch.equal(plain(image), synced(image))
    BatchNormSync().revert(synced)
    assert type(synced[1]) is nn.BatchNorm2d
    assert all(torch.equal(value, synced.state_dict()[name]) for name, value in plain.state_dict().items())


def _rates(settings: TrainingConfig, steps: int) -> list[dict[str, float]]:
    """Record the learning rate of each parameter before each step."""
    module = train.FusionTraining(settings)
    configured: Any = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    rates = []
    for _ in range(steps):
        rates.append({names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]})
        optimizer.step()
        schedule.step()
    assert set(rates[0]) == set(names.values())
    return rates


def test_rows_of_any_size_make_a_picture() -> None:
    sheet = contact_sheet([np.full((2, 3), 7, np.uint8), np.full((1, 5), 9, np.uint8)])
    np.testing.assert_array_equal(sheet, [[7, 7, 7, 0, 0], [7, 7, 7, 0, 0], [9, 9, 9, 9, 9]])
