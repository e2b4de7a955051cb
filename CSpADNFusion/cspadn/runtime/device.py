"""Choose the processor that computes: CPU, CUDA or Apple's MPS. torch is imported in functions, since it takes seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cspadn.errors import UsageError
from cspadn.messages import message
from cspadn.runtime.memory import free_main_memory
from cspadn.settings import AUTOMATIC_DEVICE

if TYPE_CHECKING:
    import torch


def available_devices() -> dict[str, str]:
    """Return the devices that computed a small probe, best first: torch's name, and the name to show."""
    import torch

    candidates = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        candidates.append("mps")
    return {device: name for device in candidates if (name := _probe(device))} | {"cpu": "CPU"}


def _probe(device: str) -> str | None:
    """Return the device's name, or None if it cannot compute, as with a driver that does not fit this build of torch."""
    import torch

    try:
        image = torch.ones(1, 1, 3, 3, device=device)
        if torch.conv2d(image, image).item() != 9:
            return None
        return torch.cuda.get_device_name(device) if device.startswith("cuda") else "Apple GPU"
    except (RuntimeError, AssertionError):  # a build without the device's support asserts
        return None


def resolve_device(name: str) -> torch.device:
    """Return a device by its name.

    Args:
        name: auto, cpu, cuda, cuda:N or mps; auto is the best device that works.

    Raises:
        UsageError: there is no such device, or it does not compute.
    """
    import torch

    if name == "cpu":  # needs no probe, and must not depend on one
        return torch.device(name)
    available = available_devices()
    if name == AUTOMATIC_DEVICE:
        return torch.device(next(iter(available)))
    full_name = "cuda:0" if name == "cuda" else name
    if full_name not in available:
        choices = ", ".join([AUTOMATIC_DEVICE, *available])
        raise UsageError(message("device-unavailable", device=name, choices=choices))
    return torch.device(full_name)


def free_memory(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None if it is unknown."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):  # from torch 2.5 on
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_main_memory() if device.type == "cpu" else None


def empty_cache(device: torch.device) -> None:
    """Release the GPU memory that torch caches."""
    import torch

    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).empty_cache()
