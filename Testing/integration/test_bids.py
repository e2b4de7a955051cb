"""Pairing PET and MRI of a BIDS dataset or a list, and the description of the derivative."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from cspadn import __version__
from cspadn.cohort.bids import description, named_by_bids, pairs_of_dataset, with_labels
from cspadn.cohort.bids_names import filter_of
from cspadn.cohort.derivative import Derivative, check_derivative, make_derivative
from cspadn.cohort.pairs import Pair
from cspadn.cohort.sources import BidsDataset, PairList, StudyFolder, source_of
from cspadn.errors import UsageError
from message_calls import identifiers, raises, says


def _dataset(root: Path, *files: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    (root / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.10.0"}')
    return root


def _one(pairs: list[Pair]) -> Pair:
    assert len(pairs) == 1
    return pairs[0]


def test_sessions_tracers_and_runs_are_pairs_of_their_own(tmp_path: Path) -> None:
    pets = ["sub-01/ses-a/pet/sub-01_ses-a_trc-FDG_pet.nii.gz", "sub-01/ses-a/pet/sub-01_ses-a_trc-PIB_run-02_pet.nii"]
    mri = "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz"
    pairs = pairs_of_dataset(_dataset(tmp_path, *pets, mri, "sub-02/pet/sub-02_pet.nii.gz", "sub-02/anat/sub-02_T1w.nii"))
    assert [pair.name for pair in pairs] == ["sub-01_ses-a_trc-FDG", "sub-01_ses-a_trc-PIB_run-02", "sub-02"]
    assert [pair.pet for pair in pairs[:2]] == [str(tmp_path / pet) for pet in pets]
    assert pairs[0].mri == pairs[1].mri == str(tmp_path / mri)
    assert pairs[0].sources == (f"bids:raw:{pets[0]}", f"bids:raw:{mri}")
    assert not any(pair.obstacle or pair.warnings for pair in pairs)
    assert pairs[1].entities == {"sub": "01", "ses": "a", "trc": "PIB", "run": "02"}  # as it is written


def test_the_mri_of_another_session_is_taken_with_a_warning(tmp_path: Path) -> None:
    mri = "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz"
    pair = _one(pairs_of_dataset(_dataset(tmp_path, "sub-01/ses-b/pet/sub-01_ses-b_pet.nii.gz", mri)))
    assert pair.mri == str(tmp_path / mri)
    assert identifiers(pair.warnings) == ["t1w-of-other-session"]
    assert mri in str(pair.warnings[0].fields["mri"])


@pytest.mark.parametrize(
    ("anatomies", "identifier"),
    [
        ([], "t1w-missing"),
        (["sub-02/anat/sub-02_T1w.nii.gz"], "t1w-missing"),  # that of another subject
        (["sub-01/anat/sub-01_T2w.nii.gz"], "t1w-missing"),
        (["sub-01/anat/sub-01_run-1_T1w.nii.gz", "sub-01/anat/sub-01_run-2_T1w.nii.gz"], "t1w-ambiguous"),
        (["sub-01/anat/sub-01_space-MNI152NLin6Asym_T1w.nii.gz"], "t1w-missing"),  # another space
    ],
)
def test_no_mri_or_several_are_an_obstacle(tmp_path: Path, anatomies: list[str], identifier: str) -> None:
    pair = _one(pairs_of_dataset(_dataset(tmp_path, "sub-01/pet/sub-01_pet.nii.gz", *anatomies)))
    assert pair.obstacle.identifier == identifier
    assert str(pair.obstacle.fields["pet"]) == "sub-01/pet/sub-01_pet.nii.gz"
    assert pair.pet == pair.mri == ""


def test_an_obstacle_names_the_contrast_that_is_wanted(tmp_path: Path) -> None:
    root = _dataset(tmp_path, "sub-01/pet/sub-01_pet.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz")
    pair = _one(pairs_of_dataset(root, mri_filter=filter_of(["suffix=T2w"])))
    assert says(pair.obstacle, "t1w-missing", contrast="T2w")


@pytest.mark.parametrize(("space", "mri"), [("T1w", "sub-01_T1w"), ("MNI", "sub-01_space-MNI_desc-preproc_T1w")])
def test_a_pet_goes_with_the_mri_of_its_space(tmp_path: Path, space: str, mri: str) -> None:
    names = ("sub-01_T1w", "sub-01_space-MNI_desc-preproc_T1w")
    anatomies = [f"sub-01/anat/{name}.nii.gz" for name in names]
    pet = f"sub-01/pet/sub-01_space-{space}_desc-preproc_pet.nii.gz"
    pair = _one(pairs_of_dataset(_dataset(tmp_path, pet, *anatomies)))
    assert pair.mri == str(tmp_path / f"sub-01/anat/{mri}.nii.gz")
    assert pair.name == "sub-01"


def test_what_is_no_raw_pet_is_passed_over(tmp_path: Path) -> None:
    good = ["sub-01/pet/sub-01_pet.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"]
    others = [
        "derivatives/cspadn/sub-01/pet/sub-01_space-T1w_desc-fused_brightness.nii.gz",
        "sourcedata/sub-09/pet/sub-09_pet.nii.gz",
        "sub-01/pet/sub-01_space-T1w_desc-fused_brightness.nii.gz",
        "sub-01/pet/sub-01_pet.json",
        "sub-01/pet/sub-07_pet.nii.gz",
        "sub-01/pet/pet.nii.gz",
        "sub-01/sub-01_pet.nii.gz",
        "sub-01/ses-x/pet/sub-01_pet.nii.gz",
    ]
    root = _dataset(tmp_path, *good, *others)
    (root / "sub-08").symlink_to(root / "sub-01")
    assert _one(pairs_of_dataset(root)).pet == str(root / good[0])


def test_a_pickle_in_the_dataset_is_not_executed(tmp_path: Path) -> None:
    class _Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    root = _dataset(tmp_path / "data", "sub-01/pet/sub-01_pet.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz")
    for name in (".ancpbids-dataset.pickle", "ancpbids-dataset.pickle"):
        (root / name).write_bytes(pickle.dumps(_Trap()))
    assert len(pairs_of_dataset(root)) == 1
    assert not (tmp_path / "executed").exists()


def test_two_pets_with_one_result_are_an_obstacle_for_both(tmp_path: Path) -> None:
    pets = [f"sub-01/pet/sub-01_{middle}pet.nii.gz" for middle in ("", "desc-preproc_")]
    pairs = named_by_bids(pairs_of_dataset(_dataset(tmp_path, *pets, "sub-01/anat/sub-01_T1w.nii.gz")))
    assert [pair.name for pair in pairs] == ["sub-01", "sub-01"]
    assert identifiers(pair.obstacle for pair in pairs) == ["pets-with-one-name"] * 2


def test_of_several_forms_of_a_pet_the_registered_one_is_taken(tmp_path: Path) -> None:
    forms = ("desc-preproc", "space-T1w_desc-preproc", "space-MNI_desc-preproc")
    pets = [f"sub-01/pet/sub-01_{form}_pet.nii.gz" for form in forms]
    pair = _one(pairs_of_dataset(_dataset(tmp_path, *pets, "sub-01/anat/sub-01_T1w.nii.gz")))
    assert pair.pet == str(tmp_path / pets[1])


def test_a_label_may_hold_a_plus(tmp_path: Path) -> None:
    pet = "sub-01/pet/sub-01_trc-C11+PIB_pet.nii.gz"
    pair = _one(pairs_of_dataset(_dataset(tmp_path, pet, "sub-01/anat/sub-01_T1w.nii.gz")))
    assert pair.name == "sub-01_trc-C11+PIB"


@pytest.mark.parametrize("told", ["{", "[]", "\xff", '{"Name": 1, "BIDSVersion": 1.8}'])
def test_a_damaged_description_is_told(tmp_path: Path, told: str) -> None:
    root = _dataset(tmp_path, "sub-01/pet/sub-01_pet.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz")
    (root / "dataset_description.json").write_bytes(told.encode("latin-1"))
    with raises(UsageError, "dataset-description-invalid", path=root):
        pairs_of_dataset(root)


def test_a_bad_row_takes_no_name_from_a_good_one(tmp_path: Path) -> None:
    (file := tmp_path / "pairs.csv").write_text("pet,mri,participant_id\np,m,a_b\np,m,0001\np,m,x\np,m,x\n")
    bad, good, *twice = named_by_bids(PairList(file).pairs())
    assert bad.obstacle.identifier == "list-label-invalid"
    assert good.obstacle == ""
    assert identifiers(pair.obstacle for pair in twice) == ["pets-with-one-name"] * 2


def test_a_dataset_without_pets_or_none_at_all_is_wrong_usage(tmp_path: Path) -> None:
    with raises(UsageError, "dataset-without-pet"):
        pairs_of_dataset(_dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz"))
    with raises(UsageError, "dataset-not-a-folder"):
        pairs_of_dataset(tmp_path / "nowhere")


def test_labels_choose(tmp_path: Path) -> None:
    files = [f"sub-{sub}/ses-{ses}/{kind}" for sub in ("01", "02") for ses in ("a", "b") for kind in ("pet", "anat")]
    names = [
        f"{folder}/sub-{folder[4:6]}_ses-{folder[11]}_{'pet' if folder.endswith('pet') else 'T1w'}.nii.gz" for folder in files
    ]
    pairs = pairs_of_dataset(_dataset(tmp_path, *names))
    assert [pair.name for pair in with_labels(pairs, ["02"], ["ses-b"])] == ["sub-02_ses-b"]
    assert [pair.name for pair in with_labels(pairs, ["sub-01"], [])] == ["sub-01_ses-a", "sub-01_ses-b"]
    assert with_labels(pairs, [], []) == pairs
    with raises(UsageError, "label-without-pet", key="sub", label="03"):
        with_labels(pairs, ["01", "03"], [])


def test_a_list_names_subjects_or_counts_them(tmp_path: Path) -> None:
    file = tmp_path / "in" / "pairs.csv"
    file.parent.mkdir()
    file.write_text("pet,mri,participant_id,session_id\np1.nii,m1.nii,sub-A7,\np2.nii,m2.nii,,ses-2\n")
    named, counted = named_by_bids(PairList(file).pairs())
    assert (named.name, counted.name) == ("sub-A7", "sub-0002_ses-2")
    assert named.pet == str(file.parent / "p1.nii")
    record = {"origin": {"skull_stripped": False}}
    assert Derivative(tmp_path / "out").describe(named, {}, record)["Sources"] == ["../in/p1.nii", "../in/m1.nii"]


@pytest.mark.parametrize(
    ("row", "identifier"),
    [
        ("p.nii,,01", "list-cell-empty"),
        ("sub-1_T1w.nii,sub-1_pet.nii,01", "list-pair-swapped"),
        ("p.nii,m.nii,a_b", "list-label-invalid"),
        ("p.nii,m.nii,../x", "list-label-invalid"),
        ("p.nii,m.nii,sub-", "list-label-invalid"),
    ],
)
def test_a_bad_row_is_an_obstacle_of_its_own(tmp_path: Path, row: str, identifier: str) -> None:
    (file := tmp_path / "pairs.csv").write_text(f"pet,mri,participant_id\n{row}\np.nii,m.nii,ok\n")
    bad, good = named_by_bids(PairList(file).pairs())
    assert bad.obstacle.identifier == identifier
    assert bad.obstacle.fields["line"] == 2
    assert (good.name, good.obstacle) == ("sub-ok", "")


def test_the_derivative_links_to_its_source(tmp_path: Path) -> None:
    told = description(tmp_path, tmp_path / "derivatives" / "cspadn", is_dataset=True)
    assert told["DatasetLinks"] == {"raw": "../.."}
    assert told["DatasetType"] == "derivative"
    assert told["GeneratedBy"][0]["Name"] == "CSpADNFusion"


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    source, output = _dataset(tmp_path / "in"), tmp_path / "out"
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    with raises(UsageError, "output-folder-in-use"):
        make_derivative(BidsDataset(source), output)
    assert [path.name for path in output.iterdir()] == ["notes.txt"]
    with raises(UsageError, "cohort-not-fused"):
        check_derivative(output)


def test_the_input_is_no_output(tmp_path: Path) -> None:
    source = _dataset(tmp_path / "a" / "in")
    for output in (source, source.parent):
        with raises(UsageError, "output-contains-dataset"):
            make_derivative(BidsDataset(source), output)


def test_what_is_described_already_is_left_alone(tmp_path: Path) -> None:
    source, output = _dataset(tmp_path / "in"), tmp_path / "in" / "derivatives" / "cspadn"
    assert make_derivative(BidsDataset(source), output) == output
    check_derivative(output)
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    assert set(before) == {"dataset_description.json", ".bidsignore", "README.md"}
    (output / "README.md").write_text("changed")
    make_derivative(BidsDataset(source), output)
    after = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    assert {name for name in before if before[name] == after[name]} == {"dataset_description.json", ".bidsignore"}
    assert (output / "README.md").read_text() == "changed"


def test_what_the_user_added_to_the_description_stays(tmp_path: Path) -> None:
    output = make_derivative(BidsDataset(_dataset(tmp_path / "in")), tmp_path / "out")
    told = json.loads((output / "dataset_description.json").read_text())
    told |= {"Authors": ["A", "B"], "GeneratedBy": [{"Name": "CSpADNFusion", "Version": "0.0.1"}]}
    (output / "dataset_description.json").write_text(json.dumps(told))
    make_derivative(BidsDataset(tmp_path / "in"), output)
    again = json.loads((output / "dataset_description.json").read_text())
    assert again["Authors"] == ["A", "B"]
    assert again["GeneratedBy"][0]["Version"] == __version__


def test_another_dataset_does_not_come_into_the_same_folder(tmp_path: Path) -> None:
    output = make_derivative(BidsDataset(_dataset(tmp_path / "in")), tmp_path / "out")
    with raises(UsageError, "output-folder-of-other-input"):
        make_derivative(BidsDataset(_dataset(tmp_path / "in2")), output)
    (table := tmp_path / "pairs.csv").write_text("pet,mri\n")
    with raises(UsageError, "output-folder-of-other-input"):
        make_derivative(PairList(table), output)


def test_the_path_says_which_source_it_is(tmp_path: Path) -> None:
    output = tmp_path / "out"
    (tmp_path / "studies" / "a").mkdir(parents=True)
    (tmp_path / "bids" / "sub-01").mkdir(parents=True)
    sources = {name: source_of(tmp_path / name, output) for name in ("pairs.CSV", "studies", "bids", "missing")}
    kinds = {name: type(source) for name, source in sources.items()}
    assert kinds == {"pairs.CSV": PairList, "studies": StudyFolder, "bids": BidsDataset, "missing": BidsDataset}
    assert [name for name, source in sources.items() if source.has_dicom] == ["pairs.CSV", "studies"]


def test_studies_have_the_letters_of_their_folders_as_labels(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    for name in ("Jane's 2nd", "sub-A7", "\u4f53", ".hidden", "derivatives/cspadn", "janes-2nd"):
        (studies / name).mkdir(parents=True)
    pairs = named_by_bids(StudyFolder(studies, studies / "derivatives" / "cspadn").pairs())
    names = {Path(pair.study).name: pair.name for pair in pairs}
    assert names == {"Jane's 2nd": "sub-Janes2nd", "janes-2nd": "sub-janes2nd", "sub-A7": "sub-A7", "\u4f53": "sub-0004"}
    assert [bool(pair.obstacle) for pair in pairs] == [True, True, False, False]  # the same where capitals do not count


# Filters


def _several(folder: Path) -> Path:
    names = ["sub-01_run-1_T1w", "sub-01_run-2_T1w", "sub-01_T2w"]
    pets = ["sub-01_trc-FDG_pet", "sub-01_trc-FMZ_pet"]
    return _dataset(folder, *(f"sub-01/anat/{name}.nii.gz" for name in names), *(f"sub-01/pet/{name}.nii.gz" for name in pets))


def test_filters_choose_among_several_images(tmp_path: Path) -> None:
    root = _several(tmp_path)
    assert [pair.obstacle.identifier for pair in pairs_of_dataset(root)] == ["t1w-ambiguous"] * 2
    pair = _one(pairs_of_dataset(root, filter_of(["trc=FDG"]), filter_of(["run=2"])))
    assert (pair.name, Path(pair.mri).name, pair.contrast) == ("sub-01_trc-FDG", "sub-01_run-2_T1w.nii.gz", "T1w")
    pairs = pairs_of_dataset(root, filter_of(["trc=FDG", "trc=FMZ"]), filter_of(["suffix=T2w", "run="]))
    assert [Path(pair.mri).name for pair in pairs] == ["sub-01_T2w.nii.gz"] * 2
    assert pairs[0].contrast == "T2w"
    files = Derivative(tmp_path / "out", "mri", registered=True).files(pairs[0])
    assert files.fused.name == "sub-01_trc-FDG_space-T2w_desc-fused_brightness.nii.gz"
    assert files.others["transform"].name == "sub-01_trc-FDG_from-PET_to-T2w_mode-image_xfm.txt"


_MNI, _FINE = "space-MNI152NLin2009cAsym", "space-MNI152NLin6Asym_res-1"


@pytest.mark.parametrize(
    ("pet", "mri", "on_mri", "on_pet"),
    [
        ("", "T1w", "space-T1w", "space-pet"),
        ("space-T1w_", "T1w", "space-T1w", "space-T1w_res-pet"),
        ("space-T1w_", "space-T1w_T2w", "space-T1w", "space-T1w_res-pet"),
        ("", "T2w", "space-T2w", "space-pet"),
        (f"{_MNI}_res-native_", f"{_MNI}_desc-preproc_T1w", _MNI, f"{_MNI}_res-pet"),
        ("space-MNI152NLin6Asym_res-2_", f"{_FINE}_T1w", _FINE, "space-MNI152NLin6Asym_res-pet"),
        (
            "space-MNIInfant_cohort-3_",
            "space-MNIInfant_cohort-3_T1w",
            *[f"space-MNIInfant_cohort-3{end}" for end in ("", "_res-pet")],
        ),
    ],
)
@pytest.mark.parametrize("is_list", [False, True], ids=["dataset", "list"])
def test_the_name_tells_the_space_of_the_voxels(tmp_path: Path, pet, mri, on_mri, on_pet, is_list: bool) -> None:
    files = [f"sub-01/pet/sub-01_{pet}desc-preproc_pet.nii.gz", f"sub-01/anat/sub-01_{mri}.nii.gz"]
    root = _dataset(tmp_path, *files)
    (table := tmp_path / "pairs.csv").write_text(f"pet,mri,participant_id\n{files[0]},{files[1]},01\n")
    contrast = filter_of([f"suffix={mri.rsplit('_')[-1]}"])
    pair = _one(named_by_bids(PairList(table).pairs()) if is_list else pairs_of_dataset(root, mri_filter=contrast))
    assert (pair.obstacle, pair.contrast) == ("", mri.rsplit("_")[-1])
    sides = {grid: Derivative(tmp_path / "out", grid).files(pair).fused.name for grid in ("mri", "pet")}
    assert sides == {
        grid: f"sub-01_{space}_desc-fused_brightness.nii.gz" for grid, space in (("mri", on_mri), ("pet", on_pet))
    }


def test_the_voxels_of_a_registered_pet_lie_in_the_space_of_the_mri(tmp_path: Path) -> None:
    pair = _one(pairs_of_dataset(_dataset(tmp_path, "sub-01/pet/sub-01_pet.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz")))
    layout = Derivative(tmp_path / "out", "pet", registered=True)
    files = layout.files(pair)
    assert files.fused.name == "sub-01_space-T1w_res-pet_desc-fused_brightness.nii.gz"
    assert files.others["transform"].name == "sub-01_from-PET_to-T1w_mode-image_xfm.txt"
    told = layout.describe(pair, {}, {"origin": {"skull_stripped": False}})
    assert told["SpatialReference"] == "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"
    assert told["Resolution"] == "The voxels of the PET."


def test_a_pet_in_a_standard_space_is_not_fused_with_an_mri_in_its_own(tmp_path: Path) -> None:
    pet = f"sub-01/pet/sub-01_{_MNI}_desc-preproc_pet.nii.gz"
    pair = _one(pairs_of_dataset(_dataset(tmp_path, pet, "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")))
    assert pair.obstacle.identifier == "t1w-missing-in-space"
    assert pair.obstacle.fields["space"] == "MNI152NLin2009cAsym"


def test_filters_that_cannot_be_used(tmp_path: Path) -> None:
    with raises(UsageError, "filter-without-pet", filter="trc=PIB"):
        pairs_of_dataset(_several(tmp_path), filter_of(["trc=PIB"]))
    for text in ("trc", "=FDG", "trc=F-DG", "9=1"):
        with raises(UsageError, "filter-invalid", text=text):
            filter_of([text])
