"""Share one reading process among tests: starting one takes a second of processor time.

It is the real process with the real protocol. Only its start and its end are shared, as long as the working folder and the
environment stay the same, and as long as it has answered every request with a volume.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cspadn.io.reader import VolumeReader

_START, _READ, _CLOSE = VolumeReader._start, VolumeReader.read, VolumeReader.close


class SharedReader:
    """Keep the process of a closed :class:`VolumeReader` for the next one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ready, self._owner = False, os.getpid()
        self._made_in: object = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let readers take and leave the process until the end of the test."""
        monkeypatch.setattr(VolumeReader, "_start", lambda reader: self._start(reader))
        monkeypatch.setattr(VolumeReader, "read", _read)
        monkeypatch.setattr(VolumeReader, "close", lambda reader: self._close(reader))

    def end(self) -> None:
        """End the process; a fork of the tests leaves that to them."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                pipe.close()
            process.wait()

    def _start(self, reader: Any) -> None:
        reader.circumstances, reader.is_clean = _circumstances(), True
        if self._process is None or self._made_in != reader.circumstances or self._process.poll() is not None:
            self.end()
            _START(reader)
            return
        reader._process, reader._ready, reader._late = self._process, self._ready, False
        self._process = None

    def _close(self, reader: Any) -> None:
        process = reader._process
        if process is None or process.poll() is not None or not reader.is_clean or self._process is not None:
            _CLOSE(reader)
            return
        self._process, self._ready, self._made_in = process, reader._ready, reader.circumstances
        reader._process = None


def _read(reader: Any, *arguments: Any, **options: Any) -> Any:
    reader.is_clean = False  # after an error, a part of the answer may be left in the pipe
    image = _READ(reader, *arguments, **options)
    reader.is_clean = True
    return image


def _circumstances() -> object:
    """Return what a process takes from the one that starts it."""
    return os.getpid(), Path.cwd(), {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
