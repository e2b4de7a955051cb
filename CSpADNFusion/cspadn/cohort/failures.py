"""Failure records: a JSON file for each pair that could not be fused, in the folder ``logs`` of the outputs."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

from cspadn import __version__
from cspadn.errors import FusionError, UsageError
from cspadn.io.atomic_output import check_no_links, commit
from cspadn.io.images import check_sidecar, stage_sidecar
from cspadn.io.regular_files import read_regular_text
from cspadn.messages import message

LOGS, FAILED = "logs", "failed"
SOFTWARE = "CSpADNFusion"


class Failure(Protocol):
    """Why a pair failed; see :class:`cspadn.cohort.engine.Outcome`."""

    @property
    def identifier(self) -> str:
        """Return the identifier of the message."""

    @property
    def message(self) -> str:
        """Return the sentence for the user."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings of the pair."""


def record_failure(log: Path, outcome: Failure) -> None:
    """Write the record of a failed pair, unless a file of another program has its name.

    Errors are ignored: the run itself reports the failure as well.
    """
    date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    record: dict[str, object] = {"software": f"{SOFTWARE} {__version__}", "status": FAILED, "identifier": outcome.identifier}
    record |= {"message": outcome.message, "date": date}
    with suppress(FusionError, OSError):
        _check(log)
        log.parent.mkdir(parents=True, exist_ok=True)
        commit([lambda: stage_sidecar(log, record, outcome.warnings)], overwrite=True)


def remove_record(log: Path) -> None:
    """Remove the failure record of a pair that is done, or no longer there; a file of another program stays."""
    with suppress(UsageError, OSError):
        _check(log)
        log.unlink(missing_ok=True)


def _check(log: Path) -> None:
    """UsageError where the name of a record leads out of the outputs, or a file of another program has it."""
    check_no_links(log.parent.parent, [log])
    check_sidecar(log, overwrite=True)


def read_failure(log: Path) -> tuple[str, tuple[str, ...]]:
    """Return message and warnings of a failed pair; for a damaged record, a message that says so."""
    try:
        record = json.loads(read_regular_text(log))
        return str(record["message"]), tuple(map(str, record["warnings"]))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return message("failure-record-damaged", path=f"{LOGS}/{log.name}"), ()
