"""Model files are verified before they are used."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import SimpleITK as sitk
import torch

from cspadn import FusionSettings, fuse
from cspadn.errors import ModelError
from cspadn.metrics import NAMES
from cspadn.models import registry, weights
from cspadn.models.cspadn import CSpADN, NetworkConfig
from message_calls import raises
from toy_network import TOY, Toy, ToyConfig
from volumes import blobs, volume

TINY = NetworkConfig(common_channels=2, growth_channels=2, dense_modules=1, reduced_channels=1, decoder_channels=(2,))
FIELDS = {"version": "1", "description": "for tests", "date": "2026-01-01", "training": {}, "metrics": {}}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / "tiny.safetensors"
    weights.save_model(CSpADN(TINY), path, **FIELDS)
    return path


def _change_card(path: Path, **fields: object) -> None:
    card_path = path.with_suffix(".json")
    card_path.write_text(json.dumps({**json.loads(card_path.read_text()), **fields}))


def _replace_weights(path: Path, content: bytes) -> None:
    """Write other weights, and a card with their hash."""
    path.write_bytes(content)
    _change_card(path, sha256=hashlib.sha256(content).hexdigest())


def test_shipped_models_load_and_are_described() -> None:
    cards = weights.list_models()
    assert weights.DEFAULT_MODEL in [card.name for card in cards]
    for card in cards:
        model = weights.load_model(card.name)
        assert model.card == card
        assert not model.network.training
        assert card.training["command"].startswith("python -m training.train")
        config = card.training["config"]
        assert card.training["steps"] == config["epochs"] * config["steps_per_epoch"], "the training was not finished"
        validation = ", ".join(config["validation_subset"])
        assert set(card.metrics) == {validation}
        measured = set(card.metrics[validation])
        assert measured  # a card may be older than a metric
        assert measured <= set(NAMES)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setitem(registry.ARCHITECTURES, "toy", TOY)
    path = tmp_path / "toy.safetensors"
    weights.save_model(Toy(ToyConfig(1.0)), path, **FIELDS)
    return path


def test_the_card_names_the_network_that_is_built(toy: Path) -> None:
    assert json.loads(toy.with_suffix(".json").read_text())["architecture"] == "toy"
    model = weights.load_model(toy)
    assert (type(model.network), model.network.config) == (Toy, ToyConfig(1.0))
    _change_card(toy, network={"gain": 2})
    with raises(ModelError, "model-card-invalid"):
        weights.load_model(toy)
    _change_card(toy, network=TINY.to_dict())  # of another architecture
    with raises(ModelError, "model-card-invalid"):
        weights.load_model(toy)


def test_another_architecture_fuses(toy: Path) -> None:
    pet, mri = blobs((3, 12, 14), 1), blobs((3, 12, 14), 2)
    windows = {"pet_window": (0, 100), "mri_window": (0, 100)}
    fused = fuse(volume(pet), volume(mri), FusionSettings(model=str(toy), device="cpu", **windows))
    brighter = np.clip(np.maximum(pet, mri) / 100, 0, 1)
    np.testing.assert_allclose(sitk.GetArrayFromImage(fused.image) / 4095, brighter, atol=0.01)


def test_unknown_architectures_are_refused(model: Path) -> None:
    for name in ("U-Net", "cspa-dn", ""):
        _change_card(model, architecture=name)
        with raises(ModelError, "model-architecture-unknown", architecture=name, choices=" or ".join(registry.ARCHITECTURES)):
            weights.load_model(model)
    for other in (None, 1, ["CSpA-DN"], {}):
        _change_card(model, architecture=other)
        with raises(ModelError, "model-card-invalid"):
            weights.load_model(model)
    with pytest.raises(TypeError, match="Identity is not in ARCHITECTURES"):
        weights.save_model(torch.nn.Identity(), model, **FIELDS)


def test_saved_weights_come_back(model: Path) -> None:
    torch.manual_seed(1)
    expected = CSpADN(TINY).state_dict()
    loaded = weights.load_model(model)
    assert loaded.card.name == "tiny"
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert {path.name for path in model.parent.iterdir()} == {"tiny.safetensors", "tiny.json"}


def test_any_changed_byte_is_noticed(model: Path) -> None:
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with raises(ModelError, "weights-not-of-card"):
        weights.load_model(model)


def test_pickles_are_never_opened(model: Path) -> None:
    _replace_weights(model, pickle.dumps({"a": 1}))
    with raises(ModelError, "weights-format"):
        weights.load_model(model)


def test_layers_must_fit(model: Path) -> None:
    _replace_weights(model, safetensors.torch.save({"a": torch.zeros(2)}))
    with raises(ModelError, "weights-do-not-fit"):
        weights.load_model(model)


def test_types_must_fit(model: Path) -> None:
    tensors = {name: tensor.double() for name, tensor in safetensors.torch.load(model.read_bytes()).items()}
    _replace_weights(model, safetensors.torch.save(tensors))
    with raises(ModelError, "weights-do-not-fit"):
        weights.load_model(model)


def test_types_that_torch_does_not_have_are_refused(model: Path) -> None:
    _replace_weights(model, model.read_bytes().replace(b'"F32"', b'"X32"'))
    with raises(ModelError, "weights-format"):
        weights.load_model(model)


def test_values_must_be_numbers(model: Path) -> None:
    tensors = safetensors.torch.load(model.read_bytes())
    tensors["decoder.0.weight"].view(-1)[0] = float("nan")
    _replace_weights(model, safetensors.torch.save(tensors))
    with raises(ModelError, "weights-not-finite"):
        weights.load_model(model)


def test_the_program_knows_the_hashes_of_the_shipped_models() -> None:
    assert {card.name: card.sha256 for card in weights.list_models()} == weights.SHIPPED


def test_a_shipped_model_that_was_exchanged_with_its_card_is_noticed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (model, model.with_suffix(".json")):
        shutil.copy(path, path.with_stem("cspadn"))
    monkeypatch.setattr(weights, "models_folder", lambda: model.parent)
    for name in ("cspadn", "tiny"):
        with raises(ModelError, "model-not-as-shipped", model=name, path=model.with_stem(name)):
            weights.load_model(name)
    assert weights.load_model(model).card.name == "tiny"


def test_finite_weights_that_overflow_are_told(model: Path) -> None:
    tensors = safetensors.torch.load(model.read_bytes())
    tensors = {name: tensor * 1e20 if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    _replace_weights(model, safetensors.torch.save(tensors))
    pet, mri = (volume(blobs((2, 12, 12), seed=seed)) for seed in (1, 2))
    with raises(ModelError, "model-without-numbers"):
        fuse(pet, mri, FusionSettings(device="cpu", model=str(model)))


def test_huge_files_are_not_read(model: Path) -> None:
    with model.open("r+b") as file:
        file.truncate(2**31)  # sparse
    with raises(ModelError, "model-file-too-large"):
        weights.load_model(model)


@pytest.mark.parametrize(
    "field",
    [
        *(
            {"common_channels": "16"},
            {"growth_channels": -1},
            {"dense_modules": 200_000},
            {"decoder_channels": "ab"},
            {"x": 1},
        ),
        {"decoder_channels": [1] * 65},
    ],
)
def test_cards_with_absurd_layers_are_refused(model: Path, field: dict) -> None:
    _change_card(model, network={**TINY.to_dict(), **field})
    with raises(ModelError, "model-card-invalid"):
        weights.load_model(model)


def test_a_network_is_made_when_its_weights_are_there(model: Path) -> None:
    """The network of the card would have 40 GB."""
    _change_card(model, network={**TINY.to_dict(), "dense_modules": 1024, "growth_channels": 1024})
    with raises(ModelError, "weights-do-not-fit"):
        weights.load_model(model)


@pytest.mark.parametrize(
    "fields", [{"name": 3}, {"version": "1\n2"}, {"name": "\ud800"}, {"training": []}, {"sha256": None}, {"date": 2026}]
)
def test_cards_with_other_types_are_refused(model: Path, fields: dict) -> None:
    _change_card(model, **fields)
    with raises(ModelError, "model-card-invalid"):
        weights.load_model(model)


def test_huge_cards_are_not_read(model: Path) -> None:
    with model.with_suffix(".json").open("r+b") as file:
        file.truncate(2**31)  # sparse
    with raises(ModelError, "model-file-too-large"):
        weights.load_model(model)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"network": 3}', "\x00", "[" * 100_000])
def test_what_is_no_card_is_refused(model: Path, text: str) -> None:
    model.with_suffix(".json").write_text(text)
    with raises(ModelError, "model-card-invalid"):
        weights.load_model(model)


def test_missing_files(model: Path, tmp_path: Path) -> None:
    with raises(ModelError, "model-card-unreadable"):
        weights.load_model(tmp_path / "none.safetensors")
    shutil.copy(model.with_suffix(".json"), tmp_path / "other.json")
    with raises(ModelError, "weights-unreadable", path=tmp_path / "other.safetensors"):
        weights.load_model(tmp_path / "other.safetensors")
