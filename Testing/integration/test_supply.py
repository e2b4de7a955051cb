"""What is installed: known files of known packages under known licences, and what docs/dependencies.md says of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from repository import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PERMISSIVE = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0"),
    *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib"),
}
WEAK_COPYLEFT = {"LGPL-3.0-only", "MPL-2.0"}  # of what is used and not changed, by development alone
PLAIN = {  # what packages say in other words
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
READ = {  # where the metadata do not say it
    "atheris": "Apache-2.0",  # its wheel holds the text
    "python-dateutil": "Apache-2.0 AND BSD-3-Clause",
    "docutils": "CC0-1.0 AND 0BSD AND BSD-2-Clause AND BSD-3-Clause",  # the GPL is that of an Emacs mode, not in the wheel
}
CUDA = ("cuda-", "nvidia-", "triton")  # beside the index's torch on Linux: docs/dependencies.md
OURS = "cspadn"


def licences(**environment: str) -> dict[str, str]:
    """By the names of all installed packages what pip-licenses says."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    said = {canonicalize_name(each["Name"]): each["License"] for each in json.loads(done.stdout)}
    return {name: READ.get(name, PLAIN.get(text, text)) for name, text in said.items() if not name.startswith(CUDA)}


def refused(said: dict[str, str], allowed: set[str]) -> dict[str, str]:
    """The packages of which no choice of licence is allowed."""
    return {name: text for name, text in said.items() if not _is_allowed(text, allowed)}


def _is_allowed(text: str, allowed: set[str]) -> bool:
    """SPDX: OR leaves the choice, AND does not; brackets are none that we know."""
    choices = (choice.split(" AND ") for choice in text.split(" OR "))
    return any(set(map(str.strip, choice)) <= allowed for choice in choices)


def needed(name: str, found: dict[str, str] | None = None) -> dict[str, str]:
    """What fusing needs, with what needs it first."""
    found = {} if found is None else found
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        each = canonicalize_name(requirement.name)
        if each in found or each.startswith(CUDA) or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[each] = canonicalize_name(name)
        needed(each, found)
    return found


older_says_otherwise = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 gets older packages, which say their licences in other words"
)


@pytest.fixture(scope="session")
def said() -> dict[str, str]:
    """The licences of what is installed."""
    return licences()


def test_what_fusing_needs_is_permissive(said: dict[str, str]) -> None:
    assert refused({name: said[name] for name in needed(OURS)}, PERMISSIVE) == {}


def test_what_development_uses_is_under_a_known_licence(said: dict[str, str]) -> None:
    assert len(said) > 80
    assert refused(said, PERMISSIVE | WEAK_COPYLEFT) == {}


@pytest.mark.parametrize("licence", ["Beerware", "GPL-3.0-only", "UNKNOWN", "MIT AND GPL-3.0-only", "(MIT OR GPL-3.0-only)"])
def test_an_unknown_licence_is_noticed(tmp_path: Path, licence: str) -> None:
    folder = tmp_path / "made_up-1.0.dist-info"
    folder.mkdir()
    text = "" if licence == "UNKNOWN" else f"License-Expression: {licence}\n"
    (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: made-up\nVersion: 1.0\n{text}")
    found = refused(licences(PYTHONPATH=str(tmp_path)), PERMISSIVE | WEAK_COPYLEFT)
    assert found == {"made-up": licence}


def test_licences_are_chosen_and_added_up() -> None:
    assert refused({"a": "GPL-2.0-only OR MIT", "b": "MIT AND Zlib"}, PERMISSIVE) == {}
    assert refused({"a": "GPL-2.0-only OR MPL-2.0", "b": "MIT AND MPL-2.0"}, PERMISSIVE).keys() == {"a", "b"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of docs/dependencies.md."""
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    _, _, *lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@older_says_otherwise
def test_the_table_has_the_dependencies_of_the_project(said: dict[str, str]) -> None:
    table = {row[0]: row[3] for row in rows("Needed to fuse")}
    names = [Requirement(text).name for text in project()["project"]["dependencies"]]
    assert list(table) == names
    assert table == {name: said[canonicalize_name(name)] for name in names}
    assert all(all(row) and len(row) == 6 for row in rows("Needed to fuse"))


@older_says_otherwise
def test_the_table_has_what_these_need_themselves(said: dict[str, str]) -> None:
    direct = {canonicalize_name(Requirement(text).name) for text in project()["project"]["dependencies"]}
    others = {name: by for name, by in needed(OURS).items() if name not in direct}
    table = {canonicalize_name(name): (by, licence) for name, by, licence in rows("What these need themselves")}
    assert table.keys() == others.keys()
    assert {name: licence for name, (_, licence) in table.items()} == {name: said[name] for name in others}
    for name, (by, _) in table.items():
        assert name in {canonicalize_name(Requirement(text).name) for text in metadata.requires(by) or []}, f"{by} {name}"


@older_says_otherwise
def test_the_table_has_what_pages_and_cohorts_need(said: dict[str, str]) -> None:
    extras = project()["project"]["optional-dependencies"]
    names = {Requirement(text).name for extra in ("report", "cohort") for text in extras[extra]} - {OURS}
    table = {row[0]: row[3] for row in rows("Needed for pages and cohorts")}
    assert table == {name: said[canonicalize_name(name)] for name in names}
    assert refused({name: said[canonicalize_name(name)] for name in names}, PERMISSIVE) == {}


def test_slicer_installs_what_it_does_not_bring() -> None:
    """In the versions of the project; torch comes through its own extension."""
    from_file = {row[0] for row in rows("Needed to fuse") if row[5] == "requirements.txt"}
    lines = (ROOT / "CSpADNFusion" / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    ours = {Requirement(text).name: text for text in project()["project"]["dependencies"]}
    assert sorted(lines) == sorted(ours[name] for name in from_file)


HASHES = r"(?P<hashes>(?: *(?: \\\n +)?--hash=sha256:[0-9a-f]{64})+)"
LISTED = re.compile(rf"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))?{HASHES}$", re.MULTILINE)


def listed() -> list[re.Match[str]]:
    """What constraints.txt lists."""
    return list(LISTED.finditer((ROOT / "constraints.txt").read_text(encoding="utf-8")))


def listed_here() -> dict[str, str]:
    """The versions for this Python and system, by names: some packages have several, for older Pythons."""
    here = [each for each in listed() if not each["marker"] or Marker(each["marker"]).evaluate()]
    versions = {each["name"]: each["version"] for each in here}
    assert len(versions) == len(here)
    return versions


def test_all_that_is_listed_has_a_version_and_hashes() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    rest = LISTED.sub("", text)
    assert len(listed()) > 100
    assert [line for line in rest.splitlines() if line and not line.startswith("#")] == []
    assert "://" not in text


def test_what_is_installed_is_what_is_listed() -> None:
    versions = {name: Version(version) for name, version in listed_here().items()}
    installed = {canonicalize_name(each.name): Version(each.version) for each in metadata.distributions()}
    for name, version in installed.items():
        if name not in (OURS, "pip", "setuptools"):  # a virtual environment comes with the last two
            assert versions.get(name) == Version(version.public), f"{name} {version}"


def test_what_the_project_asks_for_is_listed() -> None:
    table = project()
    extras = table["project"]["optional-dependencies"].values()
    asked = [
        *table["build-system"]["requires"],
        *table["project"]["dependencies"],
        *(text for each in extras for text in each),
    ]
    versions = listed_here()
    for requirement in map(Requirement, asked):
        if requirement.name != OURS and (not requirement.marker or requirement.marker.evaluate({"extra": ""})):
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_both_files_of_torch_are_listed() -> None:
    """The index's, and the build for the processor alone."""
    makefile = dict(re.findall(r"^(TORCH\w*) := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    (torch,) = (each for each in listed() if each["name"] == "torch")
    assert torch["version"] == makefile["TORCH"]
    assert torch["hashes"].count(f"sha256:{makefile['TORCH_CPU']}") == 1
    assert torch["hashes"].count("--hash") > 1
