"""Read the pairs of pictures to evaluate, in the same way as the training does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cspadn.imaging.color import replace_luma
from cspadn.io.images import read_in_process
from cspadn.io.png_pairs import picture_pixels
from training.data import TABLE, read_pairs, read_rows

Levels = NDArray[np.uint8]  # (H, W), or (H, W, 3) in colour, 0 to 255
SAME_HEAD = (Path("data") / "aanlib_pet_mri", "test_same_head")  # folder in the evaluation data, subset
SECOND_SUBJECT = (Path("data") / "subject2_pet_mri", "test")


@dataclass(frozen=True)
class Pair:
    """A PET and an MRI of one slice.

    Attributes:
        name: the id in the table.
        pet: (H, W); the rounded luma of a coloured PET, as published methods fuse it.
        mri: (H, W).
        color: the picture of the PET, (H, W, 3), or (H, W) if it is grey.
    """

    name: str
    pet: Levels
    mri: Levels
    color: Levels


def read_set(folder: Path, subset: str) -> list[Pair]:
    """Read the pairs of one subset, in the order of the table ``split.csv``.

    Raises:
        InputError: as :func:`training.data.read_pairs`.
    """
    names = [row["id"] for _, row in read_rows(folder / TABLE, ("id", "subset"), (subset,))]
    units = read_pairs(folder, subset)
    return [_pair(folder, name, *np.rint(unit * 255).astype(np.uint8)) for name, unit in zip(names, units, strict=True)]


def _pair(folder: Path, name: str, pet: Levels, mri: Levels) -> Pair:
    picture = folder / "pet" / f"{name}.png"
    color = picture_pixels(read_in_process(picture, "The picture"), f"The picture {picture}").astype(np.uint8)
    return Pair(name, pet, mri, color)


def some_of(pairs: list[Pair], count: int) -> list[int]:
    """Return the indices of ``count`` pairs, evenly spaced and away from both ends; of all pairs if there are fewer."""
    return sorted({int((2 * i + 1) * len(pairs) / (2 * count)) for i in range(count)})


def colored(pair: Pair, fused: Levels) -> Levels:
    """Combine the fused luma with the PET's chroma, (H, W, 3), as the literature shows fused images."""
    if pair.color.ndim == 2:
        return np.repeat(fused[..., np.newaxis], 3, axis=-1)
    rgb = replace_luma(pair.color.astype(np.float64), fused.astype(np.float64), 255)
    levels: Levels = np.rint(rgb).astype(np.uint8)
    return levels
