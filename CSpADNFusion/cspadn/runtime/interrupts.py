"""Ctrl-C and the signals that ask a process to end: as exceptions, so that temporary files are removed, and not lost."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_AGAIN_SECONDS = 0.05


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived. Like KeyboardInterrupt it is not an Exception, so that no error handler catches it."""


@contextmanager
def as_exceptions() -> Iterator[None]:
    """Raise :class:`Terminated` for SIGTERM and SIGHUP; let neither it nor KeyboardInterrupt be lost in a destructor."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals only there
        yield
        return
    before = {each: signal.signal(each, _terminated) for each in _ends() if signal.getsignal(each) != signal.SIG_IGN}
    try:
        with _not_lost():
            yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _ends() -> list[signal.Signals]:
    """Return the signals that ask a process to end; that of a closed terminal is ignored below ``nohup``."""
    signals = [signal.SIGTERM]
    if sys.platform != "win32":
        signals.append(signal.SIGHUP)
    return signals


def _terminated(*_: object) -> None:
    raise Terminated


@contextmanager
def _not_lost() -> Iterator[None]:
    """Send a signal again whose exception ended in a destructor or a similar callback, where Python prints it and goes on.

    Dask's futures, for example, wake another thread in theirs.
    """
    before, timers, main = sys.unraisablehook, list[threading.Timer](), threading.get_ident()

    def again(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        number = signal.SIGTERM if issubclass(lost.exc_type, Terminated) else signal.SIGINT
        timer = threading.Timer(_AGAIN_SECONDS, _send, [number, main])  # once the destructor, with this hook, is over
        timer.daemon = True
        timer.start()
        timers.append(timer)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()


def _send(number: signal.Signals, thread: int) -> None:
    """Send a signal to the main thread, also while it waits."""
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(thread, number)
