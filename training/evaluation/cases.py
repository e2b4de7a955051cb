"""Cases for the observer: planes of PET and MRI of one head, with lesions at known places."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_erosion, binary_fill_holes, gaussian_filter

from cspadn.imaging.geometry import resample
from cspadn.imaging.windowing import Window, automatic_window, to_unit
from cspadn.io.images import read_in_process
from training import heads
from training.data import ATLAS_MM, read_exam, read_pairs
from training.heads import Volume

DISTANCE_MM = 26  # distance between lesions, so that none reaches into the centre of another's patch
BACKGROUND_MM = 13  # of places without a lesion
PLANE_STEP_MM = 12  # each plane is an image of its own: its lesions are in no other
_INSIDE_MM = 4  # of the brain's edge from the middle of a lesion


CONTRASTS = (("T1", "FDG"), ("T2", "FDG"), ("FLAIR", "amyloid"), ("T1c", "FET"))
TEST_HEADS, VALIDATION_HEADS = (12, 13, 14), (10, 11)
TEST_EXAMS = (25, 36, 40)
_ATLAS_PLANES = 8  # approximate number used from each set, evenly spaced
_REAL_INSIDE_MM = 17  # distance from the head's edge: no lesions in scalp and skull
_TUMOUR_MM = 12  # radius
_TUMOUR_UPTAKE, _TUMOUR_SIGNAL = 3.0, 0.4  # times the local uptake; of the MRI's window
_TUMOUR_EDGE_MM = 1.5  # of its logistic edge, which the PET's point spread makes soft
_TUMOURS_APART_MM = 60
_UPTAKE, _TISSUE = 0.15, 0.1  # of the windows: what is brighter in both, away from the head's edge, is taken as brain


Tumours = list[tuple[NDArray[np.bool_], int]]  # inner half of each, (H, W), and its plane


@dataclass(frozen=True)
class Task:
    """A lesion to detect. ``amount`` is a share of the local uptake (PET) or of the window (MRI)."""

    name: str
    source: str
    amount: float
    fwhm_mm: float


TASKS = (
    Task("PET hot", "pet", 0.22, 8.0),
    Task("PET cold", "pet", -0.22, 8.0),
    Task("MRI bright", "mri", 0.12, 3.0),
    Task("MRI dark", "mri", -0.12, 3.0),
    Task("MRI coarse", "mri", -0.12, 12.0),
)


@dataclass(frozen=True)
class Case:
    """A PET and an MRI of one head.

    Attributes:
        name: head, MRI contrast and tracer.
        pet, mri: planes (N, H, W) for the lesions, in [0, 1] of their windows.
        places: (places, 3), plane, row and column of the lesions, far enough apart not to disturb each other.
        spacing: side of a pixel in mm.
        head: the unit that the bootstrap draws.
        background: (more places, 3), a denser set of places without lesions, from which the observer learns how backgrounds
            vary.
    """

    name: str
    head: str
    pet: Volume
    mri: Volume
    places: NDArray[np.int64]
    spacing: float = 1.0
    background: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))

    def __post_init__(self) -> None:
        if not len(self.background):
            object.__setattr__(self, "background", self.places)

    def with_lesions(self, task: Task) -> tuple[Volume, Volume]:
        """Return PET and MRI with the task's lesion at every place, clipped to their windows."""
        sources = {"pet": self.pet.copy(), "mri": self.mri.copy()}
        target = sources[task.source]
        for plane, row, column in self.places:
            profile = self.profile(task, row, column)
            local = 1.0
            if task.source == "pet":
                local = float((self.pet[plane] * profile).sum() / profile.sum())
            target[plane] += np.float32(task.amount * local) * profile
        np.clip(target, 0, 1, out=target)
        return sources["pet"], sources["mri"]

    def with_tumours(self) -> tuple[Volume, Volume, Tumours, Tumours]:
        """Put hot tumours of radius 12 mm into the PET, and every second one also into the MRI, as a bright lesion.

        Returns:
            PET and MRI, clipped to their windows, the tumours that only the PET shows, and those that both show.
        """
        pet, mri = self.pet.copy(), self.mri.copy()
        in_pet, in_both = Tumours(), Tumours()
        taken = list[NDArray[np.int64]]()
        for place in self.places:
            plane, row, column = place
            if any(plane == other[0] and np.hypot(*(place - other)[1:]) * self.spacing < _TUMOURS_APART_MM for other in taken):
                continue
            taken.append(place)
            offsets = np.ogrid[: pet.shape[1], : pet.shape[2]]
            distance = np.hypot(offsets[0] - row, offsets[1] - column) * self.spacing
            profile = 1 / (1 + np.exp((distance - _TUMOUR_MM) / _TUMOUR_EDGE_MM))
            core = distance < _TUMOUR_MM / 2
            pet[plane] += np.float32((_TUMOUR_UPTAKE - 1) * self.pet[plane][core].mean()) * profile.astype(np.float32)
            if len(in_both) < len(in_pet):
                mri[plane] += np.float32(_TUMOUR_SIGNAL) * profile.astype(np.float32)
                in_both.append((core, int(plane)))
            else:
                in_pet.append((core, int(plane)))
        return np.clip(pet, 0, 1), np.clip(mri, 0, 1), in_pet, in_both

    def profile(self, task: Task, row: int, column: int) -> Volume:
        """Return the profile (H, W) of the task's lesion at a place, with height 1."""
        width = task.fwhm_mm / self.spacing
        return heads.blob(self.pet.shape[1:], (row, column), (width, width))


def simulated_case(path: Path, contrast: str, tracer: str, seed: int, *, skull: bool = True) -> Case:
    """Simulate a case from a label map: MRI of ``contrast`` and PET of ``tracer``, each in its automatic window."""
    tissues = heads.read_tissues(path)
    inside = heads.of_tissues(tissues, heads.INSIDE_SKULL)
    box = _box(tissues > 0 if skull else inside, inside)
    tissues, inside = tissues[box], inside[box]
    random = np.random.default_rng(seed)
    mri = heads.scan_mri(heads.paint(tissues, heads.MRI_CONTRASTS[contrast]), random)
    uptake = heads.paint(tissues, heads.TRACERS[tracer])
    if tracer == "FET":  # the tumour that makes the window
        uptake = np.maximum(uptake, _tumour(inside, random))
    pet = heads.scan_pet(uptake, random)
    if not skull:
        mri, pet = mri * inside, pet * inside
    pet_window, mri_window = Window(0.0, automatic_window(pet, "The PET").upper), automatic_window(mri, "The MRI")
    brain = heads.of_tissues(tissues, heads.BRAIN)
    planes, places, background = _lattice(brain, random)
    name = f"{path.name.split('.')[0]} {contrast}/{tracer}{'' if skull else ' stripped'}"
    shown = to_unit(pet[planes], pet_window), to_unit(mri[planes], mri_window)
    return Case(name, path.name.split(".")[0], *shown, places, background=background)


def _box(head: NDArray[np.bool_], inside: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Return the box of the head in the plane and of the brain along the body."""
    along = np.flatnonzero(inside.any((1, 2)))
    rows, columns = (np.flatnonzero(head[along[0] : along[-1] + 1].any(axes)) for axes in ((0, 2), (0, 1)))
    margin = 8
    return (
        slice(max(along[0] - margin, 0), along[-1] + margin),
        slice(max(rows[0] - margin, 0), rows[-1] + margin),
        slice(max(columns[0] - margin, 0), columns[-1] + margin),
    )


def _tumour(inside: NDArray[np.bool_], random: np.random.Generator) -> Volume:
    """Return a round tumour of radius 12 mm and uptake 1 at a random place deep in the brain."""
    deep = np.argwhere(binary_erosion(inside, iterations=18))
    centre = deep[random.integers(len(deep))]
    offsets = [np.arange(length) - middle for length, middle in zip(inside.shape, centre, strict=True)]
    distance = np.sqrt(sum(np.square(o).reshape([-1 if i == j else 1 for j in range(3)]) for i, o in enumerate(offsets)))
    tumour: Volume = (distance <= _TUMOUR_MM).astype(np.float32)
    return tumour


def _lattice(
    brain: NDArray[np.bool_], random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return planes of the volume, and places (plane, row, column): for lesions, and denser ones for backgrounds."""
    deep = binary_erosion(brain | (gaussian_filter(brain.astype(np.float32), 2) > 0.7), iterations=_INSIDE_MM) & brain
    height = np.flatnonzero(deep.any((1, 2)))
    planes, places, background = list[int](), list[tuple[int, int, int]](), list[tuple[int, int, int]]()
    for z in range(int(height[0]) + 6, int(height[-1]) - 3, PLANE_STEP_MM):
        lattices = [_hexagons(deep.shape[1:], distance, random) for distance in (DISTANCE_MM, BACKGROUND_MM)]
        kept, dense = ([(len(planes), row, column) for row, column in each if deep[z, row, column]] for each in lattices)
        if kept:
            planes.append(z)
            places += kept
            background += dense
    return np.array(planes), np.array(places), np.array(background)


def _hexagons(shape: tuple[int, ...], distance: float, random: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Return places in a plane on a randomly shifted hexagonal grid with neighbours ``distance`` pixels apart."""
    shift = random.uniform(0, distance, 2)
    for index, row in enumerate(np.arange(shift[0], shape[0] - 1, distance * np.sqrt(3) / 2)):
        for column in np.arange((shift[1] + index % 2 * distance / 2) % distance, shape[1] - 1, distance):
            yield round(float(row)), round(float(column))


def label_map_cases(data: Path, numbers: Sequence[int]) -> list[Case]:
    """Return a case for every contrast of :data:`CONTRASTS` of some label maps in ``data/label_maps``."""
    return [
        simulated_case(data / "label_maps" / f"head{number:02d}.nii.gz", contrast, tracer, 10 * number + index)
        for number in numbers
        for index, (contrast, tracer) in enumerate(CONTRASTS)
    ]


def real_cases(data: Path) -> list[Case]:
    """Return the atlas volume, the second subject and the SPECT examinations of the test, from the folder ``data``."""
    folder = data / "volumes" / "aanlib"
    mri = read_in_process(folder / "MRI_axial.nii.gz", "The MRI")
    pet = resample(read_in_process(folder / "PET_axial.nii.gz", "The PET"), mri)
    volumes = []
    for image, name in ((pet, "The PET"), (mri, "The MRI")):
        values = sitk.GetArrayFromImage(image)
        volumes.append(to_unit(values, automatic_window(values, name)))
    sets = {"atlas volume": list(np.stack(volumes, axis=1))}
    sets["second subject"] = read_pairs(data / "subject2_pet_mri", "test")
    sets |= {f"SPECT {number}": read_exam(data / "spect_mri" / str(number)) for number in TEST_EXAMS}
    return [real_case(name, pairs[:: max(1, len(pairs) // _ATLAS_PLANES)]) for name, pairs in sets.items()]


def real_case(name: str, pairs: Sequence[NDArray[np.float32]]) -> Case:
    """Make a case of real planes, (2, H, W) each in [0, 1], with lesions where PET and MRI both show tissue, off its edge."""
    pet, mri = np.stack(pairs, axis=1)
    random = np.random.default_rng(zlib.crc32(name.encode()))
    places, background = list[tuple[int, int, int]](), list[tuple[int, int, int]]()
    for plane, (uptake, tissue) in enumerate(zip(pet > _UPTAKE, mri > _TISSUE, strict=True)):
        head = binary_fill_holes(binary_closing(tissue, iterations=3))
        deep = uptake & binary_erosion(head, iterations=round(_REAL_INSIDE_MM / ATLAS_MM))
        for chosen, distance in ((places, DISTANCE_MM), (background, BACKGROUND_MM)):
            hexagons = _hexagons(deep.shape, distance / ATLAS_MM, random)
            chosen += [(plane, row, column) for row, column in hexagons if deep[row, column]]
    return Case(name, name, pet, mri, np.array(places), ATLAS_MM, np.array(background))
