"""PET/MRI slice pairs from PNG files, and the random patches that the network is trained on."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from cspadn.io import read_image
from cspadn.pictures import grey_levels, picture_pixels, white_level

Pairs = NDArray[np.float32]  # (pairs, 2, H, W) in [0, 1]: PET luma, MRI


def read_pairs(folder: Path, subset: str) -> Pairs:
    """Read the pairs of one subset.

    Args:
        folder: has ``split.csv`` (columns ``id`` and ``subset``), ``pet/ID.png`` (pseudo-coloured or grey) and ``mri/ID.png``.
        subset: a value of the column ``subset``.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: the subset is empty, or its images differ in size.
        InputError: an image is missing, or is no picture.
    """
    with (folder / "split.csv").open(newline="", encoding="utf-8") as table:
        names = [row["id"] for row in csv.DictReader(table) if row["subset"] == subset]
    if not names:
        raise ValueError(f"{folder / 'split.csv'} lists no pair of the subset '{subset}'.")
    return np.stack([[_read_grey(folder / kind / f"{name}.png") for kind in ("pet", "mri")] for name in names])


def _read_grey(path: Path) -> NDArray[np.float32]:
    """A PNG as the network sees it in use: grey, or luma, from 0 to 1."""
    grey = grey_levels(picture_pixels(read_image(path, "The picture"), str(path)))
    unit: NDArray[np.float32] = grey.astype(np.float32) / np.float32(white_level(grey))
    return unit


class PatchDataset(Dataset[Tensor]):
    """Random patches with random flips, (2, size, size) in [0, 1]; item ``i`` of an endless row depends on (seed, i) alone.

    Every pair is used equally often: items walk through one permutation of the pairs after the other.
    """

    def __init__(self, pairs: Pairs, size: int, seed: int) -> None:
        if size > min(pairs.shape[-2:]):
            raise ValueError(f"Patches of {size} pixels do not fit into slices of {pairs.shape[-1]} x {pairs.shape[-2]}.")
        self.pairs, self.size, self.seed = pairs, size, seed

    def __getitem__(self, index: int) -> Tensor:
        lap, place = divmod(index, len(self.pairs))
        order = np.random.default_rng((self.seed, lap)).permutation(len(self.pairs))
        patch = self._augment(self.pairs[order[place]], np.random.default_rng((self.seed, lap, place)))
        return torch.from_numpy(patch.copy())

    def _augment(self, pair: Pairs, random: np.random.Generator) -> Pairs:
        top, left = (int(random.integers(extent - self.size + 1)) for extent in pair.shape[-2:])
        patch = pair[:, top : top + self.size, left : left + self.size]
        flips = tuple(axis for axis in (1, 2) if random.random() < 0.5)
        return np.flip(patch, flips)


class EpochSampler(Sampler[int]):
    """The items of one epoch of :class:`PatchDataset`: a resumed run sees the patches that the uninterrupted one would."""

    def __init__(self, length: int) -> None:
        self.length, self.epoch = length, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * self.length, (self.epoch + 1) * self.length))


class PairDataset(Dataset[Tensor]):
    """Whole slices, (2, H, W) in [0, 1]."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.pairs[index])
