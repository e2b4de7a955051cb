"""Matrix products on a CPU: by BLAS or by oneDNN, which torch uses for convolutions, whichever is faster on the processor.

On processors with AVX-512 for which torch's BLAS has no kernels of full width, oneDNN's are up to twice as fast. With AVX2
alone BLAS is, for products as small as those of attention (docs/benchmarks.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor

Put = Callable[[Tensor, Tensor], Tensor]  # Tensor.copy_ or Tensor.add_
# The operator that torch's own compiler calls for this; it has no public name, and may not be there.
_OPERATOR = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch._C._has_mkldnn else None


def _prefers_onednn() -> bool:
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")  # oneDNN's own setting
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and "AVX2" not in limit.upper()


_onednn = _OPERATOR if _prefers_onednn() else None


def put_product(put: Put, target: Tensor, left: Tensor, right: Tensor) -> None:
    """``put(target, left @ right)``: (..., M, N), (..., M, K) and (..., K, N), with the same leading sizes."""
    if _onednn is None or not left.is_cpu or left.dtype != torch.float32:
        put(target, left @ right)
        return
    if left.dim() > 2:
        for each in zip(target, left, right, strict=True):
            put_product(put, *each)
        return
    put(target, _onednn(left, right.contiguous().mT, None, "none", [], ""))
