"""The process that reads volumes: its answers, crashes and limits become errors with one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import FusionError, InputError, MemoryExhaustedError
from cspadn.io import reader
from cspadn.io.images import read_image, read_in_process
from cspadn.io.reader import VolumeReader
from dicom_files import write_series
from message_calls import raises

READY = "import os, sys, time\nsys.stdout.buffer.write(b'R')\nsys.stdout.flush()\nsys.stdin.readline()\n"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="signals and limits as Linux has them")


@pytest.fixture
def file(tmp_path: Path, pair) -> Path:
    sitk.WriteImage(pair[0], str(tmp_path / "pet.nrrd"))
    return tmp_path / "pet.nrrd"


def _behaves(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Replace the process with another program."""
    monkeypatch.setattr(reader, "module_command", lambda _: [sys.executable, "-c", code])


@pytest.mark.parametrize("kind", ["file", "series", "vector", "picture"])
def test_it_reads_what_this_process_would(kind: str, file: Path, pair, tmp_path: Path) -> None:
    path = file
    if kind == "series":
        path = write_series(tmp_path / "series", sitk.Cast(pair[1] * 100, sitk.sitkUInt16), "MR")
    elif kind in ("vector", "picture"):
        shape = (3, 4, 5, 3) if kind == "vector" else (4, 5)
        path = tmp_path / ("it.mha" if kind == "vector" else "it.png")
        levels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        sitk.WriteImage(sitk.GetImageFromArray(levels, isVector=kind == "vector"), str(path))
    expected, found = read_in_process(path, "The PET"), read_image(path, "The PET")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(expected))
    assert found.GetPixelIDTypeAsString() == expected.GetPixelIDTypeAsString()
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetMetaDataKeys"):
        assert getattr(found, name)() == getattr(expected, name)()
    assert [found.GetMetaData(key) for key in found.GetMetaDataKeys()] == [
        expected.GetMetaData(key) for key in expected.GetMetaDataKeys()
    ]


@pytest.mark.slow
def test_a_volume_larger_than_the_process_may_use_for_a_header_is_read(tmp_path: Path) -> None:
    """The 700 MB of the volume exceed the memory limit that holds until a header is read."""
    shape = (700, 1000, 1000)
    header = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {' '.join(map(str, shape[::-1]))}\nencoding: raw\n\n".encode()
    with (tmp_path / "pet.nrrd").open("wb") as file:
        file.write(header)
        file.truncate(len(header) + int(np.prod(shape)))
    with VolumeReader() as reading:
        assert reading.read(tmp_path / "pet.nrrd", "The PET").GetSize() == shape[::-1]


def test_refusals_keep_their_identifiers_and_fields(tmp_path: Path) -> None:
    (tmp_path / "it.nii").write_bytes(b"no image" * 100)
    with VolumeReader() as process:
        with raises(InputError, "format-unknown", volume="The PET", path=str(tmp_path / "it.nii")):
            read_image(tmp_path / "it.nii", "The PET", reader=process)
        with raises(InputError, "suv-needs-dicom"):
            read_image(tmp_path / "it.nii", "The PET", reader=process, suv=True)


@LINUX
def test_a_crash_is_a_sentence_and_the_next_volume_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _behaves(patch, READY + "os.kill(os.getpid(), 11)")
        process = VolumeReader()
        with raises(InputError, "image-reader-died", volume="The PET", path=file):
            read_image(file, "The PET", reader=process)
    with process:
        assert read_image(file, "The MRI", reader=process).GetSize() == (14, 12, 7)


def _text(text: str, voxels: int = 0) -> bytes:
    return len(text).to_bytes(8, "little") + text.encode() + bytes(voxels)


ANSWERS = {
    "nothing": b"",
    "a length beyond all measure": b"\xff" * 8,
    "no JSON": _text("abc"),
    "no object": _text("[]"),
    "objects of Python": _text('{"dtype": "O", "shape": [2]}', 16),
    "too few voxels": _text('{"dtype": "u1", "shape": [2, 2], "vector": false}'),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_of_another_form_is_not_believed(answer: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _behaves(monkeypatch, f"{READY}sys.stdout.buffer.write({ANSWERS[answer]!r})")
    with raises(InputError, "image-reader-died"):
        read_image(file, "The PET")


def test_what_does_not_end_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MOST_SECONDS", 1)
    _behaves(monkeypatch, READY + "time.sleep(600)")
    with raises(InputError, "image-reading-endless"):
        read_image(file, "The PET")


@LINUX
def test_who_is_out_of_memory_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _behaves(monkeypatch, READY + "os.kill(os.getpid(), 9)")  # as the system does
    with raises(MemoryExhaustedError, "memory-to-read"):
        read_image(file, "The PET")


def test_without_an_interpreter_nothing_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "module_command", lambda _: [str(file.parent / "none")])
    with raises(FusionError, "reader-not-started"):
        read_image(file, "The PET")
    _behaves(monkeypatch, "raise ImportError")
    with raises(FusionError, "reader-not-started"):
        read_image(file, "The PET")


@LINUX
@pytest.mark.parametrize("allocates", ["memory", "time"])
def test_the_process_has_limits(allocates: str) -> None:
    """Exceed the limits of memory and time, by 4 GB for a volume of 1 MB and by an endless loop."""
    work = "bytearray(4 * 10**9)" if allocates == "memory" else "exec('while True: pass')"
    code = f"""
from cspadn.runtime import limits
limits._SECONDS, limits._SPARE = 0, 2**29
limits.confine()
limits.expect(10**6)
try:
    {work}
except MemoryError:
    print(limits.exceeded_by_file())
"""
    library = str(Path(__file__).resolve().parents[2] / "CSpADNFusion")
    environment = {**os.environ, "PYTHONPATH": library}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=200)
    assert (done.stdout.strip(), done.returncode) == (("True", 0) if allocates == "memory" else ("", -24)), done.stderr
