"""Small cohorts for tests and the demo, and clusters of separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import SimpleITK as sitk

LIBRARY = Path(__file__).resolve().parents[2] / "CSpADNFusion"
WITHOUT_PLOTS = {"DASK_DISTRIBUTED__WORKER__PRELOAD": str(Path(__file__).with_name("worker_preload.py"))}  # of workers
_START_SECONDS = 600  # on a busy machine
PETPREP = {
    "pet": "sub-01/pet/sub-01_space-T1w_desc-preproc_pet.nii.gz",
    "petref": "sub-01/pet/sub-01_desc-hmc_petref.nii.gz",
    "xfm": "sub-01/pet/sub-01_from-petref_to-T1w_mode-image_xfm.txt",
    "t1w": "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
}


def environment() -> dict[str, str]:
    """Return the environment of a process: that of this moment, with the library and one thread."""
    return {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}


def write_dataset(root: Path, pairs: dict[str, tuple[sitk.Image, sitk.Image | None]]) -> Path:
    """Write a BIDS dataset with PET and MRI by names such as sub-01_ses-2_trc-FDG; an MRI of None is left out."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "Made for a test", "BIDSVersion": "1.10.0"}))
    for name, (pet, mri) in pairs.items():
        folder = root.joinpath(*name.split("_")[:2]) if "_ses-" in name else root / name.split("_")[0]
        for kind, suffix, image in (("pet", "pet", pet), ("anat", "T1w", mri)):
            if image is not None:
                (folder / kind).mkdir(parents=True, exist_ok=True)
                stem = name if suffix == "pet" else name.split("_trc-")[0]
                sitk.WriteImage(image, str(folder / kind / f"{stem}_{suffix}.nii.gz"), True)
    return root


def write_petprep(root: Path, *names: str, version: str = "0.0.10", **images: sitk.Image | str) -> Path:
    """A folder as PETPrep leaves it: empty files by their paths, and images or transforms under those of keyword arguments.

    Args:
        root: the folder; made if necessary.
        names: paths of files without content.
        version: of PETPrep.
        images: contents by one of pet, petref, xfm and t1w, of sub-01 without a session: an image, or a text.
    """
    root.mkdir(parents=True, exist_ok=True)
    files: dict[str, sitk.Image | str] = dict.fromkeys(names, "")
    files |= {PETPREP[name]: content for name, content in images.items()}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (root / name).write_text(content)
        else:
            sitk.WriteImage(content, str(root / name))
    made = {"GeneratedBy": [{"Name": "PETPrep", "Version": version}], "DatasetType": "derivative"}
    described = {"Name": "PETPrep - PET PREProcessing workflow", "BIDSVersion": "1.4.0", **made}
    (root / "dataset_description.json").write_text(json.dumps(described))
    return root


def itk_text(matrix: Sequence[float], kind: str = "MatrixOffsetTransformBase_double_3_3") -> str:
    """An affine transform as PETPrep writes it: the nine numbers of the matrix, and the move."""
    numbers = " ".join(f"{number:.10g}" for number in matrix)
    head = f"#Insight Transform File V1.0\n#Transform 0\nTransform: {kind}\n"
    return f"{head}Parameters: {numbers}\nFixedParameters: 0 0 0\n"


class Cluster:
    """A scheduler and workers, each a process, on the loopback interface.

    Args:
        workers: how many.
        more: further environment variables of the workers.
    """

    def __init__(self, folder: Path, workers: int, **more: str) -> None:
        self._folder, self._environment = folder, {**environment(), **more}
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard")
        self._wait_for_file()
        self.address: str = json.loads(self._file.read_text())["address"]
        self.workers = [self.add_worker() for _ in range(workers)]

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker with one thread, which is not restarted when it dies."""
        return self._start("worker", "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self._folder))

    def _start(self, kind: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + kind, "--scheduler-file", str(self._file)]
        command += ["--host", "127.0.0.1", *arguments]
        log = (self._folder / f"{kind}.log").open("ab")
        return subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def _wait_for_file(self) -> None:
        for _ in range(_START_SECONDS * 10):
            with suppress(OSError, ValueError):
                json.loads(self._file.read_text())
                return
            time.sleep(0.1)
        raise TimeoutError((self._folder / "scheduler.log").read_text())

    def end(self) -> None:
        """End all remaining processes."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@contextmanager
def cluster(folder: Path, workers: int = 2, **more: str) -> Iterator[Cluster]:
    """Yield a :class:`Cluster`, and end it afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Cluster(folder, workers, **more)
    try:
        yield made
    finally:
        made.end()


def cohort_command(*arguments: object) -> list[str]:
    """Return the command that runs ``cspadn cohort``."""
    return [sys.executable, "-m", "cspadn", "cohort", *map(str, arguments)]


def start_cohort(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Start ``cspadn cohort`` with pipes for both outputs."""
    usual = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment()}
    return subprocess.Popen(cohort_command(*arguments), **{**usual, **options})  # type: ignore[call-overload]
