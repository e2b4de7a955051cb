"""Two users without special rights on one computer: neither waits for the other, enters his folders or reads his key."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

if sys.platform == "win32" or os.getuid() != 0:
    pytest.skip("only root can become two other users", allow_module_level=True)

import fcntl

import filelock  # noqa: F401  # the interpreter may lie in a folder of root, which the users do not enter

from cspadn.cohort.proof import user_key
from cspadn.io import atomic_output
from cspadn.io.atomic_output import PrivateFolder, commit
from cspadn.io.images import stage_text
from cspadn.runtime.private_folders import lock_folder

STRANGER, USER = 65533, 65534


@contextmanager
def _as(user: int, home: Path, work: Callable[[], object]) -> Iterator[int]:
    """Run a function in a process of a user, which stays until the context ends, and yield its exit code."""
    told, tell = os.pipe()
    wait, done = os.pipe()
    if (child := os.fork()) == 0:
        code, held = 1, []
        try:
            os.close(done)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.environ["XDG_STATE_HOME"] = str(home)
            held.append(work())  # until the end
            code = 0
        except BaseException:
            traceback.print_exc()
        os.write(tell, bytes([code]))
        os.read(wait, 1)
        os._exit(code)
    os.close(tell)
    os.close(wait)
    try:
        yield (os.read(told, 1) or b"\xff")[0]
    finally:
        os.close(done)
        os.close(told)
        os.waitpid(child, 0)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which everybody may make files, as /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own folders are those of one user
        path = Path(folder)
        path.chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        for user in (STRANGER, USER):
            (home := path / f"home{user}").mkdir(mode=0o700)
            os.chown(home, user, user)
        yield path


def _home(shared: Path, user: int) -> Path:
    return shared / f"home{user}"


@pytest.mark.parametrize("kind", ["lock", "link", "pipe", "file"])
def test_nobody_waits_for_what_another_user_has_prepared(kind: str, shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_output, "_PATIENCE", 0)  # who waits for a lock fails
    precious = shared / "precious"
    precious.write_text("precious")
    os.chown(precious, USER, USER)

    def prepare() -> object:
        folder = shared / f"cspadn-{USER}"
        if kind == "file":
            return folder.write_text("no folder")
        folder.mkdir()
        folder.chmod(0o777)
        lock = folder / "names.lock"
        if kind == "link":
            return lock.symlink_to(precious)
        if kind == "pipe":
            return os.mkfifo(lock, 0o666)
        lock.touch()
        lock.chmod(0o666)
        held = lock.open("r+")
        fcntl.flock(held, fcntl.LOCK_EX)
        return held

    def write() -> None:
        commit([lambda: stage_text(_home(shared, USER) / "a.txt", "whole")], overwrite=False)
        assert lock_folder() == _home(shared, USER) / "cspadn"

    with (
        _as(STRANGER, _home(shared, STRANGER), prepare) as prepared,
        _as(USER, _home(shared, USER), write) as written,
    ):
        assert (prepared, written) == (0, 0)
    assert (_home(shared, USER) / "a.txt").read_text() == "whole"
    assert precious.read_text() == "precious"


def test_a_key_and_unfinished_outputs_are_for_one_user_alone(shared: Path) -> None:
    def make() -> object:
        user_key()
        folder = PrivateFolder(shared)
        (folder.path / "output").write_text("a patient")
        return folder

    def look() -> None:
        (folder,) = shared.glob(f"{atomic_output.PREFIX}*")
        for path in (_home(shared, USER) / "cspadn" / "key", folder / "output"):
            with pytest.raises(PermissionError):
                path.read_bytes()
        atomic_output.clear(shared)
        assert folder.is_dir()
        assert len(user_key()) == 32

    with _as(USER, _home(shared, USER), make) as made, _as(STRANGER, _home(shared, STRANGER), look) as looked:
        assert (made, looked) == (0, 0)
    keys = [(_home(shared, user) / "cspadn" / "key").read_bytes() for user in (STRANGER, USER)]
    assert keys[0] != keys[1]


def test_what_another_user_left_in_a_shared_folder_stays(shared: Path) -> None:
    (outputs := shared / "outputs").mkdir()
    outputs.chmod(0o1777)

    def leave() -> object:
        folder = PrivateFolder(outputs)
        return folder._lock.release()

    def write() -> None:
        commit([lambda: stage_text(outputs / "a.txt", "whole")], overwrite=False)

    with _as(STRANGER, _home(shared, STRANGER), leave) as left:
        pass
    with _as(USER, _home(shared, USER), write) as written:
        pass
    assert (left, written) == (0, 0)
    assert (outputs / "a.txt").read_text() == "whole"
    assert len(list(outputs.glob(f"{atomic_output.PREFIX}*"))) == 1
