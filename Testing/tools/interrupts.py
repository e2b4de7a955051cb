"""Ctrl-C for programs that a shell has started in the background, where it has them ignore it."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Let SIGINT interrupt this process and those that it starts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
