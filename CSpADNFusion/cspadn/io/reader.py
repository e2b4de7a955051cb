"""Read volumes in a process of their own: a file that crashes a parser, or exploits it, does not reach this process.

The libraries that parse volumes (ITK with its copies of teem, GDCM, libpng and others) are written in C and C++. Nothing that
they return is unpickled, and the memory that they see holds nothing but the volumes of one pair. Why, and what it costs:
docs/adr/0028-reader-process.md.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cspadn import errors
from cspadn.errors import FusionError, InputError, MemoryExhaustedError
from cspadn.io.reader_process import LENGTH, READY
from cspadn.messages import Sentence, message
from cspadn.runtime.memory import free_main_memory, is_out_of_memory, process_left
from cspadn.runtime.processes import module_command, safe_variables

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

_MODULE = "cspadn.io.reader_process"
_MOST_SECONDS = 900  # until an answer comes; the process itself has a limit of processor time where the system knows it
_GRACE_SECONDS = 2.0  # for a process to end that has crashed
_MOST_TEXT = 2**26  # bytes of an answer without its voxels
_MOST_AXES = 6
_KINDS = "iufc"  # of numbers
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1")
_NO_WINDOW = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # of Windows
_SIGKILL = -9  # exit code after it, which the system sends when memory is short
_SIGXCPU = -24


class VolumeReader:
    """A process that reads volumes, one after the other, until the context ends. It is started at once.

    A reader is for the volumes of one pair. After a volume at which the process died, the next one has a new process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = self._late = False
        self._start()

    def __enter__(self) -> VolumeReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()  # it holds nothing that could be lost
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        process.wait()

    def read(self, path: Path, name: str, *, files: Sequence[Path] | None = None, **options: Any) -> sitk.Image:
        """Read a volume.

        Args:
            path: image file, or folder with one DICOM series.
            name: the volume's name in error messages.
            files: of the series, if they are not all files of the folder.
            options: as :func:`cspadn.io.images.read_in_process` takes them.

        Raises:
            InputError: as :func:`cspadn.io.images.read_in_process`, or the process died or did not end.
            MemoryExhaustedError: there is not enough memory.
        """
        if self._process is None:
            self._start()
        request = {
            "path": str(path),
            "name": name,
            "files": None if files is None else list(map(str, files)),
            "options": options,
        }
        timer = threading.Timer(_MOST_SECONDS, self._stop)
        timer.start()
        try:
            answer = self._asked(json.dumps(request).encode() + b"\n")
            if "error" in answer:
                raise _error(answer)
            return self._image(answer, name, path)
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):  # it died, or is no longer ours
            raise self._cause(name, path) from None
        finally:
            timer.cancel()

    def _start(self) -> None:
        environment = {**os.environ, **_ONE_THREAD, **safe_variables()}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        try:
            command = module_command(_MODULE)
            self._process = subprocess.Popen(command, env=environment, creationflags=_NO_WINDOW, **pipes)  # type: ignore[call-overload]  # noqa: S603
        except (OSError, MemoryError) as error:
            if is_out_of_memory(error) or isinstance(error, BlockingIOError):  # no process is left to this user
                raise MemoryExhaustedError(message("memory-exhausted")) from None
            raise FusionError(message("reader-not-started", why=getattr(error, "strerror", None) or error)) from None
        self._ready = self._late = False

    def _stop(self) -> None:
        self._late = True
        if self._process is not None:
            self._process.kill()

    def _asked(self, request: bytes) -> dict[str, Any]:
        assert self._process is not None
        given, taken = self._process.stdin, self._process.stdout
        assert given is not None
        assert taken is not None
        self._ready = self._ready or _exactly(taken, len(READY)) == READY
        given.write(request)
        given.flush()
        length = int.from_bytes(_exactly(taken, LENGTH), "little")
        if length > _MOST_TEXT:
            raise ValueError("too long")
        answer: dict[str, Any] = json.loads(_exactly(taken, length))
        return answer

    def _image(self, answer: dict[str, Any], name: str, path: Path) -> sitk.Image:
        import numpy as np
        import SimpleITK as sitk

        dtype, shape = np.dtype(str(answer["dtype"])), tuple(map(int, answer["shape"]))
        if dtype.kind not in _KINDS or not 0 < len(shape) <= _MOST_AXES or min(shape) < 1:
            raise ValueError("no volume")
        size, free = dtype.itemsize * math.prod(shape), free_main_memory()
        if free is not None and size > free:
            raise MemoryExhaustedError(message("volume-exceeds-memory", volume=name, path=path, gigabytes=size / 1e9))
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            voxels = np.empty(shape, dtype)
            _fill(self._process.stdout, voxels)
            image = sitk.GetImageFromArray(voxels, isVector=bool(answer["vector"]))
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise MemoryExhaustedError(message("memory-to-read", path=path)) from None
            raise
        for key in ("spacing", "origin", "direction"):
            getattr(image, f"Set{key.capitalize()}")([float(value) for value in answer[key]])
        for key, value in answer["metadata"].items():
            image.SetMetaData(str(key), str(value))
        return image

    def _cause(self, name: str, path: Path) -> FusionError:
        """Return why there was no answer."""
        ready, late = self._ready, self._late
        assert self._process is not None
        try:
            code = self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # it lives, and answers what it should not
            code = 0
        self.close()
        if late or code == _SIGXCPU:
            return InputError(message("image-reading-endless", volume=name, path=path))
        if code == _SIGKILL or (not ready and process_left() is not None):
            return MemoryExhaustedError(message("memory-to-read", path=path))
        if not ready:
            return FusionError(message("reader-not-started", why=f"exit code {code}"))
        return InputError(message("image-reader-died", volume=name, path=path))


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise EOFError
    return content


def _fill(stream: IO[bytes], voxels: np.ndarray[Any, Any]) -> None:
    left = voxels.data.cast("B")
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]


def _error(answer: dict[str, Any]) -> FusionError:
    """Return the error that the process tells."""
    kind = vars(errors).get(str(answer["error"]))
    if not (isinstance(kind, type) and issubclass(kind, FusionError)):
        kind = FusionError
    return kind(Sentence(str(answer["text"]), str(answer["identifier"]), dict(answer["fields"])))
