"""Documents name only files that exist."""

from __future__ import annotations

import re

import pytest

from conftest import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert missing == []


def test_catalogue_pictures_exist() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    pictures = re.findall(r"/main/(Resources/[^\"\s]+)", cmake)
    assert len(pictures) == 4
    assert all((ROOT / picture).is_file() for picture in pictures)
