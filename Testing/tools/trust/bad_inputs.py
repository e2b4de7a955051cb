"""Bad input, case by case: files, volumes, settings and weights, each with what ``cspadn fuse`` must make of it.

:data:`CASES` has them by name. :func:`run` brings one about in a process of its own, :func:`faults_of` says what was wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from typing import IO, Any
from unittest import mock

import numpy as np
import safetensors.torch
import SimpleITK as sitk
import torch
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from message_calls import says

LIBRARY = Path(__file__).resolve().parents[3] / "CSpADNFusion"
MOST_SECONDS, MOST_BYTES = 15, 10**9  # of a processor: five times what a start and a refusal take
OUT = "out"  # the folder of the outputs, in that of a case
OUTPUTS = ("fused.json", "fused.nrrd")
_NOBODY = 65534  # a user who may do nothing in particular
_LONG = 300  # seconds: a process that takes longer hangs, on a busy machine too
_EARLY = (  # modules to import before the rights go: the interpreter may lie in a folder that only root may enter
    *("pydicom", "safetensors.torch", "torch", "cspadn.io.dicom_writer", "cspadn.fusion", "cspadn.io.png_pairs"),
    *("cspadn.models.cspadn", "cspadn.io.images", "cspadn.io.reader"),
)
_MODEL = LIBRARY / "Resources" / "Models" / "cspadn.safetensors"

Maker = Callable[[Path], list[str]]  # makes the files in a folder; returns the arguments after ``fuse``


@dataclass(frozen=True)
class Case:
    """One bad input.

    Attributes:
        make: makes the files in a folder and returns the arguments after ``fuse``; the outputs go to its folder ``out``.
        code: the exit code; 0 where the input is accepted after all, as a volume of one slice.
        identifier: of the message on stderr; empty for an accepted input and for wrong usage.
        names: the volume, file, setting or value that the message must contain.
        limits: "user": without root's rights; "file": how many bytes a file may have; "crash": a reader crashes, so that
            the case needs a process of its own.
        usage: whether the line is one of wrong usage, which names ``--help``.
    """

    name: str
    make: Maker
    code: int
    identifier: str
    names: str
    limits: dict[str, int]
    usage: bool


@dataclass
class Outcome:
    """What came of a case.

    Attributes:
        seconds: processor time of the process and its children; elapsed time would depend on what else runs on the machine.
        peak: bytes of resident memory; None where the system does not tell.
        left: what came into the folder of the outputs, or was changed in it or beside it.
        whole: of an accepted input, whether the output is whole, on the grid of the MRI.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak: int | None = None
    left: list[str] = field(default_factory=list)
    whole: bool = False


CASES: dict[str, Case] = {}


def case(
    name: str,
    *,
    code: int = 3,
    identifier: str = "",
    names: str = "The PET",
    limits: dict[str, int] | None = None,
    usage: bool = False,
) -> Callable[[Maker], Maker]:
    """Put a function, or a partial one, into :data:`CASES`."""

    def registered(make: Maker) -> Maker:
        if name in CASES:
            raise ValueError(f"There are two cases '{name}'.")
        CASES[name] = Case(name, make, code, identifier, names, limits or {}, usage)
        return make

    return registered


# Running and judging


def run(bad: Case, folder: Path) -> Outcome:
    """Create a case in an empty folder, run the command in a process of its own, and return the outcome."""
    return _run_where_the_user_may(bad, folder, _started)


def run_here(bad: Case, folder: Path) -> Outcome:
    """Bring a case about as :func:`run` does, with the command in this process.

    Its peak is that beyond the memory that this process has already.
    """
    if "crash" in bad.limits:
        return run(bad, folder)
    return _run_where_the_user_may(bad, folder, _called)


def _run_where_the_user_may(bad: Case, folder: Path, started: Callable[[Case, list[str], Path], Outcome]) -> Outcome:
    if "user" not in bad.limits:
        return _run_in(bad, folder, started)
    with tempfile.TemporaryDirectory(prefix="trust-") as open_folder:  # which that user may enter
        Path(open_folder).chmod(0o755)
        return _run_in(bad, Path(open_folder), started)


def _run_in(bad: Case, folder: Path, started: Callable[[Case, list[str], Path], Outcome]) -> Outcome:
    (folder / OUT).mkdir()
    (folder / OUT).chmod(0o777)
    arguments = bad.make(folder)
    before = _seen(folder)
    outcome = started(bad, arguments, folder)
    outcome.left = sorted({name for name, _ in set(_seen(folder).items()) - set(before.items())})
    outcome.whole = outcome.code == 0 and _is_whole(folder / OUT / OUTPUTS[1], Path(arguments[1]))
    return outcome


def _allowed(limits: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in limits.items() if name != "user" or os.geteuid() == 0}


def _started(bad: Case, arguments: list[str], folder: Path) -> Outcome:
    with tempfile.TemporaryDirectory() as private:
        figures = Path(private) / "figures"
        how = map(json.dumps, (_allowed(bad.limits), _EARLY))
        command = [sys.executable, "-c", _WRAPPER, str(LIBRARY), str(figures), *how, *arguments]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONIOENCODING": "utf-8"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(command, env=environment, cwd=folder, **pipes)
        try:
            output, errors = process.communicate(timeout=_LONG)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
        told = json.loads(figures.read_text() or "{}") if figures.exists() else {}
    output, errors = (text.decode(errors="backslashreplace") for text in (output, errors))
    return Outcome(process.returncode, output, errors, told.get("seconds", 0.0), told.get("peak"))


def _called(bad: Case, arguments: list[str], folder: Path) -> Outcome:
    """Call the command, which reads in this process; what C++ writes to the file descriptors counts as its output, too."""
    from cspadn.cli import main
    from cspadn.io.reader import VolumeReader

    before = Path.cwd()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, _into(1, output), _into(2, errors):
        Path("/proc/self/clear_refs").write_text("5")  # reset VmHWM
        began, resident = time.process_time(), _resident("VmRSS")
        os.chdir(folder)
        try:
            with mock.patch.multiple(VolumeReader, _start=_nothing, read=_read_here), _limited(_allowed(bad.limits)):
                code = main(["fuse", *arguments])
        except SystemExit as end:  # of argparse
            code = int(end.code or 0)
        finally:
            os.chdir(before)
        seconds, peak = time.process_time() - began, _resident("VmHWM") - resident
        sys.stdout.flush()
        sys.stderr.flush()
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode(errors="backslashreplace"))
    return Outcome(code, *texts, seconds, peak)


def _read_here(_reader: object, path: Path, name: str, **options: Any) -> sitk.Image:
    from cspadn.io.images import read_in_process
    from cspadn.runtime.terminal import quiet

    with quiet():
        return read_in_process(path, name, **options)


@contextmanager
def _limited(limits: dict[str, int]) -> Iterator[None]:
    """Limit this process for a while as a case wants it; TimeoutError after :data:`_LONG` seconds."""
    for name in _EARLY if "user" in limits else ():
        import_module(name)
    with ExitStack() as stack:
        stack.enter_context(_alarm(_LONG))
        if "file" in limits:
            stack.enter_context(_file_limit(limits["file"]))
        if "user" in limits:
            stack.enter_context(_acting_as(limits["user"]))
        yield


@contextmanager
def _file_limit(count: int) -> Iterator[None]:
    """Let files grow to a number of bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _acting_as(user: int) -> Iterator[None]:
    """Have the rights of another user, and of the group with the same number."""
    own_user, own_group = os.getuid(), os.getgid()
    os.setresgid(user, user, own_group)
    os.setresuid(user, user, own_user)
    try:
        yield
    finally:
        os.setresuid(own_user, own_user, own_user)
        os.setresgid(own_group, own_group, own_group)


@contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in what does not end, such as the opening of a pipe to which nobody writes."""

    def raised(*_: object) -> None:
        raise TimeoutError(f"The command was not over after {seconds} s.")

    before = signal.signal(signal.SIGALRM, raised)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _resident(key: str) -> int:
    """Return the bytes of resident memory: VmRSS, now, or VmHWM, the most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


@contextmanager
def _into(descriptor: int, file: IO[bytes]) -> Iterator[None]:
    """Send what Python and libraries write to stdout (1) or stderr (2) into a file."""
    name = {1: "stdout", 2: "stderr"}[descriptor]
    kept, stream = os.dup(descriptor), getattr(sys, name)
    os.dup2(file.fileno(), descriptor)
    with open(descriptor, "w", encoding="utf-8", closefd=False) as replaced:
        setattr(sys, name, replaced)
        try:
            yield
        finally:
            replaced.flush()
            setattr(sys, name, stream)
            os.dup2(kept, descriptor)
            os.close(kept)


# The peak is what the system says, and not Python's ru_maxrss, which knows of the process that started this one.
_WRAPPER = r"""
import json, os, re, sys
library, figures, limits, early, *arguments = sys.argv[1:]
limits, early, figures = json.loads(limits), json.loads(early), open(figures, "w")
sys.path.insert(0, library)
from cspadn.cli import main
if "user" in limits:
    import importlib
    for name in early:
        importlib.import_module(name)
    from cspadn.io import images, reader
    reader.VolumeReader._start = lambda self: None
    reader.VolumeReader.read = lambda self, path, name, **options: images.read_in_process(path, name, **options)
    os.setgroups([]), os.setgid(limits["user"]), os.setuid(limits["user"])
if "file" in limits:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file"],) * 2)
try:
    code = main(["fuse", *arguments])
finally:
    told = {"seconds": sum(os.times()[:4])}
    if os.path.exists("/proc/self/status"):
        told["peak"] = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
    print(json.dumps(told), file=figures, flush=True)
sys.exit(code)
"""


def _seen(folder: Path) -> dict[str, tuple[int, ...]]:
    """Return the state of everything in a folder, without opening files."""
    states = {path: path.lstat() for path in folder.rglob("*")}
    return {
        str(path.relative_to(folder)): (state.st_mode, state.st_ino, state.st_size, state.st_mtime_ns)
        for path, state in states.items()
        if path != folder / OUT  # a file that came and went changes it
    }


def _is_whole(fused: Path, mri: Path) -> bool:
    image, grid = sitk.ReadImage(str(fused)), pair()[1] if mri.is_dir() else sitk.ReadImage(str(mri))
    matrices = [np.reshape(each.GetDirection(), (3, 3)) * each.GetSpacing() for each in (image, grid)]
    same_place = np.allclose(*matrices) and np.allclose(image.GetOrigin(), grid.GetOrigin())
    told = json.loads(fused.with_suffix(".json").read_text(encoding="utf-8"))
    finite = bool(np.isfinite(sitk.GetArrayViewFromImage(image)).all())
    return same_place and finite and image.GetSize() == grid.GetSize() and "model_sha256" in told


def faults_of(bad: Case, outcome: Outcome) -> list[str]:
    """Return the faults of an outcome, each as a sentence."""
    faults = [*_faults_of_code(bad, outcome), *_faults_of_text(bad, outcome)]
    expected = [f"{OUT}/{name}" for name in OUTPUTS] if bad.code == 0 else []
    if outcome.left != expected:
        faults.append(f"It left {outcome.left}, not {expected}.")
    if bad.code == 0 and not outcome.whole:
        faults.append("What it wrote is not whole, or not on the grid of the MRI.")
    if outcome.seconds >= MOST_SECONDS:
        faults.append(f"It took {outcome.seconds:.1f} s.")
    if (outcome.peak or 0) >= MOST_BYTES:
        faults.append(f"It took {(outcome.peak or 0) / 1e6:.0f} MB.")
    return faults


def _faults_of_code(bad: Case, outcome: Outcome) -> list[str]:
    if outcome.code == bad.code:
        return []
    how = f"signal {signal.Signals(-outcome.code).name}" if outcome.code < 0 else f"exit code {outcome.code}"
    return [f"It ended with {how}, not {bad.code}: {outcome.stderr[-300:]!r}."]


def _is_expected(output: str, bad: Case) -> bool:
    """Return whether stdout is empty, or for an accepted input two lines: on the fused file, and on how it was made."""
    if bad.code:
        return not output
    lines = output.splitlines()
    return len(lines) == 2 and OUTPUTS[1] in lines[0] and says(lines[0], "fused-written") and says(lines[1], "fused-how")


def _faults_of_text(bad: Case, outcome: Outcome) -> list[str]:
    text, lines = outcome.stderr, outcome.stderr.splitlines()
    faults = {
        "There is a traceback.": "Traceback" not in text,
        f"There is other output than the name of the result: {outcome.stdout!r}.": _is_expected(outcome.stdout, bad),
        f"There are control characters: {text!r}.": all(each.isprintable() or each == "\n" for each in text),
    }
    if bad.code == 0:
        faults[f"There are more than warnings: {text!r}."] = all(line.startswith("cspadn: warning: ") for line in lines)
    elif bad.usage:
        faults[f"It is not one line on the usage: {text!r}."] = len(lines) == 1 and ": error: " in text and "--help" in text
    else:
        faults[f"It is not one line of ours: {text!r}."] = len(lines) == 1 and text.startswith("cspadn: ")
        faults[f"It is not the message '{bad.identifier}': {text!r}."] = says(text, bad.identifier)
    if bad.code:
        faults[f"It does not name '{bad.names}': {text!r}."] = bad.names in text
    return [fault for fault, fine in faults.items() if not fine]


# What is fused


@lru_cache
def pair() -> tuple[sitk.Image, sitk.Image]:
    """Return a small PET, on a coarser grid of its own, and an MRI in the same space; do not change them."""
    pet, mri = _blobs((7, 12, 14), 1), _blobs((8, 20, 24), 2)
    for image, spacing, origin in ((pet, (3.5, 3.5, 4), (-24, -21, 3)), (mri, (2, 2, 3), (-24, -20, 5))):
        image.SetSpacing(spacing)
        image.SetOrigin(origin)
    return pet, mri


def _blobs(size: tuple[int, int, int], seed: int) -> sitk.Image:
    """Return smooth noise in an ellipsoid, float32."""
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).random(size, np.float32))
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, count) for count in size), indexing="ij")
    inside = ((0.5 * z) ** 2 + y**2 + x**2 < 0.8).astype(np.float32)
    return sitk.GetImageFromArray(100 * inside * sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 2.0)))


def _fuse(folder: Path, *more: str, pet: Path | None = None, mri: Path | None = None, output: str = OUTPUTS[1]) -> list[str]:
    """Return the arguments of a fusion; the default inputs are the small pair."""
    files = [pet or _write(folder / "pet.nrrd", pair()[0]), mri or _write(folder / "mri.nrrd", pair()[1])]
    return [*map(str, files), "-o", str(folder / OUT / output), *more]


def _write(path: Path, image: sitk.Image, compressed: bool = False) -> Path:
    sitk.WriteImage(image, str(path), compressed)
    return path


def _put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _voxels() -> bytes:
    return sitk.GetArrayFromImage(pair()[1]).tobytes()


def _nifti(path: Path, *patches: tuple[int, str, tuple[float, ...]], more: bytes = b"") -> Path:
    """The MRI, with other numbers at some bytes of its header; ``more`` follows, as it is."""
    content = bytearray(_write(path.with_name("plain.nii"), pair()[1]).read_bytes())
    path.with_name("plain.nii").unlink()
    for offset, kind, values in patches:
        struct.pack_into(f"<{len(values)}{kind}", content, offset, *values)
    return _put(path, (gzip.compress(content) if path.suffix == ".gz" else bytes(content)) + more)


def _nrrd(path: Path, content: bytes | None = None, **fields: str | None) -> Path:
    """The MRI, with other fields in its header, or without them (None)."""
    header = {
        "type": "float",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "24 20 8",
        "space directions": "(2,0,0) (0,2,0) (0,0,3)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(-24,-20,5)",
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    lines = ["NRRD0004", *(f"{name}: {value}" for name, value in header.items() if value is not None), "", ""]
    return _put(path, "\n".join(lines).encode() + (_voxels() if content is None else content))


def _meta(path: Path, content: bytes | None = None, **fields: str) -> Path:
    """The MRI, with other fields in its header."""
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "-24 -20 5",
        "ElementSpacing": "2 2 3",
        "DimSize": "24 20 8",
        "ElementType": "MET_FLOAT",
        **fields,
    }
    lines = [*(f"{name} = {value}" for name, value in header.items()), "ElementDataFile = LOCAL", ""]
    return _put(path, "\n".join(lines).encode() + (_voxels() if content is None else content))


def _series(folder: Path, which: int = 1, **changes: object) -> Path:
    """The MRI, or the PET (0), as a DICOM series."""
    folder.mkdir(exist_ok=True)
    image, series = pair()[which], generate_uid()
    for index, values in enumerate(sitk.GetArrayFromImage(image)):
        each = Dataset()
        each.SOPClassUID, each.SOPInstanceUID, each.Modality = MRImageStorage, generate_uid(), "MR"
        each.SeriesInstanceUID, each.StudyInstanceUID, each.PatientID = series, "1.2.3", "4711"
        each.Rows, each.Columns, each.SamplesPerPixel, each.PhotometricInterpretation = *values.shape, 1, "MONOCHROME2"
        each.BitsAllocated, each.BitsStored, each.HighBit, each.PixelRepresentation = 16, 16, 15, 0
        each.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, index)))
        each.ImageOrientationPatient, each.PixelSpacing = [1, 0, 0, 0, 1, 0], list(image.GetSpacing()[:2])
        each.SliceThickness = image.GetSpacing()[2]
        each.PixelData = np.rint(values * 10).astype("<u2").tobytes()
        for keyword, value in changes.items():
            setattr(each, keyword, value)
        each.file_meta = FileMetaDataset()
        each.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        each.save_as(folder / f"{series[-6:]}-{index}.dcm", enforce_file_format=True)
    return folder


# Files that are cut


def _cut(suffix: str, at: Callable[[int], int], folder: Path, compressed: bool = False) -> list[str]:
    path = _write(folder / f"pet{suffix}", pair()[1], compressed)
    return _fuse(folder, pet=_put(path, path.read_bytes()[: at(path.stat().st_size)]))


def _before(last: int) -> Callable[[int], int]:
    return lambda size: size - last


def _at(byte: int) -> Callable[[int], int]:
    return lambda _size: byte


def _half(size: int) -> int:
    return size // 2


case("NIfTI cut at byte 0", identifier="file-empty")(partial(_cut, ".nii", _at(0)))
for _byte in (1, 100, 347):
    case(f"NIfTI cut at byte {_byte}", identifier="format-unknown")(partial(_cut, ".nii", _at(_byte)))
for _byte in (348, 351, 352, 400):
    case(f"NIfTI cut at byte {_byte}", identifier="voxels-missing")(partial(_cut, ".nii", _at(_byte)))
for _byte in (5, 20):
    case(f"compressed NIfTI cut at byte {_byte}", identifier="compressed-data-cut")(partial(_cut, ".nii.gz", _at(_byte)))
for _what, _where in {"in the middle": _half, "before its last byte": _before(1)}.items():
    for _format, _suffix in {"NIfTI": ".nii", "NRRD": ".nrrd", "MetaImage": ".mha"}.items():
        case(f"{_format} cut {_what}", identifier="voxels-missing")(partial(_cut, _suffix, _where))
    for _format, _suffix in {"NIfTI": ".nii.gz", "NRRD": ".nrrd", "MetaImage": ".mha"}.items():
        case(f"compressed {_format} cut {_what}", identifier="compressed-data-cut")(
            partial(_cut, _suffix, _where, compressed=True)
        )
case("compressed NIfTI cut before its checksum", identifier="compressed-data-cut")(partial(_cut, ".nii.gz", _before(8)))


def _cut_pair(name: str, folder: Path) -> list[str]:
    """Header and voxels in two files, of which the second is cut; each may be named."""
    _write(folder / "pet.hdr", pair()[0])
    voxels = folder / "pet.img"
    voxels.write_bytes(voxels.read_bytes()[:-100])
    return _fuse(folder, pet=folder / name)


for _name in ("pet.hdr", "pet.img"):
    case(f"NIfTI in two files, cut, called by its {_name[-3:]}", identifier="voxels-missing")(partial(_cut_pair, _name))
case("NRRD cut in its header", identifier="size-not-positive")(partial(_cut, ".nrrd", _at(60)))
case("MetaImage cut in its header", identifier="header-impossible")(partial(_cut, ".mha", _at(60)))


def _cut_slice(at: Callable[[int], int], index: int, folder: Path) -> list[str]:
    path = sorted(_series(folder / "mri").iterdir())[index]
    _put(path, path.read_bytes()[: at(path.stat().st_size)])
    return _fuse(folder, mri=folder / "mri")


for _what, _where, _index in (
    *(("first DICOM slice empty", _at(0), 0), ("last DICOM slice cut at byte 100", _at(100), 7)),
    *(("DICOM slice cut at byte 100", _at(100), 3), ("DICOM slice cut at byte 140", _at(140), 3)),
    *(("DICOM slice cut in the middle", _half, 3), ("DICOM slice cut before its last 100 bytes", _before(100), 3)),
):
    identifier = "dicom-header-cut" if "byte 140" in _what else "dicom-file-damaged"
    case(_what, identifier=identifier, names="The MRI")(partial(_cut_slice, _where, _index))


def _patched_slice(old: bytes, new: bytes, folder: Path) -> list[str]:
    """What stands in the third slice is replaced once."""
    path = sorted(_series(folder / "mri").iterdir())[2]
    _put(path, path.read_bytes().replace(old, new, 1))
    return _fuse(folder, mri=folder / "mri")


_BITS, _VOXELS = b"\x28\x00\x03\x01US\x02\x00", b"\xe0\x7f\x10\x00OW\x00\x00"  # tags with their types; the one's length
for _what, _old, _new in (
    ("whose voxels say 4 GB", _VOXELS, _VOXELS + b"\xf0\xff\xff\xff"),
    ("with a tag of 2 GB", _BITS, b"\x29\x00\x03\x10UN\x00\x00\xf0\xff\xff\x7f"),
    ("with a tag of no type", b"\x02\x00\x02\x00UI", b"\x02\x00\x02\x00WI"),
    ("of no transfer syntax", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.9.1"),
):
    case(f"DICOM slice {_what}", identifier="dicom-file-damaged", names="The MRI")(partial(_patched_slice, _old, _new))


# Files of another kind


def _other(name: str, content: bytes, folder: Path) -> list[str]:
    return _fuse(folder, pet=_put(folder / name, content))


_NOISE = np.random.default_rng(0).bytes(5000)
case("text called NIfTI", identifier="format-unknown")(partial(_other, "pet.nii", b"a list of patients\n" * 50))
case("empty MetaImage", identifier="file-empty")(partial(_other, "pet.mha", b""))
case("empty compressed NIfTI", identifier="file-empty")(partial(_other, "pet.nii.gz", b""))
case("noise called NRRD", identifier="format-unknown")(partial(_other, "pet.nrrd", _NOISE))
case("noise behind the first line of NRRD", identifier="header-impossible")(
    partial(_other, "pet.nrrd", b"NRRD0004\n" + _NOISE)
)
case("noise in gzip", identifier="format-unknown")(partial(_other, "pet.nii.gz", gzip.compress(_NOISE)))


@case("PNG called compressed NIfTI", identifier="format-of-other-name")
def _png_as_nifti(folder: Path) -> list[str]:
    return _fuse(folder, pet=_picture(folder / "pet.png").rename(folder / "pet.nii.gz"))


@case("one slice of a DICOM series", identifier="image-is-one-dicom-slice")
def _slice_of_series(folder: Path) -> list[str]:
    return _fuse(folder, pet=sorted(_series(folder / "series").iterdir())[0])


# Headers that do not fit what follows, or nothing at all

_DIMENSIONS, _TYPE, _SPACING, _START = 40, 70, 76, 108  # bytes of NIfTI-1's header
_QUATERNION, _PLACE, _AFFINE = 256, 268, 280
_NAN, _INFINITE = float("nan"), float("inf")
_ODD, _MORE, _NO_MEMORY, _POSITION = "header-impossible", "voxels-missing", "volume-exceeds-memory", "header-position-invalid"
_UNKNOWN, _SIZE = "format-unknown", "size-not-positive"
_MAKERS = {".nii": _nifti, ".gz": _nifti, ".nrrd": _nrrd, ".mha": _meta}


def _header(name: str, identifier: str, file: str, *arguments: object, code: int = 3, **fields: object) -> None:
    """A case of a PET, called ``file``, whose header says something else."""

    def make(folder: Path) -> list[str]:
        return _fuse(folder, pet=_MAKERS[Path(file).suffix](folder / file, *arguments, **fields))

    case(name, identifier=identifier, code=code)(make)


for _format, _file in {"NIfTI": "pet.nii", "compressed NIfTI": "pet.nii.gz"}.items():
    _header(f"{_format} with one slice less than it says", _MORE, _file, (_DIMENSIONS + 6, "h", (9,)))
    _header(f"{_format} of 32767^3 voxels", _NO_MEMORY, _file, (_DIMENSIONS, "h", (3, *[32767] * 3)), code=5)
_header("NRRD with one slice less than it says", _MORE, "pet.nrrd", sizes="24 20 9")
_header("MetaImage with one slice less than it says", _MORE, "pet.mha", DimSize="24 20 9")
_header("NRRD of 100000^3 voxels", _NO_MEMORY, "pet.nrrd", sizes="100000 100000 100000", code=5)
_header("MetaImage of 100000^3 voxels", _NO_MEMORY, "pet.mha", DimSize="100000 100000 100000", code=5)
_header("NRRD that says 3 GB", _MORE, "pet.nrrd", sizes="1000 1000 750")
_header("MetaImage that says 3 GB", _MORE, "pet.mha", DimSize="1000 1000 750")
_header("compressed NRRD that says 3 GB", _MORE, "pet.nrrd", gzip.compress(_NOISE), encoding="gzip", sizes="1000 1000 750")
_PACKED = zlib.compress(_NOISE)
_header(
    *("compressed MetaImage with fewer voxels than it says", _MORE, "pet.mha", _PACKED),
    CompressedData="True",
    CompressedDataSize=str(len(_PACKED)),
)
_header("compressed MetaImage without the size of its data", "compressed-data-cut", "pet.mha", _PACKED, CompressedData="True")
_header("NIfTI without rows", _SIZE, "pet.nii", (_DIMENSIONS + 4, "h", (0,)))
_header("NIfTI of -5 rows", _SIZE, "pet.nii", (_DIMENSIONS + 4, "h", (-5,)))
_header("NIfTI of 99 dimensions", _ODD, "pet.nii", (_DIMENSIONS, "h", (99,)))
_header("NIfTI of an unknown type", _ODD, "pet.nii", (_TYPE, "h", (9999,)))
_header("MetaImage of -3 dimensions", _ODD, "pet.mha", NDims="-3")
_header("MetaImage of 10^20 dimensions", _ODD, "pet.mha", NDims=str(10**20))
_header("NIfTI whose voxels start behind its end", _MORE, "pet.nii", (_START, "f", (1e8,)))
_header("NRRD without rows", _SIZE, "pet.nrrd", sizes="24 0 8")
_header("MetaImage without rows", _SIZE, "pet.mha", DimSize="24 0 8")
for _value in (-2, 0, _NAN, _INFINITE):
    _nifti_place = (_PLACE, "f", (_value,)), (_AFFINE + 12, "f", (_value,))
    _no_axes = {"space_directions": None, "space": None, "space_origin": None}
    _header(f"NIfTI with a spacing of {_value}", _POSITION, "pet.nii", (_SPACING + 4, "f", (_value,)))
    _header(f"MetaImage with a spacing of {_value}", _POSITION, "pet.mha", ElementSpacing=f"{_value} 2 3")
    _header(f"NRRD with a spacing of {_value}", _POSITION, "pet.nrrd", spacings=f"{_value} 2 3", **_no_axes)
    if not math.isfinite(_value):
        _header(f"NIfTI with an origin of {_value}", _POSITION, "pet.nii", *_nifti_place)
        _header(f"MetaImage with an origin of {_value}", _POSITION, "pet.mha", Offset=f"{_value} 0 0")
        _header(
            f"NRRD with an origin of {_value}",
            _UNKNOWN if math.isnan(_value) else _POSITION,
            "pet.nrrd",
            space_origin=f"({_value},0,0)",
        )
_header("NIfTI with directions that are no numbers", _POSITION, "pet.nii", (252, "h", (1, 0)), (_QUATERNION, "f", (_NAN,)))
_header("NIfTI with an affine matrix of zeros", _POSITION, "pet.nii", (252, "h", (0, 1)), (_AFFINE, "f", (0,) * 12))
_header("NRRD with directions of 1e308", _POSITION, "pet.nrrd", space_directions="(1e308,0,0) (0,1e308,0) (0,0,3)")
_header("MetaImage with directions of 1e308", _POSITION, "pet.mha", TransformMatrix="1 0 0 0 1 0 1e308 0 1")
_header("NRRD with two directions that are parallel", _UNKNOWN, "pet.nrrd", space_directions="(2,0,0) (2,0,0) (0,0,3)")
_header("MetaImage with directions of zeros", _UNKNOWN, "pet.mha", TransformMatrix=" ".join("0" * 9))
_header("MetaImage with two directions that are parallel", _UNKNOWN, "pet.mha", TransformMatrix="1 0 0 1 0 0 0 0 1")


@case("NRRD with directions that are not at right angles", code=0)
def _sheared_nrrd(folder: Path) -> list[str]:
    return _fuse(folder, mri=_nrrd(folder / "sheared.nrrd", space_directions="(2,0,0) (0.5,2,0) (0,0,3)"))


@case("MetaImage with directions of other lengths than 1", code=0)
def _long_directions(folder: Path) -> list[str]:
    return _fuse(folder, mri=_meta(folder / "long.mha", TransformMatrix="2 0 0 0 1 0 0 0 1"))


@case("directions that are not at right angles, to NIfTI", code=2, identifier="axes-not-storable", names="fused.nii")
def _sheared_to_nifti(folder: Path) -> list[str]:
    mri = _nrrd(folder / "sheared.nrrd", space_directions="(2,0,0) (0.5,2,0) (0,0,3)")
    return _fuse(folder, mri=mri, output="fused.nii")


@case("NRRD whose voxels are in a pipe", identifier="voxel-file-missing")
def _voxels_in_a_pipe(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe.raw")
    return _fuse(folder, pet=_nrrd(folder / "pet.nhdr", b"", data_file="pipe.raw"))


def _elsewhere(where: bytes, folder: Path) -> list[str]:
    path = _meta(folder / "pet.mhd", b"")
    return _fuse(folder, pet=_put(path, path.read_bytes().replace(b"LOCAL", where)))


case("MetaImage whose voxels are missing", identifier="voxel-file-missing")(partial(_elsewhere, b"missing.raw"))
case("MetaImage whose voxels are in a format string", identifier="header-names-several-files")(
    partial(_elsewhere, b"%s%s%s%n 1 8 1")
)


@case("DICOM slices of 60000 x 60000 pixels that are not there", identifier="dicom-file-damaged", names="The MRI")
def _large_slices(folder: Path) -> list[str]:
    return _fuse(folder, mri=_series(folder / "mri", Rows=60000, Columns=60000))


# Much in little


def _zeros(times: int) -> bytes:
    """16 MiB of zeros, compressed, so many times."""
    return gzip.compress(bytes(2**24), 1) * times


@case("NIfTI with 3 GB of zeros behind its voxels", identifier="too-much-data")
def _bomb(folder: Path) -> list[str]:
    return _fuse(folder, pet=_nifti(folder / "pet.nii.gz", more=_zeros(200)))


@case("NIfTI of 1 TB of zeros", code=5, identifier=_NO_MEMORY)
def _honest_bomb(folder: Path) -> list[str]:
    header = ((_DIMENSIONS, "h", (3, 32767, 32767, 932)), (_TYPE, "h", (2, 8)))
    return _fuse(folder, pet=_nifti(folder / "pet.nii.gz", *header, more=_zeros(200)))


@case("NRRD with 3 GB of zeros in place of its voxels", identifier="too-much-data")
def _nrrd_bomb(folder: Path) -> list[str]:
    return _fuse(folder, pet=_nrrd(folder / "pet.nrrd", _zeros(200), encoding="gzip"))


@case("MetaImage with 200 MB of zeros in place of its voxels", identifier="too-much-data")
def _meta_bomb(folder: Path) -> list[str]:
    packed = zlib.compress(bytes(200 * 10**6), 1)
    fields = {"CompressedData": "True", "CompressedDataSize": str(len(packed))}
    return _fuse(folder, pet=_meta(folder / "pet.mha", packed, **fields))


# Paths


def _picture(path: Path, size: tuple[int, int] = (24, 20)) -> Path:
    pixels = np.random.default_rng(sum(size)).integers(0, 256, size[::-1], np.uint8)
    return _write(path, sitk.GetImageFromArray(pixels))


def _path(name: str, make: Callable[[Path], object]) -> Maker:
    """The PET is what ``make`` makes."""

    def made(folder: Path) -> list[str]:
        make(folder / name)
        return _fuse(folder, pet=folder / name)

    return made


def _two_series(folder: Path) -> None:
    _series(_series(folder))


def _nothing(_path: object) -> None:
    """What is not there."""


case("missing file", identifier="image-missing")(_path("none.nrrd", _nothing))
case("link to nothing", identifier="image-missing")(_path("link.nrrd", lambda path: path.symlink_to(path.with_name("none"))))
case("link to itself", identifier="image-not-accessible")(_path("link.nrrd", lambda path: path.symlink_to(path)))
case("link to /dev/zero", identifier="image-not-a-file")(_path("link.nrrd", lambda path: path.symlink_to("/dev/zero")))
case("/dev/zero", identifier="image-not-a-file")(lambda folder: _fuse(folder, pet=Path("/dev/zero")))
case("pipe", identifier="image-not-a-file")(_path("pipe.nii.gz", os.mkfifo))
case("name that is too long", identifier="image-not-accessible")(_path(f"{'a' * 300}.nrrd", _nothing))
case("folder without DICOM", identifier="dicom-none")(_path("empty", Path.mkdir))
case("folder with two DICOM series", identifier="dicom-several-series")(_path("two", _two_series))
case("name with a line break", identifier="file-empty", names="\\n")(_path("a\nb.nrrd", Path.touch))
case("missing file with a line break", identifier="image-missing")(_path("a\nb.nrrd", _nothing))
case("name with commands to the terminal", identifier="file-empty", names="\\x1b")(
    _path("\x1b[2J\x1b]0;title\x07.nrrd", Path.touch)
)
case("name that turns the direction of writing", identifier="file-empty", names="\\u202e")(_path("\u202eexe.nrrd", Path.touch))
case("name that is no UTF-8", identifier="name-not-utf8", names="M\\udcfcller")(_path("M\udcfcller.nrrd", Path.touch))


@case("way through other folders", code=0)
def _detour(folder: Path) -> list[str]:
    (folder / "a" / "b").mkdir(parents=True)
    _fuse(folder)
    return _fuse(folder, pet=folder / "a" / "b" / ".." / ".." / "pet.nrrd")


def _forbidden(mode: int, what: str, folder: Path) -> list[str]:
    arguments = _fuse(folder, mri=_series(folder / "mri"))
    (folder / what).chmod(mode)
    return arguments


_USER = {"user": _NOBODY}
case("file that may not be read", identifier="image-not-accessible", limits=_USER)(partial(_forbidden, 0, "pet.nrrd"))
case("series that may not be read", identifier="dicom-folder-unreadable", names="The MRI", limits=_USER)(
    partial(_forbidden, 0, "mri")
)
case("folder that may not be written to", code=2, identifier="output-folder-not-writable", names="fused.nrrd", limits=_USER)(
    partial(_forbidden, 0o555, OUT)
)


def _full(suffix: str, folder: Path) -> list[str]:
    return _fuse(folder, output=f"fused{suffix}")


for _suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
    case(f"no space for {_suffix}", code=2, identifier="output-incomplete", names=f"fused{_suffix}", limits={"file": 4000})(
        partial(_full, _suffix)
    )
case("no space for the colours", code=2, identifier="output-incomplete", names="color.nrrd", limits={"file": 1000})(
    lambda folder: _fuse(folder, "--color", str(folder / OUT / "color.nrrd"))
)


# Volumes


def _volume(change: Callable[[sitk.Image], sitk.Image], folder: Path, which: int = 0) -> list[str]:
    """One of the pair is changed."""
    images = [sitk.Image(image) for image in pair()]
    images[which] = change(images[which])
    pet, mri = (_write(folder / f"{name}.nrrd", image) for name, image in zip(("pet", "mri"), images, strict=True))
    return _fuse(folder, pet=pet, mri=mri)


def _full_of(value: float) -> Callable[[sitk.Image], sitk.Image]:
    def change(image: sitk.Image) -> sitk.Image:
        filled = sitk.GetImageFromArray(np.full(image.GetSize()[::-1], value, np.float32))
        filled.CopyInformation(image)
        return filled

    return change


def _moved(distance: float) -> Callable[[sitk.Image], sitk.Image]:
    def change(image: sitk.Image) -> sitk.Image:
        image.SetOrigin((image.GetOrigin()[0] + distance, *image.GetOrigin()[1:]))
        return image

    return change


_EMPTY = "volume-constant"
for _what, _value in {"of zeros": 0, "of one value": 7, "of NaN": _NAN, "of infinities": _INFINITE}.items():
    case(f"PET {_what}", identifier=_EMPTY)(partial(_volume, _full_of(_value)))
    case(f"MRI {_what}", identifier=_EMPTY, names="The MRI")(partial(_volume, _full_of(_value), which=1))
case("no overlap", identifier="no-overlap")(partial(_volume, _moved(1000)))
case("hardly any overlap", identifier="overlap-too-small")(partial(_volume, _moved(44)))
case("PET at the end of the numbers", identifier="no-overlap")(partial(_volume, _moved(1e8)))
case("four dimensions", identifier="frames-not-chosen")(partial(_volume, lambda image: sitk.JoinSeries([image, image])))
case("two dimensions", identifier="volume-two-dimensional")(partial(_volume, lambda image: image[:, :, 3]))
case("colours", identifier="volume-not-scalar")(
    partial(_volume, lambda image: sitk.Cast(sitk.Compose(image, image, image), sitk.sitkVectorUInt8))
)
case("vectors", identifier="volume-not-scalar", names="The MRI")(
    partial(_volume, lambda image: sitk.Compose(image, image), which=1)
)
case("one slice", code=0)(partial(_volume, lambda image: image[:, :, 4:5], which=1))
case("three columns", code=0)(partial(_volume, lambda image: image[10:13], which=1))
case("one column", code=0)(partial(_volume, lambda image: image[10:11], which=1))
case("PET mirrored in its stored order", code=0)(partial(_volume, lambda image: sitk.DICOMOrient(image, "RAI")))


@case("complex numbers", identifier="volume-complex")
def _complex(folder: Path) -> list[str]:
    image = pair()[1]
    return _fuse(folder, pet=_write(folder / "pet.nii", sitk.RealAndImaginaryToComplex(image, image)))


# Made to do harm: lines that readers would join, names that are longer than their buffers


def _patched_header(file: str, old: bytes, new: bytes, folder: Path) -> list[str]:
    """In the header of a PET something is replaced once."""
    path = _MAKERS[Path(file).suffix](folder / file)
    return _fuse(folder, pet=_put(path, path.read_bytes().replace(old, new, 1)))


_LONG_HEADER = "header-too-long"
for _what, _old, _new in (
    ("a line of no field", b"DimSize", b"a line\nDimSize"),
    ("a key in other letters", b"CompressedData", b"compresseddata"),
    ("a number that is missing", b"DimSize", b"ElementToIntensityFunctionSlope =\nDimSize"),
    ("a colour of one number", b"DimSize", b"Color = 1\nDimSize"),
    ("a NUL in its header", b"DimSize", b"Name = a\0b\nDimSize"),
    ("an extent that is no integer", b"24 20 8", b"24 20.5 8"),
):
    case(f"MetaImage with {_what}", identifier=_SIZE if "integer" in _what else _ODD)(
        partial(_patched_header, "pet.mha", _old, _new)
    )
_TWO_MEMBERS = gzip.compress(_voxels()[:500]) + gzip.compress(_voxels()[500:])
_header(
    *("MetaImage of two gzip members", _MORE, "pet.mha", _TWO_MEMBERS),
    CompressedData="True",
    CompressedDataSize=str(len(_TWO_MEMBERS)),
)
_header("NRRD of two gzip members", _MORE, "pet.nrrd", _TWO_MEMBERS, encoding="gzip")
_header("MetaImage with a name of 300 letters", _LONG_HEADER, "pet.mha", Name="A" * 300)
_header("MetaImage with a comment of 5000 letters", _LONG_HEADER, "pet.mha", Comment="A" * 5000)
_header("MetaImage with a key of 5000 letters", _LONG_HEADER, "pet.mha", **{"A" * 5000: "1"})
_header("NRRD with an encoding of 5000 letters", _LONG_HEADER, "pet.nrrd", encoding="A" * 5000)
_header("NRRD with a space of 2000 letters", _LONG_HEADER, "pet.nrrd", space="A" * 2000)
_header("NRRD with a key of 5000 letters", _LONG_HEADER, "pet.nrrd", **{"A" * 5000: "1"})
_header("NRRD with a comment of 100,000 letters", _LONG_HEADER, "pet.nrrd", **{"#": "A" * 100_000})


@case("NIfTI with 100,000 header extensions", identifier=_LONG_HEADER)
def _extended(folder: Path) -> list[str]:
    whole = _nifti(folder / "whole.nii", (_START, "f", (352 + 16 * 100_000,))).read_bytes()
    extensions = b"\1\0\0\0" + struct.pack("<ii8x", 16, 6) * 100_000
    return _fuse(folder, pet=_put(folder / "pet.nii.gz", gzip.compress(whole[:348] + extensions + whole[352:])))


@case("image in a folder whose path has 2000 letters", identifier="image-path-too-long")
def _far_down(folder: Path) -> list[str]:
    deep = folder.joinpath(*["a" * 200] * 10)
    deep.mkdir(parents=True)
    return _fuse(folder, pet=_nrrd(deep / "pet.nrrd"))


# Voxels elsewhere

for _what, _where in {
    "/etc/passwd": "/etc/passwd",
    "the folder above": "../pet.raw",
    "/dev/zero": "/dev/zero",
    "the standard input": "-",
    "its environment": "/proc/self/environ",
}.items():
    case(f"NRRD whose voxels are {_what}", identifier="voxel-file-missing")(
        partial(_patched_header, "pet.nrrd", b"encoding: raw", b"encoding: raw\ndata file: " + _where.encode())
    )
    case(f"MetaImage whose voxels are {_what}", identifier="voxel-file-missing")(partial(_elsewhere, _where.encode()))
for _what, _where in {"a list": "LIST", "numbered files": "pet%03d.raw 1 8 1"}.items():
    case(f"NRRD whose voxels are in {_what}", identifier="header-names-several-files")(
        partial(_patched_header, "pet.nrrd", b"encoding: raw", b"encoding: raw\ndata file: " + _where.encode())
    )
    case(f"MetaImage whose voxels are in {_what}", identifier="header-names-several-files")(
        partial(_elsewhere, _where.encode())
    )


def _image_file(make: Callable[[Path], object], folder: Path) -> list[str]:
    """The file with the voxels of a pair of files is something else."""
    _write(folder / "pet.hdr", pair()[0])
    (folder / "pet.img").unlink()
    make(folder / "pet.img")
    return _fuse(folder, pet=folder / "pet.hdr")


for _what, _make in {
    "a link to /etc/passwd": lambda path: path.symlink_to("/etc/passwd"),
    "a link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
}.items():
    case(f"NIfTI in two files whose voxels are {_what}", identifier="voxel-file-missing")(partial(_image_file, _make))

# Terabytes in a file of a few blocks


def _sparse(make: Callable[[Path], Path], folder: Path) -> list[str]:
    os.truncate(pet := make(folder), 2**40)
    return _fuse(folder, pet=pet)


for _what, _make_sparse in {
    "NIfTI": lambda folder: _nifti(folder / "pet.nii"),
    "compressed NIfTI": lambda folder: _nifti(folder / "pet.nii.gz"),
    "NRRD": lambda folder: _nrrd(folder / "pet.nrrd"),
    "compressed NRRD": lambda folder: _nrrd(folder / "pet.nrrd", gzip.compress(_voxels()), encoding="gzip"),
    "MetaImage": lambda folder: _meta(folder / "pet.mha"),
}.items():
    case(f"{_what} with 1 TB of nothing behind its voxels", identifier="too-much-data")(partial(_sparse, _make_sparse))


def _sparse_slice(behind: bytes, folder: Path) -> list[str]:
    """A slice of 1 TB, from some bytes on."""
    path = sorted(_series(folder / "mri").iterdir())[3]
    content = path.read_bytes()
    _put(path, content[: content.rindex(behind)])
    os.truncate(path, 2**40)
    return _fuse(folder, mri=folder / "mri")


@case("DICOM slice with 1 TB of nothing behind its pixels", identifier="dicom-file-damaged", names="The MRI")
def _long_slice(folder: Path) -> list[str]:
    os.truncate(sorted(_series(folder / "mri").iterdir())[3], 2**40)
    return _fuse(folder, mri=folder / "mri")


case("DICOM slice of 1 TB of nothing", identifier="dicom-file-damaged", names="The MRI")(partial(_sparse_slice, _VOXELS[:6]))


def _deflated(folder: Path, size: int, before: int) -> list[str]:
    """A slice whose data set unpacks to many bytes; its transfer syntax comes behind ``before`` bytes of another tag."""
    uid = b"1.2.840.10008.1.2.1.99"
    meta = struct.pack("<HH2s2xI", 2, 1, b"OB", before) + bytes(before) + struct.pack("<HH2sH", 2, 0x10, b"UI", len(uid)) + uid
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(size >> 20)) + packer.flush()
    length = struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta))
    _put(sorted(_series(folder / "mri").iterdir())[3], bytes(128) + b"DICM" + length + meta + packed)
    return _fuse(folder, mri=folder / "mri")


for _before in (2, 6000):
    case(
        f"deflated DICOM slice of 1 GB behind {_before} bytes",
        identifier="dicom-file-unreadable",
        names="The MRI",
    )(partial(_deflated, size=2**30, before=_before))


def _nested(depth: int, undefined: bool, folder: Path) -> list[str]:
    """A slice with sequences in each other."""
    parts, length = list[bytes](), 0
    for _ in range(depth):
        parts += [struct.pack("<HHL", 0xFFFE, 0xE000, length), struct.pack("<HH2s2xL", 0x40, 0xA730, b"SQ", length + 8)]
        length += 20
    nested = b"".join(reversed(parts))
    if undefined:
        begin = struct.pack("<HH2s2xLHHL", 0x40, 0xA730, b"SQ", 2**32 - 1, 0xFFFE, 0xE000, 2**32 - 1)
        nested = begin * depth + struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * depth
    path = sorted(_series(folder / "mri").iterdir())[3]
    content = path.read_bytes()
    at = content.rindex(_VOXELS[:6])
    _put(path, content[:at] + nested + content[at:])
    return _fuse(folder, mri=folder / "mri")


case(
    "DICOM slice with sequences nested 100,000 deep",
    identifier="image-reader-died",
    names="The MRI",
    limits={"crash": 1},
)(partial(_nested, 100_000, False))
case("DICOM slice with sequences without lengths nested 30,000 deep", identifier="dicom-file-damaged", names="The MRI")(
    partial(_nested, 30_000, True)
)

# Two patients

_ANN = {"PatientID": "111", "PatientName": "SMITH^ANN", "PatientBirthDate": "19500101"}
_BOB = {"PatientID": "222", "PatientName": "JONES^BOB", "PatientBirthDate": "19800101"}
_UNSURE = {"birth date": {"PatientBirthDate": "19500102"}, "issuer": {"IssuerOfPatientID": "B"}}


def _patients(pet: dict[str, str], mri: dict[str, str], folder: Path) -> list[str]:
    """Two series."""
    return _fuse(folder, pet=_series(folder / "pet", 0, Modality="PT", **pet), mri=_series(folder / "mri", **mri))


def _patients_beside(pet: dict[str, str], mri: dict[str, str], folder: Path) -> list[str]:
    """Two NIfTI files, with files beside them as dcm2niix writes them."""
    files = [_write(folder / f"{name}.nii.gz", image) for name, image in zip(("pet", "mri"), pair(), strict=True)]
    for name, tags in (("pet", pet), ("mri", mri)):
        _put(folder / f"{name}.json", json.dumps(tags).encode())
    return _fuse(folder, pet=files[0], mri=files[1])


for _what, _make_pair in {"in two DICOM series": _patients, "by the files beside two NIfTI files": _patients_beside}.items():
    case(f"two patients {_what}", identifier="patients-differ", names="patient ID")(partial(_make_pair, _ANN, _BOB))
    for _differing, _tags in _UNSURE.items():
        _first = {**_ANN, "IssuerOfPatientID": "A"}
        case(f"another {_differing} {_what}", code=0)(partial(_make_pair, _first, {**_first, **_tags}))


def _foreign_slice(keyword: str, value: str, folder: Path) -> list[str]:
    """One slice within a series is of somebody else."""
    import pydicom

    _series(folder / "mri", **_ANN)
    file = pydicom.dcmread(path := sorted((folder / "mri").iterdir())[4])
    setattr(file, keyword, value)
    file.save_as(path)
    return _fuse(folder, mri=folder / "mri")


for _keyword, _value in _BOB.items():
    case(f"a slice of another {_keyword}", identifier="dicom-slices-differ", names="The MRI")(
        partial(_foreign_slice, _keyword, _value)
    )


# Pictures


@case("pictures of other sizes", identifier="picture-sizes-differ")
def _other_sizes(folder: Path) -> list[str]:
    pictures = {"pet": _picture(folder / "a.png"), "mri": _picture(folder / "b.png", (20, 24))}
    return _fuse(folder, **pictures, output="fused.png")


@case("a picture and a volume", identifier="picture-and-volume", names="PNG")
def _picture_and_volume(folder: Path) -> list[str]:
    return _fuse(folder, pet=_picture(folder / "pet.png"))


def _picture_of(change: Callable[[bytes], bytes], folder: Path) -> list[str]:
    pet, mri = (_picture(folder / f"{name}.png") for name in ("pet", "mri"))
    return _fuse(folder, pet=_put(pet, change(pet.read_bytes())), mri=mri, output="fused.png")


case("picture that is cut", identifier="png-cut")(partial(_picture_of, lambda content: content[:200]))
case("picture without its last byte", identifier="png-cut")(partial(_picture_of, lambda content: content[:-1]))
case("picture with a part of 1 GB that is not there", identifier="png-cut")(
    partial(_picture_of, lambda content: content[:33] + struct.pack(">I", 10**9) + b"zTXt" + content[33:])
)


@case("picture that says 30000 x 30000", identifier=_MORE)
def _large_picture(folder: Path) -> list[str]:
    pet, mri = (_picture(folder / f"{name}.png") for name in ("pet", "mri"))
    content = pet.read_bytes()
    header = b"IHDR" + struct.pack(">II", 30000, 30000) + content[24:29]
    _put(pet, content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    return _fuse(folder, pet=pet, mri=mri, output="fused.png")


# Settings


def _set(*options: str) -> Maker:
    """Return the options, in which OUT stands for the folder of the outputs."""
    return lambda folder: _fuse(folder, *(option.replace("OUT", str(folder / OUT)) for option in options))


def _output(name: str, *options: str, make: Callable[[Path], object] = _nothing) -> Maker:
    """An output with another name, which ``make`` makes before."""

    def made(folder: Path) -> list[str]:
        make(folder / OUT / name)
        return _fuse(folder, *options, output=name)

    return made


for _what, _window in {"reversed": "9 1", "empty": "4 4", "not a number": "nan 9", "infinite": "0 inf"}.items():
    for _which in ("PET", "MRI"):
        case(f"window of the {_which} that is {_what}", code=2, identifier="window-invalid", names=f"The {_which} window")(
            _set(f"--{_which.lower()}-window", *_window.split())
        )
case("unknown palette", code=2, identifier="setting-not-a-choice", names="'Pink'")(
    _set("--color", "OUT/color.nrrd", "--palette", "Pink")
)
case("palette without a file", code=2, identifier="palette-without-output", names="A palette")(_set("--palette", "PET-Heat"))
case("unknown model", code=4, identifier="model-unknown", names="'best'")(_set("--model", "best"))
case("no name of a model", code=4, identifier="model-unknown", names="''")(_set("--model", ""))
case("unknown device", code=2, identifier="device-unavailable", names="'gpu9'")(_set("--device", "gpu9"))
case("device that is not there", code=2, identifier="device-unavailable", names="'cuda:99'")(_set("--device", "cuda:99"))
case("unknown option", code=2, names="--fast", usage=True)(_set("--fast"))
case("unknown grid", code=2, identifier="setting-not-a-choice", names="The grid")(_set("--grid", "ct"))
case("window of words", code=2, names="--pet-window", usage=True)(_set("--pet-window", "low", "high"))
case("SUV of no DICOM", identifier="suv-needs-dicom")(_set("--suv"))
case("DICOM of no DICOM", code=2, identifier="dicom-output-needs-series", names="DICOM")(_output("series", "--dicom"))
case("table that is no CSV", code=2, identifier="output-format", names="table.txt")(_set("--metrics", "OUT/table.txt"))
case("colours in NIfTI", code=2, identifier="output-format", names="color.nii")(_set("--color", "OUT/color.nii"))
case("colours onto the output", code=2, identifier="colour-output-collides", names="fused.nrrd")(
    _set("--color", "OUT/fused.nrrd")
)
case("cancel file in no folder", code=2, identifier="cancel-folder-missing", names="cancel")(
    _set("--cancel-file", "OUT/none/cancel")
)
case("output of another format", code=2, identifier="output-format", names="fused.xyz")(_output("fused.xyz"))
case("output that exists", code=2, identifier="output-exists", names="fused.nrrd")(_output("fused.nrrd", make=Path.touch))
case("side file that exists", code=2, identifier="output-exists", names="fused.json")(
    _output("fused.nrrd", make=lambda path: path.with_suffix(".json").touch())
)
case("output that is a folder", code=2, identifier="output-is-folder", names="fused.nrrd")(
    _output("fused.nrrd", make=Path.mkdir)
)
case("output in no folder", code=2, identifier="output-folder-missing", names="fused.nrrd")(_output("none/fused.nrrd"))
case("output in a file", code=2, identifier="output-folder-missing", names="fused.nrrd")(
    _output("file/fused.nrrd", make=lambda path: path.parent.touch())
)
case("output whose name is too long", code=2, identifier="output-name-unusable", names="aaa.nrrd")(
    _output(f"{'a' * 300}.nrrd")
)
case("output whose side file has too long a name", code=2, identifier="output-name-unusable", names="aaa.json")(
    _output(f"{'a' * 251}.mha")
)
case("output that is a link to itself", code=2, identifier="output-is-link", names="fused.nrrd")(
    _output("fused.nrrd", make=lambda path: path.symlink_to(path))
)
case("output that is a link into no folder", code=2, identifier="output-is-link", names="fused.nrrd")(
    _output("fused.nrrd", make=lambda path: path.symlink_to(path.parent / "none" / "fused.nrrd"))
)
case("output that is a link to a file", code=2, identifier="output-is-link", names="fused.nrrd")(
    _output("fused.nrrd", "--overwrite", make=lambda path: path.symlink_to(path.parent.parent.parent / "mri.nrrd"))
)


@case("output that is an input", code=2, identifier="output-is-input", names="mri.nrrd")
def _output_is_input(folder: Path) -> list[str]:
    return _fuse(folder, "--overwrite", output="../mri.nrrd")


# Weights


def _weights(folder: Path) -> Path:
    """The shipped ones and their card, under other names."""
    for path in (_MODEL, _MODEL.with_suffix(".json")):
        shutil.copy(path, folder / f"model{path.suffix}")
    return folder / "model.safetensors"


def _fit(path: Path, **fields: object) -> None:
    """Change the card, and make its SHA-256 that of the weights."""
    card = path.with_suffix(".json")
    told = {**json.loads(card.read_text(encoding="utf-8")), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    card.write_text(json.dumps({**told, **fields}), encoding="utf-8")


def _tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors)
    safetensors.torch.save_file(tensors, path)
    _fit(path)


def _model(name: str, identifier: str, change: Callable[[Path], object], names: str = "model.safetensors") -> None:
    """Return a case in which the weights or their card have been changed."""

    def make(folder: Path) -> list[str]:
        change(path := _weights(folder))
        return _fuse(folder, "--model", str(path))

    case(name, code=4, identifier=identifier, names=names)(make)


def _card(name: str, identifier: str, change: Callable[[Path], object]) -> None:
    _model(name, identifier, lambda path: change(path.with_suffix(".json")), names="model.json")


def _tamper(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    _put(path, bytes(content))


def _replace(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        _put(path, content(path.read_bytes()))
        _fit(path)

    return change


def _pickle(path: Path) -> None:
    torch.save(safetensors.torch.load(path.read_bytes()), path)
    _fit(path)


def _grown(size: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, size)  # sparse


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _network(**fields: object) -> Callable[[Path], None]:
    known = {"common_channels": 16, "growth_channels": 16, "dense_modules": 4, "reduced_channels": 10, "attention": "both"}
    return lambda path: _fit(path, network={**known, "decoder_channels": [80, 64, 32, 16], **fields})


_FIRST = "encoder.common.0.weight"
_NO_SAFETENSORS, _NO_FIT, _NO_CARD = "weights-format", "weights-do-not-fit", "model-card-invalid"
_model("weights with another byte", "weights-not-of-card", _tamper)
_model("weights that are a pickle", _NO_SAFETENSORS, _pickle)
_model("weights with a header of 2 GB", _NO_SAFETENSORS, _replace(lambda content: struct.pack("<Q", 2**31) + content[8:]))
_model(
    "weights with a header of 2^60 bytes", _NO_SAFETENSORS, _replace(lambda content: struct.pack("<Q", 2**60) + content[8:])
)
_model("weights that are cut", _NO_SAFETENSORS, _replace(lambda content: content[:-100]))
_model("weights of an unknown type", _NO_SAFETENSORS, _replace(lambda content: content.replace(b'"F32"', b'"X32"')))
_model(
    "weights of other shapes", _NO_FIT, partial(_tensors, change=lambda all_: all_.update({_FIRST: torch.zeros(16, 2, 5, 5)}))
)
_model("weights without a tensor", _NO_FIT, partial(_tensors, change=lambda all_: all_.pop(_FIRST)))
_model(
    "weights with one tensor too many",
    _NO_FIT,
    partial(_tensors, change=lambda all_: all_.update(more=torch.zeros(1))),
)
_model("weights of NaN", "weights-not-finite", partial(_tensors, change=lambda all_: all_[_FIRST].fill_(_NAN)))
_model(
    "weights in double precision", _NO_FIT, partial(_tensors, change=lambda all_: all_.update({_FIRST: all_[_FIRST].double()}))
)
_model("empty weights", _NO_SAFETENSORS, _replace(lambda _content: b""))
_model("weights of 2 GB", "model-file-too-large", _grown(2**31))
_model("weights that are a pipe", "weights-unreadable", _piped)
_model("weights that are missing", "weights-unreadable", Path.unlink)
_card("card that is missing", "model-card-unreadable", Path.unlink)
_card("card that is a pipe", "model-card-unreadable", _piped)
_card("card of 1 GB", "model-file-too-large", _grown(2**30))
_card("card that is no JSON", _NO_CARD, lambda path: _put(path, b"{'name': "))
_card("card that is nested", _NO_CARD, lambda path: _put(path, b"[" * 100_000 + b"]" * 100_000))
_model(
    "card of another architecture",
    "model-architecture-unknown",
    lambda path: _fit(path, architecture="U-Net"),
    names="model.json",
)
_card("card that is a list", _NO_CARD, lambda path: _put(path, b"[1, 2]"))
_card("card with a number of 10,000 digits", _NO_CARD, lambda path: _put(path, b'{"name": ' + b"9" * 10_000 + b"}"))
for _what, _fields in {
    "other types": {"name": 5},
    "another field": {"more": 1},
    "a name of two lines": {"name": "a\nencoding: raw"},
    "half a character in its name": {"name": "\ud800"},
    "a list for a network": {"network": [16]},
}.items():
    _model(f"card with {_what}", _NO_CARD, lambda path, fields=_fields: _fit(path, **fields), names="model.json")
_model("card of a million channels", _NO_CARD, _network(common_channels=10**6), names="model.json")
_model("card of a million layers", _NO_CARD, _network(decoder_channels=[1] * 10**5), names="model.json")
_model("card of 1024 modules of 1024 channels", _NO_FIT, _network(dense_modules=1024, growth_channels=1024))


@case("weights that may not be read", code=4, identifier="weights-unreadable", names="model.safetensors", limits=_USER)
def _forbidden_weights(folder: Path) -> list[str]:
    path = _weights(folder)
    path.chmod(0)
    return _fuse(folder, "--model", str(path))
