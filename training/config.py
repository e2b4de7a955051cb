"""The options of a training run, read from a YAML file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from cspadn.models.cspadn import NetworkConfig
from cspadn.models.registry import ARCHITECTURES, Architecture, Config
from training.losses import TERMS

TFNET = "tfnet"
_LEAST_PIXELS = {"ssim": 11, "weighted_ssim": 11, "vif": 41}  # pixels along each side that the windows of these terms need


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a patch. The defaults are those of the paper preset (docs/adr/0003).

    Attributes:
        flip: whether to flip each axis with a probability of one half.
        rotate: whether to rotate by 0 to 3 quarter turns, all equally likely.
        gain: each source is multiplied by its own random factor from [1 - gain, 1].
        curve: each source is raised to its own random power from [1 / (1 + curve), 1 + curve].
        saturation: each source is, with a probability of one half, multiplied by its own random factor from
            [1, 1 + saturation] and cut at 1, as by a narrower window.
    """

    flip: bool = True
    rotate: bool = False
    gain: float = 0.0
    curve: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "rotate"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"augmentation.{name} is {getattr(self, name)!r}: it must be true or false.")
        _check_number("augmentation.gain", self.gain, 0, 1)
        _check_number("augmentation.curve", self.curve, 0)
        _check_number("augmentation.saturation", self.saturation, 0)


@dataclass(frozen=True)
class SynthesisConfig:
    """Sources of the synthetic patches (:mod:`training.synthesis`). Without heads, no patch is synthetic.

    Attributes:
        heads, validation_heads: numbers of the label maps in the folder ``label_maps`` of the data.
        real: share of the patches that are cut from real pairs, 0 to 1.
        flat: share of the patches that are flat, or a plateau, in both sources, 0 to 1.
        exams: examinations in the folder ``spect_mri`` of the data whose pairs are added to the real ones.
    """

    heads: tuple[int, ...] = ()
    validation_heads: tuple[int, ...] = ()
    real: float = 0.15
    flat: float = 0.1
    exams: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("heads", "validation_heads", "exams"):
            numbers = getattr(self, name)
            if not all(type(number) is int and number > 0 for number in numbers):
                raise ValueError(f"synthesis.{name} is {list(numbers)!r}: it must be a list of whole numbers from 1 on.")
        _check_number("synthesis.real", self.real, 0, 1)
        _check_number("synthesis.flat", self.flat, 0, 1 - self.real)
        if both := sorted(set(self.heads) & set(self.validation_heads)):
            raise ValueError(f"synthesis.heads and synthesis.validation_heads share {both}: validate on other heads.")
        if bool(self.heads) != bool(self.validation_heads):
            raise ValueError("synthesis needs both heads and validation_heads, or neither.")


@dataclass(frozen=True)
class TrainingConfig:
    """The options of one training run.

    An epoch has ``steps_per_epoch`` batches, since the paper does not define it (docs/adr/0003).

    Attributes:
        name: name of the trained model.
        batch_size: patches per step, in all processes together.
        loss: weights of the terms in :data:`training.losses.TERMS`, by name. Equation 5 is mse: 1, ssim: gamma, with
            weighted_ssim as an alternative to ssim (docs/adr/0003).
        learning_rate: initial learning rate of Adam; falls by a half cosine to ``final_learning_rate`` at the last step.
        validate_every: epochs from one validation to the next.
        architecture: a name of :func:`networks`, or ``tfnet`` for the baseline, which is trained with the same protocol.
        attention_scale_rate: learning rate of the attention's alpha and beta, as a multiple of the learning rate.
        precision: ``auto``: mixed precision on CUDA; ``bf16``: also bfloat16 mixed precision on the CPU, which is faster on
            processors with AVX-512 BF16; ``32``: float32 everywhere.
        train_subset: one or more values of the column ``subset``; in a file, a list or one word.
        validation_subset: likewise, for validation. The two must not overlap.
        pictures_every: epochs from one picture of validation pairs to the next, drawn during validation; 0: no pictures.
        foreground: share of a patch, 0 to 1, that should not be dark in both sources: background teaches the network little.
        mse_steps: optimiser steps at the start that minimise the MSE alone. The term ``ssim`` needs them, because the
            network can get stuck at black (docs/adr/0003).
        start: name or file of a model to start from; empty: start from random weights.
        attention_start: alpha and beta of the attention at the first step.
        synthesis: sources of synthetic patches; without heads, all patches come from the pairs of ``train_subset``.
        network: the configuration of the architecture; ``tfnet`` has none.

    Raises:
        ValueError: an option has an invalid value; the message gives its name and value.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    batch_size: int
    patch_size: int
    loss: dict[str, float]
    learning_rate: float
    final_learning_rate: float
    validate_every: int
    seed: int
    architecture: str = "cspa-dn"
    attention_scale_rate: float = 1.0
    precision: str = "auto"
    train_subset: tuple[str, ...] = ("train",)
    validation_subset: tuple[str, ...] = ("test_same_head",)
    pictures_every: int = 0
    foreground: float = 0.0
    mse_steps: int = 0
    start: str = ""
    attention_start: float = 0.0
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    network: Config = field(default_factory=NetworkConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "validate_every"):
            _check_whole(name, getattr(self, name), 1)
        _check_number("foreground", self.foreground, 0, 1)
        self._check_loss()
        _check_whole("patch_size", self.patch_size, self.least_pixels)
        for name in ("seed", "pictures_every", "mse_steps"):
            _check_whole(name, getattr(self, name), 0)
        _check_number("learning_rate", self.learning_rate, 1e-12)
        _check_number("attention_scale_rate", self.attention_scale_rate, 0)
        _check_number("attention_start", self.attention_start, 0)
        _check_number("final_learning_rate", self.final_learning_rate, 0, self.learning_rate)
        self._check_words()

    def _check_loss(self) -> None:
        if not isinstance(self.loss, dict) or not self.loss:
            raise ValueError(f"loss is {self.loss!r}: it must be terms with weights, such as 'mse: 1'.")
        for name, weight in self.loss.items():
            _check_choice("a term of loss", name, tuple(TERMS))
            _check_number(f"loss.{name}", weight, 0)

    def _check_words(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name is {self.name!r}: it must be a word.")
        if not isinstance(self.start, str) or (self.start and self.architecture == TFNET):
            raise ValueError(f"start is {self.start!r}: it must be the name or file of a model; tfnet has none.")
        _check_choice("architecture", self.architecture, (*networks(), TFNET))
        if self.architecture != TFNET and not isinstance(self.network, config := networks()[self.architecture].config):
            raise ValueError(f"network is {self.network!r}: it must be a {config.__name__}.")
        _check_choice("precision", self.precision, ("auto", "bf16", "32"))
        _check_subsets("train_subset", self.train_subset)
        _check_subsets("validation_subset", self.validation_subset)
        if both := sorted(set(self.train_subset) & set(self.validation_subset)):
            raise ValueError(f"train_subset and validation_subset share {', '.join(both)}: validate on other pairs.")

    @property
    def least_pixels(self) -> int:
        """Shortest side, in pixels, of a slice or patch for which the loss can be computed."""
        return max(_LEAST_PIXELS.get(name, 1) for name in self.loss)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Return the options as plain values for YAML, JSON and checkpoints."""
        subsets = {name: list(getattr(self, name)) for name in ("train_subset", "validation_subset")}
        synthesis = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.synthesis).items()}
        return {**asdict(self), **subsets, "synthesis": synthesis, "network": self.network.to_dict()}


def networks() -> dict[str, Architecture]:
    """Return the architectures that can be trained and exported as models, by their names in lower case."""
    return {name.lower(): architecture for name, architecture in ARCHITECTURES.items()}


def _check_whole(name: str, value: Any, least: int) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is {value!r}: it must be a whole number from {least} on.")


def _check_number(name: str, value: Any, least: float, most: float = math.inf) -> None:
    if isinstance(value, str) and _is_number(value):
        raise ValueError(f"{name} is the text '{value}': YAML takes a number only as in 1.0e-3, with point and sign.")
    if type(value) not in (int, float) or not math.isfinite(value) or not least <= value <= most:
        upper = "on" if math.isinf(most) else f"to {most:g}"
        raise ValueError(f"{name} is {value!r}: it must be a number from {least:g} {upper}.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}: it must be {' or '.join(choices)}.")


def _check_subsets(name: str, value: Any) -> None:
    if not value or not all(isinstance(subset, str) and subset for subset in value):
        raise ValueError(f"{name} is {list(value)!r}: it must be a word or a list of words.")


def load_config(path: Path) -> TrainingConfig:
    """Read a YAML file.

    Raises:
        ValueError: options are unknown, missing or invalid; the message names them.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        place = getattr(error, "problem_mark", None)
        line = f" at line {place.line + 1}" if place else ""
        raise ValueError(f"{path} is not YAML{line}: expected lines such as 'epochs: 600'.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} contains no options: expected lines such as 'epochs: 600'.")
    return config_from_dict(values, source=str(path))


def config_from_dict(values: dict[str, Any], source: str) -> TrainingConfig:
    """Reverse :meth:`TrainingConfig.to_dict`.

    Args:
        values: the options by name.
        source: where they come from, for error messages.

    Raises:
        ValueError: as :func:`load_config`.
    """
    required = {f.name for f in fields(TrainingConfig) if f.default is MISSING and f.default_factory is MISSING}
    _check_names(values, {f.name for f in fields(TrainingConfig)}, required, source)
    try:
        return TrainingConfig(**{**values, **_parts(values, source)})
    except ValueError as error:
        raise ValueError(f"{error} ({source})") from None


def _check_names(values: Any, known: set[str], required: set[str], source: str) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{source} holds {values!r} where options belong, such as 'epochs: 600'.")
    if unknown := sorted(set(map(str, values)) - known):
        raise ValueError(f"{source} has unknown options: {', '.join(unknown)}.")
    if missing := sorted(required - set(values)):
        raise ValueError(f"{source} lacks options: {', '.join(missing)}.")


def _parts(values: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the options that YAML stores in another form than :class:`TrainingConfig`."""
    augmentation, network = values.get("augmentation", {}), values.get("network", {})
    _check_names(augmentation, {f.name for f in fields(Augmentation)}, set(), f"{source}: augmentation")
    synthesis = values.get("synthesis", {})
    _check_names(synthesis, {f.name for f in fields(SynthesisConfig)}, set(), f"{source}: synthesis")
    lists: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in synthesis.items()}
    parts: dict[str, Any] = {"augmentation": Augmentation(**augmentation), "synthesis": SynthesisConfig(**lists)}
    parts["network"] = _network(values.get("architecture"), network, source)
    for name in {"train_subset", "validation_subset"} & set(values):
        parts[name] = tuple(values[name]) if isinstance(values[name], list) else (values[name],)
    if "precision" in values:
        parts["precision"] = str(values["precision"])  # YAML reads 32 as a number
    return parts


def _network(architecture: object, values: Any, source: str) -> Config:
    """Return the configuration of an architecture with these values, and its defaults for the others."""
    known = networks()
    config = known[architecture].config if isinstance(architecture, str) and architecture in known else NetworkConfig
    defaults = config().to_dict()
    _check_names(values, set(defaults), set(), f"{source}: network")
    try:
        return config.from_dict({**defaults, **values})
    except (TypeError, KeyError):
        raise ValueError(f"network is {values!r}: its values must have the types of {defaults!r}") from None
