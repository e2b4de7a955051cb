"""Records of earlier runs in side files: read them, and check that the outputs are those that were written with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.cohort.pairs import content_of
from cspadn.cohort.proof import is_proven
from cspadn.io.input_files import sha256_of
from cspadn.io.regular_files import read_regular_text

if TYPE_CHECKING:
    from cspadn.cohort.engine import Layout, PairFiles


def read_record(sidecar: Path, layout: Layout, key: bytes) -> tuple[dict[str, Any] | None, bool]:
    """Return the record that an earlier run has written into a side file, and whether this user's key proves it.

    Without a record, None and False are returned.
    """
    try:
        described = json.loads(read_regular_text(sidecar))
        record = layout.record_of(described)
        if isinstance(record, dict) and isinstance(record["warnings"], list):
            return record, is_proven(described, place_of(sidecar, layout), key)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    return None, False


def place_of(sidecar: Path, layout: Layout) -> str:
    """Return the place of a side file in the folder of the outputs."""
    return sidecar.relative_to(layout.folder).as_posix()


def is_complete(files: PairFiles, record: dict[str, Any]) -> bool:
    """Return whether all outputs exist, and none was changed."""
    return all(_is_there(file) for file in files.outputs.values()) and is_unmodified(files.outputs, record)


def _is_there(path: Path) -> bool:
    """Return whether an output is a file, or a folder of files."""
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def is_unmodified(outputs: Mapping[str, Path], record: dict[str, Any]) -> bool:
    """Return whether each output that exists is the one that was written with the record."""
    there = {name: file for name, file in outputs.items() if file.exists()}
    return all(_is_there(file) and record.get(f"{name}_sha256") == sha256_of(content_of(file)) for name, file in there.items())


def means_of(record: dict[str, Any]) -> dict[str, float | None]:
    """Return the means of the metrics in a record; empty if it has none."""
    try:
        return {str(name): None if value is None else float(value) for name, value in record["metrics"]["mean"].items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
