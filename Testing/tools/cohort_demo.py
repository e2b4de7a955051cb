"""``make cohort-demo``: 24 different simulated heads, two Dask workers, of which one is killed, and the time.

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
from demo_heads import Heads
from interrupts import heed_interrupts

SUBJECTS, CORRUPT, WITHOUT_T1W = 24, "sub-05", "sub-17"
_SECOND_TRACER = 3  # every third subject has another tracer
_VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")


def main() -> int:
    """Entry point; 0 if all went as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="a folder, made anew")
    parser.add_argument("--data", type=Path, default=Path("none"), help="folder with data/label_maps, if there is one")
    options = parser.parse_args()
    heed_interrupts()
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    dataset = build(options.output / "bids", Heads(options.data / "data" / "label_maps"))
    whole = _run_with_losses(dataset, options.output)
    seconds, plain = _timed(dataset, options.output)
    ratio = plain / seconds
    print(f"Again on two workers: {seconds:.1f} s. Plain loop over 'cspadn fuse': {plain:.1f} s. {ratio:.2f} times as fast.")
    print(f"Look at {options.output / 'derivatives' / 'index.html'}")
    return 0 if whole == SUBJECTS - 2 else 1


def build(root: Path, heads: Heads) -> Path:
    """The dataset: each subject is another simulated head, moved, noisy, and stored in another order."""
    random = np.random.default_rng(0)
    pairs: dict[str, tuple[sitk.Image, sitk.Image | None]] = {}
    for number in range(1, SUBJECTS + 1):
        tracer = "FDG" if number % _SECOND_TRACER else "PIB"
        pet, mri = heads.pair(number - 1, tracer, random)
        name = f"sub-{number:02}"
        session = "" if number % 4 else "_ses-1"
        pairs[f"{name}{session}_trc-{tracer}"] = (pet, None if name == WITHOUT_T1W else mri)
    write_dataset(root, pairs)
    (root / "pet.json").write_text('{"Units": "Bq/mL"}')
    (damaged,) = root.glob(f"{CORRUPT}/pet/*.nii.gz")
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    told = f"{SUBJECTS} simulated heads from {heads.source}"
    print(f"{told}; {CORRUPT} has a damaged PET, {WITHOUT_T1W} no T1w image.")
    return root


def _run_with_losses(dataset: Path, folder: Path) -> int:
    """Kill a worker, interrupt the run and resume it; return how many results are complete in the end."""
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
    """Print the output of the process, some lines of it or all."""
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
        subprocess.run(fuse_command(pet, mri, plain), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return seconds, time.perf_counter() - begun


def fuse_command(pet: Path, mri: Path, folder: Path) -> list[str]:
    """``cspadn fuse`` with the outputs that a cohort has."""
    stem = folder / pet.name.removesuffix("_pet.nii.gz")
    command = [sys.executable, "-m", "cspadn", "fuse", str(pet), str(mri), "-o", f"{stem}.nii.gz", "--device", "cpu"]
    return [*command, "--metrics", f"{stem}.csv", "--report", f"{stem}.html", "--progress", "none"]


if __name__ == "__main__":
    sys.exit(main())
