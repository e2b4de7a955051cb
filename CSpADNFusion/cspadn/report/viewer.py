"""The data of the viewer in a page: pictures of all slices, the PET's values, and the position of both. Needs pillow.

The script ``Resources/Report/viewer.js`` reads them. docs/adr/0025 gives the reasons for this format.
"""

from __future__ import annotations

import base64
import io
import math
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from cspadn.imaging.color import palette_of
from cspadn.report.lattice import CUTS, Lattice, Vector
from cspadn.report.scene import OPACITY, WHITE, Levels, Scene, colored, levels_of

_QUALITY, _EFFORT = 90, 2  # of WebP: grey levels are off by 0.9 in the mean, by 13 at most, in half a second for a head
_BLOCK = 16  # of WebP: a tile has whole blocks, so that no two slices share one
_ATLAS_PIXELS = 4_000_000  # of one picture; browsers limit the size of a canvas
_MOST_PET_VOXELS = 4_000_000
_OUTSIDE, _TOP = 0, 65535  # stored PET values: beyond the field of view, and the highest; the lowest is 1
_PEAK_SIGMA_MM, _PEAK_APART_MM, _PEAKS, _PEAK_LEVEL = 3.0, 25.0, 5, 0.5  # of the hottest places; the last of the hottest one
_SQUARE_MM = 20.0  # side of a square of the checkerboard


def viewer_data(scene: Scene, palette: str, units: str) -> dict[str, Any]:
    """Return the values for the viewer's template: ``scene`` for JSON, ``pet`` in base64, and ``pictures`` as URLs.

    Args:
        scene: the fusion.
        palette: one of :data:`cspadn.palettes.PALETTES`.
        units: of the PET, or "".
    """
    pet, before = _within(scene)
    stored, facts = _stored_pet(pet)
    lattice, window = scene.lattice, scene.pet_window
    hottest = hottest_places(scene)
    return {
        "scene": {
            "size": lattice.size,
            "spacing": lattice.spacing,
            "origin": lattice.origin,
            "pet": {**facts, "window": [window.lower, window.upper], "units": units},
            "before": None if before is None else _matrix_to_index(before),
            "palette": base64.b64encode(levels_of(palette_of(palette)).tobytes()).decode(),
            "opacity": OPACITY,
            "square": _SQUARE_MM,
            "hottest": hottest,
            "start": list(hottest[0]["point"])
            if hottest
            else [lattice.position(axis, lattice.size[axis] // 2) for axis in range(3)],
            "cuts": [
                {
                    "name": cut.name,
                    "axis": cut.axis,
                    "across": cut.across,
                    "down": cut.down,
                    "minus": cut.minus,
                    "plus": cut.plus,
                }
                for cut in CUTS
            ],
            "tiles": _tiling(lattice.size),
        },
        "pet": base64.b64encode(stored).decode(),
        "pictures": [
            *(("mri", url) for url in _atlases(scene.mri)),
            *(("fused", url) for url in _atlases(scene.fused)),
            *(("bright", url) for url in _atlases(scene.bright)),
            *(("marks", url) for url in _atlases(scene.marks, lossless=True)),
            ("table", _table(palette)),
        ],
    }


def webp(picture: NDArray[np.uint8], *, lossless: bool = False, quality: int = _QUALITY) -> bytes:
    """Return a picture, grey (H, W) or RGB (H, W, 3), as a WebP."""
    from PIL import Image

    file, method = io.BytesIO(), 0 if lossless else _EFFORT
    Image.fromarray(picture).save(file, "WEBP", lossless=lossless, quality=quality, method=method, exact=lossless)
    return file.getvalue()


def picture_url(picture: NDArray[np.uint8], *, lossless: bool = False, quality: int = _QUALITY) -> str:
    """Return a picture as :func:`webp` in a URL."""
    return url_of(webp(picture, lossless=lossless, quality=quality))


def url_of(content: bytes) -> str:
    """Return a WebP as a URL that holds it."""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}"


def _tiling(size: tuple[int, int, int]) -> dict[str, int]:
    """Return how axial slices lie in the pictures: their width and height there, how many are in one, and in its rows."""
    width, height = (math.ceil(extent / _BLOCK) * _BLOCK for extent in size[:2])
    count = max(1, _ATLAS_PIXELS // (width * height))
    return {"width": width, "height": height, "count": count, "columns": math.ceil(math.sqrt(count))}


def _atlases(levels: Levels, *, lossless: bool = False) -> Iterator[str]:
    """Yield pictures in which the axial slices lie beside and below each other."""
    slices, rows, columns = levels.shape
    tiling = _tiling((columns, rows, slices))
    for first in range(0, slices, tiling["count"]):
        part = levels[first : first + tiling["count"]]
        below = math.ceil(len(part) / tiling["columns"])
        atlas = np.zeros((below, tiling["height"], tiling["columns"], tiling["width"]), np.uint8)
        for place, each in enumerate(part):
            row, column = divmod(place, tiling["columns"])
            atlas[row, :rows, column, :columns] = each
        yield picture_url(atlas.reshape(below * tiling["height"], -1), lossless=lossless)


def _table(palette: str) -> str:
    """Return the palette's table of colours: PET levels to the right, brightnesses downwards."""
    level, bright = np.meshgrid(np.linspace(0, 1, WHITE + 1, dtype=np.float32), np.arange(WHITE + 1, dtype=np.uint8))
    return picture_url(colored(level, bright, palette), lossless=True)


# The PET


def _within(scene: Scene) -> tuple[sitk.Image, sitk.Image | None]:
    """Return the part of the PET that reaches into what is shown, and the same before the registration.

    Voxels are averaged if there are too many.
    """
    places = [image for image in (scene.pet, scene.before) if image is not None]
    bounds = [_bounds(image, scene.lattice) for image in places]
    first, end = np.min([low for low, _ in bounds], axis=0), np.max([high for _, high in bounds], axis=0)
    parts = [image[tuple(slice(int(low), int(high)) for low, high in zip(first, end, strict=True))] for image in places]
    while parts[0].GetNumberOfPixels() > _MOST_PET_VOXELS:
        parts = [_halved(part) for part in parts]
    return parts[0], parts[1] if len(parts) > 1 else None


def _bounds(image: sitk.Image, lattice: Lattice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first voxels of an image along its axes that reach into a lattice, and those after the last ones."""
    ends = [(lattice.position(axis, 0), lattice.position(axis, lattice.size[axis] - 1)) for axis in range(3)]
    corners = [image.TransformPhysicalPointToContinuousIndex((x, y, z)) for x in ends[0] for y in ends[1] for z in ends[2]]
    last = np.array(image.GetSize()) - 1
    first = np.clip(np.floor(np.min(corners, axis=0)), 0, last).astype(np.int64)
    return first, np.clip(np.ceil(np.max(corners, axis=0)), first, last).astype(np.int64) + 1


def _halved(image: sitk.Image) -> sitk.Image:
    """Average pairs of voxels along the axis with the smallest."""
    factors = [1, 1, 1]
    factors[int(np.argmin(image.GetSpacing()))] = 2
    return sitk.BinShrink(sitk.Cast(image, sitk.sitkFloat32), factors)


def _stored_pet(pet: sitk.Image) -> tuple[bytes, dict[str, Any]]:
    """Return the values of a PET, compressed, and how a program reads them.

    A value is stored in 16 bits, of which :data:`_OUTSIDE` is beyond the field of view; differences along the rows are taken,
    and the high bytes stand before the low ones: that halves what deflate leaves.
    """
    values = sitk.GetArrayFromImage(pet).astype(np.float64)
    seen = np.isfinite(values)
    lowest, highest = (float(values[seen].min()), float(values[seen].max())) if seen.any() else (0.0, 0.0)
    step = (highest - lowest) / (_TOP - 1) or 1.0
    codes = np.where(seen, np.rint((np.where(seen, values, lowest) - lowest) / step) + 1, _OUTSIDE).astype(np.uint16)
    differences = np.diff(codes, axis=2, prepend=np.uint16(0))  # modulo 2**16
    halves = np.stack([differences >> 8, differences & 0xFF]).astype(np.uint8)
    facts = {"size": pet.GetSize(), "matrix": _matrix_to_index(pet), "lowest": lowest, "step": step}
    return zlib.compress(halves.tobytes(), 6), facts


def _matrix_to_index(image: sitk.Image) -> list[list[float]]:
    """Return the 3 x 4 matrix from a point (LPS, mm) to the continuous index (x, y, z) of a voxel."""
    direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    inverse = np.linalg.inv(direction)
    matrix: list[list[float]] = np.column_stack([inverse, -inverse @ image.GetOrigin()]).tolist()
    return matrix


def hottest_places(scene: Scene) -> list[dict[str, Any]]:
    """Find the hottest places of a PET within the head of the MRI, at least 25 mm apart, the hottest first.

    The PET is smoothed first, by 3 mm (standard deviation), so that noise is not found; the values are those before smoothing.

    Returns:
        At most five places, none below half of the hottest, each with ``point`` (LPS, mm) and ``value`` in the PET's units.
    """
    pet = sitk.Cast(_within(scene)[0], sitk.sitkFloat32)
    values = sitk.GetArrayFromImage(pet)
    values = np.where(np.isfinite(values), values, scene.pet_window.lower)
    candidates = _smoothed(values, pet.GetSpacing()[::-1])
    candidates[~_in_head(pet, scene)] = -np.inf
    found: list[dict[str, Any]] = []
    floor = -np.inf
    while len(found) < _PEAKS and np.isfinite(best := float(candidates.max())) and best > max(floor, scene.pet_window.lower):
        index = np.unravel_index(int(candidates.argmax()), candidates.shape)
        point = np.array(pet.TransformIndexToPhysicalPoint([int(each) for each in index[::-1]]))
        found.append({"point": [round(float(each), 3) for each in point], "value": float(values[index])})
        floor = floor if len(found) > 1 else scene.pet_window.lower + _PEAK_LEVEL * (best - scene.pet_window.lower)
        _erase(candidates, pet, point)
    return sorted(found, key=lambda place: -place["value"])


def _smoothed(values: NDArray[np.float32], spacing: tuple[float, ...]) -> NDArray[np.float32]:
    from scipy import ndimage

    smoothed: NDArray[np.float32] = ndimage.gaussian_filter(
        values, [_PEAK_SIGMA_MM / each for each in spacing], mode="nearest"
    )
    return smoothed


def _in_head(pet: sitk.Image, scene: Scene) -> NDArray[np.bool_]:
    """Return the voxels of a PET at which the MRI shows something."""
    mri = sitk.GetImageFromArray(scene.mri)
    mri.SetSpacing(scene.lattice.spacing)
    mri.SetOrigin(scene.lattice.origin)
    head = sitk.Resample(mri, pet, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkUInt8)
    inside: NDArray[np.bool_] = sitk.GetArrayFromImage(head) > 0
    return inside


def _erase(candidates: NDArray[np.float32], image: sitk.Image, point: Vector) -> None:
    """Remove the candidates around a point."""
    index = np.array(image.TransformPhysicalPointToContinuousIndex(point.tolist()))
    direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    axes = [np.arange(extent) - place for extent, place in zip(image.GetSize(), index, strict=True)]
    x, y, z = axes[0][None, None, :], axes[1][None, :, None], axes[2][:, None, None]
    distance = sum((row[0] * x + row[1] * y + row[2] * z) ** 2 for row in direction)
    candidates[distance < _PEAK_APART_MM**2] = -np.inf
