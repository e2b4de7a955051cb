"""Documents name only files and headings that exist, and become pages without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not leads_somewhere(document, target)] == []


def leads_somewhere(document: Path, target: str) -> bool:
    name, _, heading = target.partition("#")
    file = document.parent / name if name else document
    return file.exists() and (not heading or heading in headings(file))


def headings(file: Path) -> set[str]:
    """The names that links to headings have."""
    lines = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", file.read_text(encoding="utf-8"), flags=re.M | re.S), re.M)
    plain = (re.sub(r"[^\w\- ]", "", line.lower()) for line in lines)
    return {line.strip().replace(" ", "-") for line in plain}


def test_dead_links_are_noticed() -> None:
    readme = ROOT / "README.md"
    assert leads_somewhere(readme, "docs/tutorial.md#7-save-and-export-a-series")
    assert not leads_somewhere(readme, "docs/tutorial.md#8-nothing")
    assert not leads_somewhere(readme, "#nothing")
    assert not leads_somewhere(readme, "docs/nothing.md")


def test_pages_are_built_without_a_warning(tmp_path: Path) -> None:
    """With the reference of the library, whose docstrings are read for it."""
    command = [sys.executable, "-m", "sphinx", "-c", "docs", "-b", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run([*command, ".", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    library = (tmp_path / "docs" / "library.html").read_text(encoding="utf-8")
    assert all(f'id="cspadn.{name}"' in library for name in ("fuse", "FusionSettings", "errors.InputError"))
    assert (tmp_path / "README.html").is_file()


def test_every_decision_has_its_row() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    records = sorted((ROOT / "docs" / "adr").glob("0*.md"))
    assert re.findall(r"^\| \[\d+\]\(([^)]+)\)", index, re.MULTILINE) == [record.name for record in records]


def test_catalogue_pictures_exist() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    pictures = re.findall(r"/main/(Resources/[^\"\s]+)", cmake)
    assert len(pictures) == 4
    assert all((ROOT / picture).is_file() for picture in pictures)


@pytest.mark.parametrize(
    ("schema", "pattern", "count"),
    [
        ("github-workflows", ".github/workflows/*.yml", 2),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml", 3),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml", 1),
        ("citation-file-format", "CITATION.cff", 1),
    ],
)
def test_files_for_github_fit_their_schemas(schema: str, pattern: str, count: int) -> None:
    files = [str(file) for file in ROOT.glob(pattern)]
    assert len(files) == count
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
