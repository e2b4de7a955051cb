"""The list of network architectures. A model card names one of them; loading the model builds its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import nn

from cspadn.models.cspadn import CSpADN, NetworkConfig


class Config(Protocol):
    """What defines the layers of a network; the field ``network`` of a model card holds it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can store them."""

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Config:
        """Reverse :meth:`to_dict`.

        The fields come from a file: check each, and limit the size of the layers.

        Raises:
            TypeError, KeyError, ValueError: a field is missing, unknown or not valid.
        """


@dataclass(frozen=True)
class Architecture:
    """A network and its configuration.

    Attributes:
        network: the class that is built, as ``network(config)``. It has the attribute ``config`` and at least one parameter.
            It maps (N, 2, H, W), PET then MRI, to (N, 1, H, W), values in [-1, 1], for every H and W from 1 pixel up.
        config: the class of its configuration.
    """

    network: type[nn.Module]
    config: type[Config]

    def build(self, config: Config) -> nn.Module:
        """Return a new network with random weights."""
        return self.network(config)


ARCHITECTURES: dict[str, Architecture] = {
    "CSpA-DN": Architecture(CSpADN, NetworkConfig),
}
"""All architectures, by the name that model cards give in ``architecture``."""


def architecture_of(network: nn.Module) -> str:
    """Return the name of a network's architecture; TypeError if its class is not registered."""
    for name, architecture in ARCHITECTURES.items():
        if type(network) is architecture.network:
            return name
    raise TypeError(f"{type(network).__name__} is not in ARCHITECTURES")
