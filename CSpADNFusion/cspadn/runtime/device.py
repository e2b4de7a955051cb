"""Which processor computes: CPU, CUDA or Apple's MPS."""

from __future__ import annotations

import torch

from cspadn.errors import UsageError
from cspadn.runtime.memory import free_main_memory
from cspadn.settings import AUTOMATIC_DEVICE


def available_devices() -> dict[str, str]:
    """Devices that computed a small probe, by torch name, best first, with the names people know them by."""
    candidates = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        candidates.append("mps")
    return {device: name for device in candidates if (name := _probe(device))} | {"cpu": "CPU"}


def _probe(device: str) -> str | None:
    """The device's name, or None where it is listed but its driver does not fit this build of torch."""
    try:
        image = torch.ones(1, 1, 3, 3, device=device)
        if torch.conv2d(image, image).item() != 9:
            return None
        return torch.cuda.get_device_name(device) if device.startswith("cuda") else "Apple GPU"
    except (RuntimeError, AssertionError):  # a build without the device's support asserts
        return None


def resolve_device(name: str) -> torch.device:
    """The device called ``name`` (auto, cpu, cuda, cuda:N, mps); auto is the first that works.

    Raises:
        UsageError: there is no such device, or it does not compute.
    """
    if name == "cpu":  # needs no probe, and must not depend on one
        return torch.device(name)
    available = available_devices()
    if name == AUTOMATIC_DEVICE:
        return torch.device(next(iter(available)))
    full_name = "cuda:0" if name == "cuda" else name
    if full_name not in available:
        choices = ", ".join([AUTOMATIC_DEVICE, *available])
        raise UsageError(f"There is no device '{name}' here that computes: use one of {choices}.")
    return torch.device(full_name)


def free_memory(device: torch.device) -> int | None:
    """Bytes that computing on a device may still take; None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps" and hasattr(torch.mps, "recommended_max_memory"):  # from torch 2.5 on
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return free_main_memory() if device.type == "cpu" else None


def empty_cache(device: torch.device) -> None:
    """Give what torch keeps of a GPU's memory back."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).empty_cache()
