"""Matrix products on a CPU, by BLAS or by oneDNN, whichever is faster on the processor (docs/benchmarks.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cspadn.inference import onednn

if TYPE_CHECKING:
    from torch import Tensor

Put = Callable[["Tensor", "Tensor"], "Tensor"]  # Tensor.copy_ or Tensor.add_


def put_product(put: Put, target: Tensor, left: Tensor, right: Tensor) -> None:
    """Compute ``put(target, left @ right)``.

    Args:
        put: ``Tensor.copy_`` to overwrite the target, or ``Tensor.add_`` to add to it.
        target: (..., M, N).
        left: (..., M, K), with the same leading sizes as the target.
        right: (..., K, N), likewise.
    """
    import torch

    product = onednn.product() if left.is_cpu and left.dtype == torch.float32 else None
    if product is None:
        put(target, left @ right)
    elif left.dim() > 2:
        for each in zip(target, left, right, strict=True):
            put_product(put, *each)
    else:
        put(target, product(left, right))
