"""Which processor computes: CPU, CUDA or Apple's MPS."""

from __future__ import annotations

import torch

from .errors import UsageError

AUTOMATIC = "auto"


def available_devices() -> dict[str, str]:
    """Devices that computed a small probe, by torch name, best first, with the names people know them by."""
    names = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        names["mps"] = "Apple GPU"
    return {device: name for device, name in names.items() if _computes(device)} | {"cpu": "CPU"}


def _computes(device: str) -> bool:
    """Run a small convolution: a driver that is listed may still not fit this build of torch."""
    try:
        image = torch.ones(1, 1, 3, 3, device=device)
        return torch.conv2d(image, image).item() == 9
    except (RuntimeError, AssertionError):  # a build without the device's support asserts
        return False


def resolve_device(name: str) -> torch.device:
    """The device called ``name`` (auto, cpu, cuda, cuda:N, mps); auto is the first that works.

    Raises:
        UsageError: there is no such device, or it does not compute.
    """
    available = available_devices()
    if name == AUTOMATIC:
        return torch.device(next(iter(available)))
    full_name = "cuda:0" if name == "cuda" else name
    if full_name not in available:
        raise UsageError(f"There is no device '{name}' here that computes: use one of {', '.join([AUTOMATIC, *available])}.")
    return torch.device(full_name)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (CUDA, MPS or CPU) or Python ran out of memory. CPU and MPS have no exception class of their own."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    words = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in words or "can't allocate memory" in words)
