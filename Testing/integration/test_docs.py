"""Documents become pages without a warning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT


@pytest.mark.ci
def test_pages_are_built_without_a_warning(tmp_path: Path) -> None:
    """With the reference of the library, whose docstrings are read for it."""
    command = [sys.executable, "-m", "sphinx", "-c", "docs", "-b", "html", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run([*command, ".", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    library = (tmp_path / "docs" / "library.html").read_text(encoding="utf-8")
    assert all(f'id="cspadn.{name}"' in library for name in ("fuse", "FusionSettings", "errors.InputError"))
    assert (tmp_path / "README.html").is_file()
