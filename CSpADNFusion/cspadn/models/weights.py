"""Read and write model files: safetensors weights and the JSON card beside them.

Loading a model runs no code from its files: the card names an architecture of :mod:`cspadn.models.registry`.
"""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.errors import ModelError
from cspadn.messages import message
from cspadn.models.registry import ARCHITECTURES, Architecture, Config, architecture_of
from cspadn.runtime.terminal import in_one_line
from cspadn.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS_SUFFIX, CARD_SUFFIX = ".safetensors", ".json"
_MAXIMUM_BYTES = 64 * 2**20  # of a weights file: the default network needs 0.75 MB
_MAXIMUM_CARD_BYTES = 2**20  # the shipped ones have 3 KB
SHIPPED = {  # SHA-256 of the weights of the shipped models
    "cspadn": "50dd2ea6aa2bac623bb97234410dd9309ae269caad1bbe48c5574df7ce4016e4",
    "cspadn-paper": "06022304d9481d8242f4a38212f89a0bd38f8beb5ce6e85cdb762cb04f37cc5d",
}
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class ModelCard:
    """The description of a model and its origin.

    Attributes:
        architecture: a name in :data:`cspadn.models.registry.ARCHITECTURES`.
        network: the configuration of that architecture.
        sha256: of the weights file, hexadecimal.
        training: command, data, configuration, steps and software of the training.
        metrics: measured values, by set and name.

    Raises:
        TypeError: a field has another type.
        KeyError: the architecture is unknown.
        ValueError: name or version cannot be printed.
    """

    name: str
    version: str
    description: str
    architecture: str
    network: Config
    sha256: str
    date: str
    training: dict[str, Any]
    metrics: dict[str, Any]

    def __post_init__(self) -> None:
        types: dict[str, type] = {"network": ARCHITECTURES[self.architecture].config, "training": dict, "metrics": dict}
        for name, value in vars(self).items():
            expected = types.get(name, str)
            if not isinstance(value, expected):
                raise TypeError(name)
        if not (self.name + self.version).isprintable():  # the headers of fused volumes contain them
            raise ValueError(message("model-name-unprintable"))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as they are in the JSON file."""
        return {**vars(self), "network": self.network.to_dict()}


@dataclass(frozen=True)
class Model:
    """A verified network in evaluation mode, and its card."""

    network: nn.Module
    card: ModelCard


def models_folder() -> Path:
    """Return the folder of the shipped models: beside the package in the extension, inside it in a wheel."""
    beside = _PACKAGE.parent / "Resources" / "Models"
    return beside if beside.is_dir() else _PACKAGE / "Resources" / "Models"


def list_models() -> list[ModelCard]:
    """Read the cards of the shipped models, in the order of their names."""
    return [read_card(path) for path in sorted(models_folder().glob("*" + CARD_SUFFIX), key=lambda path: path.stem)]


def read_card(path: Path) -> ModelCard:
    """Read a model card.

    Raises:
        ModelError: the file cannot be read, is not a model card, or names an unknown architecture.
    """
    try:
        fields = json.loads(_content(path, _MAXIMUM_CARD_BYTES, "The model card"))
        network = _architecture(fields["architecture"], path).config.from_dict(fields["network"])
        return ModelCard(**{**fields, "network": network})
    except OSError:
        raise ModelError(message("model-card-unreadable", path=path)) from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ModelError(message("model-card-invalid", path=path)) from None


def _architecture(name: str, path: Path) -> Architecture:
    """Return an architecture by its name; ModelError if it is unknown, TypeError if it is not text."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    shown, known = in_one_line(name[:40]), " or ".join(ARCHITECTURES)
    raise ModelError(message("model-architecture-unknown", path=path, architecture=shown, choices=known))


def _content(path: Path, most: int, what: str) -> bytes:
    """Read a file; OSError if it cannot be read or is not a regular file, ModelError if it exceeds ``most`` bytes."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe may block, or never end
        raise OSError("no file")
    if status.st_size > most:
        raise ModelError(message("model-file-too-large", what=what, path=path, limit=most / 2**20))
    return path.read_bytes()


def load_model(name_or_file: str | Path = DEFAULT_MODEL) -> Model:
    """Load a shipped model, or a safetensors file with its card beside it.

    Args:
        name_or_file: a name of :func:`list_models`, or the path of a ``.safetensors`` file.

    Returns:
        The network that the card's ``architecture`` names, on the CPU, in evaluation mode, and the card.

    Raises:
        ModelError: the model is unknown or cannot be read, its architecture is unknown, or its hash, layers or values do not
            agree with the card; or a shipped model is not the one of this version.
    """
    import torch

    path = _find(str(name_or_file))
    card = read_card(path.with_suffix(CARD_SUFFIX))
    if not str(name_or_file).endswith(WEIGHTS_SUFFIX) and card.sha256 != SHIPPED.get(path.stem):
        raise ModelError(message("model-not-as-shipped", model=path.stem, path=path))
    architecture = ARCHITECTURES[card.architecture]
    with torch.device("meta"):  # takes no memory: a card may ask for layers of any size
        expected = architecture.build(card.network).state_dict()
    tensors = _verified_tensors(path, card, expected)
    network = architecture.build(card.network)
    network.load_state_dict(tensors)
    return Model(network.eval(), card)


def _find(name_or_file: str) -> Path:
    if name_or_file.endswith(WEIGHTS_SUFFIX):
        return Path(name_or_file)
    known = [path.stem for path in sorted(models_folder().glob("*" + WEIGHTS_SUFFIX))]
    if name_or_file not in known:
        raise ModelError(message("model-unknown", model=name_or_file, choices=", ".join(known), suffix=WEIGHTS_SUFFIX))
    return models_folder() / (name_or_file + WEIGHTS_SUFFIX)


def _verified_tensors(path: Path, card: ModelCard, expected: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the weights and compare them with the card; the file is read once, so that the hashed bytes are those loaded."""
    from safetensors.torch import load

    try:
        content = _content(path, _MAXIMUM_BYTES, "The weights")
    except (OSError, ValueError):  # ValueError: the name cannot be one
        raise ModelError(message("weights-unreadable", path=path)) from None
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise ModelError(message("weights-not-of-card", path=path))
    try:
        tensors = load(content)
    except Exception:  # many kinds of errors; a type that torch does not have is a KeyError
        raise ModelError(message("weights-format", path=path)) from None
    if _layers(tensors) != _layers(expected):
        raise ModelError(message("weights-do-not-fit", path=path))
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ModelError(message("weights-not-finite", path=path))
    return tensors


def _layers(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return shapes and types; half precision, used for the networks of the experiments, counts as single."""
    import torch

    kinds = {torch.float16: torch.float32}
    return {name: (tensor.shape, kinds.get(tensor.dtype, tensor.dtype)) for name, tensor in tensors.items()}


def save_model(network: nn.Module, path: Path, **fields: Any) -> ModelCard:
    """Write the weights and the card of a network. Both are written to temporary names and renamed.

    Args:
        network: of a class in :data:`cspadn.models.registry.ARCHITECTURES`.
        path: of the weights, ``.safetensors``; the card is ``.json`` beside it.
        fields: the fields of :class:`ModelCard`, except name, architecture, network and sha256.

    Returns:
        The card.

    Raises:
        TypeError: the network's class is not registered.
    """
    from safetensors.torch import save

    architecture = architecture_of(network)
    config: Any = network.config
    content = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    sha256 = hashlib.sha256(content).hexdigest()
    card = ModelCard(name=path.stem, architecture=architecture, network=config, sha256=sha256, **fields)
    text = json.dumps(card.to_dict(), indent=2, ensure_ascii=False) + "\n"
    for target, data in ((path, content), (path.with_suffix(CARD_SUFFIX), text.encode())):
        temporary = target.with_name(target.name + ".part")
        temporary.write_bytes(data)
        temporary.replace(target)
    return card
