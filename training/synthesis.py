"""Draw PET/MRI training patches by domain randomisation, from label maps and from real pairs of slices.

Each drawn slab is a few planes of a label map, bent, scaled and turned, with a random intensity for each tissue in the MRI and
a random uptake in the PET, scanners of random quality, lesions of many kinds, and windows that are sometimes wrong. The idea
comes from SynthSeg (Billot et al., Medical Image Analysis 86, 2023): a network trained on all contrasts works with any.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from torch.nn import functional

from training import heads
from training.heads import MRI_CONTRASTS, NAMES, TRACERS, Volume
from training.target import layered_target

Patches = NDArray[np.float32]  # (N, 3, size, size) in [0, 1]: PET, MRI, and the target; pairs have no target
_PLANES, _MARGIN = 6, 4  # planes of a slab that are used, and further planes on each side, for the PET's point spread
_SIDE = 200  # pixels of a drawn plane
_DARK = 0.04
INTERPOLATED, _BINNED = 0.3, 0.15  # probabilities
_FINE_MM = 1.1  # pixels that may be binned
_TRIES = 12


@dataclass(frozen=True)
class Synthesis:
    """Draw training patches from label maps.

    Attributes:
        label_maps: folder of the label maps.
        heads: numbers of the label maps to use.
        seed: the patches depend only on the seed and the index of the block.
        size: pixels along each side of a patch.
        slabs, patches: a block holds ``slabs`` slabs with ``patches`` patches from each.
    """

    label_maps: Path
    heads: tuple[int, ...]
    seed: int
    size: int = 64
    slabs: int = 8
    patches: int = 32

    def block(self, index: int) -> Patches:
        """Return all patches of one block, shuffled; the same for the same seed and index."""
        random = np.random.default_rng((self.seed, index))
        parts = [cut_patches(self.slab(random), self.size, self.patches, random) for _ in range(self.slabs)]
        patches = np.concatenate(parts)
        return patches[random.permutation(len(patches))]

    def slices(self, count: int) -> list[NDArray[np.float32]]:
        """Return whole planes (3, H, W) for validation, each from a different random slab."""
        return [self.slab(np.random.default_rng((self.seed, index, 2)))[_PLANES // 2] for index in range(count)]

    def slab(self, random: np.random.Generator) -> Patches:
        """Return planes (N, 3, H, W) of one head, drawn at random."""
        path = self.label_maps / f"head{random.choice(self.heads):02d}.nii.gz"
        spacing = float(random.uniform(0.75, 1.45))
        tissues = _drawn_planes(_read(path), spacing, random)
        return with_target(*resampled(draw_pair(tissues, spacing, random), spacing, random))


@lru_cache(maxsize=16)
def _read(path: Path) -> NDArray[np.uint8]:
    return heads.read_tissues(path)


def _drawn_planes(tissues: NDArray[np.uint8], spacing: float, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a slab at a random height, mostly axial, with pixels of ``spacing`` mm, rotated, scaled, sheared and bent."""
    view = tissues
    if random.random() < 0.15:
        view = np.moveaxis(tissues, int(random.integers(1, 3)), 0)
        if view.shape[1] == tissues.shape[0] and random.random() < 0.5:
            view = view.transpose(0, 2, 1)
    brain = np.flatnonzero(heads.of_tissues(view[:, ::4, ::4], heads.BRAIN).any((1, 2)))
    step = int(random.integers(1, 4))
    thickness = (_PLANES + 2 * _MARGIN) * step
    first = int(random.integers(max(brain[0] - thickness // 3, 0), max(brain[-1] - thickness * 2 // 3, brain[0] + 1)))
    planes = np.clip(np.arange(first, first + thickness, step), 0, len(view) - 1)
    angle, stretch = random.normal(0, 0.2), np.exp(random.normal(0, 0.06, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = spacing * turn @ np.diag(stretch) @ np.array([[1, random.normal(0, 0.05)], [0, 1]])
    head = np.argwhere(heads.of_tissues(view[planes[len(planes) // 2]], heads.INSIDE_SKULL))
    centre = head.mean(0) if len(head) else np.array(view.shape[1:]) / 2
    grid = np.stack(np.meshgrid(*[np.arange(_SIDE) - _SIDE / 2] * 2, indexing="ij"))
    bend = np.stack([zoom(random.normal(0, 1, (6, 6)), _SIDE / 6, order=3) for _ in range(2)]) * random.uniform(0, 5)
    rows, columns = np.rint(np.einsum("ij,jhw->ihw", matrix, grid) + bend + centre[:, np.newaxis, np.newaxis]).astype(int)
    inside = (rows >= 0) & (rows < view.shape[1]) & (columns >= 0) & (columns < view.shape[2])
    drawn = view[planes][:, np.clip(rows, 0, view.shape[1] - 1), np.clip(columns, 0, view.shape[2] - 1)]
    if random.random() < 0.5:
        drawn = drawn[:, :, ::-1]
    return np.where(inside, drawn, 0)


def draw_pair(tissues: NDArray[np.uint8], spacing: float, random: np.random.Generator) -> Patches:
    """Simulate PET and MRI of some planes of tissues, (N + 2 margins, H, W) to (N, 2, H, W) in [0, 1]."""
    step = random.uniform(1, 3)
    mri_blur = random.uniform(0.2, 0.9)
    mri = heads.paint(tissues, _mri_table(random))
    pet = heads.paint(tissues, _pet_table(random))
    _put_lesions(pet, mri, heads.of_tissues(tissues, heads.INSIDE_SKULL), spacing, step, random)
    mri = heads.scan_mri(
        mri,
        random,
        blur=(0.0, mri_blur, mri_blur),
        texture=random.uniform(0, 0.05),
        bias=random.uniform(0, 0.25),
        noise=random.choice([0.0, random.uniform(0.003, 0.03)]),
    )
    width = random.uniform(3.5, 9) / spacing
    pet = heads.scan_pet(
        pet,
        random,
        fwhm=(random.uniform(3.5, 9) / step, width, width),
        texture=random.uniform(0, 0.12),
        noise=random.uniform(0, 0.07),
    )
    inner = slice(_MARGIN, -_MARGIN)
    pet, mri, tissues = pet[inner], mri[inner], tissues[inner]
    if random.random() < 0.35:
        inside = heads.of_tissues(tissues, heads.INSIDE_SKULL)
        mri = mri * inside
        pet = pet * inside if random.random() < 0.5 else pet
    return np.stack([_windowed(pet, random, 0.15), _windowed(mri, random, 0.25)], axis=1)


def _mri_table(random: np.random.Generator) -> dict[str, float]:
    """Return a known contrast with random changes, a mixture of two, or an arbitrary contrast."""
    names = list(MRI_CONTRASTS)
    kind = random.random()
    if kind < 0.2:
        table = {name: float(random.uniform(0, 1)) for name in NAMES}
    else:
        first, second = (MRI_CONTRASTS[names[i]] for i in random.choice(len(names), 2))
        share = float(random.uniform(0, 0.5)) if kind < 0.4 else 0.0
        table = {name: (1 - share) * first[name] + share * second[name] for name in NAMES}
        table = {name: value + float(random.normal(0, 0.07)) for name, value in table.items()}
    table = {name: min(max(value, 0.02), 1.05) for name, value in table.items()}
    return {**table, "air": 0.0}


def _pet_table(random: np.random.Generator) -> dict[str, float]:
    """Return the uptake of a known tracer with random changes, or an arbitrary uptake."""
    if random.random() < 0.2:
        table = {name: float(random.uniform(0, 1)) for name in NAMES}
        outside = float(random.uniform(0, 0.5))
        table |= {name: outside * table[name] for name in NAMES if name not in heads.BRAIN}
    else:
        known = TRACERS[list(TRACERS)[int(random.integers(len(TRACERS)))]]
        table = {name: value * float(np.exp(random.normal(0, 0.2))) for name, value in known.items()}
    return {**table, "air": 0.0}


def _put_lesions(
    pet: Volume, mri: Volume, inside: NDArray[np.bool_], spacing: float, step: float, random: np.random.Generator
) -> None:
    """Add 2 to 13 hot, cold, dark or bright lesions of any size to PET, MRI or both, soft or with a sharp edge."""
    places = np.argwhere(inside)
    if not len(places):
        return
    for _ in range(int(random.integers(2, 14))):
        centre = tuple(places[random.integers(len(places))])
        width = float(np.exp(random.uniform(np.log(2.5), np.log(22)))) / spacing
        shape = tuple(width * np.exp(random.normal(0, 0.2, 3)) / np.array([step / spacing, 1, 1]))
        profile = heads.blob(pet.shape, centre, shape)
        if random.random() < 0.4:
            profile = (profile > 0.5).astype(np.float32)
        which = random.random()
        if which < 0.6:
            mri += profile * np.float32(random.choice([-1, 1]) * random.uniform(0.05, 0.5))
        if which > 0.4:
            pet += profile * (pet + 0.05) * np.float32(random.choice([random.uniform(-1, -0.1), random.uniform(0.1, 2.5)]))
    np.clip(mri, 0, 1.3, out=mri)
    np.clip(pet, 0, None, out=pet)


def _windowed(volume: Volume, random: np.random.Generator, wrong: float) -> Volume:
    """Scale a volume to [0, 1] by its bright end; with probability ``wrong``, the window is too narrow or too wide."""
    bright = volume[volume > 0.1 * volume.max()] if volume.max() > 0 else volume
    upper = float(np.percentile(bright, random.uniform(98.5, 99.9))) if bright.size else 1.0
    if random.random() < wrong:
        upper *= float(np.exp(random.uniform(np.log(0.45), np.log(2.2))))
    lower = upper * float(random.uniform(0, 0.08)) if random.random() < 0.3 else 0.0
    shown: Volume = np.clip((volume - lower) / max(upper - lower, 1e-6), 0, 1).astype(np.float32)
    return shown


def resampled(pairs: Patches, spacing: float, random: np.random.Generator) -> tuple[Patches, float]:
    """Resample some pairs (N, 2, H, W), since many scanners interpolate slices; return the pairs and their spacing in mm."""
    kind = random.random()
    if kind < INTERPOLATED:
        factor = float(random.uniform(1.2, 2.2))
        return interpolated(pairs, factor, random), spacing / factor
    if kind < INTERPOLATED + _BINNED and spacing < _FINE_MM:
        halves = pairs.reshape(*pairs.shape[:2], pairs.shape[2] // 2, 2, pairs.shape[3] // 2, 2)
        return halves.mean((3, 5)), 2 * spacing
    return pairs, spacing


def interpolated(pairs: Patches, factor: float, random: np.random.Generator) -> Patches:
    """Interpolate the middle of pairs (N, 2, H, W) to the same number of pixels."""
    height, width = (round(length / factor) for length in pairs.shape[2:])
    top, left = (pairs.shape[2] - height) // 2, (pairs.shape[3] - width) // 2
    middle = torch.from_numpy(np.ascontiguousarray(pairs[:, :, top : top + height, left : left + width]))
    mode = "bilinear" if random.random() < 0.5 else "bicubic"
    return functional.interpolate(middle, size=pairs.shape[2:], mode=mode, align_corners=False).clamp(0, 1).numpy()


def with_target(pairs: Patches, spacing: float) -> Patches:
    """Append the target to pairs (N, 2, H, W): return (N, 3, H, W)."""
    sources = torch.from_numpy(np.ascontiguousarray(pairs))
    return torch.cat([sources, layered_target(sources, spacing)], dim=1).numpy()


def cut_patches(planes: Patches, size: int, count: int, random: np.random.Generator) -> Patches:
    """Cut squares that show something at random places, and flip and rotate them at random."""
    patches = np.empty((count, planes.shape[1], size, size), np.float32)
    for index in range(count):
        for _ in range(_TRIES):
            plane = planes[random.integers(len(planes))]
            top, left = (int(random.integers(length - size + 1)) for length in plane.shape[1:])
            patch = plane[:, top : top + size, left : left + size]
            if (patch[:2].max(0) > _DARK).mean() > 0.3:
                break
        patch = np.rot90(patch, int(random.integers(4)), axes=(1, 2))
        patches[index] = patch[:, ::-1] if random.random() < 0.5 else patch
    return patches


def flat_patches(count: int, size: int, random: np.random.Generator) -> Patches:
    """Return flat PET and MRI, half of them with a plateau in the middle, as from saturated or empty windows."""
    patches = np.empty((count, 2, size, size), np.float32)
    patches[:] = random.uniform(0, 1, (count, 2, 1, 1))
    patches[random.random((count, 2)) < 0.15] = 0.0
    patches[random.random((count, 2)) < 0.2] = 1.0
    grid = np.hypot(*np.meshgrid(*[np.arange(size) - size / 2] * 2))
    for patch in patches[: count // 2]:
        disc = grid < random.uniform(3, size / 2)
        patch[:, disc] = random.choice([0.0, 1.0, random.uniform()], 2)[:, np.newaxis]
        if random.random() < 0.5:
            patch[0] = gaussian_filter(patch[0], 2.5)
    return with_target(patches, 1.0)
