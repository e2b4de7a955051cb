"""What defines a training run; read from a YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from cspadn.network import NetworkConfig


@dataclass(frozen=True)
class TrainingConfig:
    """One training run.

    An epoch is ``steps_per_epoch`` batches: the paper does not define it (docs/adr/0003).

    Attributes:
        name: name of the model that comes out.
        gamma: weight of 1 - SSIM against the MSE, both on [0, 1] images.
        learning_rate: of Adam at the start; falls by a half cosine to ``final_learning_rate`` at the last step.
        validate_every: epochs between two passes over the validation pairs.
    """

    name: str
    epochs: int
    steps_per_epoch: int
    batch_size: int
    patch_size: int
    gamma: float
    learning_rate: float
    final_learning_rate: float
    validate_every: int
    seed: int
    network: NetworkConfig = field(default_factory=NetworkConfig)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as YAML, JSON and checkpoints can hold them."""
        return {**asdict(self), "network": self.network.to_dict()}


def load_config(path: Path) -> TrainingConfig:
    """Read a YAML file; raises ValueError, with the offending names, on unknown or missing options."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no options: expected lines such as 'epochs: 600'.")
    return config_from_dict(values, source=str(path))


def config_from_dict(values: dict[str, Any], source: str) -> TrainingConfig:
    """The reverse of :meth:`TrainingConfig.to_dict`; ``source`` names the origin in errors."""
    known = {f.name for f in fields(TrainingConfig)}
    required = known - {"network"}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{source} has unknown options: {', '.join(unknown)}.")
    if missing := sorted(required - set(values)):
        raise ValueError(f"{source} lacks options: {', '.join(missing)}.")
    network = NetworkConfig.from_dict({**NetworkConfig().to_dict(), **values.get("network", {})})
    return TrainingConfig(**{**values, "network": network})
