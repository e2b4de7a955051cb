"""What the command lines of the training have in common."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from lightning.pytorch.utilities import rank_zero_only

from cspadn.errors import FusionError, InputError


def run(name: str, work: Callable[[], object]) -> int:
    """Do the work and return the exit code; an error is one line on stderr, from the first process alone."""
    try:
        work()
    except FusionError as error:
        return _fail(name, str(error), error.exit_code)
    except FileNotFoundError as error:
        return _fail(name, f"{error.filename} does not exist: check the name.", InputError.exit_code)
    except OSError as error:
        return _fail(name, f"{error.filename or 'A file'}: {error.strerror or error}.", InputError.exit_code)
    except ValueError as error:
        return _fail(name, str(error), InputError.exit_code)
    return 0


def _fail(name: str, message: str, code: int) -> int:
    _say(f"{name}: {message}")
    return code


@rank_zero_only
def _say(line: str) -> None:
    print(line, file=sys.stderr)


def count(text: str) -> int:
    """An argument that counts something."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)
