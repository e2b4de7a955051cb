"""What can go wrong, each with one clear sentence for the user and the exit code of the command line."""

from __future__ import annotations


class FusionError(Exception):
    """Base of all errors that a user is told; the message says what, which file or node, and what to do."""

    exit_code = 1


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
    """A Python package that fusing needs is not installed."""


class CancelledError(FusionError):
    """The caller asked to stop."""

    exit_code = 130


class TerminatedError(CancelledError):
    """The system, or whoever started the process, asked it to end (SIGTERM)."""

    exit_code = 143
