"""What a command prints, and what it keeps libraries from printing."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from cspadn.errors import FusionError, MemoryExhaustedError, MissingPackageError
from cspadn.messages import message
from cspadn.runtime.memory import is_out_of_memory

_STDERR = 2  # its file descriptor
_alone = threading.Lock()  # of a process there is one stderr


def emit(event: str, **fields: Any) -> None:
    """One event of ``--progress json``: a line of JSON."""
    print(json.dumps({"event": event, **fields}), flush=True)


def in_one_line(text: str) -> str:
    """What the name of a file may hold, such as line breaks and commands to the terminal, as escapes."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def explained(error: Exception, *, on_terminal: bool = False) -> FusionError:
    """Return the error with one sentence for the user, for an exception that is not a :class:`FusionError`.

    Args:
        on_terminal: whether the sentence says how to run the command again with a traceback.
    """
    if isinstance(error, ModuleNotFoundError):
        return MissingPackageError(message("package-missing", package=error.name))
    if is_out_of_memory(error):
        return MemoryExhaustedError(message("memory-exhausted"))
    kind, first_line = type(error).__name__, next(iter(str(error).splitlines()), "")
    if on_terminal:
        return FusionError(message("unexpected-error-on-terminal", kind=kind, text=first_line))
    return FusionError(message("unexpected-error", kind=kind, text=first_line))


def open_standard_streams() -> None:
    """Open those that the caller has closed: else a file that is opened later gets their number, and is written into."""
    if sys.platform != "win32":
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest free number
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def take_all_letters() -> None:
    """Names may hold letters that the encoding of a terminal or a pipe has not: they are shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence_libraries() -> None:
    """Their remarks on harmless headers; those of pydicom quote what stands there, which may be personal."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    warnings.filterwarnings("ignore", category=UserWarning)
    for name in ("matplotlib", "pydicom"):  # that of matplotlib tells of its cache
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def quiet() -> Iterator[None]:
    """What image libraries write to stderr by themselves goes nowhere: it is for programmers, and may quote headers."""
    with _alone, ExitStack() as after:
        with suppress(OSError):  # there may be no stderr
            after.callback(os.close, kept := os.dup(_STDERR))
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), _STDERR)
            after.callback(os.dup2, kept, _STDERR)
        yield
