"""What can go wrong, each with one clear sentence for the user and the exit code of the command line."""

from __future__ import annotations

from typing import Any


class FusionError(Exception):
    """Base of all errors that are shown to the user, in one sentence from the catalogue :mod:`cspadn.messages`.

    Args:
        sentence: what is wrong, with which file or volume, and what to do.
    """

    exit_code = 1

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)

    @property
    def identifier(self) -> str:
        """Return the identifier of the message, such as ``no-overlap``; empty for a text outside the catalogue."""
        return str(getattr(self.args[0], "identifier", ""))

    @property
    def fields(self) -> dict[str, Any]:
        """Return the values in the message, by name."""
        return dict(getattr(self.args[0], "fields", {}))


class UsageError(FusionError):
    """A setting that cannot be carried out: an unknown device, an output that exists."""

    exit_code = 2


class InputError(FusionError):
    """An input that cannot be read or fused."""

    exit_code = 3


class ModelError(FusionError):
    """A model that is unknown, damaged, or not what its card says."""

    exit_code = 4


class MemoryExhaustedError(FusionError):
    """Not enough memory for the volumes, or even for one slice on the CPU."""

    exit_code = 5


class MissingPackageError(FusionError):
    """A Python package that the command needs is not installed."""

    exit_code = 2


class CancelledError(FusionError):
    """The caller asked to stop."""

    exit_code = 130


class TerminatedError(CancelledError):
    """The system, or whoever started the process, asked it to end (SIGTERM)."""

    exit_code = 143
