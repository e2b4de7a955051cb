"""``make cohort-demo``: 24 simulated heads, two Dask workers of which one is killed, a run that goes on, and the time.

Two of the subjects cannot be fused: one has a damaged PET, one no T1w image. The time is that of one more run, on two new
workers, against a plain loop over ``cspadn fuse`` with the same metrics and pages.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cohorts import cluster, cohort_command, start_cohort, write_dataset

SAMPLES = Path(__file__).resolve().parents[2] / "CSpADNFusion" / "Resources" / "SampleData"
SUBJECTS, CORRUPT, WITHOUT_T1W = 24, "sub-05", "sub-17"
_ORIENTATIONS = ("LPS", "RAS", "LIP", "ASL", "PIR", "SAR")
_SPACING = 3.0  # millimetres: small volumes, since the demo is about many
_VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def main() -> int:
    """Entry point; 0 if all went as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="a folder, made anew")
    options = parser.parse_args()
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    dataset = build(options.output / "bids")
    whole = _run_with_losses(dataset, options.output)
    seconds, plain = _timed(dataset, options.output)
    ratio = plain / seconds
    print(f"Again on two workers: {seconds:.1f} s. Plain loop over 'cspadn fuse': {plain:.1f} s. {ratio:.2f} times as fast.")
    print(f"Look at {options.output / 'derivatives' / 'index.html'}")
    return 0 if whole == SUBJECTS - 2 else 1


def build(root: Path) -> Path:
    """The dataset: each subject is the simulated head of another size, moved, noisy, and stored in another order."""
    source = _source()
    random = np.random.default_rng(0)
    pairs: dict[str, tuple[sitk.Image, sitk.Image | None]] = {}
    for number in range(1, SUBJECTS + 1):
        uptake, brightness = random.uniform(0.75, 1.25), random.uniform(0.5, 50)
        scales = (uptake, brightness)
        pet, mri = (_varied(image, number, random, scale) for image, scale in zip(_moved(source, random), scales, strict=True))
        name = f"sub-{number:02}"
        pairs[f"{name}_ses-1" if number % 3 == 0 else name] = (pet, None if name == WITHOUT_T1W else mri)
    write_dataset(root, pairs)
    (damaged,) = root.glob(f"{CORRUPT}/pet/*.nii.gz")
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    print(f"{SUBJECTS} simulated heads; {CORRUPT} has a damaged PET, {WITHOUT_T1W} no T1w image.")
    return root


def _source() -> tuple[sitk.Image, sitk.Image]:
    names = "SimulatedHead_FDG.nrrd", "SimulatedHead_T1.nrrd"
    pet, mri = (_coarser(sitk.ReadImage(str(SAMPLES / name), sitk.sitkFloat32)) for name in names)
    return pet, mri


def _coarser(image: sitk.Image) -> sitk.Image:
    """At :data:`_SPACING`, or as it is."""
    spacing = [max(each, _SPACING) for each in image.GetSpacing()]
    size = [round(count * old / new) for count, old, new in zip(image.GetSize(), image.GetSpacing(), spacing, strict=True)]
    return sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), spacing, image.GetDirection())


def _moved(pair: tuple[sitk.Image, sitk.Image], random: np.random.Generator) -> tuple[sitk.Image, sitk.Image]:
    """Change the size of both, as heads differ, and move both by one shift and turn, as they lie in scanners."""
    turn = sitk.Euler3DTransform()
    turn.SetRotation(*random.uniform(-0.1, 0.1, 3))
    turn.SetTranslation(random.uniform(-15, 15, 3))
    rotation, size = np.array(turn.GetMatrix()).reshape(3, 3), random.uniform(0.93, 1.07)
    moved = tuple(sitk.Image(image) for image in pair)
    for image in moved:
        image.SetOrigin(turn.TransformPoint([size * each for each in image.GetOrigin()]))
        image.SetSpacing([size * each for each in image.GetSpacing()])
        image.SetDirection((rotation @ np.array(image.GetDirection()).reshape(3, 3)).ravel())
    return moved[0], moved[1]


def _varied(image: sitk.Image, number: int, random: np.random.Generator, scale: float) -> sitk.Image:
    """Noise of 2 % of the brightest voxel, another scale, another stored order."""
    values = sitk.GetArrayFromImage(image)
    noisy = sitk.GetImageFromArray(
        (values + random.normal(0, 0.02 * values.max(), values.shape) * (values > 0)).astype(np.float32)
    )
    noisy.CopyInformation(image)
    return sitk.DICOMOrient(noisy * float(scale), _ORIENTATIONS[number % len(_ORIENTATIONS)])


def _run_with_losses(dataset: Path, folder: Path) -> int:
    """A worker is killed, then the run is interrupted, then it goes on; how many results are whole in the end."""
    output = folder / "derivatives"
    with cluster(folder / "dask") as here:
        arguments = (dataset, output, "--scheduler", here.address, "--device", "cpu")
        process = start_cohort(*arguments, stderr=None)
        _follow(process, 5)
        here.workers[0].kill()
        print("-- one of two workers was killed")
        _follow(process, 5)
        process.send_signal(signal.SIGINT)
        _follow(process, None)
        print(f"-- interrupted: exit code {process.wait()}; started again, with two workers")
        here.workers.append(here.add_worker())
        process = start_cohort(*arguments, stderr=None)
        _follow(process, None)
        print(f"-- exit code {process.wait()}")
    return _count_whole(output)


def _follow(process: subprocess.Popen[str], lines: int | None) -> None:
    """Print what it tells, some lines or all."""
    assert process.stdout is not None
    for number, line in enumerate(process.stdout, 1):
        print(line, end="", flush=True)
        if number == lines:
            return


def _count_whole(output: Path) -> int:
    """Results that can be read and are as large as their side files say, and valid BIDS around them."""
    whole = 0
    for file in sorted(output.glob("sub-*/**/*_desc-fused_brightness.nii.gz")):
        sitk.ReadImage(str(file))
        whole += file.with_name(file.name.replace(".nii.gz", ".json")).exists()
    done = subprocess.run([str(_VALIDATOR), "--format", "json", str(output)], capture_output=True, text=True)
    issues = json.loads(done.stdout)["issues"]["issues"]
    errors = [issue for issue in issues if issue["severity"] == "error"]
    failed = {file.stem: json.loads(file.read_text())["message"] for file in sorted((output / "logs").glob("*.json"))}
    print(f"{whole} whole results; BIDS validator: {len(errors)} errors, {len(issues) - len(errors)} warnings; failed:")
    print(*(f"  {name}: {message}" for name, message in failed.items()), sep="\n")
    return whole if not errors else 0


def _timed(dataset: Path, folder: Path) -> tuple[float, float]:
    """Seconds of a run on two workers, and of a loop over the pairs that can be fused."""
    begun = time.perf_counter()
    subprocess.run(cohort_command(dataset, folder / "timed", "--workers", "2", "--device", "cpu"), stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    (plain := folder / "plain").mkdir()
    begun = time.perf_counter()
    for file in sorted((folder / "timed").glob("sub-*/**/*_desc-fused_brightness.json")):
        pet, mri = (dataset / source.removeprefix("bids:raw:") for source in json.loads(file.read_text())["Sources"])
        subprocess.run(fuse_command(pet, mri, plain), check=True, stderr=subprocess.DEVNULL)  # warnings
    return seconds, time.perf_counter() - begun


def fuse_command(pet: Path, mri: Path, folder: Path) -> list[str]:
    """``cspadn fuse`` with the outputs that a cohort has."""
    stem = folder / pet.name.removesuffix("_pet.nii.gz")
    command = [sys.executable, "-m", "cspadn", "fuse", str(pet), str(mri), "-o", f"{stem}.nii.gz", "--device", "cpu"]
    return [*command, "--metrics", f"{stem}.csv", "--report", f"{stem}.html", "--progress", "none"]


if __name__ == "__main__":
    sys.exit(main())
