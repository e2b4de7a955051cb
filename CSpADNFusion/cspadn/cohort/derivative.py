"""The folder of a BIDS derivative, and what describes it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from ..errors import UsageError
from ..files import PREFIX, commit
from ..io import stage_text
from ..metadata import NOTE
from .bids import description
from .subject import OURS

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
        raise UsageError(
            f"The output {output} holds the input: choose another folder, such as {source / 'derivatives/cspadn'}."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.iterdir() if not path.name.startswith(PREFIX)]
    except OSError as error:
        raise UsageError(f"The output folder {output} cannot be made: {error.strerror or error}.") from None
    if others and not _is_ours(folder):
        raise UsageError(f"The output folder {output} holds other files: choose an empty one, or one of an earlier run.")
    _describe(source, folder)
    return folder


def _is_ours(folder: Path) -> bool:
    try:
        told = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return any(made["Name"] == OURS for made in told["GeneratedBy"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _describe(source: Path, folder: Path) -> None:
    """Only what is not there as it would be written: many may start at the same time."""
    texts = {
        DESCRIPTION_FILE: json.dumps(description(source, folder), indent=2) + "\n",
        ".bidsignore": "".join(f"{pattern}\n" for pattern in _IGNORED),
        "README.md": _README,
    }
    wanted = {folder / name: text for name, text in texts.items() if not _says(folder / name, text)}
    commit([partial(stage_text, file, text) for file, text in wanted.items()], overwrite=True)


def _says(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False
