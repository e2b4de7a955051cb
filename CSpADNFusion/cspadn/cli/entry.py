"""The command line: its parser, its errors and its exit codes. Each command has a module of its own.

Exit codes: 0 done, 1 unexpected error, 2 wrong usage or a missing package, 3 input cannot be fused, 4 model refused, 5 out of
memory, 130 cancelled, 143 terminated. An error is one line on stderr; with ``--progress json`` it is also an event on stdout.
``cspadn --help`` imports no large package: the modules of the commands import them in functions.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from typing import NoReturn

from cspadn import __version__
from cspadn.cli import cohort, fuse, info, metrics, models, register
from cspadn.errors import CancelledError, FusionError, TerminatedError, UsageError
from cspadn.messages import message
from cspadn.run_module import clean_module_path
from cspadn.runtime.garbage import collect_rarely
from cspadn.runtime.interrupts import Terminated, as_exceptions
from cspadn.runtime.terminal import emit, explained, in_one_line, open_standard_streams, take_all_letters

_COMMANDS = (  # module, name, help, example
    (fuse, "fuse", "fuse a PET and an MRI", "PET.nii.gz MRI.nii.gz -o fused.nrrd --color color.nrrd --register rigid"),
    (register, "register", "register a PET to an MRI", "PET.nii.gz MRI.nii.gz -o pet_to_mri.tfm --report registration.html"),
    (metrics, "metrics", "compute fusion metrics of a fused image", "PET.nii.gz MRI.nii.gz fused.nrrd"),
    (
        cohort,
        "cohort",
        "fuse all pairs of a BIDS dataset, a list or a folder of DICOM studies",
        "BIDS BIDS/derivatives/cspadn --register rigid",
    ),
    (models, "models", "list the models", ""),
    (info, "info", "show versions and devices", ""),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None: those of the process.

    Returns:
        The exit code.

    Raises:
        SystemExit: from argparse: with code 2 for wrong usage, with code 0 for ``--help`` and ``--version``.
    """
    options = _options(arguments)
    try:
        with as_exceptions():
            return int(options.run(options))
    except FusionError as error:
        return _fail(options, error)
    except Terminated:
        return _fail(options, TerminatedError(message("run-terminated")))
    except KeyboardInterrupt:
        return _fail(options, CancelledError(message("run-interrupted")))
    except BrokenPipeError:  # the reader of the output is gone: a worker ends with its application
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CancelledError.exit_code
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        for_program = getattr(options, "progress", None) == "json"
        if for_program:  # the panel shows it in its log
            traceback.print_exc()
        return _fail(options, explained(error, on_terminal=not for_program))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the arguments, once the process is ready for them."""
    if arguments is None:  # it is a process of this command
        clean_module_path()
        collect_rarely()
    open_standard_streams()
    take_all_letters()
    return _parser().parse_args(arguments)


def _fail(options: argparse.Namespace, error: FusionError) -> int:
    """Print an error and return its exit code."""
    text = in_one_line(str(error))
    if getattr(options, "progress", None) == "json":
        emit("error", code=error.exit_code, identifier=error.identifier, message=text)
    print(f"cspadn: {text}", file=sys.stderr)
    return error.exit_code


class _Parser(argparse.ArgumentParser):
    """Report wrong usage in one line, without the commands to the terminal that a file's name may contain."""

    def error(self, text: str) -> NoReturn:
        self.exit(UsageError.exit_code, f"{self.prog}: error: {in_one_line(text)} (see '{self.prog} --help')\n")


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each command's options have its function as ``run``."""
    parser = _Parser(
        prog="cspadn", description="Fuse registered PET and MRI with CSpA-DN. Research use only, not for diagnosis."
    )
    parser.add_argument("--version", action="version", version=f"cspadn {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    for module, name, help_text, example in _COMMANDS:
        summary = f"{help_text[0].upper()}{help_text[1:]}. Research use only, not for diagnosis."
        epilog = f"example: cspadn {name} {example}" if example else None
        command = commands.add_parser(name, help=help_text, description=summary, epilog=epilog)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser
