"""Arguments, settings and the progress bar that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.errors import CancelledError, UsageError
from cspadn.messages import message
from cspadn.palettes import DEFAULT_PALETTE
from cspadn.runtime.terminal import emit, quiet
from cspadn.settings import FusionSettings, described, flag

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.io.reader import VolumeReader

# torch reads these on import. Without the first two, a cohort would collect kernels for a thousand window sizes; the atlas has
# 246, and with fewer they would be compiled again and again. The last lets threads sleep while they wait for each other:
# where other programs want the cores too, a long slice took 100 seconds instead of 11 (docs/benchmarks.md).
_OF_TORCH = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",
    "LRU_CACHE_CAPACITY": "256",
    "OMP_WAIT_POLICY": "passive",
}

_WATCH_SECONDS = 0.2  # between two checks whether the application that started this process still runs


def add_settings(command: argparse.ArgumentParser, settings: type[FusionSettings] = FusionSettings) -> None:
    """Add an option for each setting of a fusion. The value of an option that is not given is None: the default holds."""
    for name, record in described(settings):
        if record.kind == "window":
            add_window(command, name, record.help)
        elif record.kind == "switch":
            command.add_argument(flag(name), action="store_true", default=None, help=record.help)
        else:
            command.add_argument(flag(name), metavar=record.metavar, help=record.help)


def add_progress(command: argparse.ArgumentParser) -> None:
    """Add ``--progress``."""
    command.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="how to show progress; default: bar, if stderr is a terminal",
    )


def add_cancel_file(command: argparse.ArgumentParser) -> None:
    """Add ``--cancel-file``."""
    command.add_argument("--cancel-file", type=Path, metavar="FILE", help="stop as soon as this file exists")


def add_window(command: argparse.ArgumentParser, name: str, help_text: str) -> None:
    """Add an option of two numbers."""
    command.add_argument(flag(name), type=float, nargs=2, metavar=("LO", "HI"), help=help_text)


def add_frames(command: argparse.ArgumentParser) -> None:
    """Add ``--frames`` to a command that has no other settings."""
    (record,) = (record for name, record in described() if name == "frames")
    command.add_argument("--frames", metavar=record.metavar, help=record.help)


def add_suv(command: argparse.ArgumentParser) -> None:
    """Add ``--suv``."""
    command.add_argument("--suv", action="store_true", help="scale a DICOM PET to SUV by body weight first")


def given_settings(options: argparse.Namespace, settings: type[FusionSettings] = FusionSettings) -> dict[str, Any]:
    """Return the settings that the options of :func:`add_settings` give, by name, without those left at their defaults."""
    values = {name: getattr(options, name) for name, _ in described(settings)}
    return {name: value for name, value in values.items() if value is not None}


def settings_of(options: argparse.Namespace) -> FusionSettings:
    """Return the settings of ``cspadn fuse`` or ``cspadn cohort``.

    Raises:
        UsageError: a palette is given, but no output has colours; or as :class:`cspadn.FusionSettings`.
    """
    given, colored = given_settings(options), options.color or getattr(options, "dicom", False)
    if colored:
        given["palette"] = options.palette or DEFAULT_PALETTE
    settings = FusionSettings(**given)  # an unknown palette is the first thing to say about it
    if settings.palette and not (colored or getattr(options, "report", None)):
        raise UsageError(message("palette-without-output"))
    return settings


def prepare_torch() -> None:
    """Limit the memory of torch's kernel caches, and let its idle threads sleep; call it before torch is imported."""
    for name, value in _OF_TORCH.items():
        os.environ.setdefault(name, value)


def cancelled_by(file: Path | None) -> Callable[[], bool] | None:
    """Return the function that tells whether to stop: the cancel file exists."""
    return None if file is None else file.exists


@contextmanager
def watching(file: Path | None) -> Iterator[None]:
    """End the process at once if the folder of the cancel file is removed: then nobody waits for a result."""
    if file is None:
        yield
        return
    folder, over = file.resolve().parent, threading.Event()
    if not folder.is_dir():
        raise UsageError(message("cancel-folder-missing", path=file))

    def watch() -> None:
        while folder.is_dir():
            if over.wait(_WATCH_SECONDS):
                return
        if not over.is_set():  # the run may have ended between the wait and the look at the folder
            os._exit(CancelledError.exit_code)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def pair_reader(options: argparse.Namespace) -> AbstractContextManager[VolumeReader | None]:
    """Return the process that reads the inputs; it starts at once, while this one imports.

    Files beside the cancel file were written by the application that started this process: it reads them itself.
    """
    from cspadn.io.reader import VolumeReader

    own = options.cancel_file and options.pet.parent == options.mri.parent == options.cancel_file.parent
    return nullcontext() if own else VolumeReader()


def read_pair(options: argparse.Namespace, reader: VolumeReader | None, **of_pet: Any) -> tuple[sitk.Image, sitk.Image]:
    """Return PET and MRI.

    Args:
        reader: from :func:`pair_reader`.
        of_pet: further arguments of :func:`cspadn.io.images.read_in_process` for the PET.
    """
    from cspadn.io.images import read_image, read_in_process

    if reader is None:
        with quiet():
            return read_in_process(options.pet, "The PET", **of_pet), read_in_process(options.mri, "The MRI")
    return read_image(options.pet, "The PET", reader=reader, **of_pet), read_image(options.mri, "The MRI", reader=reader)


def progress_display(kind: str, title: str, unit: str = "slices") -> AbstractContextManager[Callable[[int, int], None] | None]:
    """Return a context manager that gives the function to call with the slices, or other units, done and in all; or None.

    Args:
        kind: "json" prints events, "bar" draws a bar if stderr is a terminal, "none" shows nothing.
        title: what is done, such as "Fusing".
        unit: what is counted.
    """
    if kind == "json":
        return nullcontext(lambda done, total: emit("progress", step=title, done=done, total=total))
    if kind == "bar" and sys.stderr.isatty():
        return _Bar(title, unit)
    return nullcontext(None)


class _Bar:
    """A progress bar on stderr."""

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit

    def __enter__(self) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(self._title), BarColumn(), MofNCompleteColumn(), TextColumn(self._unit), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(self._title, total=None)
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
