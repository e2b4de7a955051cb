"""The one private operator of torch that fusing may use: a matrix product by oneDNN.

torch compiles its own models to ``mkldnn::_linear_pointwise``. It has no public name, so a release of torch may rename it,
change its arguments or drop it. :func:`product` therefore compares it once with ``@``, and returns None if anything is wrong;
the caller then uses ``@``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Product = Callable[["Tensor", "Tensor"], "Tensor"]  # (M, K) and (K, N), float32 on a CPU, to (M, N)
_OPERATOR = "_linear_pointwise"
_TOLERANCE = 1e-5


@cache
def product() -> Product | None:
    """Return oneDNN's matrix product if it is there, works, and is faster than BLAS on this processor; else None."""
    return working_product() if is_faster() else None


def is_faster() -> bool:
    """Return whether oneDNN is faster than torch's BLAS: on AVX-512, unless oneDNN's own setting limits it to AVX2."""
    import torch

    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and "AVX2" not in limit.upper()


def working_product() -> Product | None:
    """Return oneDNN's matrix product if this torch has it and it agrees with ``@`` on a small example; else None."""
    import torch

    operator = _operator()
    if operator is None:
        return None

    def product(left: Tensor, right: Tensor) -> Tensor:
        result: Tensor = operator(left, right.contiguous().mT, None, "none", [], "")
        return result

    left, right = torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(1, 2, 20).view(4, 5)
    try:
        return product if torch.allclose(product(left, right), left @ right, atol=_TOLERANCE) else None
    except (RuntimeError, TypeError):  # other arguments
        return None


def _operator() -> Any:
    """Return torch's private operator, or None if this torch has none."""
    import torch

    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return getattr(torch.ops.mkldnn, _OPERATOR, None) if available else None
