"""Fuse many pairs of PET and MRI with 3D Slicer, without its window. Research use only, not for diagnosis.

    Slicer --no-splash --no-main-window --python-script fuse_batch.py -- --pairs pairs.csv --output FOLDER
    Slicer --no-splash --no-main-window --python-script fuse_batch.py -- --studies STUDIES --output FOLDER

Exit codes: 0 all pairs done, 1 any failed, 2 wrong usage or a missing package, 130 interrupted, 143 terminated.
"""

import argparse
import logging
import signal
import sys
from pathlib import Path

import slicer.util

NAME = "fuse_batch"
UNEXPECTED, WRONG_USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""

    exit_code = TERMINATED


def main(arguments):
    """Run the batch and return the exit code. Catch all exceptions: Slicer has no window here, and would keep running."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in Slicer, Ctrl-C would end the process at once
    signal.signal(signal.SIGTERM, _terminated)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminated)
    try:
        _makeImportable()
        return _run(_ownArguments(arguments))
    except KeyboardInterrupt as request:
        return getattr(request, "exit_code", INTERRUPTED)
    except Exception as error:
        logging.exception(f"{NAME}: unexpected error")
        _complain(f"unexpected error ({type(error).__name__}: {error}).")
        return UNEXPECTED


def _terminated(*_):
    raise Terminated


def _makeImportable():
    """Add the folder above that of this file to the module path if the module is not installed."""
    folder = str(Path(__file__).resolve().parent.parent)
    if not hasattr(slicer.modules, "cspadnfusion") and folder not in sys.path:
        sys.path.insert(0, folder)


def _ownArguments(arguments):
    """Return the arguments after "--", which ends Slicer's own arguments; some versions of Slicer remove it."""
    return arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments


def _run(arguments):
    from cspadn.errors import FusionError

    try:
        options = _parser().parse_args(arguments)
        _checkPackages()
        return _fuse(options)
    except SystemExit as request:  # of --help
        return request.code or 0
    except FusionError as error:
        _complain(error)
        return WRONG_USAGE


def _checkPackages():
    from cspadn.errors import MissingPackageError
    from CSpADNFusionLib.messages import message
    from CSpADNFusionLib.worker.torch_setup import missingPackages

    if missing := missingPackages():
        raise MissingPackageError(message("batch-packages-missing", packages=" and ".join(missing)))


def _fuse(options):
    from cspadn.cli.common import given_settings
    from cspadn.cohort.batch import fuse_into_folder
    from cspadn.cohort.sources import PairList, StudyFolder
    from cspadn.settings import FusionSettings

    _checkUsage(options)
    source = PairList(options.pairs) if options.pairs else StudyFolder(options.studies, options.output)
    return fuse_into_folder(
        source,
        options.output,
        FusionSettings(**given_settings(options)),
        measured=options.metrics,
        suv=options.suv,
        dicom=options.dicom,
        overwrite=options.overwrite,
        say=_say,
    )


def _say(line):
    from cspadn.runtime.terminal import in_one_line

    print(in_one_line(line), flush=True)
    slicer.app.processEvents()  # writes the line to Slicer's log


def _checkUsage(options):
    from cspadn.errors import UsageError
    from cspadn.io.atomic_output import check_names
    from CSpADNFusionLib.messages import message

    if (options.pairs is None) == (options.studies is None):
        raise UsageError(message("batch-input-missing"))
    if options.output is None:
        raise UsageError(message("batch-output-missing"))
    check_names(path for path in (options.pairs, options.studies, options.output) if path)


class _Parser(argparse.ArgumentParser):
    """Raise a UsageError for wrong arguments: argparse itself would end the program."""

    def error(self, text):
        from cspadn.errors import UsageError
        from CSpADNFusionLib.messages import message

        raise UsageError(message("batch-wrong-usage", text=text))


def _parser():
    from cspadn.cli.common import add_settings, add_suv

    parser = _Parser(prog=NAME, allow_abbrev=False, description="Fuse many pairs of PET and MRI with CSpA-DN.")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE.csv",
        help="UTF-8 table with the columns pet, mri and, optionally, output; relative paths start at its folder",
    )
    parser.add_argument(
        "--studies", type=Path, metavar="FOLDER", help="instead of --pairs: folder with one folder per DICOM study"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder for the fused volumes and summary.csv")
    add_settings(parser)
    parser.add_argument("--metrics", action="store_true", help="also write a table with the metrics of each slice")
    add_suv(parser)
    parser.add_argument("--dicom", action="store_true", help="also write each pair as a DICOM study")
    parser.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    return parser


def _complain(text):
    """Print an error; file names may contain bytes that are not UTF-8."""
    shown = "".join(
        each if each.isprintable() else ascii(each)[1:-1] for each in str(text)
    )  # without in_one_line: the library may be missing
    print(f"{NAME}: {shown}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    slicer.util.exit(main(sys.argv[1:]))
