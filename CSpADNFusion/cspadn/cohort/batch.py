"""Fuse the pairs of a source into a plain folder, one after the other in this process. It needs no Dask."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from cspadn.cohort.engine import Job
from cspadn.cohort.folder import PlainFolder, make_folder
from cspadn.cohort.progress import Progress, print_line
from cspadn.cohort.runner import SerialRunner
from cspadn.cohort.sources import PairList, Source
from cspadn.cohort.summary import Summary
from cspadn.errors import FusionError
from cspadn.io.input_files import with_voxel_files
from cspadn.runtime.terminal import explained
from cspadn.settings import FusionSettings


def fuse_into_folder(
    source: Source,
    folder: Path,
    settings: FusionSettings,
    *,
    measured: bool = False,
    suv: bool = False,
    dicom: bool = False,
    overwrite: bool = False,
    say: Callable[[str], None] = print_line,
) -> int:
    """Fuse all pairs of a source. Finished pairs are skipped; failures are reported, and the remaining pairs continue.

    Args:
        source: the pairs.
        folder: receives the outputs and ``summary.csv``; it is created if necessary.
        settings: of each fusion; with a palette, each pair has a colour volume as well.
        measured: write a table of metrics for each pair.
        suv: scale DICOM PETs to SUV by body weight first.
        dicom: write each pair as a DICOM study as well.
        overwrite: replace existing outputs, and fuse finished pairs again.
        say: called with each line of progress.

    Returns:
        0 if all pairs are done, 1 if any failed or the summary could not be written.

    Raises:
        UsageError: nothing can be fused with these settings, the source cannot be read, or the folder cannot be written to.
        ModelError: the model is unknown or damaged.
        KeyboardInterrupt: the run was interrupted; the summary has all pairs that were attempted.
    """
    from cspadn.fusion import check_settings
    from cspadn.metrics import TABLE_NAMES

    model = check_settings(settings).card.sha256
    found = source.pairs()
    make_folder(folder)
    lists = (source.path,) if isinstance(source, PairList) else ()
    protected = (*lists, *with_voxel_files(path for pair in found for path in pair.inputs))
    layout = PlainFolder(folder.resolve(), settings.palette is not None, measured, protected, dicom)
    pairs = layout.named(found)
    summary = Summary(folder, pairs, TABLE_NAMES if measured else (), lists)
    job = Job(source.folder, layout, settings, model, uuid4().hex, suv=suv, force=overwrite)
    progress = Progress(say)
    with progress.fusing(len(pairs)):
        for outcome in SerialRunner(_logged).outcomes(pairs, job):
            summary.add(outcome, say)
            progress.show(outcome)
    progress.overview = summary.path
    written = summary.write(say)
    progress.finish()
    return 1 if progress.failed or not written else 0


def _logged(error: Exception) -> FusionError:
    """Log an unexpected exception where it was caught, and return the error that the user reads."""
    logging.getLogger(__name__).error("CSpADNFusion: unexpected error", exc_info=error)
    return explained(error)
