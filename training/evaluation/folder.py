"""Write the results to a new folder, and move them to the output folder once they are complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from cspadn.errors import UsageError

INDEX = "README.md"
TITLE = "# Results"  # first line of an index
FILES = "## Files"  # heading of the list of all written files
_LINE = re.compile(r"^- \[([\w-]+\.(?:csv|md|png))\]\(\1\)$", re.MULTILINE)


@contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yield a new folder beside ``output``; if no error occurs, move its files to ``output`` at the end.

    Files that an earlier index lists and that were not written again are removed. All others stay.

    Raises:
        UsageError: ``output`` is a file, or contains a README.md that is not an index of results.
    """
    earlier = _listed(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        yield folder
        _move(folder, output, earlier)


def _listed(output: Path) -> set[str]:
    """Return the files that the index in ``output`` lists."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"The output {output} is a file: choose a folder.")
    index = output / INDEX
    if not index.exists():
        return set()
    text = index.read_text(encoding="utf-8", errors="replace")
    if not text.startswith(TITLE + "\n"):
        raise UsageError(f"{index} was not written by the evaluation and would be overwritten: choose another folder.")
    return set(_LINE.findall(text.rpartition(FILES)[2]))


def _move(folder: Path, output: Path, earlier: set[str]) -> None:
    """Move the files, the index last: until then, the earlier index still lists the files to remove."""
    made = sorted(folder.iterdir(), key=lambda path: path.name == INDEX)
    output.mkdir(exist_ok=True)
    for name in earlier - {path.name for path in made}:
        (output / name).unlink(missing_ok=True)
    for path in made:
        path.replace(output / path.name)


def file_list(folder: Path) -> str:
    """Return the part of the index that lists the files in ``folder``."""
    names = sorted(path.name for path in folder.iterdir() if path.name != INDEX)
    return f"{FILES}\n\n" + "\n".join(f"- [{name}]({name})" for name in names)
