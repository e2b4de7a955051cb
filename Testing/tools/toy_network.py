"""A network with one weight, for tests of what any architecture must go through."""

from __future__ import annotations

from typing import NamedTuple

import torch

from cspadn.models.registry import Architecture

TOY = Architecture(__name__, "Toy", "ToyConfig")


class ToyConfig(NamedTuple):
    """One number."""

    gain: float = 0.5

    def to_dict(self) -> dict[str, object]:
        return self._asdict()

    @classmethod
    def from_dict(cls, fields: dict[str, object]) -> ToyConfig:
        if not 0 < float(fields["gain"]) <= 1:
            raise ValueError("gain")
        return cls(**fields)


class Toy(torch.nn.Module):
    """The greater value of both sources, scaled by a gain."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config, self.shift = config, torch.nn.Parameter(torch.zeros(1))

    def forward(self, sources: torch.Tensor) -> torch.Tensor:
        return (sources.amax(dim=1, keepdim=True) + 1) * self.config.gain - 1 + self.shift
