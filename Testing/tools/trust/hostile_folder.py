"""A folder whose files have the names of modules that a process imports: each that is executed leaves a mark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MODULES = (
    *(
        "abc",
        "argparse",
        "ast",
        "base64",
        "bisect",
        "codecs",
        "copyreg",
        "csv",
        "dataclasses",
        "encodings",
        "filelock",
        "functools",
    ),
    *("heapq", "jinja2", "json", "logging", "numpy", "operator", "pathlib", "pickle", "pkgutil", "pydicom", "random", "runpy"),
    *(
        "safetensors",
        "scipy",
        "selectors",
        "shutil",
        "SimpleITK",
        "sitecustomize",
        "socket",
        "struct",
        "subprocess",
        "tempfile",
    ),
    *("threading", "torch", "types", "typing", "usercustomize", "warnings", "zipfile", "cspadn"),
)
_CODE = """
import os, sys
with open({mark!r}, "a") as file:
    file.write(" ".join([__name__, "in", *sys.orig_argv])[:200] + "\\n")
raise ImportError("code of a stranger")
"""


LATE = (
    "numpy",
    "torch",
    "SimpleITK",
    "scipy",
    "pydicom",
    "safetensors",
    "filelock",
    "jinja2",
    "dask",
    "ancpbids",
)  # by commands


def make_hostile(folder: Path, mark: Path, modules: Sequence[str] = MODULES) -> Path:
    """Put a file for each module into a folder; they write their names into ``mark``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in modules:
        (folder / f"{name}.py").write_text(_CODE.format(mark=str(mark)), encoding="utf-8")
    return folder
