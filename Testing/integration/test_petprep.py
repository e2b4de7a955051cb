"""Derivatives of PETPrep: which of its files a cohort takes, and what it refuses."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cohorts import PETPREP, itk_text, write_dataset, write_petprep
from cspadn.cohort.bids import named_by_bids, pairs_of_dataset
from cspadn.cohort.bids_names import filter_of
from cspadn.cohort.derivative import Derivative, make_derivative
from cspadn.cohort.engine import Job, fuse_pair
from cspadn.cohort.group import write_group
from cspadn.cohort.pairs import Pair
from cspadn.cohort.sources import BidsDataset
from cspadn.cohort.windows import survey_pair
from cspadn.errors import InputError, UsageError
from cspadn.io.transforms import read_rigid, stage_transform
from cspadn.models.weights import load_model
from cspadn.registration.placing import matrix_of
from cspadn.settings import FusionSettings
from head_phantom import distance_mm, phantom_mri, phantom_pet, rigid
from message_calls import identifiers, raises

_RAW = ("sub-01/pet/sub-01_pet.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz")
_IDENTITY = itk_text((1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0))
_SHIFTED = itk_text((1, 0, 0, 0, 1, 0, 0, 0, 1, 5, 0, -2))
_OTHERS = (  # what PETPrep leaves as well
    "sub-01/pet/sub-01_from-orig_to-petref_mode-image_xfm.txt",
    "sub-01/pet/sub-01_space-T1w_desc-brain_mask.nii.gz",
    "sub-01/pet/sub-01_desc-preproc_tacs.tsv",
    "sub-01/pet/sub-01_space-MNI152NLin2009cAsym_res-native_desc-preproc_pet.nii.gz",
    "sub-01/pet/sub-01_space-MNI152NLin2009cAsym_res-native_petref.nii.gz",
    "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
    "sub-01/anat/sub-01_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii.gz",
    "sub-01/anat/sub-01_from-fsnative_to-T1w_mode-image_xfm.txt",
    "sub-01/figures/sub-01_desc-coreg_pet.svg",
)


def _dynamic(frames: int) -> sitk.Image:
    return sitk.JoinSeries([sitk.Image(2, 2, 2, sitk.sitkFloat32)] * frames)


def _dataset(root: Path, *files: str) -> Path:
    for file in files or _RAW:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    (root / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    return root


def _prepared(root: Path, *names: str, **images: sitk.Image | str) -> Path:
    return write_petprep(root / "derivatives" / "petprep", *names, **images)


def _only(pairs: list[Pair]) -> Pair:
    (pair,) = pairs
    return pair


def _uris(*names: str) -> tuple[str, ...]:
    return tuple(f"bids:petprep:{PETPREP[name]}" for name in names)


def test_the_reference_of_a_dynamic_pet_is_taken_with_its_transform(tmp_path: Path) -> None:
    root = _dataset(tmp_path)
    folder = _prepared(root, *_OTHERS, pet=_dynamic(3), petref="", xfm=_SHIFTED, t1w="")
    pair = _only(pairs_of_dataset(root))
    assert (pair.obstacle, pair.warnings, pair.name, pair.contrast) == ("", (), "sub-01", "T1w")
    assert (pair.pet, pair.mri) == (str(folder / PETPREP["petref"]), str(folder / PETPREP["t1w"]))
    assert pair.sources == _uris("petref", "t1w")
    assert pair.placement is not None
    assert (pair.placement.software, pair.placement.file) == ("PETPrep 0.0.10", *_uris("xfm"))
    assert pair.placement.matrix == (1, 0, 0, 5, 0, 1, 0, 0, 0, 0, 1, -2, 0, 0, 0, 1)


@pytest.mark.parametrize(("count", "frames"), [(1, None), (3, "mean"), (3, "2")], ids=["static", "mean", "second"])
def test_frames_are_taken_in_the_space_of_the_mri(tmp_path: Path, count: int, frames: str | None) -> None:
    root = _dataset(tmp_path)
    _prepared(root, pet=_dynamic(count), petref="", xfm=_SHIFTED, t1w="")
    pair = _only(pairs_of_dataset(root, frames=frames))
    assert pair.sources == _uris("pet", "t1w")
    assert pair.placement is not None
    assert (pair.placement.file, pair.placement.matrix) == ("", None)


def test_the_folder_of_petprep_is_a_dataset_itself(tmp_path: Path) -> None:
    write_petprep(tmp_path, *_OTHERS, pet=_dynamic(3), petref="", xfm=_SHIFTED, t1w="")
    pair = _only(pairs_of_dataset(tmp_path))
    assert pair.sources == tuple(f"bids:raw:{PETPREP[name]}" for name in ("petref", "t1w"))
    (tmp_path / PETPREP["t1w"]).unlink()
    assert _only(pairs_of_dataset(tmp_path)).obstacle.identifier == "petprep-incomplete"


def test_sessions_have_their_own_files_and_one_mri(tmp_path: Path) -> None:
    stems = [f"sub-01/ses-{session}/pet/sub-01_ses-{session}_trc-FDG" for session in "ab"]
    root = _dataset(tmp_path, *(f"{stem}_pet.nii.gz" for stem in stems), "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    files = [f"{stem}_{end}.nii.gz" for stem in stems for end in ("space-T1w_petref", "space-T1w_desc-preproc_pet")]
    _prepared(root, *files, "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    pairs = pairs_of_dataset(root)
    assert [pair.name for pair in pairs] == ["sub-01_ses-a_trc-FDG", "sub-01_ses-b_trc-FDG"]
    assert [Path(pair.pet).name for pair in pairs] == [
        Path(f"{stem}_space-T1w_desc-preproc_pet.nii.gz").name for stem in stems
    ]
    assert {Path(pair.mri).name for pair in pairs} == {"sub-01_desc-preproc_T1w.nii.gz"}
    assert not any(pair.warnings for pair in pairs)  # PETPrep has registered the PET to it


@pytest.mark.parametrize(
    ("more", "change", "identifier"),
    [
        (("sub-01/anat/sub-01_acq-b_desc-preproc_T1w.nii.gz",), {}, "petprep-ambiguous"),
        (("sub-01/pet/sub-01_desc-coreg_petref.nii.gz",), {}, "petprep-ambiguous"),
        (("sub-01/pet/sub-01_from-petref_to-anat_mode-image_xfm.txt",), {}, "petprep-ambiguous"),
        ((), {"xfm": ""}, "transform-not-itk"),
        ((), {"xfm": _SHIFTED + _SHIFTED}, "transform-not-itk"),
        ((), {"xfm": _SHIFTED.replace(" 5 ", " nan ")}, "transform-not-itk"),
        ((), {"xfm": _SHIFTED.replace("MatrixOffsetTransformBase", "DisplacementFieldTransform")}, "transform-not-itk"),
        ((), {"xfm": itk_text((1.1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0))}, "transform-not-rigid"),
        ((), {"xfm": itk_text((-1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0))}, "transform-not-rigid"),
    ],
    ids=["t1ws", "references", "transforms", "empty", "two-in-one", "nan", "field", "scaled", "mirrored"],
)
def test_what_leaves_a_choice_or_cannot_be_used_is_refused(tmp_path: Path, more, change, identifier: str) -> None:
    root = _dataset(tmp_path)
    _prepared(root, *more, **{"petref": "", "xfm": _IDENTITY, "t1w": "", **change})
    pair = _only(pairs_of_dataset(root))
    assert pair.obstacle.identifier == identifier
    assert "\n" not in pair.obstacle
    assert _only(pairs_of_dataset(root, derivatives="none")).sources == tuple(f"bids:raw:{name}" for name in _RAW)


def test_filters_choose_among_the_files_of_petprep(tmp_path: Path) -> None:
    root = _dataset(tmp_path)
    names = ("sub-01/pet/sub-01_desc-coreg_petref.nii.gz", "sub-01/anat/sub-01_acq-b_desc-preproc_T1w.nii.gz")
    _prepared(root, *names, petref="", xfm=_IDENTITY, t1w="")
    pair = _only(pairs_of_dataset(root, filter_of(["desc=hmc"]), filter_of(["acq=b"])))
    assert pair.sources == (*_uris("petref"), f"bids:petprep:{names[1]}")


def test_a_chosen_standard_space_is_that_of_pet_mri_and_result(tmp_path: Path) -> None:
    root = _dataset(tmp_path)
    _prepared(root, *_OTHERS, petref="", xfm=_IDENTITY, t1w="")
    pair = _only(pairs_of_dataset(root, filter_of(["space=MNI152NLin2009cAsym", "res=native"])))
    assert [uri.rsplit("/", 1)[1] for uri in pair.sources] == [
        "sub-01_space-MNI152NLin2009cAsym_res-native_desc-preproc_pet.nii.gz",
        "sub-01_space-MNI152NLin2009cAsym_desc-preproc_T1w.nii.gz",
    ]
    files = Derivative(tmp_path / "out", registered=True).files(pair)
    assert files.fused.name == "sub-01_space-MNI152NLin2009cAsym_desc-fused_brightness.nii.gz"
    assert "transform" not in files.others


def test_the_voxels_of_a_placed_pet_lie_in_the_space_of_the_t1w_image(tmp_path: Path) -> None:
    root = _dataset(tmp_path)
    _prepared(root, "sub-01/anat/sub-01_desc-preproc_T2w.nii.gz", petref="", xfm=_SHIFTED, t1w="")
    for contrast in ("T1w", "T2w"):  # PETPrep leaves both in the space of the former
        pair = _only(pairs_of_dataset(root, mri_filter=filter_of([f"suffix={contrast}"])))
        for grid, space in (("mri", "space-T1w"), ("pet", "space-T1w_res-pet")):
            layout = Derivative(tmp_path / "out", grid)
            assert layout.files(pair).fused.name == f"sub-01_{space}_desc-fused_brightness.nii.gz"
            told = layout.describe(pair, {}, {"origin": {"skull_stripped": False}})
            assert told["SpatialReference"] == pair.sources[1]


def test_a_resampled_reference_replaces_a_transform_that_scales(tmp_path: Path) -> None:
    root = _dataset(tmp_path)
    name = "sub-01/pet/sub-01_space-T1w_petref.nii.gz"
    _prepared(root, name, petref="", xfm=itk_text((1.1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)), t1w="")
    pair = _only(pairs_of_dataset(root))
    assert pair.sources == (f"bids:petprep:{name}", *_uris("t1w"))
    assert pair.placement is not None
    assert pair.placement.matrix is None


def test_a_file_that_may_belong_to_two_tracers_is_refused(tmp_path: Path) -> None:
    pets = [f"sub-01/pet/sub-01_trc-{tracer}_pet.nii.gz" for tracer in ("FDG", "PIB")]
    root = _dataset(tmp_path, *pets, _RAW[1])
    _prepared(root, petref="", xfm=_IDENTITY, t1w="")
    assert [pair.obstacle.identifier for pair in pairs_of_dataset(root)] == ["petprep-unclear"] * 2
    (root / pets[1]).unlink()
    assert _only(pairs_of_dataset(root)).sources == _uris("petref", "t1w")


def test_a_pet_that_petprep_has_left_out_is_fused_as_it_is(tmp_path: Path) -> None:
    root = _dataset(tmp_path, *_RAW, *(name.replace("sub-01", "sub-02") for name in _RAW))
    _prepared(root, petref="", xfm=_IDENTITY, t1w="")
    first, second = pairs_of_dataset(root)
    assert first.placement is not None
    assert (second.placement, identifiers(second.warnings)) == (None, ["petprep-not-used"])
    assert second.sources == tuple(f"bids:raw:{name}".replace("sub-01", "sub-02") for name in _RAW)


def test_which_folder_is_taken(tmp_path: Path) -> None:
    root = _dataset(tmp_path / "bids")
    write_petprep(root / "derivatives" / "a", petref="", xfm=_IDENTITY, t1w="")
    write_petprep(tmp_path / "b", petref="", xfm=_SHIFTED, t1w="", version="")
    pair = _only(pairs_of_dataset(root, derivatives=str(tmp_path / "b")))
    assert pair.placement is not None
    assert pair.placement.software == "PETPrep"
    with raises(UsageError, "derivatives-not-petprep", path=root):
        pairs_of_dataset(root, derivatives=str(root))
    write_petprep(root / "derivatives" / "c")
    with raises(UsageError, "derivatives-ambiguous", count=2, names="a, c"):
        pairs_of_dataset(root)


def test_transforms_of_itk_are_read_as_itk_reads_them(tmp_path: Path) -> None:
    euler = rigid((8, -5, 12), (20.0, -15, 30))
    euler.SetCenter((3.0, -40.0, 12.0))
    versor = sitk.VersorRigid3DTransform((0.1, 0.3, -0.2), 0.4, (4.0, 5, 6), (7.0, 8, 9))
    for number, transform in enumerate((euler, versor)):
        staged = stage_transform(tmp_path / f"{number}.txt", transform)
        np.testing.assert_allclose(read_rigid(staged.temporary), matrix_of(transform), atol=1e-6)
    os.mkfifo(pipe := tmp_path / "pipe.txt")
    with raises(InputError, "transform-unreadable", path=pipe):
        read_rigid(pipe)


@pytest.mark.usefixtures("plain_plots")
def test_a_pair_is_placed_by_the_transform_and_says_so(tmp_path: Path) -> None:
    moved, mri = rigid((8, -5, 12), (20.0, -15, 30)), phantom_mri((4.0, 4.0, 4.0))
    root = write_dataset(tmp_path / "raw", {"sub-01": (phantom_pet(moved), mri)})
    matrix = np.reshape(matrix_of(moved), (4, 4))
    text = itk_text([*matrix[:3, :3].ravel(), *matrix[:3, 3]])
    folder = _prepared(root, petref=phantom_pet(moved), xfm=text, t1w=mri)
    source = BidsDataset(root)
    layout = Derivative(make_derivative(source, tmp_path / "out"), registered=True)
    settings = FusionSettings(device="cpu", register="rigid")
    job = Job(source.folder, layout, settings, load_model(settings.model).card.sha256)
    pair = _only(named_by_bids(source.pairs()))
    assert survey_pair(pair, job).windows is not None
    outcome = fuse_pair(pair, job)
    assert (outcome.status, outcome.message, outcome.warnings) == ("done", "", ())
    told = json.loads(layout.files(pair).sidecar.read_text())
    assert told["Sources"] == [*_uris("petref", "t1w"), *_uris("xfm")]
    ours = told["CSpADNFusion"]
    assert (ours["registration"], ours["registration_file"]) == ("PETPrep 0.0.10", *_uris("xfm"))
    assert ours["alignment_mm"] < 1.5  # where the transform places it, it lies on the MRI
    links = json.loads((layout.folder / "dataset_description.json").read_text())["DatasetLinks"]
    assert (layout.folder / links["petprep"]).resolve() == folder.resolve()
    assert "registered by PETPrep 0.0.10" in layout.files(pair).others["page"].read_text()
    assert "PETPrep 0.0.10" in write_group(layout.folder).read_text()
    assert list((tmp_path / "out").rglob("*xfm*")) == []  # no registration of ours
    assert fuse_pair(pair, job).status == "unchanged"
    (folder / PETPREP["xfm"]).write_text(_IDENTITY)
    again = fuse_pair(_only(named_by_bids(source.pairs())), replace(job, settings=FusionSettings(device="cpu")))
    assert (again.status, identifiers(again.warnings)[-1]) == ("done", "pair-misaligned")
    assert distance_mm(moved, sitk.Transform()) > 3
