"""NIfTI and Analyze files lie where nibabel, SPM and FSL place them, whichever form their headers have."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from cspadn.errors import InputError
from cspadn.imaging.metadata import add_note, notes_of
from cspadn.io.images import read_in_process
from cspadn.messages import message
from message_calls import identifiers, raises
from volumes import volume

nibabel = pytest.importorskip("nibabel")
SIZE = (6, 7, 5)
SCANNER = np.array([[-2.0, 0, 0, 7], [0, 2.5, 0, -9], [0, 0, 3, 4], [0, 0, 0, 1]])


def _turned(affine: np.ndarray, degrees: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    turn = np.eye(4)
    turn[:3, :3] = np.reshape(sitk.Euler3DTransform((0, 0, 0), *np.radians(degrees)).GetMatrix(), (3, 3))
    turn[:3, 3] = shift
    return turn @ affine


ALIGNED = _turned(SCANNER, (5, -3, 20), (12, -8, 3))


def _file(path: Path, sform: np.ndarray | None, qform: np.ndarray | None, codes: tuple[int, int], **layout: str) -> Path:
    """Write a NIfTI-1 file with two forms and their codes (sform, qform)."""
    values = np.arange(np.prod(SIZE), dtype=np.float32).reshape(SIZE)
    image = nibabel.Nifti1Image(values, None, nibabel.Nifti1Header(endianness=layout.get("endian", "<")))
    image.header.set_zooms(np.linalg.norm((qform if qform is not None else SCANNER)[:3, :3], axis=0))
    if qform is not None:
        image.header.set_qform(qform, codes[1])
    if sform is not None:
        image.header.set_sform(sform, codes[0])
    image.header["sform_code"], image.header["qform_code"] = codes
    nibabel.save(image, path)
    return path


def _affine(image: sitk.Image) -> np.ndarray:
    """Return the affine from voxel indices to RAS, as nibabel defines it."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (4, 1), (2, 0), (0, 1), (0, 2), (1, 4), (5, 3), (0, 0)])
@pytest.mark.parametrize("name", ["it.nii", "it.nii.gz", "it.hdr"])
def test_the_form_that_other_programs_use_counts(codes: tuple[int, int], name: str, tmp_path: Path) -> None:
    kind = nibabel.Nifti1Pair if name.endswith(".hdr") else nibabel.Nifti1Image
    source = nibabel.load(_file(tmp_path / "source.nii", ALIGNED, SCANNER, codes))
    kind(np.asarray(source.dataobj), None, source.header).to_filename(tmp_path / name)
    image = read_in_process(tmp_path / name, "The PET")
    loaded = nibabel.load(tmp_path / name)
    np.testing.assert_allclose(_affine(image), loaded.affine, atol=1e-4)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, np.asarray(loaded.dataobj))


_angles, _shifts = st.floats(-180, 180), st.floats(-300, 300)


@given(
    st.tuples(_angles, _angles, _angles),
    st.tuples(_shifts, _shifts, _shifts),
    st.tuples(*[st.floats(0.3, 9)] * 3),
    st.sampled_from([-1, 1]),
    st.sampled_from([(2, 0), (0, 1)]),
    st.sampled_from("<>"),
)
def test_any_position_is_that_of_nibabel(tmp_path_factory, degrees, shift, spacing, side, codes, endian) -> None:
    path = tmp_path_factory.mktemp("nifti") / "it.nii"
    affine = _turned(np.diag([side * spacing[0], spacing[1], spacing[2], 1]), degrees, shift)
    _file(path, affine, affine, codes, endian=endian)
    np.testing.assert_allclose(_affine(read_in_process(path, "The PET")), nibabel.load(path).affine, atol=2e-3)


@given(st.floats(1e-4, 1e-3), st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1))
def test_a_half_turn_is_not_turned_by_rounding(tmp_path_factory, missing: float, axis: tuple[float, ...]) -> None:
    """A qform leaves out the first number of its quaternion; near 0, single precision would give half a milliradian."""
    from scipy.spatial.transform import Rotation

    path = tmp_path_factory.mktemp("nifti") / "it.nii"
    affine = np.eye(4)
    turn = np.array(axis) / np.linalg.norm(axis) * np.sqrt(1 - missing**2)
    affine[:3, :3] = Rotation.from_quat([*turn, missing]).as_matrix() * 9
    _file(path, affine, affine, (0, 1))
    np.testing.assert_allclose(_affine(read_in_process(path, "The PET")), nibabel.load(path).affine, atol=2e-4)


def test_forms_that_disagree_are_a_warning_with_the_distance(tmp_path: Path) -> None:
    moved = _turned(SCANNER, (0, 0, 0), (21, 0, 0))
    image = read_in_process(_file(tmp_path / "moved.nii", moved, SCANNER, (2, 1)), "The PET")
    (note,) = notes_of(image)
    assert note == message("nifti-forms-differ", file="moved.nii", millimetres=21.0)
    assert note.identifier == "nifti-forms-differ"


def test_forms_that_differ_by_rounding_are_no_warning(tmp_path: Path) -> None:
    rounded = _turned(SCANNER, (0, 0, 0), (0.05, 0, 0))
    assert notes_of(read_in_process(_file(tmp_path / "it.nii", rounded, SCANNER, (2, 1)), "The PET")) == []
    apart = _turned(SCANNER, (0, 0, 0), (0.5, 0, 0))
    assert len(notes_of(read_in_process(_file(tmp_path / "it.nii", apart, SCANNER, (2, 1)), "The PET"))) == 1
    assert notes_of(read_in_process(_file(tmp_path / "it.nii", apart, SCANNER, (2, 0)), "The PET")) == []


def test_a_file_without_a_position_is_centred_with_a_warning(tmp_path: Path) -> None:
    image = read_in_process(_file(tmp_path / "it.nii", None, None, (0, 0)), "The PET")
    assert identifiers(notes_of(image)) == ["nifti-without-position"]
    middle = image.TransformContinuousIndexToPhysicalPoint([(extent - 1) / 2 for extent in image.GetSize()])
    np.testing.assert_allclose(middle, 0, atol=1e-5)


@pytest.mark.parametrize("origin", [(0, 0, 0), (3, 4, 2), (900, 4, 2)])
def test_analyze_lies_where_nibabel_places_it_with_a_warning(origin: tuple[int, int, int], tmp_path: Path) -> None:
    image = nibabel.Spm99AnalyzeImage(np.arange(np.prod(SIZE), dtype=np.int16).reshape(SIZE), None)
    image.header.set_zooms((2, 2.5, 3))
    image.header["origin"][:3] = origin
    image.to_filename(tmp_path / "it.img")
    (tmp_path / "it.mat").unlink(missing_ok=True)
    for suffix in (".hdr", ".img"):
        found = read_in_process(tmp_path / f"it{suffix}", "The PET")
        np.testing.assert_allclose(_affine(found), nibabel.load(tmp_path / "it.img").affine, atol=1e-4)
        assert identifiers(notes_of(found)) == ["analyze-position"]


def test_mirrored_forms_are_refused(tmp_path: Path) -> None:
    mirrored = np.diag([-1.0, 1, 1, 1]) @ SCANNER
    path = _file(tmp_path / "it.nii", mirrored, SCANNER, (2, 1))
    with raises(InputError, "nifti-forms-mirrored", path=path):
        read_in_process(path, "The PET")
    read_in_process(_file(tmp_path / "one.nii", mirrored, SCANNER, (2, 0)), "The PET")


@pytest.mark.parametrize("codes", [(2, 0), (2, 1)])
@pytest.mark.parametrize(("skew", "fits"), [(1e-5, True), (1e-3, True), (0.01, True), (0.08, False), (0.5, False)])
def test_axes_are_straightened_by_a_tenth_of_a_voxel_at_most(codes, skew: float, fits: bool, tmp_path: Path) -> None:
    """The greatest step of straightening is that of a corner: 0.01 moves it by 0.04 mm, 0.08 by 0.4 mm."""
    sheared = SCANNER.copy()
    sheared[0, 1] = 2.5 * skew
    path = _file(tmp_path / "it.nii", sheared, SCANNER, codes)
    if not fits:
        with raises(InputError, "nifti-sheared", path=path):
            read_in_process(path, "The PET")
        return
    image = read_in_process(path, "The PET")
    axes = np.reshape(image.GetDirection(), (3, 3))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(_affine(image) @ [5, 6, 4, 1], sheared @ [5, 6, 4, 1], atol=0.2)


def test_a_form_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for form in (np.zeros((4, 4)), np.diag([2.0, 2, 0, 1]), np.full((4, 4), np.nan)):
        path = _file(tmp_path / "it.nii", SCANNER, SCANNER, (2, 1))
        content = bytearray(path.read_bytes())
        struct.pack_into("<12f", content, 280, *form[:3].ravel())
        path.write_bytes(content)
        with raises(InputError, "header-position-invalid", path=path):
            read_in_process(path, "The PET")


def test_units_of_length_count(tmp_path: Path) -> None:
    path = _file(tmp_path / "it.nii", SCANNER, SCANNER, (2, 1))
    expected = _affine(read_in_process(path, "The PET"))
    metres = np.diag([1e-3, 1e-3, 1e-3, 1])
    image = nibabel.load(_file(tmp_path / "metres.nii", metres @ SCANNER, metres @ SCANNER, (2, 1)))
    content = bytearray((tmp_path / "metres.nii").read_bytes())
    content[123] = 1
    (tmp_path / "metres.nii").write_bytes(content)
    assert image.shape == SIZE
    np.testing.assert_allclose(_affine(read_in_process(tmp_path / "metres.nii", "The PET")), expected, atol=1e-4)


def test_time_series_keep_their_position(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((*SIZE, 4), np.float32), None)
    image.header.set_sform(ALIGNED, 2)
    nibabel.save(image, tmp_path / "it.nii.gz")
    read = read_in_process(tmp_path / "it.nii.gz", "The PET")
    assert read.GetSize() == (*SIZE, 4)
    np.testing.assert_allclose(_affine(read[:, :, :, 0]), ALIGNED, atol=1e-4)


def test_notes_stay_with_an_image_and_foreign_ones_are_ignored(tmp_path: Path) -> None:
    image = volume(np.zeros((3, 4, 5), np.float32))
    add_note(image, message("nifti-without-position", file="a.nii"))
    add_note(image, message("analyze-position", file="b.hdr"))
    sitk.WriteImage(image, str(tmp_path / "it.nrrd"))
    assert identifiers(notes_of(read_in_process(tmp_path / "it.nrrd", "It"))) == ["nifti-without-position", "analyze-position"]
    for text in ("", "no JSON", "{}", "[1]", "null"):
        image.SetMetaData("CSpADNFusion.notes", text)
        assert notes_of(image) == []


# Values


def _scaled(path: Path, slope: float, intercept: float, dtype: type) -> Path:
    nibabel.save(nibabel.Nifti1Image(np.arange(np.prod(SIZE)).reshape(SIZE).astype(dtype), SCANNER), path)
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, slope, intercept)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
@pytest.mark.parametrize("slope", [2.5, -1.0, 0.0, float("nan"), float("inf")])
@pytest.mark.parametrize("intercept", [0.0, 5.0])
def test_without_a_slope_an_intercept_does_not_count(slope: float, intercept: float, dtype: type, tmp_path: Path) -> None:
    path = _scaled(tmp_path / "it.nii", slope, intercept, dtype)
    expected = np.asarray(nibabel.load(path).dataobj)
    np.testing.assert_allclose(sitk.GetArrayFromImage(read_in_process(path, "The PET")).T, expected, rtol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 348.0, float("nan")])
def test_voxels_do_not_begin_in_the_header(offset: float, tmp_path: Path) -> None:
    path = _file(tmp_path / "it.nii", SCANNER, SCANNER, (1, 1))
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 108, offset)
    path.write_bytes(content)
    with raises(InputError, "header-impossible" if offset == offset else "header-position-invalid"):
        read_in_process(path, "The PET")
