"""Compare the module's CMake lists with the files on disk: a file that is not listed is silently left out of the package."""

from __future__ import annotations

import re
import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "CSpADNFusion"


def listed(cmake: str, variable: str) -> set[str]:
    """The entries of ``set(variable ...)`` in a CMakeLists.txt."""
    body = re.search(rf"set\({variable}\s+([^)]*)\)", cmake)
    if body is None:
        raise SystemExit(f"CMakeLists.txt sets no {variable}.")
    return {entry.replace("${MODULE_NAME}", MODULE.name) for entry in body[1].split()}


def on_disk(folder: Path, *, scripts: bool) -> set[str]:
    """The module's Python files, or its resources, as paths below ``folder``."""
    candidates = folder.rglob("*.py") if scripts else (folder / "Resources").rglob("*")
    return {path.relative_to(folder).as_posix() for path in candidates if path.is_file() and path.name != ".DS_Store"}


def differences(folder: Path = MODULE) -> list[str]:
    """One line for each file that is on disk and not listed, or listed and not on disk."""
    cmake = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    lines = []
    for variable, scripts in (("MODULE_PYTHON_SCRIPTS", True), ("MODULE_PYTHON_RESOURCES", False)):
        named, present = listed(cmake, variable), on_disk(folder, scripts=scripts)
        lines += [f"{name}: not in {variable}, so it would not be installed" for name in sorted(present - named)]
        lines += [f"{name}: in {variable}, but there is no such file" for name in sorted(named - present)]
    return lines


if __name__ == "__main__":
    problems = differences()
    print("\n".join(problems) or "CMake lists: complete")
    sys.exit(bool(problems))
