"""IFCNN, the maximum variant (Y. Zhang, Y. Liu, P. Sun, H. Yan, X. Zhao, L. Zhang: IFCNN: a general image fusion framework
based on convolutional neural network. Information Fusion 54, 2020, pages 99 to 118).
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from cspadn.errors import ModelError
from training.baselines.form import Method
from training.baselines.networks import as_method, load_weights

WEIGHTS = Path("peers") / "ifcnn" / "IFCNN-MAX.pth"  # usual path of the weights in the folder of the evaluation data
_SHA256 = "6022b44c88a2f0367ba9b08fcdf0d663745d9a966fca0ee1f41867797b6ff53f"  # of the published file
_LUMA = (0.299, 0.587, 0.114)  # BT.601: the output of the network has colours


class IFCNN(nn.Module):
    """Network: first layer of a ResNet-101 and one block per source, the maximum of both, one block and a 1x1 layer.

    Layers are named as in the published weights. As in the authors' code for medical images, each grey source is repeated to
    three channels in [0, 1], without ImageNet's normalisation, and the result is the clipped luma of the coloured output.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, padding=3, padding_mode="replicate", bias=False)
        self.conv2, self.conv3 = _Block(), _Block()
        self.conv4 = nn.Conv2d(64, 3, kernel_size=1)

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse (N, K, H, W), K grey sources in [0, 1], to (N, 1, H, W) in [0, 1]."""
        features = [self.conv2(self.conv1(source[:, None].expand(-1, 3, -1, -1))) for source in sources.unbind(dim=1)]
        color: Tensor = self.conv4(self.conv3(torch.stack(features).amax(dim=0)))
        weights = torch.tensor(_LUMA, dtype=color.dtype, device=color.device).view(1, 3, 1, 1)
        return (color.clamp(0, 1) * weights).sum(dim=1, keepdim=True)


class _Block(nn.Module):
    """A 3x3 convolution that repeats the border, with batch normalisation and ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(64, 64, kernel_size=3, padding=1, padding_mode="replicate", bias=False)
        self.bn = nn.BatchNorm2d(64)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(features)))


def ifcnn(weights: Path) -> Method:
    """Load the method with the published weights, which are not part of this project.

    Args:
        weights: the authors' file IFCNN-MAX.pth.

    Raises:
        ModelError: the file cannot be read, or is not the published one.
    """
    try:
        content = weights.read_bytes()
    except OSError:
        raise ModelError(f"The weights {weights} cannot be read: get IFCNN-MAX.pth from github.com/uzeful/IFCNN.") from None
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ModelError(f"{weights} is not the published IFCNN-MAX.pth (SHA-256 differs): get it again.")
    network = IFCNN()
    load_weights(network, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True), weights)
    return as_method(network)
