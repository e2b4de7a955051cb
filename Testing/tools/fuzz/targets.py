"""What is fuzzed: each reader of what is ours as a function of bytes, which raises where the reader does not keep its word.

None needs the fuzzer: Testing/acceptance/test_fuzz.py calls them as well. They import when they are called, so
that the fuzzer can see to it that it hears of what is reached.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

ENDINGS = (b".nii", b".nii.gz", b".nrrd", b".mha", b".png", b".hdr", b".nhdr", b".mhd", b".dat")  # of files with volumes
HASH = b"@"  # in a card stands for the SHA-256 of its weights, which no fuzzer guesses
_SECONDS, _BYTES = 8, 2**30  # of the processor, and of address space, that refusing or reading a small file may take


@contextmanager
def _bounded() -> Iterator[None]:
    """AssertionError where it takes long; where it asks for much memory, it gets none and fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _BYTES, hard))
    start = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    seconds = time.process_time() - start
    assert seconds < _SECONDS, f"it took {seconds:.1f} s"


@cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cspadn-fuzz-")


def _file(name: str, content: bytes) -> Path:
    path = Path(_temporary().name, name)
    path.write_bytes(content)
    return path


def weights(data: bytes) -> None:
    """A model: its card as the first line, then its weights.

    In the card, :data:`HASH` is right. Where the weights begin with a line of JSON, they are safetensors with this header.
    """
    from cspadn.errors import ModelError
    from cspadn.models.weights import load_model

    card, _, rest = data.partition(b"\n")
    content = _safetensors(rest)
    _file("model.json", card.replace(HASH, hashlib.sha256(content).hexdigest().encode()))
    with _bounded(), suppress(ModelError):
        network = load_model(_file("model.safetensors", content)).network
        assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


def _safetensors(data: bytes) -> bytes:
    header, _, tensors = data.partition(b"\n")
    return len(header).to_bytes(8, "little") + header + tensors if header.startswith(b"{") else data


def card(data: bytes) -> None:
    """A model card alone."""
    from cspadn.errors import ModelError
    from cspadn.models.weights import read_card

    with _bounded(), suppress(ModelError):
        read = read_card(_file("card.json", data))
        texts = {name: getattr(read, name) for name in ("name", "version", "description", "architecture", "sha256", "date")}
        assert all(isinstance(text, str) for text in texts.values()), texts
        assert type(read.training) is type(read.metrics) is dict
        assert (read.name + read.version).isprintable()


def pairs(data: bytes) -> None:
    """A list of pairs, and the names of its outputs: no file belongs to two pairs, and all are in the folder for them."""
    from cspadn.cohort.folder import PlainFolder
    from cspadn.cohort.sources import PairList
    from cspadn.errors import UsageError

    layout = PlainFolder(Path("folder"), colored=True, measured=True)
    with _bounded(), suppress(UsageError):
        named = layout.named(PairList(_file("pairs.csv", data)).pairs())
        each = [layout.files(pair) for pair in named if not pair.obstacle]
        files = [file for one in each for file in (*one.outputs.values(), one.sidecar)]
        assert all(file.parent == Path("folder") and file.suffix for file in files), files
        assert len({str(file).casefold() for file in files}) == len(files), files


def settings(data: bytes) -> None:
    """Settings of any type, as a program gives them: a JSON object of the fields of FusionSettings."""
    from cspadn.errors import ModelError, UsageError
    from cspadn.models.weights import load_model
    from cspadn.settings import MODELS, FusionSettings

    check, given = _checker(), _json(data)
    names = {field.name for field in fields(FusionSettings)}
    with _bounded(), suppress(UsageError, ModelError):
        chosen = FusionSettings(**{name: value for name, value in given.items() if name in names})
        check(chosen)
        if chosen.model not in MODELS:
            load_model(chosen.model)


def _json(data: bytes) -> dict[str, Any]:
    """Nothing where it is no object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _checker() -> Callable[[Any], None]:
    """Return the check of settings that fusing runs before it reads a volume. Importing it takes memory."""
    from cspadn.imaging.windowing import check_window
    from cspadn.runtime.device import resolve_device

    def check(chosen: Any) -> None:
        for name in ("pet_window", "mri_window"):
            if window := getattr(chosen, name):
                check_window(*window, name)
        assert isinstance(chosen.half, bool)
        resolve_device(chosen.device)

    return check


def arguments(data: bytes) -> None:
    """The command line, an argument per line, up to the settings that it gives."""
    from cspadn.cli import common, entry
    from cspadn.errors import UsageError

    code: Any = 2
    check, given = _checker(), [os.fsdecode(line) for line in data.split(b"\n")]
    with _bounded(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            options = entry._parser().parse_args(given)
            if options.command == "fuse":
                check(common.settings_of(options))
        except UsageError:
            pass
        except SystemExit as request:
            code = request.code
    assert code == 2 or (code == 0 and any(each.startswith("-") for each in given)), code  # 0: of --help and --version


def progress(data: bytes) -> None:
    """Lines of the worker: only what is of the right type reaches the panel, and nothing that Slicer could not show."""
    shown: list[Any] = []
    worker = _worker(shown)
    with mock.patch.object(logging, "exception", _raise_again), _bounded():
        for line in data.decode(errors="surrogateescape").split("\n"):
            worker._onLine(line)
        shown += [worker._failure(1), *worker.warnings, *worker._log]
    assert all(isinstance(text, str) for text in shown), shown
    "".join(shown).encode()


def volume(data: bytes) -> None:
    """A file with a volume, read as the process that reads volumes does it: its ending is the first line.

    A volume that is read twice has the same voxels: what is not in the file would be what lay in memory before.
    """
    ending, _, content = data.partition(b"\n")
    if ending in ENDINGS:
        _read_twice(_file(f"pet{ending.decode()}", content))


def dicom(data: bytes) -> None:
    """A DICOM file, alone in its folder; otherwise as :func:`volume`."""
    folder = Path(_temporary().name, "series")
    folder.mkdir(exist_ok=True)
    (folder / "1.dcm").write_bytes(data)
    _read_twice(folder)


def _read_twice(path: Path) -> None:
    import SimpleITK as sitk

    from cspadn.errors import FusionError
    from cspadn.io.images import read_in_process
    from cspadn.runtime.terminal import quiet

    with _bounded(), suppress(FusionError), quiet():
        first, second = (sitk.GetArrayFromImage(read_in_process(path, "The PET")).tobytes() for _ in range(2))
        assert first == second, "The voxels are not those of the file."


def _raise_again(*_: object) -> None:
    """What the worker only logs, since Slicer must go on."""
    raise


def _worker(shown: list[Any]) -> Any:
    """One without a process, which tells what a panel would show."""
    from slicer_application import application

    application.start()
    from CSpADNFusionLib.worker.fusion import FusionWorker
    from CSpADNFusionLib.worker.pair_worker import Callbacks

    def progressed(done: object, total: object, step: object) -> None:
        assert type(done) is type(total) is int, (done, total)
        assert 0 <= done <= total < 2**31, (done, total)
        shown.append(step)

    worker = FusionWorker.__new__(FusionWorker)
    worker._callbacks = Callbacks(progressed, None, None, shown.append)
    worker._log, worker.warnings, worker._error = deque(maxlen=20), [], None
    worker._cancelled = worker._closed = False
    return worker


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (weights, card, pairs, settings, arguments, progress, volume, dicom)
}
