"""Launch of ``python -m cspadn`` in a process beside Slicer, which keeps the window responsive and torch out of Slicer."""

import os
import shutil
import sys
from pathlib import Path

import slicer

MODULE_FOLDER = Path(__file__).resolve().parents[2]


def pythonExecutable():
    """Return the path of Slicer's Python launcher, or of the running interpreter if there is no application."""
    beside = Path(sys.executable).with_name("PythonSlicer" + (".exe" if os.name == "nt" else ""))
    return shutil.which("PythonSlicer") or str(beside if beside.exists() else sys.executable)


def launch(arguments, folder, onLine, onExit):
    """Start ``python -m cspadn`` and return the process at once.

    :param arguments: list of command line arguments.
    :param folder: working folder of the process.
    :param onLine: called with each line of output, from Slicer's event loop.
    :param onExit: called with the exit code, after the last line.
    """
    # Waiting threads must not spin: Slicer draws on the same cores, and they would block each other.
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
