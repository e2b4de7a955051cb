"""Measure the automatic windows and the check for swapped volumes, and write docs/windows.md.

The inputs are the real pairs and the label maps in DATA, and the sample pair. Lesions, padding, outliers and noise are added
to simulated heads, so the right window is known. "Before" is the rule used until decision 0021: percentiles alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cspadn.errors import FusionError, InputError
from cspadn.imaging.automatic_windows import automatic_mri_window, automatic_pet_window
from cspadn.imaging.geometry import resample, thinned, to_axial
from cspadn.imaging.modality import check_modalities
from cspadn.imaging.windowing import Window
from cspadn.io.images import read_in_process
from training import heads
from training.command import help_text
from training.heads import FWHM_PER_SIGMA, MRI_CONTRASTS, TRACERS, Volume

ROOT = Path(__file__).resolve().parents[2]
STEP_MM = 2  # of the simulated heads: every second voxel of a label map
PSF_MM, NOISE, TEXTURE = 5.5, 0.04, 0.06  # of the simulated PETs; see training.heads.scan_pet
MRI_LEVEL, PET_LEVEL = 700.0, 10_000.0  # intensity of 1
LESIONS_ML, UPTAKES = (0.3, 0.5, 1.0, 2.0, 5.0, 10.0), (1.2, 1.35, 1.5, 2.0, 4.0, 10.0)
REFERENCES = {"FDG": 1.0, "amyloid": 1.0, "FET": 0.3, "dopamine": 1.0}  # reference uptake; lesions have a multiple of it
PADDINGS, PADDING_SHARES = (-1000.0, -32768.0), (0.0, 0.005, 0.02, 0.05, 0.1, 0.2)
OUTLIERS = {"20000": 20_000.0, "twice the window": 2.0, "eight times the window": 8.0}
OUTLIER_SHARES = (0.0, 0.0005, 0.0015, 0.005, 0.01)
NEGATIVE_NOISE = (0.05, 0.1, 0.2)  # standard deviation, of the uptake 1, everywhere
SEEN, DIM = 1.5, 1.2  # levels, relative to the window without a lesion, that divide lesions in the summary
BOUND = 0.1  # of the width of the right window
_DESIGNED_HEAD = 5  # for padding and outliers
LESION_HEADS, NOISE_HEADS = (8, 12), (8, 10, 12)  # not looked at when the rule for foci was chosen
_Pair = tuple[sitk.Image, sitk.Image]


class Row(NamedTuple):
    """A case: errors of both ends, as shares of the width of the right window, before and now."""

    name: str
    before: tuple[float, float]
    now: tuple[float, float]

    @property
    def worst(self) -> float:
        """Return the larger error of the two ends now."""
        return max(map(abs, self.now))


def percentile_window(values: NDArray[np.generic]) -> Window:
    """Return the window of earlier versions, from the 0.5th percentile to the 99.5th of the foreground."""
    finite = values[np.isfinite(values)]
    lower, bright = (float(level) for level in np.percentile(finite, (0.5, 99.9)))
    if lower == bright:
        return Window(float(finite.min()), float(finite.max()))
    return Window(lower, float(np.percentile(finite[finite > lower + 0.1 * (bright - lower)], 99.5)))


def before(pet: sitk.Image, mri: sitk.Image) -> tuple[Window, Window]:
    """Return the windows of PET and MRI by :func:`percentile_window`."""
    axial = to_axial(mri)
    seen = sitk.GetArrayFromImage(resample(pet, thinned(axial)))
    return percentile_window(seen), percentile_window(sitk.GetArrayFromImage(axial))


def now(pet: sitk.Image, mri: sitk.Image) -> tuple[Window, Window]:
    """Return the windows of PET and MRI that a fusion uses."""
    axial = to_axial(mri)
    return automatic_pet_window(pet, axial), automatic_mri_window(axial)


def error(window: Window, right: Window) -> tuple[float, float]:
    """Return the errors of both ends, as shares of the width of the right window."""
    width = right.upper - right.lower
    return (window.lower - right.lower) / width, (window.upper - right.upper) / width


def to_image(values: Volume, spacing_mm: float = STEP_MM) -> sitk.Image:
    """Return a volume (slices, rows, columns) as an image in LPS whose middle is the origin."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values[:, ::-1, ::-1], np.float32))
    image.SetSpacing([spacing_mm] * 3)
    image.SetOrigin([-spacing_mm * size / 2 for size in image.GetSize()])
    return image


class Head:
    """A label map at :data:`STEP_MM`, and scans of it."""

    def __init__(self, data: Path, number: int) -> None:
        tissues = heads.read_tissues(data / "label_maps" / f"head{number:02d}.nii.gz")
        self.number, self.tissues = number, tissues[::STEP_MM, ::STEP_MM, ::STEP_MM]
        self.inside = heads.of_tissues(self.tissues, heads.INSIDE_SKULL)
        self._fwhm = (PSF_MM / STEP_MM,) * 3

    def mri(self, contrast: str = "T1", *, bias: float = 0.1, stripped: bool = False) -> Volume:
        """Simulate an MRI."""
        painted = heads.paint(self.tissues, MRI_CONTRASTS[contrast])
        scanned = heads.scan_mri(painted, np.random.default_rng(self.number), bias=bias) * np.float32(MRI_LEVEL)
        return scanned * self.inside if stripped else scanned

    def pet(self, uptake: Volume, noise: float = NOISE) -> Volume:
        """Simulate a PET of an uptake."""
        random = np.random.default_rng(self.number)
        return heads.scan_pet(uptake, random, fwhm=self._fwhm, texture=TEXTURE, noise=noise) * np.float32(PET_LEVEL)

    def uptake(self, tracer: str) -> Volume:
        """Return the uptake of each voxel without a lesion."""
        return heads.paint(self.tissues, TRACERS[tracer])

    def lesion(self, uptake: Volume, volume_ml: float, level: float) -> tuple[Volume, float]:
        """Put a round lesion into white matter.

        Returns:
            The uptake, and the level of the lesion's brightest voxel in a PET without noise.
        """
        centre = np.argwhere(self.inside).mean(axis=0) + np.array([12, 16, 28]) / STEP_MM
        axes = np.ix_(*[(np.arange(size) - middle) * STEP_MM for size, middle in zip(uptake.shape, centre, strict=True)])
        radius = (volume_ml * 1000 * 3 / (4 * np.pi)) ** (1 / 3)
        filled = np.clip((radius - np.sqrt(sum(axis**2 for axis in axes))) / STEP_MM + 0.5, 0, 1).astype(np.float32)
        changed = uptake + (np.float32(level) - uptake) * filled
        clean = gaussian_filter(changed, [width / FWHM_PER_SIGMA for width in self._fwhm])
        return changed, float(clean[filled > 0.3].max()) * PET_LEVEL


def real_pairs(data: Path) -> Iterator[tuple[str, _Pair]]:
    """Yield the real pairs and the sample pair."""
    volumes, sample = data / "volumes", ROOT / "CSpADNFusion" / "Resources" / "SampleData"
    files = {
        "Whole Brain Atlas, FDG and T1": (volumes / "aanlib/PET_axial.nii.gz", volumes / "aanlib/MRI_axial.nii.gz"),
        "Whole Brain Atlas, DICOM": (volumes / "aanlib_dicom/PT", volumes / "aanlib_dicom/MR"),
        "SPM, water PET and T1": (volumes / "mni/PET.nii.gz", volumes / "mni/single_subj_T1.nii.gz"),
        "FDG template and T1": (volumes / "mni/CN_PET_TEMPLATE.nii.gz", volumes / "mni/single_subj_T1.nii.gz"),
        "sample pair": (sample / "SimulatedHead_FDG.nrrd", sample / "SimulatedHead_T1.nrrd"),
    }
    for name, (pet, mri) in files.items():
        yield name, (read_in_process(pet, "The PET"), read_in_process(mri, "The MRI"))


def simulated_pairs(every: Iterable[Head]) -> Iterator[tuple[str, _Pair]]:
    """Yield each head in each tracer and contrast, with and without the skull."""
    for head in every:
        contrasts = [*MRI_CONTRASTS, *MRI_CONTRASTS]
        for index, tracer in enumerate([*TRACERS, *TRACERS]):
            stripped, contrast = index >= len(TRACERS), contrasts[index % len(contrasts)]
            mri = head.mri(contrast, bias=0.1 + 0.2 * (head.number % 2), stripped=stripped)
            name = f"{tracer} and {contrast}{', skull-stripped' if stripped else ''}"
            yield name, (to_image(head.pet(head.uptake(tracer))), to_image(mri))


class Ordinary(NamedTuple):
    """What is measured of a pair without faults.

    Attributes:
        name: of the pair.
        pet, mri: change of the end of the window that changed more, as a share of the earlier width.
        warned: whether the pair is taken for a swapped one.
        found: whether it is when it is swapped.
    """

    name: str
    pet: float
    mri: float
    warned: bool
    found: bool


def ordinary(pairs: Iterable[tuple[str, _Pair]]) -> list[Ordinary]:
    """Measure pairs without faults."""
    rows = list[Ordinary]()
    for name, (pet, mri) in pairs:
        old, new = before(pet, mri), now(pet, mri)
        of_pet, of_mri = (max(error(new[index], old[index]), key=abs) for index in range(2))
        rows.append(Ordinary(name, of_pet, of_mri, bool(check_modalities(pet, mri)), bool(check_modalities(mri, pet))))
    return rows


def lesion_rows(head: Head) -> list[tuple[Row, float, float]]:
    """Return the errors of the PET's window for each lesion, its volume, and its level relative to the window without it."""
    mri, rows = to_image(head.mri()), []
    plain = {tracer: automatic_pet_window(to_image(head.pet(head.uptake(tracer))), mri) for tracer in REFERENCES}
    for tracer, volume, uptake in product(REFERENCES, LESIONS_ML, UPTAKES):
        changed, level = head.lesion(head.uptake(tracer), volume, uptake * REFERENCES[tracer])
        pet = to_image(head.pet(changed))
        right = Window(0.0, max(level, plain[tracer].upper))
        name = f"head {head.number}, {tracer}, {volume:g} ml, {uptake:g} times"
        row = Row(name, error(before(pet, mri)[0], right), error(automatic_pet_window(pet, mri), right))
        rows.append((row, volume, level / plain[tracer].upper))
    return rows


def padded(values: Volume, share: float, constant: float) -> Volume:
    """Fill the outermost columns of a volume, as after resampling or moving the field of view."""
    result = values.copy()
    count = round(share * values.shape[2] / 2)
    if count:
        result[:, :, :count] = result[:, :, -count:] = constant
    elif share:
        result[:, : max(1, round(share * values.shape[1])), :] = constant
    return result


def mri_rows(head: Head) -> Iterator[tuple[str, Row]]:
    """Yield the errors of the MRI's window for padding and outliers."""
    for contrast, stripped in product(MRI_CONTRASTS, (False, True)):
        clean = head.mri(contrast, stripped=stripped)
        right, kind = percentile_window(clean), f"{contrast}{', skull-stripped' if stripped else ''}"
        random = np.random.default_rng(head.number)
        spoilt = [
            ("padding", f"{kind}, {share:.1%} of {constant:g}", padded(clean, share, constant))
            for share, constant in product(PADDING_SHARES, PADDINGS)
        ]
        for share, (name, level) in product(OUTLIER_SHARES, OUTLIERS.items()):
            values = clean.copy()
            places = random.choice(values.size, round(share * values.size), replace=False)
            values.ravel()[places] = level if level > right.upper else level * right.upper
            spoilt.append(("outliers", f"{kind}, {share:.2%} of {name}", values))
        for group, name, values in spoilt:
            yield (
                group,
                Row(name, error(percentile_window(values), right), error(automatic_mri_window(to_image(values)), right)),
            )


def noise_rows(every: Iterable[Head]) -> Iterator[Row]:
    """Yield the errors of the PET's window with noise that has both signs."""
    for head, tracer, level in product(every, ("FDG", "amyloid"), NEGATIVE_NOISE):
        clean, random = head.pet(head.uptake(tracer)), np.random.default_rng(head.number)
        noise = heads.smooth_noise(clean.shape, (1.0, 1.0, 1.0), random) * np.float32(level * PET_LEVEL)
        pet, mri = to_image(clean + noise), to_image(head.mri())
        right = Window(0.0, percentile_window(clean).upper)
        name = f"head {head.number}, {tracer}, noise {level:g}"
        yield Row(name, error(before(pet, mri)[0], right), error(automatic_pet_window(pet, mri), right))


def report(data: Path, numbers: Sequence[int], say: Callable[[str], None]) -> str:
    """Measure everything, and return the page."""
    every = [Head(data, number) for number in numbers]
    designed = Head(data, _DESIGNED_HEAD)
    say("real and simulated pairs")
    pairs = {"real and sample pairs": ordinary(real_pairs(data)), "simulated heads": ordinary(simulated_pairs(every))}
    say("lesions, padding, outliers, noise")
    lesions = [row for number in LESION_HEADS for row in lesion_rows(Head(data, number))]
    mris, noise = list(mri_rows(designed)), list(noise_rows(Head(data, number) for number in NOISE_HEADS))
    focus = [row for row, volume, level in lesions if volume >= 0.5 and level >= SEEN]
    dim = [row for row, volume, level in lesions if volume >= 0.5 and DIM <= level < SEEN]
    hidden = [row for row, volume, level in lesions if volume >= 0.5 and 1 < level < DIM]
    groups = {
        f"lesions of 0.5 to 10 ml, {SEEN:g} times the window without them or more": focus,
        f"lesions of 0.5 to 10 ml, {DIM:g} to {SEEN:g} times the window": dim,
        f"lesions of 0.5 to 10 ml, 1 to {DIM:g} times the window": hidden,
        "lesions of 0.3 ml": [row for row, volume, _ in lesions if volume < 0.5],
        "padding of 0 to 20 % of the MRI": [row for group, row in mris if group == "padding"],
        "outliers of 0 to 1 % of the MRI": [row for group, row in mris if group == "outliers"],
        "noise of both signs in the PET": noise,
    }
    return "\n".join([_HEAD, *_change_table(*pairs.values()), *_error_table(groups), *_alarm_table(pairs)]) + "\n"


_HEAD = f"""# Windows

`make windows-report` measures this page (`python -m training.evaluation.windows`); the rule and its reasons are in
[0022](adr/0022-windows.md). Simulated heads have voxels of {STEP_MM} mm, PETs a resolution of {PSF_MM} mm.
"""


def _change_table(real: list[Ordinary], simulated: list[Ordinary]) -> Iterator[str]:
    yield "## Change on ordinary volumes\n"
    yield "Change of the end that changed more, as a share of the width of the window by percentiles alone.\n"
    yield "| pair | PET | MRI |\n| --- | --- | --- |"
    for row in real:
        yield f"| {row.name} | {row.pet:+.1%} | {row.mri:+.1%} |"
    for tracer in TRACERS:
        chosen = [row for row in simulated if row.name.split()[0] == tracer]
        pet, mri = max((row.pet for row in chosen), key=abs), max((row.mri for row in chosen), key=abs)
        yield f"| simulated heads, {tracer}: largest of {len(chosen)} | {pet:+.1%} | {mri:+.1%} |"
    yield ""


def _error_table(groups: dict[str, list[Row]]) -> Iterator[str]:
    yield "## Window against the right one\n"
    yield "Largest error of an end, as a share of the width of the right window, which is the one without the fault;"
    yield "of a lesion, it ends at the lesion's brightest voxel in a PET without noise.\n"
    yield f"| cases | number | within {BOUND:.0%} before | now | worst before | worst now | worst case now |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, rows in groups.items():
        if not rows:
            continue
        old = [max(map(abs, row.before)) for row in rows]
        worst = max(rows, key=lambda row: row.worst)
        good = [sum(each <= BOUND for each in errors) for errors in (old, [row.worst for row in rows])]
        yield f"| {name} | {len(rows)} | {good[0]} | {good[1]} | {max(old):.0%} | {worst.worst:.0%} | {worst.name} |"
    yield ""


def _alarm_table(pairs: dict[str, list[Ordinary]]) -> Iterator[str]:
    yield "## Swapped volumes\n"
    yield "| pairs | number | false warnings | warnings when swapped |\n| --- | --- | --- | --- |"
    for name, rows in pairs.items():
        yield f"| {name} | {len(rows)} | {sum(row.warned for row in rows)} | {sum(row.found for row in rows)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation.windows", description=help_text(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="folder with volumes/ and label_maps/")
    parser.add_argument("--output", type=Path, required=True, help="Markdown file to write")
    parser.add_argument(
        "--heads", type=int, nargs="+", default=list(range(1, 15)), help="numbers of the label maps (default: all)"
    )
    options = parser.parse_args(arguments)
    try:
        if not options.output.resolve().parent.is_dir():
            raise InputError(f"The folder of {options.output} does not exist: create it first.")
        page = report(options.data, options.heads, lambda text: print(text, file=sys.stderr))
    except FusionError as failure:
        print(f"windows: error: {failure}", file=sys.stderr)
        return failure.exit_code
    options.output.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
