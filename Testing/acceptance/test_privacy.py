"""No connections, no patient data in outputs and messages, and private permissions for unfinished files."""

from __future__ import annotations

import ast
import contextlib
import gzip
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.datadict import tag_for_keyword

from cspadn import cli
from dicom_database import Database
from dicom_files import write_series
from nodes import node_of
from panel_steps import TIMEOUT, select_inputs, wait_for_fusion
from repository import ROOT
from volumes import blobs, volume

PACKAGE = ROOT / "CSpADNFusion"
CSPADN = [sys.executable, "-m", "cspadn"]

# In each Python process that is started: what would reach another computer is told and refused. To make a socket and bind it
# to this computer itself may pass: so urllib3 finds out about IPv6, which pydicom imports where there is requests.
GUARD = """
import os, sys

def tell(text):
    log = os.open(os.environ["NETWORK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, (text + "\\n").encode(errors="replace"))
    os.close(log)

def guard(event, arguments):
    if not event.startswith("socket.") or event in ("socket.__new__", "socket.gethostname"):
        return
    if getattr(arguments[0], "family", None) == 1:  # AF_UNIX
        return
    if event == "socket.bind" and arguments[1][0] in ("::1", "127.0.0.1"):
        return
    tell("network: " + event)
    raise PermissionError(event + " is forbidden")

sys.addaudithook(guard)
tell("guarded: " + " ".join(sys.orig_argv[1:]))
"""


class Guarded:
    """Runs commands that, with all processes that they start, have the guard.

    :ivar processes: the arguments of all of them, without the interpreter.
    :ivar network: what they tried.
    """

    def __init__(self, folder: Path) -> None:
        (folder / "guard").mkdir()
        (folder / "guard" / "sitecustomize.py").write_text(GUARD, encoding="utf-8")
        self._log = folder / "network.log"
        self._environment = {**os.environ, "PYTHONPATH": str(folder / "guard"), "NETWORK_LOG": str(self._log)}

    def run(self, *command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        arguments = [str(argument) for argument in command]
        return subprocess.run(arguments, cwd=cwd, env=self._environment, capture_output=True, text=True, check=False)

    @property
    def processes(self) -> list[str]:
        return self._lines("guarded: ")

    @property
    def network(self) -> list[str]:
        return self._lines("network: ")

    def _lines(self, prefix: str) -> list[str]:
        lines = self._log.read_text(encoding="utf-8").splitlines()
        return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


@pytest.fixture
def files(pair, tmp_path: Path) -> Path:
    """Return a folder with the small pair as volumes, pictures and DICOM series."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, image, modality in zip(("pet", "mri"), pair, ("PT", "MR"), strict=True):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
        picture = sitk.Cast(sitk.RescaleIntensity(volume(blobs((1, 40, 40), seed=len(modality)))), sitk.sitkUInt8)
        sitk.WriteImage(picture[:, :, 0], str(folder / f"{name}.png"))
        write_series(folder / modality, image * 10, modality)
    return folder


REACHING = {
    "connect": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "look up": "import urllib.request; urllib.request.urlopen('http://nowhere.invalid')",
    "datagram": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "serve": "import socket; socket.socket().bind(('0.0.0.0', 0))",
    "swallowed": "import contextlib, socket\nwith contextlib.suppress(OSError): socket.gethostbyname('nowhere.invalid')",
}


@pytest.mark.parametrize("kind", REACHING)
def test_the_guard_catches_what_connects(kind: str, guarded: Guarded) -> None:
    """The guard also works in a grandchild process, and where the error is suppressed."""
    code = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {REACHING[kind]!r}]).returncode)"
    done = guarded.run(sys.executable, "-c", code)
    assert (done.returncode == 0) == (kind == "swallowed")
    assert len(guarded.processes) == 2
    assert len(guarded.network) == 1


def test_the_guard_lets_pass_what_stays_here(guarded: Guarded) -> None:
    code = "import asyncio, multiprocessing as m, requests; asyncio.run(asyncio.sleep(0)); m.Pool(1).map(abs, [1])"
    assert guarded.run(sys.executable, "-c", code).returncode == 0
    assert guarded.network == []


FUSIONS = {
    "volumes": "fuse pet.nrrd mri.nrrd -o f.nrrd --metrics f.csv --color c.nrrd",
    "pictures": "fuse pet.png mri.png -o f.png --color c.png",
    "DICOM": "fuse PT MR -o f --dicom --suv --progress json",
    "metrics": "metrics pet.nrrd mri.nrrd mri.nrrd --fused-window 0 100",
    "models": "models --json",
    "info": "info",
}


@pytest.mark.parametrize("kind", FUSIONS)
@pytest.mark.ci
def test_the_command_line_connects_to_nothing(kind: str, guarded: Guarded, files: Path) -> None:
    done = guarded.run(*CSPADN, *FUSIONS[kind].split(), cwd=files)
    assert done.returncode == 0, done.stderr
    assert guarded.network == []
    assert len(guarded.processes) >= 1


@pytest.mark.slow
def test_slicers_side_connects_to_nothing(guarded: Guarded) -> None:
    """Run the tests of the panel with its worker, of the logic, and of batches of files and DICOM studies."""
    chosen = {
        "test_module": ["test_apply_fuses_in_a_worker", "test_worker_and_console_make_the_same_volume"],
        "test_batch": [
            "test_the_outputs_are_those_of_the_command_line",
            "test_studies_with_their_series_apart_and_mixed",
        ],
    }
    tests = [f"Testing/slicer/{file}.py::{name}" for file, names in chosen.items() for name in names]
    done = guarded.run(sys.executable, "-m", "pytest", "-q", "-p", "no:benchmark", "-p", "no:cacheprovider", *tests)
    assert "4 passed" in done.stdout, done.stdout
    assert guarded.network == []
    assert any("cspadn fuse CSpADNFusion-" in process for process in guarded.processes)


@pytest.mark.ci
def test_training_connects_to_nothing(guarded: Guarded, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    from cspadn.models.cspadn import NetworkConfig
    from training.config import load_config

    data = tmp_path / "data"
    for kind in ("pet", "mri"):
        (data / kind).mkdir(parents=True)
        for name in "ab":
            pixels = np.random.default_rng(ord(name)).integers(0, 256, (32, 32), np.uint8)
            sitk.WriteImage(sitk.GetImageFromArray(pixels), str(data / kind / f"{name}.png"))
    (data / "split.csv").write_text("id,subset\na,train\nb,gap\n", encoding="utf-8")
    network = NetworkConfig(common_channels=2, growth_channels=2, dense_modules=1, reduced_channels=1, decoder_channels=(2,))
    small = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 2, "patch_size": 12, "mse_steps": 0, "foreground": 0.0}
    config = replace(load_config(ROOT / "training" / "configs" / "paper.yaml"), **small, network=network)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config.to_dict()), encoding="utf-8")
    options = ("--config", tmp_path / "tiny.yaml", "--data", data, "--output", tmp_path / "run")
    done = guarded.run(sys.executable, "-m", "training.train", *options)
    assert done.returncode == 0, done.stderr
    assert guarded.network == []


@pytest.mark.slow
def test_the_demo_connects_to_nothing(guarded: Guarded, tmp_path: Path) -> None:
    done = guarded.run(sys.executable, "Testing/tools/demo.py", "--output", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    assert guarded.network == []


def _strace(calls: str, trace: Path) -> list[str]:
    """Return the start of a command that records these system calls, also of its child processes; others are not slowed."""
    return ["strace", "-f", "--seccomp-bpf", "-qq", "-e", f"trace={calls}", "-o", str(trace)]


def _internet(trace: Path) -> list[str]:
    """Return the system calls that use the internet protocols."""
    return [line for line in trace.read_text(encoding="utf-8").splitlines() if "AF_INET" in line]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_system_is_asked_for_no_connection(files: Path, tmp_path: Path) -> None:
    """The trace also shows libraries in C and C++, which the guard does not see."""
    trace = _strace("connect,sendto,socket,sendmsg", tmp_path / "trace")
    reaching = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    if subprocess.run([*trace, sys.executable, "-c", reaching], check=False).returncode != 0:
        pytest.skip("processes may not be traced here")
    assert len(_internet(tmp_path / "trace")) == 2
    subprocess.run([*trace, *CSPADN, *FUSIONS["volumes"].split()], cwd=files, check=True)
    assert _internet(tmp_path / "trace") == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_fusing_works_without_any_network(files: Path) -> None:
    alone = ["unshare", "-rn"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no network can be taken away here")
    reaching = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([*alone, sys.executable, "-c", reaching], capture_output=True, text=True, check=False)
    assert "Network is unreachable" in done.stderr
    subprocess.run([*alone, *CSPADN, *FUSIONS["volumes"].split()], cwd=files, check=True)
    assert (files / "f.nrrd").is_file()


CONNECTING = {
    "aiohttp",
    "asyncio",
    "ftplib",
    "http",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "urllib",
    "urllib3",
    "qt.QNetwork",
}


@pytest.mark.parametrize(
    "file", [PACKAGE / "CSpADNFusion.py", *(PACKAGE / "Scripts").glob("*.py")], ids=lambda path: path.name
)
def test_the_files_that_import_linter_does_not_see_connect_to_nothing(file: Path) -> None:
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} & CONNECTING == set()


class Sight(NamedTuple):
    """State of a file or folder at one time: its permissions, those of its folder, and its size."""

    mode: int
    folder_mode: int
    size: int


class Watch:
    """Records the content of some folders again and again, in a thread.

    :ivar seen: by paths, what they were, one after the other, without repetitions.
    """

    def __init__(self, *folders: Path) -> None:
        self.seen: dict[Path, list[Sight]] = {}
        self._folders, self._over = folders, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(0.001):
            self._look()

    def _look(self) -> None:
        for folder in self._folders:
            for place, folders, names in os.walk(folder):  # what has gone meanwhile is passed over
                for name in (*folders, *names):
                    with contextlib.suppress(OSError):
                        self._see(Path(place, name))

    def _see(self, path: Path) -> None:
        own, parent = path.lstat(), path.parent.lstat()
        sight = Sight(stat.S_IMODE(own.st_mode), stat.S_IMODE(parent.st_mode), own.st_size)
        sights = self.seen.setdefault(path, [])
        if not sights or sights[-1] != sight:
            sights.append(sight)


# What the headers say of the patient and of where they were; the last cannot be written as a date at all.
MARKS = {
    "PatientName": "ZZMARKED^NAME",
    "PatientID": "ZZ4711",
    "AccessionNumber": "ZZACCESSION",
    "InstitutionName": "ZZHOSPITAL",
    "ReferringPhysicianName": "ZZREFERRING",
    "PatientComments": "ZZCOMMENT",
    "PatientBirthDate": "19010203",
}
COPIED = MARKS.keys() - {"InstitutionName", "PatientComments"}  # into the derived series


def marks_in(data: bytes) -> set[str]:
    """Return the tags whose marked values occur in the data, in upper or lower case."""
    text = data.decode(errors="replace").casefold()
    return {keyword for keyword, value in MARKS.items() if value.split("^")[0].casefold() in text}


def content(*folders: Path) -> bytes:
    """Return the content and the names of all files in some folders, except DICOM files."""
    paths = [path for folder in folders for path in folder.rglob("*")]
    read = (gzip.decompress if path.suffix == ".gz" else bytes for path in paths)
    data = (
        each(path.read_bytes()) for each, path in zip(read, paths, strict=True) if path.is_file() and path.suffix != ".dcm"
    )
    return b"\n".join([*data, *(str(path).encode() for path in paths)])


@pytest.fixture
def marked(pair, tmp_path: Path) -> Path:
    """Return a study with both series of a marked patient."""
    study = tmp_path / "studies" / "one"
    study.mkdir(parents=True)
    pet, mri = pair
    write_series(study / "PT", pet, "PT", SeriesDescription="PET of ZZMARKED", **MARKS)
    write_series(study / "MR", mri * 10, "MR", SeriesDescription="T1 ZZ4711", **MARKS)
    return study


def _edit(folder: Path, change: Callable[[bytes], bytes]) -> None:
    for path in folder.iterdir():
        path.write_bytes(change(path.read_bytes()))


def _as(keyword: str, kind: str) -> Callable[[bytes], bytes]:
    """Return a function that changes the value representation of an element."""
    tag = tag_for_keyword(keyword)
    start = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    return lambda data: data.replace(start + data[data.index(start) + 4 :][:2], start + kind.encode(), 1)


def _two_series(study: Path) -> None:
    for path in (study / "PT").iterdir():
        shutil.copy(path, study / "MR" / f"pet{path.name}")


def _another_patient(study: Path) -> None:
    for path in (study / "PT").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.PatientID = "somebody"
        dataset.save_as(path)


def _no_date(study: Path) -> None:
    _edit(study / "MR", lambda data: data.replace(b"19010203", b"ZZMARKED"))
    _edit(study / "PT", lambda data: data.replace(b"19010203", b"ZZ 4711 "))


GOOD = {
    "volume": ["-o", "f.nrrd", "--metrics", "f.csv", "--color", "c.mha", "--report", "f.html", "--progress", "json"],
    "NIfTI": ["-o", "f.nii.gz"],
    "series": ["-o", "f", "--dicom", "--progress", "json"],
}
BAD = {
    "ends in its headers": (lambda study: _edit(study / "MR", lambda data: data[:400]), [], 3),
    "lengths that are wrong": (lambda study: _edit(study / "MR", lambda data: data.replace(b"PN", b"OB", 1)), [], 3),
    "no pixels": (lambda study: _edit(study / "PT", lambda data: data[:-200]), [], 3),
    "two series": (_two_series, [], 3),
    "an MRI for the PET": (lambda study: shutil.copytree(study / "MR", study / "PT", dirs_exist_ok=True), ["--suv"], 3),
    "two patients": (_another_patient, ["--dicom"], 3),
    "a weight that is none": (lambda study: _edit(study / "PT", _as("PatientWeight", "PN")), ["--suv"], 3),
    "no dates": (_no_date, ["--dicom"], 0),
    "a name that is a UID": (lambda study: _edit(study / "MR", _as("PatientName", "UI")), ["--dicom"], 0),
    "a name that is a number": (lambda study: _edit(study / "MR", _as("PatientName", "FD")), ["--dicom"], 3),
    "an ID that is a number": (lambda study: _edit(study / "PT", _as("PatientID", "FD")), ["--dicom"], 3),
}


def _fuse_series(study: Path, out: Path, *options: str) -> tuple[int, set[str], Watch]:
    """Return the exit code, the marks in the output, and the watch, which also sees the folder for temporary files."""
    temporary = out.parent / "temporary"
    for folder in (out, temporary):
        folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    command = [*CSPADN, "fuse", str(study / "PT"), str(study / "MR"), "--device", "cpu", *options]
    with Watch(out, temporary) as watch:
        done = subprocess.run(command, cwd=out, env=environment, capture_output=True, check=False)
    names = "\n".join(map(str, watch.seen)).encode()
    return done.returncode, marks_in(done.stdout + done.stderr + names + content(out, temporary)), watch


@pytest.mark.parametrize("kind", GOOD)
def test_no_output_says_who_the_patient_is(kind: str, marked: Path, tmp_path: Path) -> None:
    code, told, watch = _fuse_series(marked, tmp_path / "out", *GOOD[kind])
    assert (code, told) == (0, set())
    assert any(".cspadn-" in str(path) for path in watch.seen)


@pytest.mark.parametrize("kind", BAD)
def test_no_error_says_who_the_patient_is(kind: str, marked: Path, tmp_path: Path, monkeypatch, capfd, caplog) -> None:
    """The files are read in a process of their own, as always, whose messages end here as well."""
    spoil, options, expected = BAD[kind]
    spoil(marked)
    for folder in (out := tmp_path / "out", temporary := tmp_path / "temporary"):
        folder.mkdir()
    monkeypatch.chdir(out)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)  # which remembers the folder of an earlier test
    given = ["-o", "f" if "--dicom" in options else "f.nrrd", *options, "--progress", "json"]
    with Watch(out, temporary) as watch:
        code = cli.main(["fuse", str(marked / "PT"), str(marked / "MR"), "--device", "cpu", *given])
    told = "\n".join([*capfd.readouterr(), caplog.text, *map(str, watch.seen)]).encode()
    assert (code, marks_in(told + content(out, temporary))) == (expected, set())


def test_the_derived_series_says_it(marked: Path, tmp_path: Path) -> None:
    """A derived series names its patient; this also shows that the search finds the marks."""
    assert _fuse_series(marked, tmp_path / "out", *GOOD["series"])[0] == 0
    files = list((tmp_path / "out" / "f").rglob("*.dcm"))
    assert {file.parent.name for file in files} == {"grey", "color", "blending"}
    assert all(marks_in(file.read_bytes()) == COPIED for file in files)


def test_measuring_says_nothing_of_the_patient(marked: Path) -> None:
    given = [*CSPADN, "metrics", str(marked / "PT"), str(marked / "MR"), str(marked / "MR"), "--fused-window", "0", "999"]
    done = subprocess.run(given, capture_output=True, check=False)
    assert done.returncode == 0
    assert marks_in(done.stdout + done.stderr) == set()


def test_a_batch_says_nothing_of_the_patients(run, marked: Path, tmp_path: Path, capfd, caplog) -> None:
    """The batch contains a good study, an ambiguous one, a damaged one, and one without a PET."""
    studies, out = marked.parent, tmp_path / "out"
    for name in ("damaged", "two", "without"):
        shutil.copytree(marked, studies / name)
    _edit(studies / "damaged" / "MR", lambda data: data[:400])
    write_series(studies / "two" / "another", volume(blobs(seed=3) * 10), "MR", SeriesDescription="T2 of zzmarked", **MARKS)
    shutil.rmtree(studies / "without" / "PT")
    out.mkdir()
    with Watch(out) as watch:
        assert run("--studies", studies, "--output", out, "--device", "cpu", "--metrics", "--palette", "PET-Heat") == 1
    said = capfd.readouterr()
    assert "1 done, 3 failed" in said.out
    names = "\n".join(map(str, watch.seen))
    assert marks_in("\n".join([said.out, said.err, caplog.text, names]).encode() + content(out)) == set()


def _tracing(trace: Path) -> list[str]:
    """Return the start of a command that records connections in a file; it is empty where processes may not be traced."""
    command = _strace("connect,sendto,bind", trace)
    possible = shutil.which("strace") and subprocess.run([*command, "true"], check=False).returncode == 0
    return command if possible else []


@pytest.mark.ci
def test_a_cohort_says_nothing_of_the_patients_and_stays_on_this_computer(marked: Path, tmp_path: Path) -> None:
    """The cohort contains a good and a damaged pair of series.

    Scheduler and workers communicate only with each other, on the loopback interface; strace shows it where it is installed.
    urllib3, which pydicom imports, binds a socket to the loopback address of IPv6, to see whether the computer has it.
    """
    shutil.copytree(marked, tmp_path / "damaged")
    _edit(tmp_path / "damaged" / "MR", lambda data: data[:400])
    rows = [f"{folder / 'PT'},{folder / 'MR'}\n" for folder in (marked, tmp_path / "damaged")]
    (table := tmp_path / "pairs.csv").write_text("pet,mri\n" + "".join(rows))
    command = [*CSPADN, "cohort", str(table), str(out := tmp_path / "out"), "--workers", "1", "--device", "cpu"]
    tracing = _tracing(trace := tmp_path / "trace")
    done = subprocess.run([*tracing, *command], capture_output=True, check=False)
    assert b"1 done, 1 failed" in done.stdout
    assert marks_in(done.stdout + done.stderr + content(out)) == set()
    assert (out / "sub-0001.html").exists()
    if not tracing:
        pytest.skip("processes are not traced here: only what the cohort says was checked")
    reached = _internet(trace)
    assert any("connect(" in line for line in reached)
    assert [line for line in reached if "127.0.0.1" not in line and not ("bind(" in line and '"::1"' in line)] == []


PERMISSIONS = 0o600


def _others_could_read(watch: Watch) -> dict[str, list[Sight]]:
    """Files in folders of temporary files that were not their user's alone.

    The last sight of one does not count: it is given the permissions of its final name just before that.
    """
    temporary = {path: sights for path, sights in watch.seen.items() if path.parent.name.startswith(".cspadn-")}
    assert any(path.name.startswith("output") for path in temporary)
    private = (PERMISSIONS, 0o700)
    return {
        str(path): sights
        for path, sights in temporary.items()
        if any((each.mode, each.folder_mode) != private for each in sights[:-1] or sights)
    }


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a pair whose outputs take a moment to write."""
    folder = tmp_path / "in"
    folder.mkdir()
    sitk.WriteImage(volume(blobs((12, 40, 40), seed=1), spacing=(3, 3, 4)), str(folder / "pet.nrrd"))
    sitk.WriteImage(volume(blobs((16, 64, 64), seed=2), spacing=(1.9, 1.9, 3)), str(folder / "mri.nrrd"))
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize(
    "suffix", [".nii.gz", *(pytest.param(each, marks=pytest.mark.slow) for each in (".nrrd", ".nii", ".mha"))]
)
@pytest.mark.ci
def test_nobody_else_reads_what_is_not_finished(suffix: str, large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    given = ["pet.nrrd", "mri.nrrd", "-o", out / f"f{suffix}", "--metrics", out / "f.csv", "--color", out / "c.nrrd"]
    with Watch(out) as watch:
        subprocess.run([*CSPADN, "fuse", *map(str, given)], cwd=large, check=True, umask=0o022)
    assert _others_could_read(watch) == {}
    assert {path.name for path in out.iterdir()} == {f"f{suffix}", "f.json", "f.csv", "c.nrrd"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o644}


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_series_is_finished_in_a_folder_of_its_user_alone(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o777)
    with Watch(out) as watch:
        subprocess.run([*CSPADN, *FUSIONS["DICOM"].replace("-o f ", f"-o {out / 'f'} ").split()], cwd=files, check=True)
    private = [path for path in watch.seen if path.parent == out and path.name.startswith(".cspadn-")]
    assert private
    assert all(each.mode == 0o700 for path in private for each in watch.seen[path])
    assert {path.name for path in out.iterdir()} == {"f"}
    assert len(list((out / "f").rglob("*.dcm"))) == 17


@pytest.fixture
def watched_panel(panel) -> Iterator[tuple[object, Watch]]:
    """Return the panel and a watch on Slicer's temporary folder."""
    import slicer

    with Watch(Path(slicer.app.temporaryPath)) as watch:
        yield panel, watch


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_the_images_for_the_worker_are_the_users_alone(watched_panel) -> None:
    import slicer

    from slicer_application import application

    opened, watch = watched_panel
    select_inputs(opened)
    opened.ui.applyButton.click()
    wait_for_fusion(opened)
    time.sleep(0.01)
    assert slicer.util.getNode("Fused MRI-PET")
    temporary = Path(slicer.app.temporaryPath)
    application.processEvents(until=lambda: not opened.logic.isCheckingAlignment(), timeout=TIMEOUT)
    folders = [path for path in watch.seen if re.fullmatch(r"CSpADNFusion-(?!new)[\w-]+", path.name)]
    assert folders  # of the fusion, and of checks of the alignment
    for folder in folders:
        assert {each.mode for each in watch.seen[folder]} == {0o700}
    images = [path for path in watch.seen if path.parent in folders and path.name in ("pet.nrrd", "mri.nrrd")]
    assert {path.name for path in images} == {"pet.nrrd", "mri.nrrd"}
    assert {each.mode for path in images for each in watch.seen[path]} == {PERMISSIONS}
    assert _others_could_read(watch) == {}
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.ci
def test_a_panels_worker_says_nothing_of_the_patient(panel, marked: Path, monkeypatch, good: bool) -> None:
    """The volumes were loaded from DICOM. In the second case they cannot be fused."""
    import slicer

    from cspadn.io.images import read_in_process
    from CSpADNFusionLib.panel import input_summary
    from slicer_application import records

    slicer.mrmlScene.RemoveNode(slicer.util.getNode("PET"))
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("MRI"))
    database = Database(marked / "PT", marked / "MR")
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    for name, kind in (("PET", "PT"), ("MRI", "MR")):
        node = node_of(read_in_process(marked / kind, name), name)
        node.SetAttribute("DICOM.instanceUIDs", database.instances(marked / kind))
    if not good:
        monkeypatch.setattr(input_summary, "obstacle", lambda *_: None)
        slicer.util.getNode("PET").SetOrigin(9999, 0, 0)
    select_inputs(panel)
    with Watch(Path(slicer.app.temporaryPath)) as watch:
        panel.ui.applyButton.click()
        wait_for_fusion(panel)
    nodes = [slicer.mrmlScene.GetNthNode(index) for index in range(slicer.mrmlScene.GetNumberOfNodes())]
    attributes = [f"{node.GetName()} {name}={node.GetAttribute(name)}" for node in nodes for name in node.GetAttributeNames()]
    assert any("Fused MRI-PET CSpADNFusion.pet_series_uid" in each for each in attributes) == good
    assert (records.messages == []) == good
    shown = [panel.ui.statusLabel.text(), panel.ui.logTextEdit.toPlainText(), str(records.messages)]
    assert marks_in("\n".join([*attributes, *map(str, watch.seen), *shown]).encode()) == set()
