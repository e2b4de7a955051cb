"""Model files: safetensors weights and the JSON card beside them. Loading runs no code from a file and verifies everything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from .errors import ModelError
from .network import CSpADN, NetworkConfig
from .settings import DEFAULT_MODEL

WEIGHTS_SUFFIX, CARD_SUFFIX = ".safetensors", ".json"
_MAXIMUM_BYTES = 64 * 2**20  # of a weights file: the default network needs 0.75 MB
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class ModelCard:
    """What a model is and where it comes from.

    Attributes:
        sha256: of the weights file, hexadecimal.
        training: command, data, configuration, steps and software that made it.
        metrics: measured values, by set and name.
    """

    name: str
    version: str
    description: str
    architecture: str
    network: NetworkConfig
    sha256: str
    date: str
    training: dict[str, Any]
    metrics: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The fields as they stand in the JSON file."""
        return {**vars(self), "network": self.network.to_dict()}


@dataclass(frozen=True)
class Model:
    """A verified network, ready to fuse, and its card."""

    network: CSpADN
    card: ModelCard


def models_folder() -> Path:
    """Where the shipped models are: beside the package in the extension, inside it in a wheel."""
    beside = _PACKAGE.parent / "Resources" / "Models"
    return beside if beside.is_dir() else _PACKAGE / "Resources" / "Models"


def list_models() -> list[ModelCard]:
    """The cards of the shipped models, by name."""
    return [read_card(path) for path in sorted(models_folder().glob("*" + CARD_SUFFIX), key=lambda path: path.stem)]


def read_card(path: Path) -> ModelCard:
    """Read a model card; ModelError where it is missing or not a card."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return ModelCard(**{**fields, "network": NetworkConfig.from_dict(fields["network"])})
    except OSError:
        raise ModelError(f"The model card {path} cannot be read: it must lie beside the weights.") from None
    except (ValueError, TypeError, KeyError):
        raise ModelError(f"{path} is not a model card of this version: export the model again.") from None


def load_model(name_or_file: str | Path = DEFAULT_MODEL) -> Model:
    """Load a shipped model by name, or a safetensors file with its card beside it.

    Raises:
        ModelError: unknown, unreadable, or its hash, layers or values are not what the card promises.
    """
    path = _find(str(name_or_file))
    card = read_card(path.with_suffix(CARD_SUFFIX))
    network = CSpADN(card.network)
    network.load_state_dict(_verified_tensors(path, card, network.state_dict()))
    return Model(network.eval(), card)


def _find(name_or_file: str) -> Path:
    if name_or_file.endswith(WEIGHTS_SUFFIX):
        return Path(name_or_file)
    known = [path.stem for path in sorted(models_folder().glob("*" + WEIGHTS_SUFFIX))]
    if name_or_file not in known:
        raise ModelError(f"There is no model '{name_or_file}': use one of {', '.join(known)}, or a {WEIGHTS_SUFFIX} file.")
    return models_folder() / (name_or_file + WEIGHTS_SUFFIX)


def _verified_tensors(path: Path, card: ModelCard, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the file once, so that what was hashed is what is loaded."""
    try:
        if path.stat().st_size > _MAXIMUM_BYTES:
            raise ModelError(f"The weights {path} are larger than any model of ours: they were not read.")
        content = path.read_bytes()
    except OSError:
        raise ModelError(f"The weights {path} cannot be read: check the name and the permissions.") from None
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise ModelError(f"The weights {path} are not those of their model card (SHA-256 differs): copy both again.")
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError:
        raise ModelError(f"{path} is not a safetensors file: export the model again.") from None
    if {name: tensor.shape for name, tensor in tensors.items()} != {name: tensor.shape for name, tensor in expected.items()}:
        raise ModelError(f"The weights {path} do not fit the network of their model card: export the model again.")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ModelError(f"The weights {path} hold values that are not numbers: export the model again.")
    return tensors


def save_model(network: CSpADN, path: Path, **fields: Any) -> ModelCard:
    """Write ``path`` (safetensors) and its card; ``fields`` are those of :class:`ModelCard` but for what follows from these.

    Both are written to temporary names and renamed.
    """
    content = safetensors.torch.save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    sha256 = hashlib.sha256(content).hexdigest()
    card = ModelCard(name=path.stem, architecture="CSpA-DN", network=network.config, sha256=sha256, **fields)
    text = json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n"
    for target, data in ((path, content), (path.with_suffix(CARD_SUFFIX), text.encode())):
        temporary = target.with_name(target.name + ".part")
        temporary.write_bytes(data)
        temporary.replace(target)
    return card
