"""Functions shared by baselines that are networks: load verified weights, and convert a network to a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cspadn.errors import ModelError
from training.baselines.form import Image, Method, check_pair

_NOT_WEIGHTS = "num_batches_tracked"  # endings of the names of batch normalisation's counters


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a network as float32, and set it to evaluation mode.

    Args:
        path: file of the tensors, for error messages.

    Raises:
        ModelError: the names or shapes are not those of the network, or a value is not finite.
    """
    found = {name: tensor.float() for name, tensor in tensors.items() if not name.endswith(_NOT_WEIGHTS)}
    expected = {name: tensor.shape for name, tensor in network.state_dict().items() if not name.endswith(_NOT_WEIGHTS)}
    if {name: tensor.shape for name, tensor in found.items()} != expected:
        raise ModelError(f"The weights {path} are not those of {type(network).__name__}: give the file of this network.")
    if not all(tensor.isfinite().all() for tensor in found.values()):
        raise ModelError(f"The weights {path} hold values that are not numbers: make the file again.")
    network.load_state_dict(found, strict=False)  # without the counters, which evaluation does not use
    network.eval()


def as_method(network: Callable[[Tensor], Tensor]) -> Method:
    """Convert a network that maps (1, 2, H, W), PET then MRI, float32 in [0, 1], to (1, 1, H, W) to a method; on the CPU."""

    @torch.inference_mode()
    def method(pet: Image, mri: Image) -> Image:
        sources = np.stack(check_pair(pet, mri)).astype(np.float32)
        fused: Image = network(torch.from_numpy(sources)[None])[0, 0].double().clamp(0, 1).numpy()
        return fused

    return method
