"""Bad input through the command line, here and in separate processes, and through the logic; and unusual good input."""

from __future__ import annotations

import dataclasses
import gzip
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.cli import entry
from cspadn.errors import FusionError, InputError, ModelError, UsageError
from cspadn.io import images
from cspadn.messages import message
from message_calls import raises
from volumes import blobs, volume

if not sys.platform.startswith("linux"):
    pytest.skip("pipes, limits and names that are no text are brought about as Linux has them", allow_module_level=True)

from trust import bad_inputs

# A few cases of each kind and exit code, and those that differ most in what a process may do. All cases run in the process
# of the tests as well; 'make test-all' and 'make trust' run each in a process of its own.
PROCESSES = {
    "DICOM slice cut before its last 100 bytes",
    "compressed NIfTI of 32767^3 voxels",
    "NRRD with 3 GB of zeros in place of its voxels",
    "picture that says 30000 x 30000",
    "pipe",
    "file that may not be read",
    "folder that may not be written to",
    "no space for .nii.gz",
    "one slice",
    "unknown model",
    "unknown option",
    "weights with a header of 2^60 bytes",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in PROCESSES else pytest.mark.slow) for name in bad_inputs.CASES]
)
def test_a_process_says_one_clear_line_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    case = bad_inputs.CASES[name]
    assert bad_inputs.faults_of(case, bad_inputs.run(case, tmp_path)) == []


@pytest.mark.parametrize("name", bad_inputs.CASES)
def test_one_clear_line_and_nothing_left(name: str, tmp_path: Path) -> None:
    case = bad_inputs.CASES[name]
    assert bad_inputs.faults_of(case, bad_inputs.run_here(case, tmp_path)) == []


def test_there_are_many_cases() -> None:
    assert len(bad_inputs.CASES) >= 200
    assert {bad_inputs.CASES[name].code for name in PROCESSES} == {each.code for each in bad_inputs.CASES.values()}


GOOD = bad_inputs.Outcome(
    3, "", f"cspadn: {message('dicom-file-damaged', volume='The PET', path='1.dcm')}\n", seconds=1.0, peak=10**8
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": 1}, "exit code 1, not 3"),
        ({"code": -9}, "SIGKILL"),
        ({"stdout": "3"}, "There is other output"),
        ({"stderr": "Traceback (most recent call last):\n" + GOOD.stderr}, "There is a traceback"),
        ({"stderr": "ITK says no.\n" + GOOD.stderr}, "not one line of ours"),
        ({"stderr": ""}, "not one line of ours"),
        ({"stderr": GOOD.stderr.replace("PET", "\x1b[2J")}, "control characters"),
        ({"stderr": GOOD.stderr.replace("The PET", "It")}, "does not name 'The PET'"),
        ({"stderr": "cspadn: The PET is odd.\n"}, "not the message 'dicom-file-damaged'"),
        ({"left": ["out/.cspadn-x"]}, "It left"),
        ({"seconds": 16.0}, "It took 16.0 s"),
        ({"peak": 1_200_000_000}, "It took 1200 MB"),
    ],
)
def test_faults_are_seen(change: dict[str, object], words: str) -> None:
    case = bad_inputs.CASES["DICOM slice cut in the middle"]
    case = dataclasses.replace(case, names="The PET")
    assert bad_inputs.faults_of(case, GOOD) == []
    assert any(words in fault for fault in bad_inputs.faults_of(case, dataclasses.replace(GOOD, **change)))


def test_faults_of_what_is_accepted_are_seen() -> None:
    case = bad_inputs.CASES["one slice"]
    good = bad_inputs.Outcome(
        0,
        "Wrote out/fused.nrrd, out/fused.json.\nPET window 0 to 9. As far apart as before.\n",
        "",
        1.0,
        10**8,
        ["out/fused.json", "out/fused.nrrd"],
        whole=True,
    )
    assert bad_inputs.faults_of(case, good) == []
    for change in ({"whole": False}, {"left": ["out/fused.nrrd"]}, {"stderr": "odd\n"}, {"stdout": ""}):
        assert len(bad_inputs.faults_of(case, dataclasses.replace(good, **change))) == 1


# What is fine, and looks odd


VALUES = np.rint(blobs())


def _nifti(path: Path, **changes: object) -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(VALUES.T, np.diag([-1, -1, 1, 1]), nibabel.Nifti1Header(endianness=changes.get("endian", "<")))
    image.header.set_data_dtype(changes.get("dtype", np.float32))
    for _ in range(changes.get("extensions", 0)):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(6, b"x" * 50_000))
    nibabel.save(image, path)


def _patched(path: Path, offset: int, *numbers: int) -> None:
    _nifti(path)
    content = bytearray(path.read_bytes())
    struct.pack_into(f"<{len(numbers)}h", content, offset, *numbers)
    path.write_bytes(content)


def _raw(path: Path, *names: str) -> None:
    """Write the voxels of a detached header into one or several files."""
    parts = VALUES.reshape(len(names), -1)
    for name, part in zip(names, parts, strict=True):
        (path.parent / name).write_bytes(part.astype("<f4").tobytes())


def _nhdr(path: Path, where: str, *names: str) -> None:
    _raw(path, *names)
    fields = "type: float\ndimension: 3\nsizes: 24 20 8\nendian: little\nencoding: raw"
    path.write_text(f"NRRD0004\n{fields}\ndata file: {where}\n")


def _mhd(path: Path, where: str, *names: str) -> None:
    _raw(path, *names)
    fields = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 24 20 8\nElementType = MET_FLOAT"
    path.write_text(f"{fields}\nElementDataFile = {where}\n")


def _members(path: Path) -> None:
    """Write a gzip file of two members, as parallel compressors do."""
    _nifti(plain := path.with_name("plain.nii"))
    content = plain.read_bytes()
    path.write_bytes(gzip.compress(content[:5000]) + gzip.compress(content[5000:]))


def _text(path: Path) -> None:
    head = "NRRD0004\ntype: float\ndimension: 3\nsizes: 24 20 8\nencoding: ascii\n\n"
    path.write_text(head + "\n".join(map(str, VALUES.ravel().tolist())))


def _written(compressed: bool = True) -> Callable[[Path], None]:
    return lambda path: sitk.WriteImage(volume(VALUES), str(path), compressed)


SLICES = [f"{index}.raw" for index in range(8)]
FINE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "NIfTI with extensions": ("it.nii.gz", lambda path: _nifti(path, extensions=2)),
    "NIfTI with a slope": ("it.nii", lambda path: _nifti(path, dtype=np.int16)),
    "compressed NIfTI with a slope": ("it.nii.gz", lambda path: _nifti(path, dtype=np.int16)),
    "big-endian NIfTI": ("it.nii", lambda path: _nifti(path, endian=">")),
    "NIfTI in capitals": (
        "IT.NII.GZ",
        lambda path: _nifti(path.with_name("a.nii.gz")) or path.with_name("a.nii.gz").rename(path),
    ),
    "NIfTI of four dimensions, of which one is 0": ("it.nii", lambda path: _patched(path, 40, 4, 24, 20, 8, 0)),
    "gzip of two members": ("it.nii.gz", _members),
    "NRRD beside its voxels": ("it.nhdr", lambda path: _nhdr(path, "a.raw", "a.raw")),
    "NRRD in words": ("it.nrrd", _text),
    "compressed NRRD": ("it.nrrd", _written()),
    "MetaImage beside its voxels": ("it.mhd", lambda path: _mhd(path, "a.raw", "a.raw")),
    "compressed MetaImage": ("it.mha", _written()),
    "MetaImage": ("it.mha", _written(False)),
}


SEVERAL: dict[str, Callable[[Path], object]] = {
    "it.nhdr, list": lambda path: _nhdr(path, "\n".join(["LIST", *SLICES]), *SLICES),
    "it.nhdr, numbers": lambda path: _nhdr(path, "%d.raw 0 7 1", *SLICES),
    "it.mhd, list": lambda path: _mhd(path, "\n".join(["LIST", *SLICES]), *SLICES),
    "it.mhd, numbers": lambda path: _mhd(path, "%d.raw 0 7 1", *SLICES),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_voxels_in_several_files_are_not_read(kind: str, tmp_path: Path) -> None:
    """A list of files in a header could name any file of the user."""
    SEVERAL[kind](path := tmp_path / kind.split(",")[0])
    with raises(InputError, "header-names-several-files"):
        images.read_in_process(path, "It")


@pytest.mark.parametrize("kind", FINE)
def test_what_is_fine_is_read(kind: str, tmp_path: Path) -> None:
    name, make = FINE[kind]
    make(tmp_path / name)
    values = sitk.GetArrayFromImage(images.read_in_process(tmp_path / name, "It"))
    np.testing.assert_allclose(values, VALUES, atol=0.01 if "slope" in kind else 0)


@pytest.mark.parametrize(
    "pixels", [np.zeros((2000, 2000), np.uint8), np.ones((9, 7, 3), np.uint8), np.ones((9, 7), np.uint16)]
)
def test_pictures_are_read(pixels: np.ndarray, tmp_path: Path) -> None:
    """The ratio of compression does not matter."""
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3), str(tmp_path / "it.png"), True)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(images.read_in_process(tmp_path / "it.png", "It")), pixels)


def test_volumes_that_compress_well_are_read(tmp_path: Path) -> None:
    for name in ("it.nii.gz", "it.nrrd", "it.mha"):
        sitk.WriteImage(sitk.Image(300, 300, 300, sitk.sitkUInt8), str(tmp_path / name), True)
        assert images.read_image(tmp_path / name, "It").GetSize() == (300, 300, 300)


def test_what_libraries_write_themselves_is_not_seen(capfd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Inputs beside the cancel file are read in this process."""
    for name in ("pet.nrrd", "mri.nrrd"):
        (tmp_path / name).write_bytes(b"nothing")

    def read(*_: object) -> None:
        os.write(2, b"MetaImage: a remark for programmers\n")
        raise RuntimeError

    monkeypatch.setattr(images, "_read", read)
    with pytest.raises(InputError):
        images.read_in_process(tmp_path / "pet.nrrd", "It")
    assert "MetaImage" in capfd.readouterr().err
    before = len(list(Path("/proc/self/fd").iterdir()))
    files = [str(tmp_path / name) for name in ("pet.nrrd", "mri.nrrd", "fused.nrrd", "cancel")]
    assert entry.main(["fuse", *files[:2], "-o", files[2], "--cancel-file", files[3]]) == 3
    print("ours", file=sys.stderr)
    told = capfd.readouterr().err.splitlines()
    assert len(told) == 2
    assert told[1] == "ours"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# Through the module's logic


def _node(values: np.ndarray | None, name: str, kind: str = "vtkMRMLScalarVolumeNode"):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
    if values is not None:
        slicer.util.updateVolumeFromArray(node, values)
    return node


def _pet():
    return _node(blobs(seed=1), "PET")


def _moved():
    node = _pet()
    node.SetOrigin(1000, 0, 0)
    return node


def _flat():
    node = _pet()
    node.SetSpacing(1, 1, 1e-30)
    return node


NODES: dict[str, tuple[Callable, dict[str, object], type[FusionError], str]] = {
    "constant": (lambda: _node(np.full((8, 20, 24), 7, np.int16), "PET"), {}, InputError, "volume-constant"),
    "of NaN": (lambda: _node(np.full((8, 20, 24), np.nan, np.float32), "PET"), {}, InputError, "volume-constant"),
    "no overlap": (_moved, {}, InputError, "no-overlap"),
    "colours": (
        lambda: _node(np.zeros((3, 4, 5, 3), np.uint8), "RGB", "vtkMRMLVectorVolumeNode"),
        *({}, InputError, "volume-not-scalar"),
    ),
    "without voxels": (lambda: _node(None, "none"), {}, InputError, "node-without-voxels"),
    "no node": (lambda: None, {}, InputError, "select-pet-and-mri"),
    "no thickness": (_flat, {}, InputError, "node-position-degenerate"),
    "reversed window": (_pet, {"pet_window": (9, 1)}, UsageError, "window-invalid"),
    "window of NaN": (_pet, {"mri_window": (float("nan"), 1)}, UsageError, "window-invalid"),
    "unknown palette": (_pet, {"palette": "Pink"}, UsageError, "setting-not-a-choice"),
    "unknown grid": (_pet, {"grid": "ct"}, UsageError, "setting-not-a-choice"),
    "unknown device": (_pet, {"device": "gpu9"}, UsageError, "device-unavailable"),
    "unknown model": (_pet, {"model": "best"}, ModelError, "model-unknown"),
    "missing weights": (_pet, {"model": "best.safetensors"}, ModelError, "model-card-unreadable"),
}


def _state(scene) -> list[tuple[str, str, int]]:
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return [(node.GetID(), node.GetName(), node.GetMTime()) for node in nodes]


def _refused(logic, scene, nodes, settings: dict[str, object], error: type[FusionError], identifier: str) -> None:
    before = _state(scene)
    with raises(error, identifier) as caught:
        logic.fuse(*nodes, metrics=True, **settings)
    assert type(caught.value) is error
    assert _state(scene) == before


@pytest.mark.parametrize("case", NODES)
def test_the_scene_is_as_it_was(case: str, logic, scene) -> None:
    make, settings, error, identifier = NODES[case]
    _refused(logic, scene, (make(), _node(blobs(seed=2), "MRI")), settings, error, identifier)


def test_one_node_for_both(logic, scene) -> None:
    node = _pet()
    _refused(logic, scene, (node, node), {}, InputError, "select-two-volumes")


def test_weights_that_were_changed(logic, scene, tmp_path: Path) -> None:
    models = bad_inputs.LIBRARY / "Resources" / "Models"
    for name in ("cspadn.json", "cspadn.safetensors"):
        shutil.copy(models / name, tmp_path / name)
    content = bytearray((weights := tmp_path / "cspadn.safetensors").read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    nodes = _pet(), _node(blobs(seed=2), "MRI")
    _refused(logic, scene, nodes, {"model": str(weights)}, ModelError, "weights-not-of-card")
