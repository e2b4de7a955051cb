"""How much main memory there is, and how to tell that there was not enough."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cspadn.errors import MemoryExhaustedError
from cspadn.messages import message

_SYSTEM, _CONTAINER, _PROCESS = Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/proc/self/status")
_GROUPS = Path("/proc/self/cgroup")
_CACHES = ("inactive_file", "active_file")  # of a container: they count as taken, and give way
_LIMITS = {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData"}  # of a process, and what of it is taken


def free_main_memory() -> int | None:
    """Bytes: on Linux what system, container and process have left; elsewhere half of all memory, if that is known."""
    try:
        free = _told(_SYSTEM)["MemAvailable"] * 1024
    except (OSError, KeyError):
        if sys.platform == "win32" or "SC_PHYS_PAGES" not in os.sysconf_names:
            return None
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    limits = [left for left in (_container_left(), process_left()) if left is not None]
    return max(0, min([free, *limits]))


def _container_left() -> int | None:
    """Return what the container, and each group of processes around it, has left; None without a limit."""
    left = [_group_left(folder, names) for folder, names in _groups()]
    return min((each for each in left if each is not None), default=None)


def _groups() -> Iterator[tuple[Path, tuple[str, str]]]:
    """Yield the folders of the control groups of this process, of version 2 or 1, from the inner to the outer ones."""
    try:
        lines = _GROUPS.read_text().splitlines()
    except OSError:
        lines = []
    own = {(kinds, path) for _, kinds, path in (line.split(":", 2) for line in lines if line.count(":") >= 2)}
    for kinds, path in [*own, ("", "/")]:
        version_1 = "memory" in kinds.split(",")
        if kinds and not version_1:
            continue
        root = _CONTAINER / "memory" if version_1 else _CONTAINER
        inner = root / path.strip("/")
        for folder in (inner, *(each for each in inner.parents if each == root or root in each.parents)):
            yield folder, ("memory.limit_in_bytes", "memory.usage_in_bytes") if version_1 else ("memory.max", "memory.current")


def _group_left(folder: Path, names: tuple[str, str]) -> int | None:
    try:
        limit, taken = (int((folder / name).read_text()) for name in names)
        told = _told(folder / "memory.stat")
        return limit - taken + sum(told.get(name, 0) for name in _CACHES)
    except (OSError, ValueError):  # no such group, or "max"
        return None


def process_left(mapped: int = 0) -> int | None:
    """Bytes until the process meets a limit of its own, as of ``ulimit``; None without one, or where it cannot be told.

    Args:
        mapped: bytes of files that will be mapped: they count in the address space alone.
    """
    if sys.platform == "win32":
        return None
    try:
        import resource

        told, left = _told(_PROCESS), []
        for name, taken in _LIMITS.items():
            limit = resource.getrlimit(getattr(resource, name))[0]
            if limit != resource.RLIM_INFINITY:
                left.append(limit - told[taken] * 1024 - (mapped if name == "RLIMIT_AS" else 0))
        return min(left, default=None)
    except (ImportError, AttributeError, OSError, KeyError):  # a Python may lack it
        return None


def _told(file: Path) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"^(\w+):?\s+(\d+)", file.read_text(), re.MULTILINE)}


def require_memory(needed: int, mapped: int = 0) -> None:
    """MemoryExhaustedError if the process would meet a limit of its own, at which some libraries crash, or wait for ever."""
    left = process_left(mapped)
    if left is not None and left < needed:
        raise MemoryExhaustedError(message("memory-limit", needed=needed / 1e6, left=max(0, left) / 1e6))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch (CUDA, MPS or CPU), ITK, Python or the loader ran out of memory: not all have an exception for it."""
    if isinstance(error, MemoryError):
        return True
    words = str(error).lower()
    allocating = ("out of memory", "can't allocate memory", "failed to allocate memory", "bad_alloc", "can't start new thread")
    # oneDNN's word, which has no memory for its kernel; the loader's, which has none for a library.
    signs = (*allocating, "could not create a primitive", "failed to map segment", "cannot allocate memory")
    return isinstance(error, (RuntimeError, ImportError)) and any(sign in words for sign in signs)
