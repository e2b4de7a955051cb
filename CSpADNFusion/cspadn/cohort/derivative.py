"""The folder of a BIDS derivative, and what describes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from cspadn.cohort.bids import CohortPair, description
from cspadn.cohort.subject import LOGS, OURS
from cspadn.errors import UsageError
from cspadn.imaging.metadata import NOTE
from cspadn.io.atomic_output import PREFIX, commit
from cspadn.io.images import stage_text

DESCRIPTION_FILE = "dataset_description.json"
_IGNORED = ("*.html", "logs/", "group_metrics.tsv")  # what BIDS has no names for
_README = f"""# PET and MRI fused by CSpA-DN

`sub-*/[ses-*/]pet/*_desc-fused_pet.nii.gz`: brightness from 0 to 4095, without a unit. A JSON file beside each says how it was
made, and has the metrics of each slice. `index.html` shows all, `sub-*.html` each. `logs` says what failed. {NOTE}
"""


def check_derivative(output: Path) -> None:
    """UsageError unless a folder is a derivative of ours."""
    if not _is_ours(output):
        raise UsageError(f"The folder {output} holds no fused cohort: run the participant level first.")


def make_derivative(source: Path, output: Path) -> Path:
    """Make the folder and what describes it, and return it, absolute; one of ours is gone on with.

    Raises:
        UsageError: it cannot be made, or holds something else, which is not touched.
    """
    folder = output.resolve()
    if source.resolve() == folder or folder in source.resolve().parents:
        better = f", such as {source / 'derivatives' / 'cspadn'}" if source.is_dir() else ""
        raise UsageError(f"The output {output} holds the input: choose another folder{better}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.iterdir() if not path.name.startswith(PREFIX)]
    except OSError as error:
        why = error.strerror or error
        raise UsageError(
            f"The output folder {output} cannot be made: {why}. Choose another, or check its permissions."
        ) from None
    if others and not _is_ours(folder):
        raise UsageError(f"The output folder {output} holds other files: choose an empty one, or one of an earlier run.")
    _describe(source, folder)
    return folder


def forget_failures(output: Path, pairs: Sequence[CohortPair]) -> None:
    """Of pairs that are no longer there: whoever leaves out what cannot be fused is not told of it for ever."""
    names = {pair.name for pair in pairs}
    for log in (output / LOGS).glob("sub-*.json"):
        if log.stem.split("_space-")[0] not in names:
            with suppress(OSError):
                log.unlink()


def _is_ours(folder: Path) -> bool:
    return any(made == OURS for made in _made_by(_described(folder)))


def _described(folder: Path) -> dict[str, Any]:
    """What describes a folder; empty where nothing does."""
    try:
        told = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _made_by(told: dict[str, Any]) -> list[str]:
    made = told.get("GeneratedBy")
    return [str(each.get("Name")) for each in made if isinstance(each, dict)] if isinstance(made, list) else []


def _describe(source: Path, folder: Path) -> None:
    """What is not there yet: the user may have added to it, and many runs may start at the same time."""
    ours, told = description(source, folder), _described(folder)
    if told and told.get("SourceDatasets") != ours["SourceDatasets"]:
        raise UsageError(f"The output folder {folder} has the results of another dataset or list: choose another folder.")
    texts = {".bidsignore": "".join(f"{pattern}\n" for pattern in _IGNORED), "README.md": _README}
    wanted = {folder / name: text for name, text in texts.items() if not (folder / name).exists()}
    if (merged := {**ours, **told, "GeneratedBy": ours["GeneratedBy"]}) != told:
        wanted = {folder / DESCRIPTION_FILE: json.dumps(merged, indent=2, ensure_ascii=False) + "\n", **wanted}
    commit([partial(stage_text, file, text) for file, text in wanted.items()], overwrite=True)
