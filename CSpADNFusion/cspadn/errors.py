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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (CUDA, MPS or CPU), ITK or Python ran out of memory. Not all have an exception class of their own."""
    if isinstance(error, MemoryError):
        return True
    words = str(error).lower()
    allocating = ("out of memory", "can't allocate memory", "failed to allocate memory", "bad_alloc", "can't start new thread")
    signs = (*allocating, "could not create a primitive")  # oneDNN's word, which has no memory for its kernel
    return isinstance(error, RuntimeError) and any(sign in words for sign in signs)
