"""What ``pip wheel .`` and an sdist hold, and that the wheel works in an environment that has nothing of this repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import SimpleITK as sitk

import cspadn
import training
from cspadn.models import weights
from cspadn.settings import MODELS
from repository import ROOT

DATA = {
    "cspadn/py.typed",
    *(f"cspadn/Resources/Models/{model}.{kind}" for model in MODELS for kind in ("json", "safetensors")),
    "cspadn/Resources/SampleData/SimulatedHead_T1.nrrd",
    "cspadn/Resources/SampleData/SimulatedHead_FDG.nrrd",
    "cspadn/Resources/Report/subject.html.j2",
}
OTHERS = ("3.10", "3.12")  # Pythons beside this one, tried where they are installed


def build(folder: Path) -> None:
    """Build the sdist and the wheel into a folder."""
    for target in ("sdist", "wheel"):
        command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@pytest.fixture(scope="module")
def built(once) -> Path:
    """Return a folder with the sdist and the wheel."""
    return once("package", build)


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    (found,) = built.glob("*.tar.gz")
    return found


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_has_code_weights_and_samples(wheel: Path) -> None:
    names = names_in(wheel)
    code = {file.relative_to(ROOT / "CSpADNFusion").as_posix() for file in (ROOT / "CSpADNFusion" / "cspadn").rglob("*.py")}
    assert code | DATA <= names
    assert {name.split("/")[0] for name in names} == {"cspadn", f"cspadn-{cspadn.__version__}.dist-info"}
    assert wheel.name == f"cspadn-{cspadn.__version__}-py3-none-any.whl"


def test_the_version_stands_in_one_place() -> None:
    folders = (ROOT / name for name in ("CSpADNFusion", "Testing", "training", "docs"))
    own = [*ROOT.glob("*.toml"), *ROOT.glob("*.cff"), *(file for folder in folders for file in folder.rglob("*.py"))]
    version = re.compile(rf"(?<![\d.]){re.escape(cspadn.__version__)}(?![\d.]|\w)")
    with_version = [file for file in own if version.search(file.read_text(encoding="utf-8"))]
    assert [file.relative_to(ROOT).as_posix() for file in with_version] == ["CSpADNFusion/cspadn/__init__.py"]


def test_metadata_say_what_pip_must_know(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert "torch>=2.2" in metadata.get_all("Requires-Dist", [])
    assert "3D Slicer" in str(metadata.get_payload())  # the README


def test_the_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "again")]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (again,) = (tmp_path / "again").glob("*.whl")
    assert names_in(again) == names_in(wheel)


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "OMP_NUM_THREADS") if name in os.environ}
    return {**kept, "HOME": str(home), "USERPROFILE": str(home), "PYTHONDONTWRITEBYTECODE": "1", **more}


def installed(python: str, wheel: Path, folder: Path) -> Path:
    """Return the Python of a new environment that has the wheel but none of its dependencies."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True)
    own = folder / ("Scripts" if os.name == "nt" else "bin") / ("python.exe" if os.name == "nt" else "python")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--python", str(own)]  # this Python's pip may not know newer ones
    command = [*uv, "--quiet", "--no-cache", "--offline", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, env=clean_environment(folder))
    return own


def test_the_wheel_fuses_in_another_environment(wheel: Path, tmp_path: Path) -> None:
    """The dependencies of this environment are added by path, so this repository's code is not used."""
    python = installed(sys.executable, wheel, tmp_path / "environment")
    command = "import sysconfig; print(sysconfig.get_path('purelib'))"
    (packages,) = {run([python, "-c", command], tmp_path).strip()}
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (Path(packages) / "lent.pth").write_text("\n".join(lent))
    told = run([python, "-c", "import cspadn; print(cspadn.__file__, cspadn.__version__)"], tmp_path)
    assert told.startswith(packages)
    sample = Path(packages) / "cspadn" / "Resources" / "SampleData"
    inputs = [str(sample / "SimulatedHead_FDG.nrrd"), "mri.nrrd"]
    mri = sitk.ReadImage(str(sample / "SimulatedHead_T1.nrrd"))
    sitk.WriteImage(mri[:, :, 50:56], str(tmp_path / "mri.nrrd"))  # a few slices are enough here
    script = python.parent / ("cspadn.exe" if os.name == "nt" else "cspadn")
    assert "cspadn-paper" in run([script, "models"], tmp_path)
    run([script, "fuse", *inputs, "-o", "fused.nrrd", "--device", "cpu", "--progress", "none"], tmp_path)
    assert (tmp_path / "fused.json").is_file()
    assert weights.load_model().card.sha256 in (tmp_path / "fused.json").read_text(encoding="utf-8")


def run(command: list[object], folder: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=clean_environment(folder), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version", OTHERS)
def test_other_pythons_read_the_code(wheel: Path, tmp_path: Path, version: str) -> None:
    """Each file compiles, and what needs no other package is imported; the whole needs torch, several GB for each Python."""
    python = other_python(version)
    own = installed(python, wheel, tmp_path / "environment")
    told = run([own, "-c", "import cspadn, cspadn.errors, cspadn.settings; print(cspadn.FusionSettings().model)"], tmp_path)
    assert told.split() == ["cspadn"]
    run([own, "-m", "compileall", "-q", "-f", str(own.parent.parent)], tmp_path)


def other_python(version: str) -> str:
    """Return the executable of a Python version; skip the test if there is none."""
    names = [f"python{version}", *map(str, (Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))]
    for name in names:
        try:
            done = subprocess.run(
                [name, "-c", "import sys; print(*sys.version_info[:2], sep='.')"], capture_output=True, text=True
            )
        except OSError:
            continue
        if done.stdout.strip() == version:
            return name
    pytest.skip(f"Python {version} is not installed")


def test_what_the_reference_lists_needs_one_import(tmp_path: Path) -> None:
    """Users write: import cspadn, then cspadn.metrics.measure."""
    listed = re.findall(r":: ?cspadn\.(\w+)", (ROOT / "docs" / "library.md").read_text(encoding="utf-8"))
    assert len(listed) > 10
    code = f"import cspadn; print([name for name in {sorted(set(listed))} if not hasattr(cspadn, name)])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    assert all(hasattr(cspadn, name) for name in cspadn.__all__)


@pytest.mark.parametrize("command", ["train", "export", "evaluate", "observe", "ablate", "gallery"])
def test_a_missing_extra_is_named(command: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['lightning'] = sys.modules['scipy'] = None\n")
    places = os.pathsep.join(map(str, (tmp_path, ROOT, Path(cspadn.__file__).parents[1])))
    environment = {**os.environ, "PYTHONPATH": places}
    run = [sys.executable, "-m", f"training.{command}", "--help"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr
        == "training: lightning, scipy are not installed. In a clone of the repository: pip install '.[training]'.\n"
    )


def test_the_packages_of_the_training_are_those_of_its_extra() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("\ntraining = [")[1].split("]")[0]
    names = {re.split(r"[><=]", each)[0].lower() for each in re.findall(r'"([^"]+)"', project)}
    assert {{"PIL": "pillow", "yaml": "pyyaml"}.get(name, name) for name in training._PACKAGES} == names
