"""Fixtures for several tests: volumes, the shared data if present, and the stand-in for the application."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import SimpleITK as sitk
from filelock import FileLock

from interrupts import heed_interrupts
from nodes import node_of
from repository import LIBRARY, MODULE_FILE, RESOURCES, SHARED
from shared_reader import SharedReader
from volumes import small_pair

BATCH_SCRIPT = LIBRARY / "Scripts" / "fuse_batch.py"
SAMPLES = ("SimulatedHead_FDG", "SimulatedHead_T1")  # PET and MRI

# What ctkAbstractPythonManager::executeFile has Slicer's Python execute.
_EXECUTE_FILE = """
import sys
_ctk_executefile_dir = {folder!r}
sys.path.insert(0, _ctk_executefile_dir)
try:
    _updated_globals = globals()
    _updated_globals['__file__'] = {file!r}
    exec(open({file!r}).read(), _updated_globals)
finally:
    try:
        sys.path.remove(_ctk_executefile_dir)
    except ValueError:
        pass
    del _ctk_executefile_dir
"""

heed_interrupts()  # tests interrupt processes

# Garbage is looked for less often, since each look goes through all objects of torch and pytest: a twentieth of the time.
gc.set_threshold(50_000, 20, 20)

pytest_plugins = ["slicer_application.fixtures"]

# Examples for each property: the same ones in each run of 'make test' and 'make test-ci', random ones in 'make test-all'. None
# has a time limit.
hypothesis.settings.register_profile("usual", max_examples=10, deadline=None, derandomize=True)
hypothesis.settings.register_profile("thorough", max_examples=50, deadline=None)
hypothesis.settings.load_profile("usual")


def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are processors: many tests wait for processes that they have started."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session", autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests have a key of their own for their results, and leave that of the user."""
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that has a new folder of this name filled by the first process that asks, and returns it to all.

    For what takes seconds to make and is only read: each process of a run may get tests of any file, and several times.
    """
    here = tmp_path_factory.getbasetemp()
    common = here.parent if "PYTEST_XDIST_WORKER" in os.environ else here

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        folder, finished = common / f"once-{name}", common / f"once-{name}.finished"
        with FileLock(common / f"once-{name}.lock"):
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                finished.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with data that the project does not own."""
    if not SHARED.is_dir():
        pytest.skip("the folder 'shared' with the evaluation data is not beside the project")
    return SHARED


@pytest.fixture(scope="session")
def shared_reader() -> Iterator[SharedReader]:
    """Return the reading process that tests share."""
    reader = SharedReader()
    yield reader
    reader.end()


@pytest.fixture
def one_reading_process(shared_reader: SharedReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read volumes in the process of earlier tests: starting one takes a second of processor time."""
    shared_reader.install(monkeypatch)


@pytest.fixture
def logic(scene):
    """Return the module's logic, in a fresh scene."""
    from slicer_application import application

    application.openModule(MODULE_FILE)
    import CSpADNFusion

    return CSpADNFusion.CSpADNFusionLogic()


@pytest.fixture(scope="session")
def coarse_resources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder like Resources with only the sample pair, at half the in-plane resolution: a quarter of the voxels."""
    folder = tmp_path_factory.mktemp("Resources")
    (folder / "SampleData").mkdir()
    shutil.copytree(RESOURCES / "Icons", folder / "Icons")
    for name in SAMPLES:
        image = sitk.BinShrink(sitk.ReadImage(str(RESOURCES / "SampleData" / f"{name}.nrrd")), [2, 2, 1])
        sitk.WriteImage(image, str(folder / "SampleData" / f"{name}.nrrd"))
    return folder


@pytest.fixture
def pair() -> tuple[sitk.Image, sitk.Image]:
    """Return a small PET, on a coarser grid of its own, and an MRI in the same space."""
    return small_pair()


@pytest.fixture
def slicer_without_window(scene, monkeypatch):
    """Install the module in a Slicer that was started with --no-main-window."""
    import slicer

    from slicer_application import application

    application.openModule(MODULE_FILE)
    application.closeModules()
    monkeypatch.setattr(slicer.app, "hasMainWindow", False)
    return scene


@pytest.fixture
def run(slicer_without_window, monkeypatch) -> Callable[..., int]:
    """Return a function that runs the script with arguments and returns the exit code that Slicer receives."""

    def execute(*arguments: object, separator: bool = False) -> int:
        import slicer.util

        codes: list[int] = []
        monkeypatch.setattr(slicer.util, "exit", codes.append)
        given = ["--", *arguments] if separator else arguments
        monkeypatch.setattr(sys, "argv", [str(BATCH_SCRIPT), *map(str, given)])
        exec(_EXECUTE_FILE.format(folder=str(BATCH_SCRIPT.parent), file=str(BATCH_SCRIPT)), {"__name__": "__main__"})
        (code,) = codes
        return code

    return execute


@pytest.fixture
def panel(scene, pair):
    """Open the module with a PET and an MRI in the scene."""
    from slicer_application import application

    node_of(pair[0], "PET")
    node_of(pair[1], "MRI")
    return application.openModule(MODULE_FILE)


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Let torch use three threads during a test."""
    yield from _threads(3)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Let torch use one thread during a test: sums of several threads may differ in their last digit."""
    yield from _threads(1)


def _threads(count: int) -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def plain_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw an empty element for each plot of a page: matplotlib takes more than half of the time of a fusion with its page."""
    from cspadn.report import plots

    monkeypatch.setattr(plots, "_svg", lambda width, height, draw, key: f'<svg id="{key}"></svg>')


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their number: their content, such as the time in a gzip header, may differ between processes."""
    return f"{argname}-{len(val)}-bytes" if isinstance(val, (bytes, bytearray)) else None
