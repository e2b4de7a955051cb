"""The list of network architectures. A model card names one of them; loading the model builds its class."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn


class Config(Protocol):
    """The configuration of a network: what defines its layers. The field ``network`` of a model card stores it."""

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
    """A network and its configuration. Their module is imported when a model is loaded, since it imports torch.

    Attributes:
        module: full name of the module that defines both classes.
        network_class: name of the class that is built, as ``network(config)``. It has the attribute ``config`` and at least
            one parameter. It maps (N, 2, H, W), PET then MRI, to (N, 1, H, W), values in [-1, 1], for every H and W from 1
            pixel up.
        config_class: name of the class of its configuration. Without arguments it gives the defaults of the training.
    """

    module: str
    network_class: str
    config_class: str

    @property
    def network(self) -> type[nn.Module]:
        """The class of the network."""
        network: type[nn.Module] = getattr(import_module(self.module), self.network_class)
        return network

    @property
    def config(self) -> type[Config]:
        """The class of the configuration."""
        config: type[Config] = getattr(import_module(self.module), self.config_class)
        return config

    def build(self, config: Config) -> nn.Module:
        """Return a new network with random weights."""
        return self.network(config)


ARCHITECTURES: dict[str, Architecture] = {
    "CSpA-DN": Architecture("cspadn.models.cspadn", "CSpADN", "NetworkConfig"),
}
"""All architectures, by the name that model cards give in ``architecture``."""


def architecture_of(network: nn.Module) -> str:
    """Return the name of a network's architecture; TypeError if its class is not registered."""
    for name, architecture in ARCHITECTURES.items():
        if type(network) is architecture.network:
            return name
    raise TypeError(f"{type(network).__name__} is not in ARCHITECTURES")
