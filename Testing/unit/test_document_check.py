"""The check of the documents finds faults that were put into them."""

from __future__ import annotations

from pathlib import Path

import document_check
from document_check import leads_somewhere
from repository import ROOT


def test_dead_links_are_noticed() -> None:
    readme = ROOT / "README.md"
    assert leads_somewhere(readme, "docs/tutorial.md#7-save-and-export-a-study")
    assert not leads_somewhere(readme, "docs/tutorial.md#8-nothing")
    assert not leads_somewhere(readme, "#nothing")
    assert not leads_somewhere(readme, "docs/nothing.md")


def test_addresses_of_package_indexes_are_found(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "`pip install --index-url https://example.org/simple it`, or with `--index-url` and another\n"
    )
    assert list(document_check.check_indexes(tmp_path)) == [
        "README.md: leave out the package index https://example.org/simple"
    ]


def test_folders_of_one_machine_are_found(tmp_path: Path) -> None:
    text = "`it --data /work/data`. Mount it at `/data`; see https://example.org/home/it and file:///home/mary/pet.nii.\n"
    (tmp_path / "README.md").write_text(text + "`-v a:/root/b`, C:\\Users\\mary\\pet.nii\n")
    folders = ("/work/data", "/home/mary/pet.nii", "/root/b", "C:\\Users\\mary\\pet.nii")
    assert list(document_check.check_folders(tmp_path)) == [
        f"README.md: {folder} is a folder of one machine" for folder in folders
    ]


def test_faults_are_found(tmp_path: Path) -> None:
    (tmp_path / "docs" / "adr").mkdir(parents=True)
    (tmp_path / "docs" / "adr" / "0001-a.md").write_text("# A\n")
    (tmp_path / "docs" / "adr" / "0003-c.md").write_text("# 0003: C\n\n- **Date:** 2026-11-29\n- **Status:** accepted\n\nC.\n")
    rows = "| [1](0001-a.md) | A |\n| [2](0002-b.md) | B |\n| [0003](0003-c.md) | C | 2026-11-28 | accepted |\n"
    (tmp_path / "docs" / "adr" / "README.md").write_text(rows)
    (tmp_path / "CMakeLists.txt").write_text("https://example.org/main/Resources/none.png\n")
    assert list(document_check.check_links(tmp_path)) == ["docs/adr/README.md: 0002-b.md does not exist"]
    assert sorted(document_check.check_decisions(tmp_path)) == [
        "docs/adr/0001-a.md does not begin with number, title, date and status (accepted, or superseded by a record)",
        "docs/adr/README.md: 0002-b.md has no row, or is no record",
        "docs/adr/README.md: the row of 0003-c.md must be: | [0003](0003-c.md) | C | 2026-11-29 | accepted |",
    ]
    assert list(document_check.check_catalogue(tmp_path)) == [
        "CMakeLists.txt: Resources/none.png does not exist",
        "CMakeLists.txt names 1 pictures, not 4",
    ]
