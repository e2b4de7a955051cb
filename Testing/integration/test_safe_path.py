"""No process imports from its working folder, or from a folder that another user has prepared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import SimpleITK as sitk

from cohorts import write_dataset
from cspadn import run_module
from cspadn.errors import UsageError
from cspadn.runtime import private_folders, processes
from message_calls import raises
from trust.hostile_folder import LATE, make_hostile

ROOT = Path(__file__).resolve().parents[2]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="owners and permissions as POSIX has them")


@pytest.fixture
def hostile(tmp_path: Path, pair) -> tuple[Path, Path]:
    """Return a dataset with files named like modules, and the file that they would write if executed."""
    mark = tmp_path / "mark"
    make_hostile(write_dataset(tmp_path / "dataset", {"sub-01": pair}), mark)
    for name, image in zip(("pet", "mri"), pair, strict=True):
        sitk.WriteImage(image, str(tmp_path / "dataset" / f"{name}.nrrd"))
    return tmp_path / "dataset", mark


def _run(command: list[str], folder: Path, **more: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "Testing" / "tools"), **more}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Hold the lock of Dask's usual folder, as another user can."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_files_of_a_dataset_are_executed(hostile: tuple[Path, Path]) -> None:
    """Without protection, Python executes them: the other tests can fail."""
    folder, mark = hostile
    done = subprocess.run([sys.executable, "-c", "import json"], cwd=folder, capture_output=True, text=True)
    assert "code of a stranger" in done.stderr
    assert "json" in mark.read_text()


def test_the_command_imports_nothing_from_its_working_folder(hostile: tuple[Path, Path]) -> None:
    folder, mark = hostile
    _run([*processes.module_command("cspadn"), "fuse", "pet.nrrd", "mri.nrrd", "-o", "../fused.nrrd"], folder)
    assert (folder.parent / "fused.nrrd").is_file()
    assert not mark.exists(), mark.read_text()


def test_the_command_ignores_relative_entries_of_pythonpath(pair, tmp_path: Path) -> None:
    """Python executes a sitecustomize.py there before the command starts, but the command imports nothing more from there."""
    folder, mark = make_hostile(tmp_path / "folder", tmp_path / "mark", LATE), tmp_path / "mark"
    for name, image in zip(("pet", "mri"), pair, strict=True):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
    (script := tmp_path / "cspadn").write_text(
        "import sys\nfrom cspadn.cli import main\nsys.exit(main())\n"
    )  # as pip writes it
    entries = os.pathsep.join(["", ".", str(processes.PACKAGE.parent)])
    _run([sys.executable, str(script), "fuse", "pet.nrrd", "mri.nrrd", "-o", "../fused.nrrd"], folder, PYTHONPATH=entries)
    assert (tmp_path / "fused.nrrd").is_file()
    assert not mark.exists(), mark.read_text()


@POSIX
def test_a_settings_file_of_matplotlib_in_the_working_folder_is_not_read(pair, tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    os.mkfifo(folder / "matplotlibrc")  # matplotlib would wait for it
    for name, image in zip(("pet", "mri"), pair, strict=True):
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
    command = [*processes.module_command("cspadn"), "fuse", "pet.nrrd", "mri.nrrd", "-o", "f.nrrd", "--report", "f.html"]
    _run(command, folder)
    assert (folder / "f.html").is_file()


@pytest.mark.ci
def test_a_cohort_imports_nothing_from_its_dataset_or_the_temporary_folder(hostile: tuple[Path, Path], tmp_path: Path) -> None:
    folder, mark = hostile
    (temporary := tmp_path / "tmp").mkdir()
    temporary.chmod(0o1777)
    make_hostile(scratch := temporary / "dask-scratch-space", mark).chmod(0o777)
    command = [*processes.module_command("cspadn"), "cohort", ".", "../out", "--workers", "1", "--device", "cpu"]
    with _held(scratch / "global.lock"):
        _run(command, folder, TMPDIR=str(temporary))
    assert (tmp_path / "out" / "index.html").is_file()
    assert not mark.exists(), mark.read_text()
    assert sorted(path.name for path in temporary.iterdir() if path.name.startswith("cspadn-cohort")) == []


@pytest.mark.ci
def test_a_batch_imports_nothing_from_its_working_folder(hostile: tuple[Path, Path]) -> None:
    folder, mark = hostile
    (folder / "pairs.csv").write_text("pet,mri,output\npet.nrrd,mri.nrrd,fused.nrrd\n")
    script = ROOT / "Testing" / "tools" / "trust" / "batch_process.py"
    _run([sys.executable, str(script), "--pairs", "pairs.csv", "--output", "../out", "--device", "cpu"], folder)
    assert (folder.parent / "out" / "fused.nrrd").is_file()
    assert not mark.exists(), mark.read_text()


def test_a_module_path_has_no_relative_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    package = str(processes.PACKAGE)
    monkeypatch.setattr(sys, "path", [package, "", ".", "relative", "/absolute"])
    run_module.clean_module_path()
    assert sys.path == [str(processes.PACKAGE.parent), "/absolute"]
    here = str(Path.cwd())
    monkeypatch.setattr(sys, "path", [package, here, f"{here}/relative", "/absolute"])  # as Python makes them absolute
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", "/absolute"]))
    run_module.clean_module_path()
    assert sys.path == [str(processes.PACKAGE.parent), "/absolute"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", here]))  # named by the user
    monkeypatch.setattr(sys, "path", [package, here])
    run_module.clean_module_path()
    assert sys.path == [str(processes.PACKAGE.parent), here]
    monkeypatch.setattr(sys, "path", ["/working/folder", "/absolute"])
    run_module.clean_module_path(from_working_folder=True)
    assert "/working/folder" not in sys.path or sys.flags.safe_path


def test_processes_of_libraries_are_safe_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", str(tmp_path)]))
    before, here = dict(os.environ), Path.cwd()
    with processes.safe_processes(tmp_path):
        assert (os.environ["PYTHONSAFEPATH"], os.environ["PYTHONPATH"]) == ("1", str(tmp_path))
        assert Path.cwd() == here
    monkeypatch.setattr(processes, "HONOURS_SAFE_PATH", False)  # as Python 3.10
    with processes.safe_processes(tmp_path):
        assert Path.cwd() == tmp_path
    assert (dict(os.environ), Path.cwd()) == (before, here)


@POSIX
def test_a_temporary_folder_that_others_can_change_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (open_to_all := tmp_path / "open").mkdir()
    (own := tmp_path / "own").mkdir(mode=0o700)
    monkeypatch.setattr(private_folders.tempfile, "gettempdir", lambda: str(own))
    open_to_all.chmod(0o777)
    assert private_folders.temporary_folder(open_to_all) == own
    open_to_all.chmod(0o1777)
    assert private_folders.temporary_folder(open_to_all) == open_to_all
    own.chmod(0o777)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert private_folders.temporary_folder() == tmp_path / "state" / "cspadn"
    monkeypatch.setattr(private_folders, "user_folder", lambda: None)
    with raises(UsageError, "temporary-folder-unsafe"):
        private_folders.temporary_folder()


@POSIX
def test_a_lock_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_folders.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    usual = tmp_path / f"cspadn-{os.getuid()}"
    assert private_folders.lock_folder() == usual
    usual.chmod(0o777)
    assert private_folders.lock_folder() == tmp_path / "state" / "cspadn"
    usual.rmdir()
    usual.symlink_to(tmp_path)
    assert private_folders.lock_folder() == tmp_path / "state" / "cspadn"
