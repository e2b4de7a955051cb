"""The check of the CMake lists can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

import check_cmake

CMAKE = "set(MODULE_PYTHON_SCRIPTS\n  ${MODULE_NAME}.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  Resources/a.png\n  )\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    folder = tmp_path / check_cmake.MODULE.name
    (folder / "Resources").mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text(CMAKE)
    (folder / f"{folder.name}.py").touch()
    (folder / "Resources" / "a.png").touch()
    return folder


def test_complete_lists_pass(module: Path) -> None:
    assert check_cmake.differences(module) == []


def test_unlisted_and_missing_files_are_found(module: Path) -> None:
    (module / "forgotten.py").touch()
    (module / "Resources" / "b.png").touch()
    (module / "Resources" / "a.png").unlink()
    found = check_cmake.differences(module)
    assert [line.split(":")[0] for line in found] == ["forgotten.py", "Resources/b.png", "Resources/a.png"]


def test_our_lists_are_complete() -> None:
    assert check_cmake.differences() == []
