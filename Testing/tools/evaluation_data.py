"""Slices and a card for tests of the evaluation."""

from __future__ import annotations

import numpy as np

from volumes import blobs

SIDE = 48  # pixels: VIF needs 41

TRAINING = {
    "steps": 7,
    "config": {"batch_size": 3, "loss": {"mse": 1.0, "ssim": 100.0}, "mse_steps": 2, "train_subset": ["train"], "seed": 1},
}


def slice_of(seed: int) -> np.ndarray:
    return np.clip(2.5 * blobs((1, SIDE, SIDE), seed)[0], 0, 255).astype(np.uint8)
