"""Errors and replacements for tests of :mod:`cspadn.inference.slice_runner`."""

from __future__ import annotations

import numpy as np
import torch

OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("std::bad_alloc"),
    RuntimeError("could not create a primitive"),
    RuntimeError("can't start new thread"),
    MemoryError(),
]


def run_on_cpu_only(self, sources: np.ndarray) -> np.ndarray:
    """Replace ``SliceFuser._run``: raise on any other device than the CPU."""
    if self.device.type != "cpu":
        raise OUT_OF_MEMORY[0]
    return sources[:, 0]
