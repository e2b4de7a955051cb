"""This repository meets the requirements of the Extensions Index, and the check finds what a repository lacks."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import index_check
from index_check import Repository
from repository import ROOT

MODULE, REQUIREMENTS = "CSpADNFusion/CSpADNFusion.py", "CSpADNFusion/Resources/requirements.txt"
SAMPLES = "CSpADNFusion/CSpADNFusionLib/scene/samples.py"


@pytest.mark.slow
def test_nothing_is_found_here() -> None:
    assert index_check.findings() == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the files that the check reads, without history."""
    for name in ("CMakeLists.txt", "CSpADNFusion.json", "LICENSE", "README.md", "Resources", "CSpADNFusion", "docs"):
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(
                source, target, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "*.nrrd", "results", "adr")
            )
        else:
            shutil.copy(source, target)
    return tmp_path


def replaced(folder: Path, name: str, old: str, new: str) -> Repository:
    file = folder / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    return Repository(folder)


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"category": "Fusion"}, "category"),
        ({"tier": 1}, "tier 3"),
        ({"tier": "3"}, "'3' is not of type 'integer'"),
        ({"scm_url": "https://github.com/somebody/CSpADNFusion.git"}, "scm_url"),
        ({"build_dependencies": []}, "EXTENSION_DEPENDS"),
        ({"homepage": "https://example.org"}, "'homepage' was unexpected"),
        ({"$schema": "https://example.org/v1.0.1.json#"}, "schema is not"),
        ({"category": None}, "None is not of type 'string'"),
        ({"scm_type": "svn"}, "'svn' is not one of"),
    ],
)
def test_faults_of_the_entry_are_found(copy: Path, fields: dict[str, object], finding: str) -> None:
    file = copy / "CSpADNFusion.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    assert any(finding in line for line in index_check.check_entry(Repository(copy)))


def test_an_entry_that_is_no_json_is_found(copy: Path) -> None:
    (copy / "CSpADNFusion.json").write_text("{")
    assert any("is no JSON" in line for line in index_check.check_entry(Repository(copy)))


def test_a_name_that_begins_with_slicer_is_found(copy: Path) -> None:
    (copy / "CSpADNFusion.json").rename(copy / "SlicerCSpADNFusion.json")
    assert any("begins with Slicer" in line for line in index_check.check_entry(Repository(copy)))
    (copy / "SlicerCSpADNFusion.json").unlink()
    assert list(index_check.check_entry(Repository(copy))) != []


@pytest.mark.parametrize(
    ("check", "name", "old", "new", "finding"),
    [
        (index_check.check_metadata, "CMakeLists.txt", 'ICONURL "', "ICONURL ", "EXTENSION_ICONURL"),
        (index_check.check_metadata, "CMakeLists.txt", " https://raw", "\n https://raw", "EXTENSION_SCREENSHOTURLS"),
        (index_check.check_metadata, "CMakeLists.txt", "comparison.png", "none.png", "none.png is no PNG"),
        (index_check.check_metadata, "CMakeLists.txt", "Icons/CSpADNFusion.png", "Screenshots/fusion.png", "not 128 x 128"),
        (index_check.check_metadata, "CMakeLists.txt", "main/Resources", "blob/Resources", "no address"),
        (index_check.check_metadata, "CMakeLists.txt", "for diagnosis.", "for it. Really. Never.", "one or two sentences"),
        (index_check.check_metadata, "CMakeLists.txt", "project(CSpADNFusion)", "project(Fusion)", "no project"),
        (index_check.check_metadata, "CMakeLists.txt", "com/SlicerCSpADNFusion/Slicer", "com/somebody/Slicer", "no address"),
        (index_check.check_metadata, "CMakeLists.txt", 'HOMEPAGE "https://', 'HOMEPAGE "see ', "HOMEPAGE is no address"),
        (index_check.check_licence, "LICENSE", "without\nmodification", "without", "is not that of BSD 3-Clause"),
        (index_check.check_licence, "README.md", "BSD 3-Clause", "free", "does not name"),
        (index_check.check_file_scope, MODULE, "\nRESOURCES = ", "\nprint()\nRESOURCES = ", "runs code"),
        (index_check.check_file_scope, MODULE, "\nRESOURCES = ", "\nif True:\n    import os\nRESOURCES = ", "runs code"),
        (index_check.check_file_scope, MODULE, "\nRESOURCES", "\nX = slicer.util.selectModule('A')\nRESOURCES", "runs code"),
        (index_check.check_file_scope, MODULE, "\nRESOURCES", "\nX = (lambda: 1)()\nRESOURCES", "runs code"),
        (index_check.check_imports, "CSpADNFusion/cspadn/__init__.py", "\n__version__", "\nimport torch\n__version__",
         "__init__.py imports torch"),
        (index_check.check_imports, MODULE, "import slicer\n", "import slicer\nimport torch\n", "imports torch"),
        (index_check.check_imports, "CSpADNFusion/cspadn/settings.py", "import annotations\n", "import annotations\n"
         "from .intensity import FUSED_MAXIMUM\nimport nibabel\n", "imports nibabel"),
        (index_check.check_imports, "CSpADNFusion/cspadn/errors.py", "import annotations\n", "import annotations\n"
         "from .models import attention\n", "attention.py imports torch"),
        (index_check.check_installs, MODULE, "\nRESOURCES", "\nX = lambda: pip_install('torch')\nRESOURCES", "by pip"),
        (index_check.check_installs, MODULE, "\nRESOURCES", "\nX = lambda: run(['pip', 'install', 'x'])\nRESOURCES", "by pip"),
        (index_check.check_installs, MODULE, "\nRESOURCES", "\nX = lambda: p.pip_ensure(['torch==2'])\nRESOURCES", "by pip"),
        (index_check.check_installs, REQUIREMENTS, "filelock", "torch>=2\nfilelock", "asks for torch"),
        (index_check.check_network, MODULE, "\nRESOURCES", "\nimport urllib.request\nRESOURCES", "urllib.request"),
        (index_check.check_network, MODULE, "\nRESOURCES", "\ndef f():\n    import http.client\nRESOURCES", "http.client"),
        (index_check.check_sample_data, SAMPLES, "registerCustomSampleData", "no", "no sample"),
        (index_check.check_documents, "README.md", "(docs/tutorial.md)", "(docs/none.md)", "the tutorial"),
        (index_check.check_documents, "docs/tutorial.md", "![", "[", "pictures"),
    ],
)  # fmt: skip
def test_faults_are_found(copy: Path, check, name: str, old: str, new: str, finding: str) -> None:
    found = list(check(replaced(copy, name, old, new)))
    assert any(finding in line for line in found), found


def test_imports_that_may_fail_are_no_finding(copy: Path) -> None:
    tried = "\ntry:\n    import torch\nexcept ImportError:\n    torch = None\nRESOURCES"
    assert list(index_check.check_file_scope(replaced(copy, MODULE, "\nRESOURCES", tried))) == []


def test_the_icon_is_readable_in_the_module_list() -> None:
    """At 16 pixels, on a light and on a dark theme, the icon is visible, and its grey and coloured halves are distinct."""
    image = PIL.Image.open(ROOT / "Resources" / "Icons" / "CSpADNFusion.png").convert("RGBA").resize((16, 16))
    for shade in (0xEF, 0x2B):
        background = PIL.Image.new("RGBA", image.size, (shade, shade, shade, 255))
        pixels = np.asarray(PIL.Image.alpha_composite(background, image).convert("RGB"), float)
        assert (abs(pixels - shade).max(2) > 60).mean() > 0.3
        saturation = np.ptp(pixels, axis=2)
        assert saturation[4:12, 10:13].mean() > saturation[4:12, 3:6].mean() + 80
    assert index_check.png_size(ROOT / "CSpADNFusion" / "Resources" / "Icons" / "CSpADNFusion.png") == (128, 128)


def test_a_list_of_files_by_hand_is_found(copy: Path) -> None:
    for variable in ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"):
        by_hand = replaced(copy, "CSpADNFusion/CMakeLists.txt", f"file(GLOB_RECURSE {variable}", f"set({variable}")
        assert [line for line in index_check.check_lists(by_hand) if variable in line]


@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("make") is None, reason="needs cmake and make")
def test_cmake_installs_every_file(tmp_path: Path) -> None:
    """Configure the module with a macro that only prints what Slicer's would install."""
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(Test NONE)\n"
        "function(slicerMacroBuildScriptedModule)\n"
        '  cmake_parse_arguments(GIVEN "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES" ${ARGN})\n'
        '  file(WRITE ${CMAKE_BINARY_DIR}/installed "${GIVEN_SCRIPTS};${GIVEN_RESOURCES}")\n'
        "endfunction()\n"
        f"add_subdirectory({(ROOT / 'CSpADNFusion').as_posix()} module)\n"
    )
    subprocess.run(
        ["cmake", "-G", "Unix Makefiles", "-S", tmp_path, "-B", tmp_path / "build"], check=True, capture_output=True
    )
    installed = (tmp_path / "build" / "installed").read_text().split(";")
    module = ROOT / "CSpADNFusion"
    present = [path.relative_to(module).as_posix() for path in module.rglob("*.py")]
    present += [path.relative_to(module).as_posix() for path in (module / "Resources").rglob("*") if path.is_file()]
    assert sorted(installed) == sorted(present)


def test_what_is_no_clone_has_no_size(tmp_path: Path, capsys) -> None:
    repository = Repository(tmp_path)
    assert [*index_check.check_size(repository), *index_check.check_line_ends(repository)] == []
    assert "were not looked at" in capsys.readouterr().out
    assert index_check.is_clone(ROOT) <= (ROOT / ".git").exists()


def test_size_and_line_ends_are_those_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.txt").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "large.bin").write_bytes(bytes(3 * 2**20))
    for command in (["init"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--message=x"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    repository = Repository(tmp_path)
    assert list(index_check.check_size(repository)) == []
    monkeypatch.setattr(index_check, "_MEGABYTES", 2)
    assert "more than 2" in next(index_check.check_size(repository))
    assert list(index_check.check_line_ends(repository)) == ["file.txt has other line ends than LF"]
