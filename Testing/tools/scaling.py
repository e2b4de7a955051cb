"""``make scaling``: the time of a cohort with one worker and with two, against a plain loop; writes docs/scaling.md."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cohort_demo import fuse_command
from cohorts import cohort_command, write_dataset
from demo_heads import SAMPLES
from trust.report import replace_measured, where

SUBJECTS = 4
_COHORT, _NODES = 10_000, ((1, 2), (1, 32), (10, 32), (100, 32))  # subjects; nodes, and the cores of each


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder with data/volumes; may be absent")
    parser.add_argument("output", type=Path, help="docs/scaling.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = _measured(Path(folder), *_pair(options.data / "data" / "volumes" / "aanlib"))
    print(told)
    replace_measured(options.output, told)


def _pair(atlas: Path) -> tuple[str, sitk.Image, sitk.Image]:
    """A real pair of the usual size, or else the shipped one; and what it is."""
    files = (atlas / "PET_axial.nii.gz", atlas / "MRI_axial.nii.gz")
    name = "a real pair"
    if not atlas.is_dir():
        files, name = (SAMPLES / "SimulatedHead_FDG.nrrd", SAMPLES / "SimulatedHead_T1.nrrd"), "the sample pair"
    pet, mri = (sitk.ReadImage(str(file), sitk.sitkFloat32) for file in files)
    return f"{name}, {' x '.join(map(str, mri.GetSize()))} voxels", pet, mri


def _measured(folder: Path, name: str, pet: sitk.Image, mri: sitk.Image) -> str:
    dataset = write_dataset(folder / "bids", {f"sub-{number}": (_noisy(pet, number), mri) for number in range(SUBJECTS)})
    seconds = {workers: _cohort(dataset, folder / str(workers), workers) for workers in (2, 1)}
    plain = _loop(dataset, folder)
    rows = [
        f"| {told} | {each:.1f} | {each / SUBJECTS:.2f} | {3600 * SUBJECTS / each:.0f} | {plain / each:.2f} |"
        for told, each in (("2 workers", seconds[2]), ("1 worker", seconds[1]), ("plain loop over `cspadn fuse`", plain))
    ]
    cores = os.cpu_count() or 1
    cost = min(2, cores) * seconds[2] / SUBJECTS
    subjects = f"{SUBJECTS} subjects of {name} (other noise in each PET), the start of the workers included."
    told = f"{subjects}\n{cores} cores, {where()}"
    head = ["| | seconds | a subject | subjects an hour | times as fast |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([told, "", *head, *rows, "", *_arithmetic(cost)])


def _arithmetic(cost: float) -> list[str]:
    told = (
        f"With two workers a subject costs {cost:.1f} core-seconds. For {_COHORT:,} subjects, **computed, not measured**, as"
        "\nif every core did as much as one of these two, and the disks kept up:"
    )
    rows = []
    for nodes, cores in _NODES:
        hours = _COHORT * cost / (nodes * cores) / 3600
        rows.append(f"| {nodes} | {cores} | {nodes * cores} | {hours:.2g} |")
    return [told, "", "| nodes | cores of each | workers | hours |", "| --- | --- | --- | --- |", *rows]


def _noisy(image: sitk.Image, seed: int) -> sitk.Image:
    """Return a pair with noise, so that no two subjects have the same content; air stays black."""
    values = sitk.GetArrayFromImage(image)
    noise = np.random.default_rng(seed).normal(0, 1, values.shape).astype(np.float32)
    noisy = sitk.GetImageFromArray(values + noise * (values > 0))
    noisy.CopyInformation(image)
    return noisy


def _cohort(dataset: Path, output: Path, workers: int) -> float:
    begun = time.perf_counter()
    command = cohort_command(dataset, output, "--workers", workers, "--device", "cpu", "--progress", "none")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _loop(dataset: Path, folder: Path) -> float:
    (plain := folder / "plain").mkdir()
    begun = time.perf_counter()
    for number in range(SUBJECTS):
        name = f"sub-{number}"
        subprocess.run(
            fuse_command(dataset / name / "pet" / f"{name}_pet.nii.gz", dataset / name / "anat" / f"{name}_T1w.nii.gz", plain),
            check=True,
        )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
