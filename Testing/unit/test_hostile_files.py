"""Hostile files: pipes, links, formulas, decompression bombs, and volumes of two patients."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit

from cspadn.cli import entry
from cspadn.cohort.engine import Outcome
from cspadn.cohort.pairs import Pair
from cspadn.cohort.summary import Summary
from cspadn.errors import InputError, UsageError
from cspadn.imaging import patient
from cspadn.imaging.patient import PATIENT, check_patient, fingerprint
from cspadn.io import images
from cspadn.io.deflated_dicom import is_deflated_bomb
from cspadn.io.dicom_reader import read_series
from cspadn.io.encoded_frames import encoded_size
from cspadn.io.formats import file_format
from cspadn.io.header_checks import DamageError, check_values
from cspadn.io.input_files import files_of_input, with_voxel_files
from cspadn.io.pair_list import read_pairs
from cspadn.io.regular_files import beside, read_regular
from cspadn.runtime import memory
from dicom_files import write_series
from message_calls import raises
from volumes import blobs, volume

ANN = {"PatientID": "111", "PatientName": "SMITH^ANN", "PatientBirthDate": "19500101"}
BOB = {"PatientID": "222", "PatientName": "JONES^BOB", "PatientBirthDate": "19800101"}
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="pipes and links as POSIX has them")


def _of(**values: str) -> sitk.Image:
    image = sitk.Image(2, 2, 2, sitk.sitkUInt8)
    if text := fingerprint(values):
        image.SetMetaData(PATIENT, text)
    return image


@pytest.mark.parametrize(
    ("pet", "mri", "outcome"),
    [
        (ANN, ANN, "same"),
        (ANN, {**ANN, "PatientName": "Smith^Ann^^"}, "same"),
        (ANN, {}, "same"),
        (ANN, {"PatientName": "ANONYMOUS"}, "same"),
        (ANN, {**ANN, "PatientName": "MILLER^ANN"}, "uncertain"),
        (ANN, {**ANN, "PatientID": "222"}, "uncertain"),
        ({**ANN, "IssuerOfPatientID": "A"}, {**ANN, "IssuerOfPatientID": "B"}, "uncertain"),
        (ANN, BOB, "refused"),
        ({**ANN, "PatientID": ""}, {**BOB, "PatientID": ""}, "refused"),
        (ANN, {**BOB, "PatientID": "111"}, "refused"),
    ],
)
def test_two_patients_are_told_apart(pet: dict[str, str], mri: dict[str, str], outcome: str) -> None:
    if outcome == "refused":
        with raises(InputError, "patients-differ"):
            check_patient(_of(**pet), _of(**mri))
        return
    warnings = [each.identifier for each in check_patient(_of(**pet), _of(**mri))]
    assert warnings == (["patient-uncertain"] if outcome == "uncertain" else [])


def test_a_fingerprint_does_not_say_who_it_is() -> None:
    text = fingerprint(ANN)
    assert not any(value.casefold() in text.casefold() for value in ANN.values())
    assert patient.differences("no JSON", text) == ([], [])


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "222"), ("PatientName", "JONES^BOB"), ("FrameOfReferenceUID", "1.2.3"), ("StudyInstanceUID", "1.2.4")],
)
def test_every_slice_is_asked_who_it_is_of(keyword: str, value: str, tmp_path: Path) -> None:
    import pydicom

    folder = write_series(tmp_path / "mri", volume(np.rint(blobs((4, 5, 6))).astype(np.uint16)), "MR")
    assert PATIENT in read_series(folder, "The MRI").GetMetaDataKeys()
    header = pydicom.dcmread(path := sorted(folder.iterdir())[2])
    setattr(header, keyword, value)
    header.save_as(path)
    with raises(InputError, "dicom-slices-differ", tag=keyword):
        read_series(folder, "The MRI")


@POSIX
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe.json")
    (small := tmp_path / "small").write_bytes(b"12345")
    assert read_regular(small) == b"12345"
    for path, most in ((pipe, 100), (Path("/dev/zero"), 100), (small, 4), (tmp_path, 100)):
        with pytest.raises(OSError, match=r"regular|large|directory"):
            read_regular(path, most)
    with raises(UsageError, "pair-list-unreadable"):
        read_pairs(pipe)


@POSIX
def test_a_header_names_files_beside_it_alone(tmp_path: Path) -> None:
    (folder := tmp_path / "data").mkdir()
    header = folder / "a.nhdr"
    for path in (folder / "a.raw", tmp_path / "secret"):
        path.write_bytes(b"voxels")
    (folder / "link.raw").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe.raw")
    assert beside(header, "a.raw") == folder / "a.raw"
    for name in ("", ".", "..", "../secret", "/etc/passwd", "link.raw", "pipe.raw", "none.raw", "a\n.raw", "C:a.raw"):
        assert beside(header, name) is None


def test_files_with_voxels_are_inputs_as_well(tmp_path: Path) -> None:
    header, voxels = tmp_path / "a.nhdr", tmp_path / "b.nrrd"
    header.write_text("NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\ndata file: b.nrrd\n\n")
    voxels.write_bytes(bytes(8))
    sitk.WriteImage(sitk.Image(2, 3, 4, sitk.sitkUInt8), str(tmp_path / "c.hdr"))
    (tmp_path / "c.txt").touch()
    assert files_of_input(header) == [header, voxels]
    assert files_of_input(tmp_path / "c.hdr") == [tmp_path / "c.hdr", tmp_path / "c.img"]
    assert files_of_input(voxels) == [voxels]
    with raises(UsageError, "output-is-input", path=voxels):
        images.check_output(voxels, (".nrrd",), inputs=with_voxel_files([header]), overwrite=True)
    images.check_output(tmp_path / "c.txt", (".txt",), inputs=with_voxel_files([header]), overwrite=True)


def test_a_slice_of_an_input_is_not_replaced(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mri", volume(np.rint(blobs((4, 5, 6))).astype(np.uint16)), "MR")
    path = sorted(folder.iterdir())[1].rename(folder / "1.nrrd")
    with raises(UsageError, "output-is-input", path=path):
        images.check_output(path, (".nrrd",), inputs=[folder], overwrite=True)
    (other := folder / "fused.nrrd").write_text("NRRD0004")
    images.check_output(other, (".nrrd",), inputs=[folder], overwrite=True)


def test_only_files_that_can_be_slices_are_files_of_a_series(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "mri", volume(np.rint(blobs((4, 5, 6))).astype(np.uint16)), "MR")
    slices = sorted(folder.iterdir())
    with (folder / "film.mp4").open("wb") as film:
        film.truncate(2**40)  # it would be read for the hash
    assert files_of_input(folder) == slices


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("compressed", [False, True])
def test_voxels_that_a_reader_invents_are_refused(suffix: str, compressed: bool, tmp_path: Path, monkeypatch) -> None:
    image = volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    sitk.WriteImage(image, path := str(tmp_path / f"a{suffix}"), compressed)
    np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, (images.read_in_process(Path(path), "It"), image)))
    monkeypatch.setattr(file_format, "read_with_itk", lambda *_: image + 1)
    with raises(InputError, "header-impossible", volume="It", path=path):
        images.read_in_process(Path(path), "It")


def test_values_are_compared_in_either_byte_order() -> None:
    values = np.arange(24, dtype=np.int32)
    image = volume(values.reshape(2, 3, 4))
    for stored in (values, values.byteswap()):
        check_values(image, zlib.crc32(stored.tobytes()))
    with pytest.raises(DamageError):
        check_values(image, zlib.crc32((values + 1).tobytes()))


@pytest.mark.parametrize("skip", ["byte skip: 7", "byte skip: -1"])
def test_bytes_before_the_voxels_are_not_compared(skip: str, tmp_path: Path) -> None:
    values = np.arange(8, dtype=np.uint8)
    header = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n{skip}\n\n".encode()
    (path := tmp_path / "a.nrrd").write_bytes(header + b"comment" + values.tobytes())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(images.read_in_process(path, "It")).ravel(), values)


def test_files_beside_images_say_who_the_patient_is(tmp_path: Path) -> None:
    read = []
    for name, tags in {"pet": ANN, "mri": {**BOB, "PatientBirthDate": "1980-01-01"}, "other": {"PatientID": 5}}.items():
        sitk.WriteImage(volume(blobs((3, 4, 5))), str(tmp_path / f"{name}.nii.gz"))
        (tmp_path / f"{name}.json").write_text(json.dumps(tags))
        read.append(images.read_in_process(tmp_path / f"{name}.nii.gz", "It"))
    assert [image.HasMetaDataKey(PATIENT) for image in read] == [True, True, False]
    assert read[1].GetMetaData(PATIENT) == fingerprint(BOB)
    with raises(InputError, "patients-differ"):
        check_patient(*read[:2])


def _encoded(kind: str, size: tuple[int, int]) -> bytes:
    from PIL import Image

    Image.new("L", size, 50).save(content := io.BytesIO(), kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
    return content.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_a_compressed_frame_must_have_the_size_of_its_header(kind: str, tmp_path: Path) -> None:
    import pydicom

    folder = write_series(tmp_path / "mri", volume(np.rint(blobs((4, 20, 24))).astype(np.uint16)), "MR")
    for size, fits in (((24, 20), True), ((10, 10), False), ((20, 24), False), ((900, 900), False)):
        for path in folder.iterdir():
            file = pydicom.dcmread(path)
            file.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if kind == "JPEG" else JPEG2000Lossless
            file.BitsAllocated, file.BitsStored, file.HighBit = 8, 8, 7
            file.PixelData = pydicom.encaps.encapsulate([_encoded(kind, size)])
            file["PixelData"].VR = "OB"
            file.save_as(path, enforce_file_format=True)
        if fits:
            assert read_series(folder, "The MRI").GetSize() == (24, 20, 4)
        else:
            with raises(InputError, "dicom-file-damaged"):
                read_series(folder, "The MRI")


def test_sizes_of_compressed_frames() -> None:
    jpeg, jpeg2000 = (_encoded(kind, (300, 7)) for kind in ("JPEG", "JPEG2000"))
    assert encoded_size(jpeg) == encoded_size(jpeg2000) == (7, 300)
    assert encoded_size(b"\xff\xd8\xff\xf7\x00\x0b\x08\x00\x02\x00\x03\x01") == (2, 3)  # JPEG-LS
    assert encoded_size(struct.pack("<16L", 1, 64, *[0] * 14)) is None  # RLE
    for damaged in (jpeg[:30], jpeg2000[:12], jpeg[:2] + b"abc"):
        with pytest.raises(ValueError, match=r"size|marker"):
            encoded_size(damaged)


def test_cells_are_no_formulas(tmp_path: Path) -> None:
    staged = images.stage_table(tmp_path / "a.csv", [["=1+1", "@x", "-2", -2, "name"]])
    assert staged.temporary.read_text() == "'=1+1,'@x,'-2,-2,name\n"
    staged.folder.remove()


def test_a_summary_has_no_commands_to_the_terminal(tmp_path: Path) -> None:
    summary = Summary(tmp_path, [Pair("a", output="=a.nrrd")])
    summary.add(Outcome("a", "failed", "The PET is odd.", inputs=("a\x1b[2J.nrrd", "M\udcfcller.nrrd")), print)
    line = summary.path.read_text(encoding="utf-8").splitlines()[1]
    assert line.startswith(r"a\x1b[2J.nrrd,M\udcfcller.nrrd,a,failed,")


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_name_does_not_begin_another_field(suffix: str, tmp_path: Path) -> None:
    name = "a\nElementDataFile = /etc/passwd\nOffset = 9 9 9"
    images.write_image(sitk.Image(2, 3, 4, sitk.sitkUInt8), path := tmp_path / f"a{suffix}", {"pet_source": name})
    read = images.read_in_process(path, "It")
    assert (read.GetSize(), read.GetOrigin()) == ((2, 3, 4), (0.0, 0.0, 0.0))


def _deflated(path: Path, size: int) -> Path:
    uid = DeflatedExplicitVRLittleEndian.encode()
    syntax = struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    meta = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(syntax)) + syntax
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(bytes(128) + b"DICM" + meta + packer.compress(bytes(size)) + packer.flush())
    return path


def test_a_deflated_bomb_is_seen_before_it_is_unpacked(tmp_path: Path) -> None:
    assert is_deflated_bomb(_deflated(tmp_path / "bomb.dcm", 2**27))
    assert not is_deflated_bomb(_deflated(tmp_path / "fine.dcm", 2**20))
    (tmp_path / "other").write_bytes(b"nothing")
    assert not is_deflated_bomb(tmp_path / "other")


@pytest.mark.parametrize(
    ("lines", "files", "left"),
    [
        ("0::/a/b", {"a/memory.max": "1000", "a/memory.current": "400", "a/b/memory.max": "max"}, 600),
        ("0::/a", {"a/memory.max": "900", "a/memory.current": "100", "memory.max": "700", "memory.current": "600"}, 100),
        ("4:memory:/x\n0::/", {"memory/x/memory.limit_in_bytes": "500", "memory/x/memory.usage_in_bytes": "100"}, 400),
        ("4:memory:/gone\n", {"memory/memory.limit_in_bytes": "500", "memory/memory.usage_in_bytes": "200"}, 300),
        ("0::/a", {}, None),
    ],
)
def test_limits_of_all_control_groups_count(
    lines: str, files: dict[str, str], left: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
        (path.parent / "memory.stat").write_text("inactive_file 0\n")
    (groups := tmp_path / "self").write_text(lines)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    monkeypatch.setattr(memory, "_GROUPS", groups)
    assert memory._container_left() == left


@POSIX
def test_a_closed_terminal_ends_a_run_like_a_termination(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(entry.models, "run", lambda _: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run below nohup
    try:
        assert entry.main(["models"]) == 143
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        monkeypatch.setattr(entry.models, "run", lambda _: signal.raise_signal(signal.SIGHUP) or 0)
        assert entry.main(["models"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_arguments_reach_the_terminal_as_escapes(capsys) -> None:
    with pytest.raises(SystemExit):
        entry.main(["models", "\x1b]0;owned\x07"])
    assert "\x1b" not in capsys.readouterr().err
