"""How much the fused volume changes when the same pair is stored or placed otherwise: the table ``docs/geometry.md``.

The reference is the fusion of the pair as given, by the paper's model, which shows the PET the most. In each case, one or both
volumes are stored in another order, rotated, moved or resampled. The fused values are compared at the same physical points, as
a share of the range 0 to 4095. If nothing is interpolated differently from the reference, the difference may be at most 1e-4;
otherwise the table gives a bound for the mean difference. In a control case the PET is shifted by two of its voxels; there,
the difference must exceed 0.03 somewhere. The exit code is 1 if a bound is exceeded.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import SimpleITK as sitk
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "CSpADNFusion"), str(ROOT / "Testing" / "slicer")]

import cspadn  # noqa: E402
from cspadn.imaging.geometry import BLEND_VOXELS  # noqa: E402
from cspadn.imaging.windowing import FUSED_MAXIMUM, automatic_window, sampled  # noqa: E402
from cspadn.io.images import read_image  # noqa: E402
from cspadn.runtime.allocator import keep_freed_memory  # noqa: E402
from slicer_application import application  # noqa: E402

EXACT = 1e-4
CONTROL = "PET two voxels elsewhere (control: must differ)"
_AXES = "LPS"


class Pair(NamedTuple):
    """Two volumes, their windows (one for all cases: what is compared is geometry), and the fused reference."""

    name: str
    pet: sitk.Image
    mri: sitk.Image
    settings: cspadn.FusionSettings
    fused: sitk.Image


class Case(NamedTuple):
    """What is done, what comes out at the same points, and the bound: of the greatest difference, or of the mean one."""

    name: str
    fused: np.ndarray
    expected: np.ndarray
    bound: float = EXACT
    of_mean: bool = False


def pairs(data: Path) -> Iterator[Pair]:
    """The atlas pair and the two MNI pairs, each MRI thinned to some slices and rows so that a case takes a second."""
    from nilearn.datasets import load_mni152_template

    folder = data / "volumes"
    yield _pair("AANLIB", *(folder / "aanlib" / f"{name}_axial.nii.gz" for name in ("PET", "MRI")), np.s_[::4, ::4, 40:56:2])
    mni = folder / "mni"
    yield _pair("MNI, O-15 water", mni / "PET.nii.gz", mni / "single_subj_T1.nii.gz", np.s_[::2, ::2, 30:54:3])
    template = load_mni152_template(resolution=1)
    mri = sitk.GetImageFromArray(np.asarray(template.dataobj, np.float32).T)
    affine = np.diag([-1, -1, 1, 1]) @ template.affine
    mri.SetSpacing(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    mri.SetDirection((affine[:3, :3] / mri.GetSpacing()).ravel().tolist())
    mri.SetOrigin(affine[:3, 3].tolist())
    yield _pair("MNI152, FDG", mni / "CN_PET_TEMPLATE.nii.gz", mri, np.s_[::4, ::4, 70:118:6])


def _pair(name: str, pet_file: Path, mri: Path | sitk.Image, part: tuple[slice, ...]) -> Pair:
    pet = sitk.ReadImage(str(pet_file), sitk.sitkFloat32)
    mri = (sitk.ReadImage(str(mri), sitk.sitkFloat32) if isinstance(mri, Path) else mri)[part]
    windows = [tuple(automatic_window(sampled(image), name)) for image in (pet, mri)]
    settings = cspadn.FusionSettings(model="cspadn-paper", device="cpu", pet_window=windows[0], mri_window=windows[1])
    return Pair(name, pet, mri, settings, cspadn.fuse(pet, mri, settings).image)


def _fused(pair: Pair, pet: sitk.Image, mri: sitk.Image, **changes: str) -> sitk.Image:
    settings = cspadn.FusionSettings(**{**vars(pair.settings), **changes})
    return cspadn.fuse(pet, mri, settings).image


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def orders() -> list[str]:
    """The 48 ways to store a volume: each order of the axes, each with its ends swapped or not; half are left-handed."""
    ends = [("L", "R"), ("P", "A"), ("S", "I")]
    return ["".join(code) for axes in itertools.permutations(ends) for code in itertools.product(*axes)]


def stored_orders(pair: Pair) -> Iterator[Case]:
    """The MRI in every order; the PET in another one each time, so that no order of it is left out either."""
    own = sitk.DICOMOrient(pair.fused, _AXES)
    for code, other in zip(orders(), reversed(orders()), strict=True):
        mri = sitk.DICOMOrient(pair.mri, code)
        fused = _fused(pair, sitk.DICOMOrient(pair.pet, other), mri)
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(fused, get)() == getattr(mri, get)(), (code, get)
        yield Case(f"MRI stored {code}, PET {other}", _array(sitk.DICOMOrient(fused, _AXES)), _array(own))


def _turned(image: sitk.Image, degrees: float, axis: int) -> sitk.Image:
    """The image turned about an axis of the patient, with its head: no voxel changes."""
    angles = [np.radians(degrees) if i == axis else 0.0 for i in range(3)]
    turn = np.reshape(sitk.Euler3DTransform((0, 0, 0), *angles).GetMatrix(), (3, 3))
    result = sitk.Image(image)
    result.SetDirection((turn @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    result.SetOrigin((turn @ image.GetOrigin()).tolist())
    return result


def oblique(pair: Pair) -> Iterator[Case]:
    """Both turned together: nothing changes. The MRI alone resampled to a turned grid: other slices of the same head."""
    for degrees, axis in itertools.product((3, 10, 30), (0, 2)):
        where = "xyz"[axis]
        fused = _fused(pair, _turned(pair.pet, degrees, axis), _turned(pair.mri, degrees, axis))
        yield Case(f"both turned by {degrees} degrees about {where}", _array(fused), _array(pair.fused))
    for degrees in (3, 10, 30):
        yield _resliced(pair, degrees)


def _resliced(pair: Pair, degrees: float) -> Case:
    """Compared inside both fields of view, away from their ends; two interpolations of the MRI differ from one."""
    grid = _turned_about_centre(pair.mri, degrees)
    fused = _fused(pair, pair.pet, sitk.Resample(pair.mri, grid, sitk.Transform(), sitk.sitkLinear))
    expected = sitk.Resample(pair.fused, grid, sitk.Transform(), sitk.sitkLinear, -1.0)
    inside = _array(expected) >= 0
    return Case(
        f"MRI resliced by {degrees} degrees about its centre", _array(fused)[inside], _array(expected)[inside], 0.03, True
    )


def _turned_about_centre(image: sitk.Image, degrees: float) -> sitk.Image:
    centre = np.array(image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    turned = _turned(image, degrees, 2)
    moved = np.array(turned.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()]))
    turned.SetOrigin((np.array(turned.GetOrigin()) + centre - moved).tolist())
    return turned


def pet_grids(pair: Pair) -> Iterator[Case]:
    """Half the spacing, old voxels kept: linear interpolation gives the same. Double spacing: another, coarser PET."""
    size, spacing = pair.pet.GetSize(), pair.pet.GetSpacing()
    fine = sitk.Image([2 * n - 1 for n in size], sitk.sitkUInt8)
    fine.SetSpacing([step / 2 for step in spacing])
    fine.SetOrigin(pair.pet.GetOrigin())
    fine.SetDirection(pair.pet.GetDirection())
    finer = sitk.Resample(pair.pet, fine, sitk.Transform(), sitk.sitkLinear)
    inner = np.s_[:, 2:-2, 2:-2]  # at the very edge the finer grid reaches half a voxel less far
    yield Case("PET at half its spacing", _array(_fused(pair, finer, pair.mri))[inner], _array(pair.fused)[inner])
    coarse = _fused(pair, pair.pet[::2, ::2, ::2], pair.mri)
    yield Case("PET at double its spacing", _array(coarse), _array(pair.fused), 0.02, True)
    own = _fused(pair, pair.pet, pair.mri, grid="pet")
    there = _array(sitk.Resample(pair.fused, own, sitk.Transform(), sitk.sitkLinear, -1.0))
    inside = ndimage.binary_erosion(there >= 0, iterations=BLEND_VOXELS)  # nearer to its end, the MRI fades
    yield Case("on the PET's grid", _array(own)[inside], there[inside], 0.03, True)
    moved = sitk.Image(pair.pet)
    moved.SetOrigin(pair.pet.TransformIndexToPhysicalPoint((2, 0, 0)))
    yield Case(CONTROL, _array(_fused(pair, moved, pair.mri)), _array(pair.fused), 0.03)


def transforms(pair: Pair) -> Iterator[Case]:
    """Fuse nodes under transforms that align them again, with the module's logic, as in Slicer."""
    application.start()
    import slicer

    from nodes import node_of, rigid, transform_of

    application.newScene()
    application.openModule(ROOT / "CSpADNFusion" / "CSpADNFusion.py")
    from CSpADNFusion import CSpADNFusionLogic

    chosen = {**vars(pair.settings)}
    for name, degrees, shift in (
        ("translated", 0, (12.5, -7.25, 31)),
        ("rotated", 25, (0, 0, 0)),
        ("both", -40, (8, 90, -3)),
        ("left where it is", 0, (0, 0, 0)),
    ):
        matrix = rigid(degrees, shift)
        moved = node_of(pair.pet, "PET"), node_of(pair.mri, "MRI")
        away = transform_of(np.linalg.inv(matrix))
        moved[0].SetAndObserveTransformNodeID(away.GetID())
        moved[0].HardenTransform()  # the PET lies elsewhere now ...
        back = transform_of(matrix)
        moved[0].SetAndObserveTransformNodeID(back.GetID())  # ... and its transform registers it
        fused = CSpADNFusionLogic().fuse(*moved, **chosen)
        yield Case(f"PET registered by a transform, {name}", slicer.util.arrayFromVolume(fused).copy(), _array(pair.fused))
        both = transform_of(matrix)
        nodes = node_of(pair.pet, "PET"), node_of(pair.mri, "MRI")
        for node in nodes:
            node.SetAndObserveTransformNodeID(both.GetID())
        fused = CSpADNFusionLogic().fuse(*nodes, **chosen)
        assert fused.GetTransformNodeID() == both.GetID()
        yield Case(f"both under one transform, {name}", slicer.util.arrayFromVolume(fused).copy(), _array(pair.fused))
        slicer.mrmlScene.Clear(False)


def nifti_forms(pair: Pair) -> Iterator[Case]:
    """The PET in NIfTI files whose forms disagree by 60 mm: it lies by its sform if that has a code, else by its qform."""
    for codes in (*((code, 1) for code in range(1, 6)), *((2, code) for code in range(2, 6)), (1, 0), (2, 0), (4, 0)):
        yield Case(f"NIfTI, sform code {codes[0]}, qform code {codes[1]} elsewhere", *_by_form(pair, codes, "sform"))
    for code in range(1, 6):
        yield Case(f"NIfTI, sform code 0 elsewhere, qform code {code}", *_by_form(pair, (0, code), "qform"))


def _by_form(pair: Pair, codes: tuple[int, int], right: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the fusion of a PET file with one right form, and the reference."""
    here = np.eye(4)
    here[:3, :3] = np.reshape(pair.pet.GetDirection(), (3, 3)) * pair.pet.GetSpacing()
    here[:3, 3] = pair.pet.GetOrigin()
    here = np.diag([-1, -1, 1, 1]) @ here
    elsewhere = here.copy()
    elsewhere[:3, 3] += (60, 0, 0)
    file = nibabel.Nifti1Image(_array(pair.pet).T, None)
    file.header.set_zooms(pair.pet.GetSpacing())
    file.header.set_qform(here if right == "qform" else elsewhere)
    file.header.set_sform(here if right == "sform" else elsewhere)
    file.header["sform_code"], file.header["qform_code"] = codes
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pet.nii"
        nibabel.save(file, path)
        pet = read_image(path, "The PET")
    return _array(_fused(pair, pet, pair.mri)), _array(pair.fused)


KINDS: dict[str, Callable[[Pair], Iterator[Case]]] = {
    "Stored orders": stored_orders,
    "Oblique": oblique,
    "PET grids": pet_grids,
    "Transforms": transforms,
    "NIfTI forms": nifti_forms,
}


def measured(case: Case) -> tuple[float, float]:
    """Greatest and mean difference, as shares of the range."""
    difference = np.abs(case.fused.astype(float) - case.expected) / FUSED_MAXIMUM
    return float(difference.max()), float(difference.mean())


def kept(case: Case) -> bool:
    """Whether the case keeps its bound: the control, whether it is beyond it."""
    return (measured(case)[1 if case.of_mean else 0] <= case.bound) is (case.name != CONTROL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder with volumes/")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "geometry.md")
    options = parser.parse_args()
    keep_freed_memory()
    rows, failed, count = [], 0, 0
    for pair, (kind, cases) in itertools.product(list(pairs(options.data)), KINDS.items()):
        for case in cases(pair):
            greatest, mean = measured(case)
            failed, count = failed + (not kept(case)), count + 1
            bound = f"{case.bound:g} ({'mean' if case.of_mean else 'greatest'})"
            rows.append(
                [pair.name, kind, case.name, f"{greatest:.1e}", f"{mean:.1e}", bound, "" if kept(case) else "exceeded"]
            )
    options.output.write_text(_page(rows, failed, count), encoding="utf-8")
    print(f"{count} cases, {failed} exceed their bound: {options.output}")
    return int(failed > 0)


def _page(rows: list[list[str]], failed: int, count: int) -> str:
    head = ["pair", "kind", "case", "greatest", "mean", "bound", ""]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    told = " ".join((__doc__ or "").split("\n\n", 1)[1].split())
    return "\n".join(["# The same pair, stored and placed differently", "", f"Made by `make geometry-report`. {told}", ""]) + (
        f"\n{count} cases, {failed} exceed their bound.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
