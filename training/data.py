"""Read PET/MRI slice pairs from pictures or volumes, and cut random patches from them for training."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from cspadn.errors import InputError
from cspadn.io.images import read_in_process
from cspadn.io.png_pairs import grey_levels, picture_pixels, white_level
from training.config import Augmentation
from training.synthesis import INTERPOLATED, Synthesis, flat_patches, interpolated, with_target
from training.volumes import read_slices

Pair = NDArray[np.float32]  # (2, H, W) in [0, 1]: PET (luma, if coloured), MRI
TABLE = "split.csv"
ATLAS_MM = 0.86  # of a pixel of the Whole Brain Atlas, by the size of a head
_DARK = 0.04  # of white: what is not brighter in either source shows nothing
_TRIES = 50
_PNG = b"\x89PNG\r\n\x1a\n"
_ALPHA = 4  # bit of a PNG's colour type


def read_pairs(data: Path, *subsets: str) -> list[Pair]:
    """Read the pairs of some subsets, in the order of the table. The pairs may differ in size.

    Args:
        data: pictures or volumes. Pictures: a folder with ``split.csv`` (columns ``id`` and ``subset``), ``pet/ID.png``
            (pseudo-coloured or grey) and ``mri/ID.png``, all with 8 bits and without alpha. Volumes: a CSV file with the
            columns ``pet``, ``mri`` (NIfTI files; paths relative to the CSV file) and ``subset``;
            :func:`training.volumes.read_slices` selects the slices.
        subsets: values of the column ``subset``.

    Raises:
        InputError: the table lacks a column or a subset, or an image is missing, has another format, or differs in size
            from its partner.
    """
    if data.suffix.lower() == ".csv":
        rows = read_rows(data, ("pet", "mri", "subset"), subsets)
        return [pair for line, row in rows for pair in _read_volumes(data, line, row)]
    return [_read_pictures(data, row["id"]) for _, row in read_rows(data / TABLE, ("id", "subset"), subsets)]


def read_exam(folder: Path) -> list[Pair]:
    """Read the pairs of an examination, ``spect/NAME.png`` (pseudo-coloured) and ``mri/NAME.png``, sorted by name.

    Raises:
        InputError: there are no pairs, or an image is damaged or differs in size from its partner.
    """
    names = sorted(path.stem for path in (folder / "spect").glob("*.png"))
    if not names:
        raise InputError(f"The folder {folder} contains no pairs spect/NAME.png and mri/NAME.png: check the data folder.")
    return [_read_pictures(folder, name, "spect") for name in names]


def _read_volumes(table: Path, line: int, row: dict[str, str]) -> NDArray[np.float32]:
    try:
        return read_slices(table.parent / (row["pet"] or ""), table.parent / (row["mri"] or ""))
    except InputError as error:
        raise InputError(f"Line {line} of {table}: {error}") from None


def read_rows(table: Path, columns: Sequence[str], subsets: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a CSV table that belong to some subsets, each with its line number in the file.

    Raises:
        InputError: the table cannot be read, lacks one of ``columns``, or has no row for one of ``subsets``.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
            header = reader.fieldnames or []
    except FileNotFoundError:
        raise InputError(f"The table {table} does not exist: check the name of the data.") from None
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(f"The table {table} cannot be read: it must be a CSV file with {', '.join(columns)}.") from None
    if missing := [column for column in columns if column not in header]:
        raise InputError(f"The table {table} has no column {', '.join(missing)}: it needs {', '.join(columns)}.")
    for subset in subsets:
        if not any(row["subset"] == subset for _, row in rows):
            raise InputError(f"{table} lists no pair of the subset '{subset}': add some, or choose another subset.")
    return [(line, row) for line, row in rows if row["subset"] in subsets]


def _read_pictures(folder: Path, name: str, emission: str = "pet") -> Pair:
    """Read the pair called ``name`` as the product gives it to the network: grey or luma, from 0 to 1."""
    pet, mri = (_read_grey(folder / kind / f"{name}.png") for kind in (emission, "mri"))
    if pet.shape != mri.shape:
        sizes = " and ".join(f"{grey.shape[1]} x {grey.shape[0]}" for grey in (pet, mri))
        raise InputError(f"PET and MRI of the pair '{name}' in {folder} have {sizes} pixels: pictures must match in size.")
    return np.stack([pet, mri])


def _read_grey(path: Path) -> NDArray[np.float32]:
    depth, colour = _png_form(path)
    if depth == 16:
        raise InputError(f"The picture {path} has 16 bits: save it with 8.")
    image = None if colour & _ALPHA else read_in_process(path, "The picture")
    if image is None or image.GetNumberOfComponentsPerPixel() == 4:  # or a palette with transparency
        raise InputError(f"The picture {path} has an alpha channel: save it as grey or RGB without one.")
    pixels = picture_pixels(image, f"The picture {path}")
    return grey_levels(pixels).astype(np.float32) / np.float32(white_level(pixels))


def _png_form(path: Path) -> tuple[int, int]:
    """Return bits and colour type from the header of a PNG; zeros if it is not a PNG."""
    if not path.is_file():
        return 0, 0
    with path.open("rb") as file:
        header = file.read(26)
    return (header[24], header[25]) if header.startswith(_PNG) and len(header) == 26 else (0, 0)


class PatchDataset(Dataset[Tensor]):
    """An endless sequence of random patches, (2, size, size) in [0, 1]. Item ``i`` depends only on (seed, i).

    Every pair is used equally often: the items go through one random permutation of the pairs after the other.

    Args:
        foreground: share of a patch, 0 to 1, that should not be dark in both sources.

    Raises:
        InputError: a pair is smaller than a patch.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        size: int,
        seed: int,
        augmentation: Augmentation | None = None,
        foreground: float = 0.0,
    ) -> None:
        _check_sizes(pairs, size, f"Patches of {size} pixels do not fit into", "set patch_size to {} or less")
        self.pairs, self.size, self.seed, self.foreground = pairs, size, seed, foreground
        self.augmentation = augmentation or Augmentation()

    def __getitem__(self, index: int) -> Tensor:
        lap, place = divmod(index, len(self.pairs))
        order = np.random.default_rng((self.seed, lap)).permutation(len(self.pairs))
        random = np.random.default_rng((self.seed, lap, place))
        patch = augment(_cut(self.pairs[order[place]], self.size, self.foreground, random), self.augmentation, random)
        return torch.from_numpy(patch.copy())


def _check_sizes(pairs: Sequence[Pair], least: int, problem: str, remedy: str) -> None:
    """Raise InputError, from ``problem`` to ``remedy``, if a side of a slice is shorter than ``least`` pixels."""
    height, width = min((pair.shape[-2:] for pair in pairs), key=min)
    if min(height, width) < least:
        raise InputError(f"{problem} slices of {width} x {height} pixels: {remedy.format(min(height, width))}.")


def _cut(pair: Pair, size: int, foreground: float, random: np.random.Generator) -> Pair:
    """Cut a square with enough foreground at a random position; after several tries, return the last one."""
    for _ in range(_TRIES):
        top, left = (int(random.integers(extent - size + 1)) for extent in pair.shape[-2:])
        patch = pair[:, top : top + size, left : left + size]
        if foreground == 0 or (patch.max(0) > _DARK).mean() >= foreground:
            break
    return patch


def augment(patch: Pair, augmentation: Augmentation, random: np.random.Generator) -> Pair:
    """Vary a patch at random. Options that are off draw no random numbers, so the others are not affected."""
    if augmentation.flip:
        patch = np.flip(patch, tuple(axis for axis in (1, 2) if random.random() < 0.5))
    if augmentation.rotate:
        patch = np.rot90(patch, int(random.integers(4)), axes=(1, 2))
    if augmentation.curve:
        widest = np.log1p(augmentation.curve)
        patch = patch ** np.exp(random.uniform(-widest, widest, (2, 1, 1))).astype(np.float32)
    if augmentation.gain:
        patch = patch * random.uniform(1 - augmentation.gain, 1, (2, 1, 1)).astype(np.float32)
    if augmentation.saturation:
        factors = 1 + augmentation.saturation * np.maximum(random.uniform(-1, 1, (2, 1, 1)), 0)
        patch = np.minimum(patch * factors.astype(np.float32), 1)
    return patch


class SynthesisDataset(Dataset[Tensor]):
    """Synthetic patches, mixed with flat and real ones, (3, size, size) in [0, 1]: PET, MRI and the target.

    Request the items in ascending order.

    Args:
        synthesis: draws the patches.
        real: cuts patches from real pairs.
        real_share, flat_share: shares of all patches, 0 to 1.
    """

    def __init__(self, synthesis: Synthesis, real: PatchDataset, real_share: float, flat_share: float) -> None:
        self.synthesis, self.real = synthesis, real
        drawn = synthesis.slabs * synthesis.patches
        self._real, self._flat = (round(drawn * share / (1 - real_share - flat_share)) for share in (real_share, flat_share))
        self._length = drawn + self._real + self._flat
        self._index, self._block = -1, np.empty(0, np.float32)

    def __getitem__(self, index: int) -> Tensor:
        block, place = divmod(index, self._length)
        if block != self._index:
            self._index, self._block = block, self._make(block)
        return torch.from_numpy(self._block[place])

    def _make(self, block: int) -> NDArray[np.float32]:
        random = np.random.default_rng((self.synthesis.seed, block, 1))
        first = block * self._real
        real = [self._real_patch(self.real[index].numpy(), random) for index in range(first, first + self._real)]
        flat = flat_patches(self._flat, self.synthesis.size, random)
        joined = np.concatenate([self.synthesis.block(block), flat, *real])
        return joined[random.permutation(len(joined))]

    def _real_patch(self, patch: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        """Return a patch (2, size, size) of a real pair, sometimes interpolated, with its target: (1, 3, size, size)."""
        factor = float(random.uniform(1.2, 2.2)) if random.random() < INTERPOLATED else 1.0
        pair = patch[np.newaxis] if factor == 1 else interpolated(patch[np.newaxis], factor, random)
        return with_target(pair, ATLAS_MM / factor)


class EpochSampler(Sampler[int]):
    """Select the items of one epoch of :class:`PatchDataset`. A resumed run gets the same patches as an uninterrupted one.

    Each of several processes gets its part of every batch. Together they get the items of a single process.

    Args:
        steps: batches per epoch.
        batch: items per batch, in all processes together.
        rank: number of this process.
        processes: number of processes; it must divide ``batch``.
    """

    def __init__(self, steps: int, batch: int, rank: int = 0, processes: int = 1) -> None:
        self.steps, self.batch, self.epoch = steps, batch, 0
        self.part = batch // processes
        self.first = rank * self.part

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * self.part

    def __iter__(self) -> Iterator[int]:
        for step in range(self.epoch * self.steps, (self.epoch + 1) * self.steps):
            first = step * self.batch + self.first
            yield from range(first, first + self.part)


class PairDataset(Dataset[Tensor]):
    """Whole slices, (2, H, W) in [0, 1].

    Raises:
        InputError: a side of a slice is shorter than ``least`` pixels.
    """

    def __init__(self, pairs: Sequence[Pair], least: int = 1) -> None:
        problem = f"The loss needs {least} pixels along each side and does not fit into"
        _check_sizes(pairs, least, problem, "leave such slices out")
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(self.pairs[index])
