"""Tests and their helpers lie where they belong: no test file is imported, and no helper exists twice."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT, STAND_IN, TOOLS

TESTING = ROOT / "Testing"
FOLDERS = {"acceptance", "integration", "slicer", "unit"}
_SUSPECT = re.compile(r"^\s*(from|import)\b.*\b(test_|conftest\b)", re.MULTILINE)  # most files need not be searched
_LARGE = 4  # lines of a function from which on two copies count


@functools.cache
def parsed(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the modules that a file imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def wrong_imports(folder: Path) -> list[str]:
    """Return ``file: module`` for each test file or conftest that another file imports."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        if not _SUSPECT.search(file.read_text(encoding="utf-8")):
            continue
        for module in imported(parsed(file)):
            if module.split(".")[-1].startswith("test_") or module.split(".")[-1] == "conftest":
                found.append(f"{file.relative_to(folder).as_posix()}: {module}")
    return found


def copies(folder: Path) -> list[str]:
    """Return the names of functions of which two files have the same text, but for those of one or two statements."""
    functions: dict[str, list[ast.FunctionDef]] = defaultdict(list)
    for file in sorted(folder.rglob("*.py")):
        for node in parsed(file).body:
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= _LARGE:
                functions[node.name].append(node)
    several = {name: nodes for name, nodes in functions.items() if len(nodes) > 1}  # text of a tree takes long
    return sorted(name for name, nodes in several.items() if len(set(map(ast.dump, nodes))) < len(nodes))


def test_no_test_file_is_imported() -> None:
    assert wrong_imports(TESTING) == []


def test_no_helper_exists_twice() -> None:
    assert copies(TESTING) == []


def test_every_test_lies_in_a_folder_of_its_kind() -> None:
    tests = [file.relative_to(TESTING).parts for file in TESTING.rglob("test_*.py")]
    assert len(tests) > 50
    assert {parts[0] for parts in tests} == FOLDERS
    assert all(len(parts) == 2 for parts in tests)
    assert {TOOLS.parent, STAND_IN.parent} == {TESTING}


IMPORTS = ["import test_b", "from test_b import f", "def f():\n    from conftest import g", "import a.test_b"]


@pytest.mark.parametrize("line", IMPORTS)
def test_a_wrong_import_is_noticed(line: str, tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(line)
    assert len(wrong_imports(tmp_path)) == 1


def test_a_copy_is_noticed(tmp_path: Path) -> None:
    text = "def f(x):\n    x += 1\n    x += 2\n    x += 3\n    return x\n"
    for name, content in (("a.py", text), ("b.py", "import os\n\n\n" + text), ("c.py", text.replace("3", "4"))):
        (tmp_path / name).write_text(content)
    assert copies(tmp_path) == ["f"]
