"""Pictures of a few slices: for print, for browsers that run no scripts, and for the rows of a group. Needs pillow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspadn.imaging.outlines import edges, tissue_levels, tissues
from cspadn.report.lattice import CUTS, Cut, place_text
from cspadn.report.scene import TISSUE, WHITE, Levels, Scene, blended, colored, inverted, levels_of
from cspadn.report.viewer import picture_url, webp

OUTLINE_COLOR = (214, 32, 107)
_PER_MM, _MOST_PIXELS = 1.6, 300  # pixels of a millimetre in print, and along a side
_AXIAL = (0.3, 0.42, 0.54, 0.66, 0.78)  # of the height of what is shown: where key slices are cut
_THUMBNAIL, _SMALL_OUTLINE_COLOR = 96, (79, 178, 226)  # pixels along the longer side of a picture in a row; on black
_STEP = 4  # voxels of the lattice between those from which the levels of tissues are computed
PICTURES = {
    "pet": "PET",
    "outlines": "MRI outlines on the PET",
    "mri": "MRI",
    "fused": "Fused, grey",
    "color": "Fused, colour",
}


def key_slices(scene: Scene, palette: str, shown: Sequence[str] = tuple(PICTURES)) -> list[dict[str, Any]]:
    """Return the key slices: some axial ones and one of each other plane, with all pictures as URLs.

    Args:
        scene: the fusion.
        palette: one of :data:`cspadn.palettes.PALETTES`.
        shown: keys of :data:`PICTURES`.
    """
    axial, coronal, sagittal = CUTS
    last = scene.lattice.size[2] - 1
    places = list(dict.fromkeys(round(share * last) for share in _AXIAL))
    chosen = [(axial, index) for index in places] + [(cut, scene.lattice.size[cut.axis] // 2) for cut in (coronal, sagittal)]
    return [_key_slice(scene, cut, index, palette, shown) for cut, index in chosen]


def _key_slice(scene: Scene, cut: Cut, index: int, palette: str, names: Sequence[str]) -> dict[str, Any]:
    sized = partial(_sized, scene=scene, cut=cut, per_mm=_PER_MM, most=_MOST_PIXELS)
    pictures = {name: sized(picture) for name, picture in slice_pictures(scene, cut, index, palette).items()}
    outlines = _tissue_outlines(scene, cut, index, sized)
    pictures["outlines"] = np.where(
        outlines[..., np.newaxis], np.array(OUTLINE_COLOR, np.uint8), pictures["pet"][..., np.newaxis]
    )
    shown = {name: picture_url(pictures[name], quality=85) for name in names}
    place = place_text(scene.lattice.position(cut.axis, index), cut)
    return {"cut": cut, "label": f"{cut.name.capitalize()}, {place}", "pictures": shown}


def _tissue_outlines(scene: Scene, cut: Cut, index: int, sized: Callable[[Levels], Levels]) -> NDArray[np.bool_]:
    """Return where the outlines of the MRI lie in a scaled picture: as thin as its pixels, however large the voxels are."""
    labels = np.take(cut.turned(scene.marks), index, axis=0) & TISSUE
    steps = [sized((labels >= level) * np.uint8(WHITE)) > WHITE // 2 for level in range(1, TISSUE + 1)]
    return edges(np.sum(steps, axis=0, dtype=np.uint8))


def thumbnail(scene: Scene, palette: str) -> bytes:
    """Return the middle slices of the three planes in colour, and outlines of the MRI on the PET beside them, as a WebP."""
    per_mm = _THUMBNAIL / max(size * step for size, step in zip(scene.lattice.size, scene.lattice.spacing, strict=True))
    middle = [(cut, scene.lattice.size[cut.axis] // 2) for cut in CUTS]
    colors = [slice_pictures(scene, cut, index, palette)["color"] for cut, index in middle]
    pictures = [_sized(color, scene, cut, per_mm, _THUMBNAIL) for color, (cut, _) in zip(colors, middle, strict=True)]
    levels = tissue_levels(scene.mri[::_STEP, ::_STEP, ::_STEP].astype(np.float32) / np.float32(WHITE))
    level = levels[len(levels) // 2]
    return webp(_beside([*pictures, *(_outlined(scene, cut, index, level, per_mm) for cut, index in middle)]), quality=75)


def _outlined(scene: Scene, cut: Cut, index: int, level: float, per_mm: float) -> Levels:
    """Return a small picture of the PET, bright where it is hot, with the outline of the MRI at one level.

    The outline is computed from the scaled MRI: scaled outlines would be blurred, and those of all tissues hide the PET.
    """
    pet, seen = scene.pet_slice(cut, index)
    mri = np.take(cut.turned(scene.mri), index, axis=0)
    grey, small = (_sized(each, scene, cut, per_mm, _THUMBNAIL) for each in (levels_of(pet * seen), mri))
    edge = edges(tissues(small.astype(np.float32) / np.float32(WHITE), (level,), (1 / per_mm, 1 / per_mm)))
    return np.where(edge[..., np.newaxis], np.array(_SMALL_OUTLINE_COLOR, np.uint8), grey[..., np.newaxis])


def slice_pictures(scene: Scene, cut: Cut, index: int, palette: str) -> dict[str, Levels]:
    """Return the pictures of a slice of the lattice: (rows, columns) grey, or RGB in (..., 3), seen as the cut says."""
    pet, seen = scene.pet_slice(cut, index)
    mri, fused, bright = (np.take(cut.turned(each), index, axis=0) for each in (scene.mri, scene.fused, scene.bright))
    return {
        "pet": inverted(pet, seen),
        "mri": mri,
        "blend": blended(pet, seen, mri, palette),
        "fused": fused,
        "color": colored(pet * seen, bright, palette),
    }


def _sized(picture: Levels, scene: Scene, cut: Cut, per_mm: float, most: int) -> Levels:
    """Scale a picture to square pixels."""
    from PIL import Image

    width, height = (scene.lattice.size[axis] * scene.lattice.spacing[axis] for axis in (cut.across, cut.down))
    scale = min(per_mm, most / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _beside(pictures: list[Levels]) -> Levels:
    """Put RGB pictures beside each other, on black."""
    height = max(len(each) for each in pictures)
    padded = [np.pad(each, ((0, height - len(each)), (0, 4), (0, 0))) for each in pictures]
    return np.concatenate(padded, axis=1)
