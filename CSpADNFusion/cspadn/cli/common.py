"""Arguments, settings and the progress bar that several commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from cspadn.errors import UsageError
from cspadn.runtime.terminal import emit
from cspadn.settings import DEFAULT_PALETTE, GRIDS, PALETTES, FusionSettings

# torch reads these on import. Without them it keeps kernels for hundreds of window sizes (docs/benchmarks.md, memory).
_KERNELS_KEPT = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32", "LRU_CACHE_CAPACITY": "1"}


def add_settings(command: argparse.ArgumentParser) -> None:
    """Add the settings of a fusion, and ``--progress``."""
    command.add_argument("--palette", metavar="NAME", help=f"of its hues: {', '.join(PALETTES)}; default: {DEFAULT_PALETTE}")
    command.add_argument("--grid", choices=GRIDS, default="mri", help="whose voxels the result has; default: mri")
    add_suv(command)
    command.add_argument("--model", metavar="NAME|FILE", help="a name of 'cspadn models', or a .safetensors file")
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    command.add_argument(
        "--half", action="store_true", help="half precision, on a GPU: faster, at most 0.003 of the range apart"
    )
    add_windows(command, "in the volume's units; default: by percentiles")
    command.add_argument("--progress", choices=("bar", "json", "none"), default="bar", help="default: bar, on a terminal")


def add_windows(command: argparse.ArgumentParser, help_text: str) -> None:
    """Add the windows of PET and MRI."""
    for kind in ("pet", "mri"):
        command.add_argument(f"--{kind}-window", type=float, nargs=2, metavar=("LO", "HI"), help=help_text)


def add_suv(command: argparse.ArgumentParser) -> None:
    """Add ``--suv``."""
    command.add_argument("--suv", action="store_true", help="scale a DICOM PET to SUV by body weight first")


def settings_of(options: argparse.Namespace) -> FusionSettings:
    """Return the settings that the arguments of :func:`add_settings` give.

    Raises:
        UsageError: a palette is given, but no output has colours.
    """
    names = ("model", "device", "grid", "pet_window", "mri_window", "palette", "half")
    given = {name: getattr(options, name) for name in names}
    if options.color:
        given["palette"] = options.palette or DEFAULT_PALETTE
    elif options.palette and not getattr(options, "report", None):
        raise UsageError("A palette is for a colour volume or a page: name its file with --color or --report.")
    return FusionSettings(**{name: value for name, value in given.items() if value is not None})


def limit_kernels() -> None:
    """Limit the memory of torch's kernel caches; call it before torch is imported."""
    for name, count in _KERNELS_KEPT.items():
        os.environ.setdefault(name, count)


def progress_display(kind: str, title: str) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """Return a context manager that gives the function to call with the slices done and in all, or None.

    Args:
        kind: "json" prints events, "bar" draws a bar if stderr is a terminal, "none" shows nothing.
        title: what is done, such as "Fusing".
    """
    if kind == "json":
        return nullcontext(lambda done, total: emit("progress", step=title, done=done, total=total))
    if kind == "bar" and sys.stderr.isatty():
        return _Bar(title)
    return nullcontext(None)


class _Bar:
    """A progress bar on stderr."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Callable[[int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(self._title), BarColumn(), MofNCompleteColumn(), TextColumn("slices"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(self._title, total=None)
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
