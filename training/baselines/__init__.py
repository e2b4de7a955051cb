"""Fusion methods for comparison, each implemented from its publication (docs/adr/0006).

Every method takes a PET and an MRI, (H, W) in [0, 1], and returns the fused image, (H, W) in [0, 1]. A saved image is rounded
to 255 levels and never stretched.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.baselines.form import Method
from training.baselines.gtf import gtf
from training.baselines.ifcnn import ifcnn
from training.baselines.laplacian import laplacian
from training.baselines.msvd import msvd
from training.baselines.tfnet import tfnet
from training.baselines.trivial import average, maximum, mri_only, pet_only

METHODS: dict[str, Method] = {
    "average": average,
    "maximum": maximum,
    "MRI only": mri_only,
    "PET only": pet_only,
    "Laplacian": laplacian,
    "GTF": gtf,
    "MSVD": msvd,
}
"""The methods that need nothing but the pair."""

TRAINED: dict[str, Callable[[Path], Method]] = {"IFCNN": ifcnn, "TFNet": tfnet}
"""The methods with weights: each makes its method from the path of its file, or raises ModelError."""
