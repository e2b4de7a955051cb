"""What the baselines that are networks share: weights that are verified, and the form of every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cspadn.errors import ModelError
from training.baselines.form import Image, Method, check_pair

_NOT_WEIGHTS = "num_batches_tracked"  # how the names of batch normalisation's counters end


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Give the network its weights, cast to float32, and set it to evaluation.

    Args:
        path: where the tensors come from; named in errors.

    Raises:
        ModelError: the names or shapes are not those of the network, or a value is not a number.
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
    """The method of a network that fuses (1, 2, H, W), PET then MRI, float32 in [0, 1], to (1, 1, H, W); on the CPU."""

    @torch.inference_mode()
    def method(pet: Image, mri: Image) -> Image:
        sources = np.stack(check_pair(pet, mri)).astype(np.float32)
        fused: Image = network(torch.from_numpy(sources)[None])[0, 0].double().clamp(0, 1).numpy()
        return fused

    return method
