"""Limit the memory and the processor time of a process that parses files of others."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_SPARE = 512 * 2**20  # bytes of address space beside the voxels: libraries load parts of themselves late
_COPIES = 5  # of the voxels: stored, decoded, stacked, rescaled, sent
_SECONDS, _BYTES_PER_SECOND = 30, 5_000_000  # of the processor: for headers and little volumes, and the slowest decoder

_confined = False  # whether this process is one that may be limited
_reached_first = False  # whether our limit of memory is below the one that the process was started with


def confine() -> None:
    """Let :func:`expect` limit this process from now on; until then, a header has the least of memory and time."""
    global _confined
    _confined = True
    expect(0)


def expect(size: int, files: int = 1) -> None:
    """Limit this process to what reading a volume needs; without effect unless :func:`confine` was called.

    Linux enforces both limits, macOS that of time. Windows has neither: there the process that waits has a limit of time.

    Args:
        size: bytes of all voxels, as the header promises.
        files: how many files are read.
    """
    if not _confined or sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError, OverflowError):  # what no system can count is no limit
        times = resource.getrusage(resource.RUSAGE_SELF)
        used = times.ru_utime + times.ru_stime
        _set(resource.RLIMIT_CPU, int(used + _SECONDS + files / 50 + size / _BYTES_PER_SECOND) + 1)
    with suppress(OSError, ValueError, OverflowError):
        mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        global _reached_first
        _reached_first = _set(resource.RLIMIT_AS, mapped + _SPARE + _COPIES * size)


def _set(kind: int, most: int) -> bool:
    """Set a soft limit; False if the process was started with a lower one."""
    if sys.platform == "win32":
        return False
    import resource

    hard = resource.getrlimit(kind)[1]
    limits = [each for each in (hard,) if each != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([most, *limits]), hard))
    return not limits or most < min(limits)


def exceeded_by_file() -> bool:
    """Return whether a lack of memory is the file's fault: it needs far more than its header promises."""
    return _confined and _reached_first
