"""Check documents (part of ``make check``): links, package indexes, folders, decisions, pictures, and files for GitHub."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from repository import ROOT

SCHEMAS = {
    "github-workflows": (".github/workflows/*.yml", 3),
    "github-issue-forms": (".github/ISSUE_TEMPLATE/[!c]*.yml", 3),
    "github-issue-config": (".github/ISSUE_TEMPLATE/config.yml", 1),
    "citation-file-format": ("CITATION.cff", 1),
}
_RECORD_HEAD = re.compile(
    r"# (\d{4}): (.+)\n\n- \*\*Date:\*\* (\d{4}-\d\d-\d\d)\n- \*\*Status:\*\* ((?:accepted|superseded by \[\d{4}\]).*)\n\n"
)
_PICTURES = 4  # in the catalogue of extensions


def documents(root: Path = ROOT) -> list[Path]:
    """Return all documents that people read."""
    return [*sorted(root.glob("*.md")), *sorted((root / "docs").rglob("*.md")), *sorted((root / ".github").rglob("*.md"))]


def leads_somewhere(document: Path, target: str) -> bool:
    """Return whether a file, and a heading in it, exist."""
    name, _, heading = target.partition("#")
    file = document.parent / name if name else document
    return file.exists() and (not heading or heading in headings(file))


def headings(file: Path) -> set[str]:
    """Return the names that links to the headings of a document have."""
    lines = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.M | re.S), re.M)
    plain = (re.sub(r"[^\w\- ]", "", line.lower()) for line in lines)
    return {line.strip().replace(" ", "-") for line in plain}


def check_links(root: Path) -> Iterator[str]:
    """Links lead to files and headings that exist."""
    for document in documents(root):
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target and not leads_somewhere(document, target):
                yield f"{document.relative_to(root).as_posix()}: {target} does not exist"


def check_indexes(root: Path) -> Iterator[str]:
    """Check that no document names the address of a package index: it changes, and pytorch.org says which one is right."""
    for document in documents(root):
        for address in re.findall(r"index-url[\s=]+(\w+://\S+)", document.read_text(encoding="utf-8")):
            yield f"{document.relative_to(root).as_posix()}: leave out the package index {address}"


def check_folders(root: Path) -> Iterator[str]:
    """Check that no document names a folder of the machine that made it."""
    for document in documents(root):
        text = re.sub(r"https?://\S+", "", document.read_text(encoding="utf-8"))
        for folder in re.findall(r"(?<![\w.])(?:C:\\Users\\|/(?:Users|home|root|tmp|work)/)[\w./\\-]*\w", text):
            yield f"{document.relative_to(root).as_posix()}: {folder} is a folder of one machine"


def check_decisions(root: Path) -> Iterator[str]:
    """Check that the list of decisions has one row for each record, in order."""
    folder = root / "docs" / "adr"
    index = re.findall(r"^\| \[\d+\]\(([^)]+)\)", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    records = [record.name for record in sorted(folder.glob("0*.md"))]
    yield from (f"docs/adr/README.md: {name} has no row, or is no record" for name in sorted(set(index) ^ set(records)))
    if sorted(index) != index or len(set(index)) != len(index):
        yield "docs/adr/README.md: the rows are not in order"
    for name in set(index) & set(records):
        yield from _check_record(folder, name)


def _check_record(folder: Path, name: str) -> Iterator[str]:
    """A record begins with its title, date and status, and its row repeats them."""
    head = _RECORD_HEAD.match((folder / name).read_text(encoding="utf-8"))
    if not head:
        yield f"docs/adr/{name} does not begin with number, title, date and status (accepted, or superseded by a record)"
        return
    number, title, date, status = head.groups()
    row = f"| [{number}]({name}) | {title} | {date} | {status} |\n"
    if not name.startswith(number) or row not in (folder / "README.md").read_text(encoding="utf-8"):
        yield f"docs/adr/README.md: the row of {name} must be: {row.strip()}"


def check_catalogue(root: Path) -> Iterator[str]:
    """The pictures that the catalogue of extensions shows exist."""
    pictures = re.findall(r"/main/(Resources/[^\"\s]+)", (root / "CMakeLists.txt").read_text(encoding="utf-8"))
    yield from (f"CMakeLists.txt: {picture} does not exist" for picture in pictures if not (root / picture).is_file())
    if len(pictures) != _PICTURES:
        yield f"CMakeLists.txt names {len(pictures)} pictures, not {_PICTURES}"


def check_schemas(root: Path) -> Iterator[str]:
    """Workflows, forms and the citation fit their schemas."""
    for schema, (pattern, count) in SCHEMAS.items():
        files = [str(file) for file in root.glob(pattern)]
        if len(files) != count:
            yield f"{len(files)} files {pattern}, not {count}"
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"{pattern}: {done.stdout}{done.stderr}"


CHECKS = (check_links, check_indexes, check_folders, check_decisions, check_catalogue, check_schemas)


def findings(root: Path = ROOT) -> list[str]:
    """Return one line for each finding."""
    return [finding for check in CHECKS for finding in check(root)]


if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or f"Documents: no finding in {len(CHECKS)} checks")
    sys.exit(bool(found))
