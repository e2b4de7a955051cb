"""``python -m cspadn`` as a process beside Slicer, so that its window stays alive and needs no torch."""

import os
import shutil
import sys
from pathlib import Path

import slicer

MODULE_FOLDER = Path(__file__).resolve().parents[2]


def pythonExecutable():
    """Slicer's Python, with Slicer's libraries; the running interpreter where there is no application."""
    beside = Path(sys.executable).with_name("PythonSlicer" + (".exe" if os.name == "nt" else ""))
    return shutil.which("PythonSlicer") or str(beside if beside.exists() else sys.executable)


def launch(arguments, folder, onLine, onExit):
    """Start ``python -m cspadn`` with its arguments and return at once.

    :param folder: working folder of the process.
    :param onLine: called with each line of its output, from Slicer's event loop.
    :param onExit: called with its exit code, after its last line.
    """
    # Threads that wait must not spin: Slicer draws on the same cores, and each would wait for the other.
    waiting = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    path = os.pathsep.join([str(MODULE_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    return slicer.util.launchConsoleProcess(
        [pythonExecutable(), "-m", "cspadn", *arguments],
        useStartupEnvironment=False,
        updateEnvironment={"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "OMP_WAIT_POLICY": waiting},
        cwd=str(folder),
        blocking=False,
        logCallback=onLine,
        completedCallback=onExit,
    )
