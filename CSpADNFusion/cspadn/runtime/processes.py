"""Start Python processes that import nothing from the working folder, or from folders of other users."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
_SAFE_PATH = "PYTHONSAFEPATH"  # from Python 3.11 on: no working folder in the module path
HONOURS_SAFE_PATH = sys.version_info >= (3, 11)


def python_executable() -> str:
    """Return the path of the interpreter; in Slicer, of its launcher for Python."""
    found = shutil.which("PythonSlicer")
    if found or not sys.executable:  # an application that embeds Python may not name an interpreter
        return found or ""
    beside = Path(sys.executable).with_name("PythonSlicer" + (".exe" if os.name == "nt" else ""))
    return str(beside if beside.exists() else sys.executable)


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of this package with a safe module path, without its arguments."""
    return [python_executable(), str(PACKAGE / "run_module.py"), module]


def safe_variables() -> dict[str, str]:
    """Return the environment variables with which a process, and its own processes, have a safe module path."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {_SAFE_PATH: "1", "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, given))}


@contextmanager
def safe_processes(folder: Path) -> Iterator[None]:
    """Give the processes that libraries start meanwhile a safe module path.

    Args:
        folder: working folder on Python 3.10, which knows no other way: absolute, and private to this user. It is not used by
            later versions.
    """
    before = {name: os.environ.get(name) for name in safe_variables()}
    here = Path.cwd() if not HONOURS_SAFE_PATH else None
    os.environ.update(safe_variables())
    if here is not None:
        os.chdir(folder)
    try:
        yield
    finally:
        if here is not None:
            os.chdir(here)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
