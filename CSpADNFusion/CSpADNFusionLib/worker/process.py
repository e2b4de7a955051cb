"""Launch of the command line in a process beside Slicer, which keeps the window responsive and torch out of Slicer."""

import os

import slicer

from cspadn.runtime.processes import module_command, safe_variables


def launch(arguments, folder, onLine, onExit):
    """Start ``cspadn`` and return the process at once. It imports nothing from its working folder.

    :param arguments: list of command line arguments.
    :param folder: working folder of the process.
    :param onLine: called with each line of output, from Slicer's event loop.
    :param onExit: called with the exit code, after the last line.
    """
    # Waiting threads must not spin: Slicer draws on the same cores, and they would block each other.
    waiting = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    return slicer.util.launchConsoleProcess(
        [*module_command("cspadn"), *arguments],
        useStartupEnvironment=False,
        updateEnvironment={**safe_variables(), "PYTHONIOENCODING": "utf-8", "OMP_WAIT_POLICY": waiting},
        cwd=str(folder),
        blocking=False,
        logCallback=onLine,
        completedCallback=onExit,
    )
