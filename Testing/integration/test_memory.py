"""Peak memory of ``cspadn fuse``: under a limit of the system, and as the system measures it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from message_calls import says

resource = pytest.importorskip("resource")
if not sys.platform.startswith("linux"):
    pytest.skip("the limit on private memory is Linux's", allow_module_level=True)

THREADS = 2  # each more needs about 50 MB for slices of 256 x 256
MEGABYTE = 10**6


def _peak(pet: Path, mri: Path, output: Path, limit: int) -> float:
    """Fuse with at most ``limit`` bytes of private memory, reserved or used; return the peak of the resident memory in MB."""
    command = [sys.executable, "-c", _CODE.format(limit=limit), str(pet), str(mri), str(output)]
    # On a busy machine, threads that wait actively take most of the processor from each other.
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Out of memory" not in done.stderr
    assert output.exists()
    return float(done.stdout.splitlines()[-1]) * 1024 / MEGABYTE


_CODE = """
import re, resource, sys
resource.setrlimit(resource.RLIMIT_DATA, ({limit}, {limit}))
from cspadn.cli import main
code = main(["fuse", *sys.argv[1:3], "--output", sys.argv[3], "--device", "cpu"])
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])  # ru_maxrss would know the parent's
sys.exit(code)
"""


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch's build for CUDA takes more before anything is fused")
@pytest.mark.slow
def test_the_atlas_volume_needs_less_than_600_mb(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "volumes" / "aanlib"
    files = (folder / "PET_axial.nii.gz", folder / "MRI_axial.nii.gz")
    assert _peak(*files, tmp_path / "fused.nii.gz", 900 * MEGABYTE) < 600


@pytest.mark.slow
def test_a_large_volume_needs_less_than_2500_mb(tmp_path: Path) -> None:
    """512 x 512 x 400, float32, of which 60 slices are full of noise, so that no background is left out."""
    voxels = np.zeros((400, 512, 512), np.float32)
    for seed, name in enumerate(("pet", "mri")):
        voxels[170:230] = np.random.default_rng(seed).random((60, 512, 512), np.float32)
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / f"{name}.mha"))
    files = (tmp_path / "pet.mha", tmp_path / "mri.mha")
    assert _peak(*files, tmp_path / "fused.mha", 2800 * MEGABYTE) < 2500


@pytest.mark.slow
def test_a_long_thin_slice_needs_less_than_600_mb(tmp_path: Path) -> None:
    """20,000 x 8: all affinities of one line would take 1.6 GB."""
    for seed, name in enumerate(("pet", "mri")):
        voxels = np.random.default_rng(seed).random((1, 20000, 8), np.float32)
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(tmp_path / f"{name}.mha"))
    assert _peak(tmp_path / "pet.mha", tmp_path / "mri.mha", tmp_path / "fused.mha", 900 * MEGABYTE) < 600


@contextmanager
def _control_group(limit: int) -> Iterator[Path]:
    """Make a group of processes with a limit of memory within that of this process, of version 1 or 2; otherwise skip."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    root = Path("/sys/fs/cgroup")
    own = next((root / "memory" / path.strip("/") for _, kinds, path in lines if kinds == "memory"), None)
    name = "memory.limit_in_bytes"
    if own is None:
        own, name = root / next(path for _, kinds, path in lines if not kinds).strip("/"), "memory.max"
    group = own / f"cspadn-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        try:
            (group / name).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"no limit of memory can be set: {error.strerror}")
        yield group
    finally:
        group.rmdir()


def test_the_limit_of_a_container_is_seen(tmp_path: Path) -> None:
    """A volume of 1.2 GB in a group with 1 GB: the command prints one sentence, and the system kills nothing."""
    header = b"NRRD0004\ntype: float\ndimension: 3\nsizes: 1000 1000 300\nendian: little\nencoding: raw\n\n"
    for name in ("pet", "mri"):
        with (tmp_path / f"{name}.nrrd").open("wb") as file:
            file.write(header)
            file.truncate(len(header) + 1_200_000_000)
    command = [sys.executable, "-c", "import sys; from cspadn.cli import main; sys.exit(main())"]
    command += ["fuse", "pet.nrrd", "mri.nrrd", "-o", "fused.nrrd"]
    with _control_group(10**9) as group:
        shell = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
        done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True)
    if "cgroup.procs" in done.stderr:
        pytest.skip("a process may not be moved into a control group")
    assert done.returncode == 5, done.stderr
    assert says(done.stderr, "volume-exceeds-memory", volume="The PET")
    assert not (tmp_path / "fused.nrrd").exists()


def test_with_too_little_memory_it_says_so(shared: Path, tmp_path: Path) -> None:
    """The command prints one sentence, ends with exit code 5, and writes nothing."""
    folder = shared / "data" / "volumes" / "aanlib"
    code = _CODE.format(limit=10**12).replace("from cspadn.cli import main", _STARVED)
    files = [str(folder / "PET_axial.nii.gz"), str(folder / "MRI_axial.nii.gz"), str(tmp_path / "fused.nii.gz")]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert "not enough memory" in done.stderr
    assert list(tmp_path.iterdir()) == []


# The limit comes when everything is loaded: what is there by then, and a little.
_STARVED = """
from cspadn.cli import main
import cspadn.inference.slice_runner, cspadn.io.png_pairs
taken = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (taken + 60 * 2**20,) * 2)
"""
