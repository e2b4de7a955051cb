"""Typed access to a parameter node and its two-way connection with widgets."""

from .connectors import createGuiConnector
from .storage import Choice, Default, WithinRange
from .wrapper import parameterNodeWrapper

__all__ = ["Choice", "Default", "WithinRange", "createGuiConnector", "parameterNodeWrapper"]
