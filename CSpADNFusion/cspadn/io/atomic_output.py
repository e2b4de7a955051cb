"""Files: names, permissions, private folders, and outputs of which all are there in the end, or none."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cspadn.errors import InputError, MemoryExhaustedError, UsageError
from cspadn.messages import message
from cspadn.runtime.memory import is_out_of_memory
from cspadn.runtime.private_folders import lock_folder, temporary_folder

if TYPE_CHECKING:
    from filelock import BaseFileLock

PREFIX = ".cspadn-"
_OWNED, _BEFORE, _NEW = ".cspadn.owned", "before", "new"  # in a private folder: its lock; what an output replaced, if anything
_HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none
_JUNCTION = getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)  # a link between folders of Windows
_WAITING = {signal.SIGINT, signal.SIGTERM, _HANGUP}
_PATIENCE, _SOME_TIME = 60, 3600  # seconds: for others that give their outputs their names; until a new folder is locked


def check_names(paths: Iterable[Path]) -> None:
    """InputError where a name is no UTF-8: image libraries end the whole program over it."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            shown = str(path).encode(errors="backslashreplace").decode()
            raise InputError(message("name-not-utf8", path=shown)) from None


def is_link(path: Path) -> bool:
    """Return whether a path is a link, or a junction of Windows."""
    try:
        return path.is_symlink() or getattr(path.lstat(), "st_reparse_tag", 0) == _JUNCTION
    except (OSError, ValueError):
        return False


def check_no_links(folder: Path, paths: Iterable[Path]) -> None:
    """Check that outputs below a folder do not lead out of it.

    Args:
        folder: of the outputs, as the user gave it; it may be a link itself.
        paths: files and folders below it, which need not exist.

    Raises:
        UsageError: one of them, or a folder between, is a link. Such links may have come with the data.
    """
    for path in paths:
        for part in (path, *path.parents):
            if part == folder:
                break
            if is_link(part):
                raise UsageError(message("output-is-link", path=part))


def check_different(pet: Path, mri: Path) -> None:
    """InputError where both are one file or folder; what is not there is told when it is read."""
    with suppress(OSError, ValueError):
        if pet.samefile(mri):
            raise InputError(message("pet-and-mri-identical", path=pet))


class PrivateFolder:
    """A new folder that only its user reads, and that goes with all that is in it.

    A process that is killed leaves its folder: whoever makes one in the same place removes it. Where a file system knows no
    locks, it stays.

    Args:
        parent: where it is made; OSError where it cannot be.
        prefix: of its name, and of those that are looked at as left.
    """

    def __init__(self, parent: Path, prefix: str = PREFIX) -> None:
        made = False
        try:
            with _alone() as alone, _undisturbed():
                _clear(parent, prefix, alone)
                self._make(parent, prefix)
                made = True
        except BaseException:  # a signal that had to wait
            if made:
                self.remove()
            raise

    def _make(self, parent: Path, prefix: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{prefix}{_NEW}-{_own()}-", dir=parent))
        self._lock = _lock(self.path / _OWNED)
        with suppress(OSError):
            self._lock.acquire(blocking=False)
        with suppress(OSError):  # Windows renames no folder in which a file is open
            self.path = self.path.rename(parent / self.path.name.replace(f"{_NEW}-{_own()}", _here(), 1))

    def remove(self) -> None:
        """What cannot be removed stays, and says nothing."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def private_folder(prefix: str) -> Iterator[Path]:
    """Return a private folder for temporary files, which is removed with the context; UsageError where none can be made."""
    parent = temporary_folder()
    try:
        folder = PrivateFolder(parent, prefix)
    except OSError as error:
        raise UsageError(message("output-not-written", path=parent, why=error.strerror or error)) from None
    try:
        yield folder.path
    finally:
        folder.remove()


def clear(parent: Path) -> None:
    """Remove what killed processes left in a folder; where a new private folder is made there, that is done anyway."""
    with _alone() as alone, _undisturbed():
        _clear(parent, PREFIX, alone)


def _clear(parent: Path, prefix: str, alone: bool) -> None:
    """Not the folders of other computers, which may know nothing of our locks.

    One that has no lock yet is removed by whoever is alone with it, and by others after some time.
    """
    for path in parent.glob(f"{prefix}{_here()}-*"):
        _remove_abandoned(path)
    for path in parent.glob(f"{prefix}{_NEW}-*"):
        with suppress(OSError):
            ours = alone and path.name.startswith(f"{prefix}{_NEW}-{_own()}-")
            if not path.is_symlink() and (ours or time.time() - path.stat().st_mtime > _SOME_TIME):
                shutil.rmtree(path, ignore_errors=True)


def _here() -> str:
    """This computer, in a few letters."""
    return _letters(platform.node())


def _own() -> str:
    """Those that :func:`_alone` keeps apart."""
    return _letters(str(lock_folder()), platform.node())


def _letters(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode(errors="surrogateescape")).hexdigest()[:6]


def _lock(path: Path) -> BaseFileLock:
    from filelock import FileLock  # comes with torch, which Slicer may not have yet when this module is imported

    return FileLock(path, mode=0o600, thread_local=False, fallback_to_soft=False)


def _remove_abandoned(folder: Path) -> None:
    """A folder of ours whose lock can be had has no process any more; one of another user stays."""
    owned = folder / _OWNED
    with suppress(OSError):  # another user's folder cannot even be entered
        if owned.is_symlink() or not owned.is_file():
            return
        (lock := _lock(owned)).acquire(blocking=False)
        if os.name == "nt":  # removes no file that is open
            lock.release()
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


@contextmanager
def _alone() -> Iterator[bool]:
    """No other process of this user's, on this computer, is here at the same time: true, but where there are no locks.

    UsageError where one stays too long.
    """
    from filelock import Timeout

    folder, alone = lock_folder(), False
    if folder is None:  # no locks here: that two runs write the same at the same moment is rare
        yield alone
        return
    lock = _lock(folder / "names.lock")
    try:
        lock.acquire(timeout=_PATIENCE)
        alone = True
    except Timeout:
        raise UsageError(message("output-lock-held", path=lock.lock_file, seconds=_PATIENCE)) from None
    except OSError:  # the file system has no locks
        pass
    try:
        yield alone
    finally:
        lock.release()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP wait until it is over."""
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # only there signals can be handled
        handlers = {
            each: signal.signal(each, lambda number, _: came.append(number))
            for each in _WAITING
            if signal.getsignal(each) != signal.SIG_IGN
        }
    try:
        yield
    finally:
        for each, handler in handlers.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


class Staged(NamedTuple):
    """An output under a temporary name.

    Attributes:
        folder: holds it alone.
        temporary, path: the name it has, and the one it is to have.
    """

    folder: PrivateFolder
    temporary: Path
    path: Path


def stage(path: Path, suffix: str, write: Callable[[Path], object]) -> Staged:
    """Have ``write`` write a file, or make a folder, under a temporary name beside ``path``.

    Raises:
        UsageError: it cannot be written; nothing is left.
        MemoryExhaustedError: there is no memory for it; nothing is left.
    """
    if is_link(path):  # its target may be any file of the user
        raise UsageError(message("output-is-link", path=path))
    path = path.resolve()
    try:
        folder = PrivateFolder(path.parent)
    except OSError as error:
        raise UsageError(message("output-not-written", path=path, why=error.strerror or error)) from None
    temporary = folder.path / f"output{suffix}"
    try:
        if suffix:
            temporary.touch(mode=0o600)  # which the image libraries keep
        write(temporary)
        _flush(temporary)
    except BaseException as error:
        folder.remove()
        if is_out_of_memory(error):
            raise MemoryExhaustedError(message("memory-to-write", path=path)) from None
        if not isinstance(error, (OSError, RuntimeError, UnicodeError)):
            raise
        raise UsageError(message("output-incomplete", path=path)) from None
    return Staged(folder, temporary, path)


def _flush(path: Path) -> None:
    """To the disk: else a name may come through a power failure without what it names."""
    for file in (each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())


def commit(stages: Iterable[Callable[[], Staged]], *, overwrite: bool, last_first: bool = False) -> None:
    """Write each output under its temporary name, and only when all are written, give them their names.

    Of two that write the same outputs at the same time, all are of one.

    Args:
        overwrite: whether what has come there meanwhile may be replaced.
        last_first: what is written last has its name first: so a kill in between leaves what tells of the others.

    Raises:
        UsageError: a name cannot be given. Whatever is raised, no temporary file is left.
    """
    staged: list[Staged] = []
    try:
        staged.extend(make() for make in stages)
        with _alone(), _undisturbed():
            _give_names(staged[::-1] if last_first else staged, overwrite)
    finally:
        for each in staged:
            each.folder.remove()


def _give_names(staged: list[Staged], overwrite: bool) -> None:
    if not overwrite and (there := next((each.path for each in staged if _is_taken(each.path)), None)):
        raise UsageError(message("output-created-meanwhile", path=there))
    given: list[Staged] = []
    for each in staged:
        try:
            _give_name(each)
        except OSError as error:
            for other in reversed(given):
                _take_back(other)
            raise UsageError(message("output-not-written", path=each.path, why=error.strerror or error)) from None
        given.append(each)


def _give_name(staged: Staged) -> None:
    """What was there is kept aside, as far as the file system can: until all have their names, they may be taken back."""
    folder, temporary, path = staged
    temporary.chmod((0o777 if temporary.is_dir() else 0o666) & ~umask())
    if path.is_dir() and any(path.iterdir()):
        path.rename(folder.path / _BEFORE)
    elif path.is_dir():
        path.rmdir()  # an empty one, in which a study is put; Windows replaces none
    elif path.exists():
        with suppress(OSError):
            os.link(path, folder.path / _BEFORE)
    else:
        (folder.path / _NEW).touch(mode=0o600)
    temporary.replace(path)


def _take_back(staged: Staged) -> None:
    folder, temporary, path = staged
    with suppress(OSError):
        if (folder.path / _BEFORE).exists():
            (folder.path / _BEFORE).replace(path)
        elif (folder.path / _NEW).exists():
            path.replace(temporary)


def _is_taken(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def umask() -> int:
    """The permissions that the user's new files do not have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
