"""Functions that the commands of the training share."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable

from cspadn.errors import FusionError, InputError


def run(name: str, work: Callable[[], object]) -> int:
    """Call ``work`` and return the exit code. An error is printed as one line on stderr, by the first process only."""
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


def help_text(docstring: str | None) -> str:
    """Return the docstring of a module without its markup, for ``--help``."""
    return re.sub(r"(?::\w+:)?`+~?([^`]+)`+", r"\1", docstring or "")


def _fail(name: str, message: str, code: int) -> int:
    _say(f"{name}: {message}")
    return code


def _say(line: str) -> None:
    from lightning.pytorch.utilities import rank_zero_only

    rank_zero_only(print)(line, file=sys.stderr)


def count(text: str) -> int:
    """Parse a whole number from 1 on, for argparse."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)
