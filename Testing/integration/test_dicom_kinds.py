"""DICOM as real scanners, archives and converters write it: enhanced, dynamic, copied, without a preamble, rounded."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from cspadn.errors import InputError, UsageError
from cspadn.imaging.metadata import FRAMES, notes_of, value_of
from cspadn.io.dicom_headers import SLICE, kind_of_file
from cspadn.io.dicom_reader import read_headers, read_series
from cspadn.io.dicom_study import series_below
from cspadn.io.dicom_writer.references import refer_to, source_images
from cspadn.io.images import read_in_process
from dicom_files import edit_series, set_keyword, write_dynamic, write_enhanced, write_series
from message_calls import identifiers, raises
from volumes import volume

GEOMETRY = ("GetSize", "GetSpacing", "GetOrigin", "GetDirection")


def _same_place(image: sitk.Image, expected: sitk.Image) -> None:
    for get in GEOMETRY:
        np.testing.assert_allclose(getattr(image, get)(), getattr(expected, get)(), atol=1e-5)


def _values(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@pytest.fixture
def mri(pair) -> sitk.Image:
    """Return whole numbers on an oblique grid."""
    image = sitk.Round(pair[1] * 10)
    turn = np.reshape(sitk.Euler3DTransform((0, 0, 0), 0.2, -0.1, 0.3).GetMatrix(), (3, 3))
    image.SetDirection(turn.ravel().tolist())
    return image


# Enhanced multi-frame


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_an_enhanced_mr_is_read_frame_by_frame(mri, seed: int | None, tmp_path: Path) -> None:
    order = None if seed is None else np.random.default_rng(seed).permutation(mri.GetSize()[2]).tolist()
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR", order=order)
    image = read_series(tmp_path / "mr", "The MRI")
    _same_place(image, mri)
    np.testing.assert_array_equal(_values(image), _values(mri))
    assert [header.frame for header in read_headers(tmp_path / "mr", "The MRI")] == list(range(mri.GetSize()[2]))


def test_an_enhanced_pet_has_a_slope_for_each_frame(pair, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "pet" / "all.dcm", [pair[0]], "PT", order=[6, 0, 1, 5, 2, 4, 3])
    image = read_series(tmp_path / "pet", "The PET")
    _same_place(image, pair[0])
    assert np.abs(_values(image) - _values(pair[0])).max() <= 0.05 / 2 + 1e-5
    assert value_of(image, "CSpADNFusion.units") == "BQML"
    suv = read_series(tmp_path / "pet", "The PET", suv=True)
    factor = 70_000 / (185e6 * 2 ** (-2700 / 6586.2))
    np.testing.assert_allclose(_values(suv), _values(image) * factor, rtol=1e-5)


def test_slices_of_several_enhanced_files_are_one_volume(mri, tmp_path: Path) -> None:
    parts = [write_enhanced(tmp_path / "mr" / f"{part}.dcm", [mri[:, :, part::2]], "MR") for part in range(2)]
    edit_series(tmp_path / "mr", set_keyword("SeriesInstanceUID", lambda _: parts[0].SeriesInstanceUID))
    image = read_series(tmp_path / "mr", "The MRI")
    _same_place(image, mri)
    np.testing.assert_array_equal(_values(image), _values(mri))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless], ids=lambda uid: uid.name)
def test_enhanced_files_may_be_stored_otherwise(mri, syntax, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    dataset = pydicom.dcmread(tmp_path / "mr" / "all.dcm")
    if syntax == RLELossless:
        dataset.compress(syntax)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(
        tmp_path / "mr" / "all.dcm", implicit_vr=syntax.is_implicit_VR, little_endian=True, enforce_file_format=True
    )
    np.testing.assert_array_equal(_values(read_series(tmp_path / "mr", "The MRI")), _values(mri))


def test_enhanced_files_may_have_a_compression_that_pydicom_lacks(mri, tmp_path: Path) -> None:
    """The frames are compressed by GDCM, which would rescale all of them like the first."""
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    plain = sitk.Image(sitk.Cast(mri, sitk.sitkUInt16))
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(tmp_path / "compressed.dcm"))
    writer.UseCompressionOn()
    writer.Execute(plain)
    packed = pydicom.dcmread(tmp_path / "compressed.dcm")
    assert packed.file_meta.TransferSyntaxUID.is_compressed
    dataset = pydicom.dcmread(tmp_path / "mr" / "all.dcm")
    dataset["PixelData"], dataset.file_meta.TransferSyntaxUID = packed["PixelData"], packed.file_meta.TransferSyntaxUID
    for index, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        group.PixelValueTransformationSequence[0].RescaleSlope = index + 1
    dataset.save_as(tmp_path / "mr" / "all.dcm")
    slopes = np.arange(1, mri.GetSize()[2] + 1)[:, None, None]
    np.testing.assert_allclose(_values(read_series(tmp_path / "mr", "The MRI")), _values(mri) * slopes, rtol=1e-6)


def test_scaling_in_the_shared_groups_counts_for_all_frames(mri, tmp_path: Path) -> None:
    dataset = write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    values = Dataset()
    values.RescaleSlope, values.RescaleIntercept = 0.5, 3
    dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [values]
    for group in dataset.PerFrameFunctionalGroupsSequence:
        del group.PixelValueTransformationSequence
    dataset.save_as(tmp_path / "mr" / "all.dcm", enforce_file_format=True)
    np.testing.assert_allclose(_values(read_series(tmp_path / "mr", "The MRI")), _values(mri) * 0.5 + 3)


def test_several_times_of_an_mri_are_refused(mri, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri, mri], "MR")
    with raises(InputError, "dicom-slices-coincide", folder=tmp_path / "mr"):
        read_series(tmp_path / "mr", "The MRI")


def test_frames_that_are_described_otherwise_are_refused(mri, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR", NumberOfFrames=5)
    with raises(InputError, "dicom-file-damaged", path=tmp_path / "mr" / "all.dcm"):
        read_series(tmp_path / "mr", "The MRI")
    dataset = write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    del dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    dataset.save_as(tmp_path / "mr" / "all.dcm", enforce_file_format=True)
    with raises(InputError, "dicom-tag-invalid", tag="ImagePositionPatient"):
        read_series(tmp_path / "mr", "The MRI")
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(tmp_path / "mr" / "all.dcm", enforce_file_format=True)
    with raises(InputError, "dicom-multiframe"):
        read_series(tmp_path / "mr", "The MRI")


def test_enhanced_files_that_are_cut_are_refused(mri, tmp_path: Path) -> None:
    write_enhanced(file := tmp_path / "mr" / "all.dcm", [mri], "MR")
    file.write_bytes(file.read_bytes()[:-1000])
    with raises(InputError, "dicom-file-damaged", path=file):
        read_series(tmp_path / "mr", "The MRI")


def test_an_enhanced_file_is_a_volume_by_itself(mri, frames, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    write_enhanced(tmp_path / "mr" / "another", [mri], "MR")
    image = read_in_process(tmp_path / "mr" / "all.dcm", "The MRI")
    _same_place(image, mri)
    np.testing.assert_array_equal(_values(image), _values(mri))
    write_enhanced(tmp_path / "pet", frames, "PT")
    assert value_of(read_in_process(tmp_path / "pet", "The PET", frames="2"), FRAMES) == "2 of 3, 2 s"


@pytest.mark.parametrize("enhanced", [True, False])
def test_an_unknown_compression_is_named(mri, enhanced: bool, tmp_path: Path) -> None:
    if enhanced:
        write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    else:
        write_series(tmp_path / "mr", mri, "MR")

    def packed(dataset: Dataset, _: int) -> None:
        dataset.PixelData = encapsulate([b"no image"] * int(dataset.get("NumberOfFrames", 1)))
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless

    edit_series(tmp_path / "mr", packed)
    with raises(InputError, "dicom-compression-unknown", syntax=HTJ2KLossless.name):
        read_series(tmp_path / "mr", "The MRI")


def test_derived_images_refer_to_frames(mri, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    headers = read_headers(tmp_path / "mr", "The MRI")
    (image,) = source_images(headers)
    assert image.ReferencedFrameNumber == list(range(1, mri.GetSize()[2] + 1))
    new = Dataset()
    new.StudyInstanceUID = headers[0].StudyInstanceUID
    refer_to(new, headers)
    assert len(new.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 1


# Dynamic PET


SECONDS = (10, 20, 60)


@pytest.fixture
def frames(pair) -> list[sitk.Image]:
    return [sitk.Round(pair[0] * factor) for factor in (1, 3, 2)]


def _weighted(frames: list[sitk.Image], chosen: slice, weights) -> np.ndarray:
    return np.average([_values(frame) for frame in frames[chosen]], axis=0, weights=weights[chosen])


DYNAMIC = {
    "mean": (slice(0, 3), "mean of 1 to 3 of 3, 90 s"),
    "2": (slice(1, 2), "2 of 3, 20 s"),
    "2:3": (slice(1, 3), "mean of 2 to 3 of 3, 80 s"),
    "3:3": (slice(2, 3), "3 of 3, 60 s"),
}


@pytest.mark.parametrize("chosen", DYNAMIC)
def test_frames_of_a_dynamic_pet_count_by_their_durations(frames, chosen: str, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS)
    image = read_series(folder, "The PET", frames=chosen)
    part, told = DYNAMIC[chosen]
    _same_place(image, frames[0])
    assert np.abs(_values(image) - _weighted(frames, part, SECONDS)).max() <= 0.07 / 2 + 1e-4
    assert value_of(image, FRAMES) == told
    assert notes_of(image) == []


def test_a_dynamic_pet_needs_a_choice(frames, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS)
    with raises(InputError, "frames-not-chosen", count=3):
        read_series(folder, "The PET")
    with raises(InputError, "frames-missing", count=3, frames="3:4"):
        read_series(folder, "The PET", frames="3:4")
    with raises(UsageError, "setting-not-frames", value="0"):
        read_series(folder, "The PET", frames="0")


@pytest.mark.parametrize("removed", [("FrameReferenceTime",), ("FrameReferenceTime", "AcquisitionDate")])
def test_frames_are_sorted_by_any_time(frames, removed: tuple[str, ...], tmp_path: Path) -> None:
    times = dict.fromkeys(removed)
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS, **times)
    if "AcquisitionDate" in removed:
        with raises(InputError, "dicom-slices-coincide"):
            read_series(folder, "The PET", frames="2")
        edit_series(
            folder, lambda dataset, _: setattr(dataset, "TemporalPositionIdentifier", 9 - dataset.InstanceNumber // 100)
        )
    image = read_series(folder, "The PET", frames="2")
    assert np.abs(_values(image) - _values(frames[1])).max() <= 0.07 / 2 + 1e-4


def test_frames_without_durations_count_alike_with_a_warning(frames, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS, ActualFrameDuration=None)
    image = read_series(folder, "The PET", frames="mean")
    assert np.abs(_values(image) - _weighted(frames, slice(0, 3), (1, 1, 1))).max() <= 0.07 / 2 + 1e-4
    assert identifiers(notes_of(image)) == ["frame-durations-unknown"]
    assert notes_of(read_series(folder, "The PET", frames="1")) == []


def test_suv_of_a_late_frame_refers_to_the_start_of_the_scan(frames, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS)
    plain, suv = (read_series(folder, "The PET", frames="3", suv=suv) for suv in (False, True))
    np.testing.assert_allclose(_values(suv), _values(plain) * 70_000 / (185e6 * 2 ** (-2700 / 6586.2)), rtol=1e-5)


def test_an_incomplete_frame_is_refused(frames, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS)
    sorted(folder.iterdir())[9].unlink()
    with raises(InputError, "dicom-frames-incomplete", least=2, most=3):
        read_series(folder, "The PET", frames="mean")


def test_an_enhanced_pet_may_be_dynamic(frames, tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(3 * frames[0].GetSize()[2]).tolist()
    write_enhanced(tmp_path / "pet" / "all.dcm", frames, "PT", order=order)
    with raises(InputError, "frames-not-chosen", count=3):
        read_series(tmp_path / "pet", "The PET")
    image = read_series(tmp_path / "pet", "The PET", frames="mean")
    assert np.abs(_values(image) - _weighted(frames, slice(0, 3), (1, 2, 3))).max() <= 0.05 / 2 + 1e-4
    assert value_of(image, FRAMES) == "mean of 1 to 3 of 3, 6 s"


def test_a_static_pet_is_its_only_frame(pair, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "pet", pair[0], "PT")
    expected = _values(read_series(folder, "The PET"))
    for chosen in ("mean", "1", "1:1"):
        image = read_series(folder, "The PET", frames=chosen)
        np.testing.assert_array_equal(_values(image), expected)
        assert value_of(image, FRAMES) is None
    with raises(InputError, "frames-missing", count=1, frames="2"):
        read_series(folder, "The PET", frames="2")


def test_padding_does_not_count_in_a_mean(frames, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS)

    def padded(dataset: Dataset, _: int) -> None:
        pixels = dataset.pixel_array.copy()
        pixels[:2] = 65535  # in all frames
        if dataset.ActualFrameDuration == 60_000:
            pixels[5, 5] = 65535  # in one
        dataset.PixelData = pixels.tobytes()
        dataset.add_new("PixelPaddingValue", "US", 65535)

    edit_series(folder, padded)
    image = read_series(folder, "The PET", frames="mean")
    found, expected = _values(image), _weighted(frames, slice(0, 3), SECONDS)
    expected[:, 5, 5] = _weighted(frames, slice(0, 2), SECONDS)[:, 5, 5]
    assert np.abs(found - expected)[:, 2:].max() <= 0.07 / 2 + 1e-4
    lower, upper = map(float, str(value_of(image, "CSpADNFusion.padding")).split())
    assert ((found[:, :2] >= lower) & (found[:, :2] <= upper)).all()


# Copies, and files without a preamble


def test_copies_of_files_count_once(mri, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    for path in sorted(folder.iterdir())[2:5]:
        (folder / f"{path.name} (1).dcm").write_bytes(path.read_bytes())
    image = read_series(folder, "The MRI")
    _same_place(image, mri)
    np.testing.assert_array_equal(_values(image), _values(mri))
    assert len(read_headers(folder, "The MRI")) == mri.GetSize()[2]


def test_a_copied_enhanced_file_counts_once(mri, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "mr" / "all.dcm", [mri], "MR")
    (tmp_path / "mr" / "all (1).dcm").write_bytes((tmp_path / "mr" / "all.dcm").read_bytes())
    _same_place(read_series(tmp_path / "mr", "The MRI"), mri)


def test_one_uid_for_all_slices_loses_none(mri, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR", SOPInstanceUID=generate_uid())
    np.testing.assert_array_equal(_values(read_series(folder, "The MRI")), _values(mri))


@pytest.mark.parametrize("kind", ["other number", "compressed", "no preamble"])
def test_a_copy_may_be_stored_otherwise(mri, kind: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    dataset, copy = pydicom.dcmread(folder / "003"), folder / "003 (1)"
    if kind == "no preamble":
        copy.write_bytes((folder / "003").read_bytes()[132:])
    else:
        dataset.InstanceNumber = 99 if kind == "other number" else dataset.InstanceNumber
        if kind == "compressed":
            dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(copy)
    image = read_series(folder, "The MRI")
    _same_place(image, mri)
    np.testing.assert_array_equal(_values(image), _values(mri))


def test_images_of_one_uid_and_place_but_other_pixels_are_several(mri, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    dataset = pydicom.dcmread(folder / "003")
    dataset.PixelData, dataset.InstanceNumber = bytes(len(dataset.PixelData)), 99
    dataset.save_as(folder / "099")
    with raises(InputError, "dicom-slices-coincide"):
        read_series(folder, "The MRI")


def test_copies_that_differ_are_refused_by_name(mri, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    dataset = pydicom.dcmread(folder / "003")
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(folder / "003 (1)")
    with raises(InputError, "dicom-copies-differ", file="003", other="003 (1)"):
        read_series(folder, "The MRI")


def test_the_same_slices_under_other_uids_are_refused(mri, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    dataset = pydicom.dcmread(folder / "003")
    dataset.SOPInstanceUID = generate_uid()
    dataset.save_as(folder / "008")
    with raises(InputError, "dicom-slices-coincide"):
        read_series(folder, "The MRI")


def test_pixels_may_be_fractions(mri, tmp_path: Path) -> None:
    def as_fractions(dataset: Dataset, _: int) -> None:
        dataset.FloatPixelData, dataset.BitsAllocated = (dataset.pixel_array / np.float32(3)).astype("<f4").tobytes(), 32
        for keyword in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
            delattr(dataset, keyword)

    edit_series(write_series(tmp_path / "mr", mri, "MR"), as_fractions)
    image = read_series(tmp_path / "mr", "The MRI")
    _same_place(image, mri)
    np.testing.assert_allclose(_values(image), _values(mri) / 3, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["", ".dcm", ".IMA"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda u: u.name)
def test_files_without_a_preamble_are_read(mri, syntax, suffix: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    for path in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        path.unlink()
        bare = Dataset()
        bare.update(dataset)
        little = syntax != ExplicitVRBigEndian
        bare.save_as(path.with_suffix(suffix), implicit_vr=syntax.is_implicit_VR, little_endian=little)
        assert path.with_suffix(suffix).read_bytes()[:2] in (b"\x08\0", b"\0\x08")
        assert kind_of_file(path.with_suffix(suffix), "The MRI") == SLICE
    image = read_series(folder, "The MRI")
    _same_place(image, mri)
    np.testing.assert_array_equal(_values(image), _values(mri))
    with raises(InputError, "image-is-one-dicom-slice"):
        read_in_process(sorted(folder.iterdir())[0], "The MRI")
    (series,) = series_below(tmp_path)
    assert len(series.files) == mri.GetSize()[2]


@pytest.mark.parametrize("content", [b"", b"\x08\0", bytes(200), b"\x08\0\x05\0no DICOM at all" * 20, b"PNG" * 100])
def test_other_files_beside_a_series_are_skipped(mri, content: bytes, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    (folder / "notes").write_bytes(content)
    _same_place(read_series(folder, "The MRI"), mri)


# Positions of slices


def _moved(mri: sitk.Image, folder: Path, change) -> Path:
    """Write slices whose distances from the origin, in mm, are ``change(index)``."""
    normal = np.reshape(mri.GetDirection(), (3, 3))[:, 2]
    return write_series(
        folder, mri, "MR", ImagePositionPatient=lambda index: [*(np.array(mri.GetOrigin()) + normal * change(index))]
    )


def _stack(slices: int = 41) -> sitk.Image:
    return volume(np.random.default_rng(0).integers(1, 900, (slices, 6, 5)).astype(np.float32), spacing=(1, 1, 3))


@pytest.mark.parametrize(
    ("step", "decimals"),
    [(2.34375, 1), (0.94, 1), (1.17, 1), (0.33, 2), (0.5, 1), (1.2, 6)],
)
@pytest.mark.parametrize("start", [0.0, 0.17, -31.4])
def test_rounded_positions_are_an_even_stack(step: float, decimals: int, start: float, tmp_path: Path) -> None:
    stack = _stack()
    folder = _moved(stack, tmp_path / "mr", lambda index: round(start + step * index, decimals))
    image = read_series(folder, "The MRI")
    assert image.GetSpacing()[2] == pytest.approx(step, abs=0.004)
    last = image.TransformIndexToPhysicalPoint((0, 0, 40))[2] - image.GetOrigin()[2]
    assert last == pytest.approx(40 * step, abs=0.1)
    assert image.GetOrigin()[2] == pytest.approx(start, abs=0.06)


@pytest.mark.parametrize("step", [0.33, 0.5, 1.0, 5.0])
@pytest.mark.parametrize(("slices", "gone"), [(6, (1, 2, 4)), (41, (1, 2, 20, 38))])
def test_a_missing_slice_is_found_at_any_step(step: float, slices: int, gone: tuple[int, ...], tmp_path: Path) -> None:
    folder = _moved(_stack(slices), tmp_path / "mr", lambda index: round(step * index, 2))
    for each in gone:
        path = folder / f"{(5 * each) % slices:03d}"
        assert pydicom.dcmread(path).ImagePositionPatient[2] == pytest.approx(step * each, abs=step / 4)
        path.rename(tmp_path / "gone")
        with raises(InputError, "dicom-gap", count=1, slice=each):
            read_series(folder, "The MRI")
        (tmp_path / "gone").rename(path)


@pytest.mark.parametrize("change", [lambda i: 3 * i + 0.02 * i * i, lambda i: 3 * i + (0.7 if i > 20 else 0)])
def test_uneven_stacks_are_refused(change, tmp_path: Path) -> None:
    with raises(InputError, "dicom-gap"):
        read_series(_moved(_stack(), tmp_path / "mr", change), "The MRI")


def test_more_slices_in_the_headers_than_in_an_unbroken_stack_are_a_warning(pair, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "pet", pair[0], "PT", NumberOfSlices=9)
    image = read_series(folder, "The PET")
    assert identifiers(notes_of(image)) == ["dicom-fewer-slices"]
    assert "2 fewer" in notes_of(image)[0]
    _same_place(image, pair[0])
    edit_series(folder, set_keyword("NumberOfSlices", lambda _: 7))
    assert notes_of(read_series(folder, "The PET")) == []


# Mosaics and negatives


@pytest.mark.parametrize("kind", ["ImageType", "Siemens", "United Imaging"])
def test_mosaics_are_refused(mri, kind: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri[:, :, :1], "MR")

    def marked(dataset: Dataset, _: int) -> None:
        if kind == "ImageType":
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
        elif kind == "Siemens":
            dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 30)
        else:
            dataset.private_block(0x0065, "Image Private Header", create=True).add_new(0x50, "DS", "30")

    edit_series(folder, marked)
    with raises(InputError, "dicom-mosaic", folder=folder):
        read_series(folder, "The MRI")


@pytest.mark.parametrize(("modality", "kind"), [("SEG", "a segmentation"), ("RTDOSE", "a radiotherapy dose")])
def test_images_that_no_scanner_has_made_are_named(mri, modality: str, kind: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR")
    (first, *_) = sorted(folder.iterdir())
    dataset = pydicom.dcmread(first)
    dataset.Modality, dataset.BitsAllocated = modality, 32
    dataset.save_as(first)
    with raises(InputError, "dicom-not-of-a-scanner", path=first, kind=kind):
        read_series(folder, "The MRI")


def _negative(mri: sitk.Image) -> sitk.Image:
    return 4095 - mri


def test_a_negative_is_inverted_if_its_air_is_bright(mri, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", _negative(mri), "MR", PhotometricInterpretation="MONOCHROME1")
    image = read_series(folder, "The MRI")
    np.testing.assert_array_equal(_values(image), _values(mri))
    assert identifiers(notes_of(image)) == ["dicom-negative-inverted"]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_an_image_with_dark_air_is_kept(mri, photometric: str, tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mr", mri, "MR", PhotometricInterpretation=photometric)
    image = read_series(folder, "The MRI")
    np.testing.assert_array_equal(_values(image), _values(mri))
    assert notes_of(image) == []


def test_activity_is_never_inverted(pair, tmp_path: Path) -> None:
    plain, shown = (
        read_series(write_series(tmp_path / kind, pair[0], "PT", PhotometricInterpretation=kind), "The PET")
        for kind in ("MONOCHROME2", "MONOCHROME1")
    )
    np.testing.assert_array_equal(_values(shown), _values(plain))
    assert notes_of(shown) == []


def test_padding_of_a_negative_becomes_air(mri, tmp_path: Path) -> None:
    negative = _values(_negative(mri))
    negative[:, :3] = 0
    stored = sitk.GetImageFromArray(negative)
    stored.CopyInformation(mri)
    folder = write_series(tmp_path / "mr", stored, "MR", PhotometricInterpretation="MONOCHROME1")
    edit_series(folder, lambda dataset, _: dataset.add_new("PixelPaddingValue", "US", 0))
    image = read_series(folder, "The MRI")
    expected = _values(mri)
    expected[:, :3] = 0
    np.testing.assert_array_equal(_values(image), expected)


def test_orders_of_files_do_not_matter(frames, tmp_path: Path) -> None:
    folder = write_dynamic(tmp_path / "pet", frames, SECONDS)
    expected = _values(read_series(folder, "The PET", frames="mean"))
    files = sorted(folder.iterdir())
    for number, path in zip(itertools.count(), reversed(files), strict=False):
        path.rename(folder / f"n{number:03d}")
    np.testing.assert_allclose(_values(read_series(folder, "The PET", frames="mean")), expected, rtol=1e-6)
