"""Model files: safetensors weights and the JSON card beside them. Loading runs no code from a file and verifies everything."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from cspadn.errors import ModelError
from cspadn.models.cspadn import CSpADN, NetworkConfig
from cspadn.settings import DEFAULT_MODEL

WEIGHTS_SUFFIX, CARD_SUFFIX = ".safetensors", ".json"
_MAXIMUM_BYTES = 64 * 2**20  # of a weights file: the default network needs 0.75 MB
_MAXIMUM_CARD_BYTES = 2**20  # the shipped ones have 3 KB
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class ModelCard:
    """What a model is and where it comes from. Raises TypeError where a field is of another type.

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

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            expected = {"network": NetworkConfig, "training": dict, "metrics": dict}.get(name, str)
            if not isinstance(value, expected):
                raise TypeError(name)
        if not (self.name + self.version).isprintable():  # they stand in the headers of what is fused
            raise ValueError("Name or version of the model hold signs that cannot be shown: choose others.")

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
        fields = json.loads(_content(path, _MAXIMUM_CARD_BYTES, "The model card"))
        return ModelCard(**{**fields, "network": NetworkConfig.from_dict(fields["network"])})
    except OSError:
        raise ModelError(f"The model card {path} cannot be read: it must lie beside the weights.") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ModelError(f"{path} is not a model card of this version: export the model again.") from None


def _content(path: Path, most: int, what: str) -> bytes:
    """Of a file; OSError where it cannot be read, as what is none, and ModelError where it has more than ``most`` bytes."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe gives nothing, or for ever
        raise OSError("no file")
    if status.st_size > most:
        raise ModelError(f"{what} {path}: this file is larger than any of ours, and was not read. Check the name.")
    return path.read_bytes()


def load_model(name_or_file: str | Path = DEFAULT_MODEL) -> Model:
    """Load a shipped model by name, or a safetensors file with its card beside it.

    Raises:
        ModelError: unknown, unreadable, or its hash, layers or values are not what the card promises.
    """
    path = _find(str(name_or_file))
    card = read_card(path.with_suffix(CARD_SUFFIX))
    with torch.device("meta"):  # which takes no memory: a card may ask for anything
        expected = CSpADN(card.network).state_dict()
    tensors = _verified_tensors(path, card, expected)
    network = CSpADN(card.network)
    network.load_state_dict(tensors)
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
        content = _content(path, _MAXIMUM_BYTES, "The weights")
    except (OSError, ValueError):  # ValueError: the name cannot be one
        raise ModelError(f"The weights {path} cannot be read: check the name and the permissions.") from None
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise ModelError(f"The weights {path} are not those of their model card (SHA-256 differs): copy both again.")
    try:
        tensors = safetensors.torch.load(content)
    except Exception:  # of many kinds: types that torch does not have are a KeyError
        raise ModelError(f"{path} is not a safetensors file: export the model again.") from None
    if _layers(tensors) != _layers(expected):
        raise ModelError(f"The weights {path} do not fit the network of their model card: export the model again.")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ModelError(f"The weights {path} hold values that are not numbers: export the model again.")
    return tensors


def _layers(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Shapes and types; the networks of the experiments are stored in half precision."""
    kinds = {torch.float16: torch.float32}
    return {name: (tensor.shape, kinds.get(tensor.dtype, tensor.dtype)) for name, tensor in tensors.items()}


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
