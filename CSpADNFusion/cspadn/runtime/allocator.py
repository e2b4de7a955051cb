"""Let the C allocator keep freed memory for the next layer, or return it before the next step."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from glibc's malloc.h


def keep_freed_memory() -> bool:
    """Stop glibc from returning freed memory to the kernel after each layer; False where there is no glibc.

    By default every feature map is mapped anew and its pages are zeroed again, which in training costs more CPU time than some
    of the convolutions. The setting holds for the whole process: only processes of training, of evaluation and of cohorts call
    this. Fusing keeps its maps itself (:class:`cspadn.inference.feature_maps.Workspace`).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and mallopt(_M_MMAP_MAX, 0) == 1 and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) == 1


def return_freed_memory() -> None:
    """Let glibc return freed memory to the kernel, so that the next step, in other threads, does not come on top of it."""
    if sys.platform.startswith("linux") and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # musl has none
        libc.malloc_trim(0)
