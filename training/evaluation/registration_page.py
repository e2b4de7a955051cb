"""Write docs/registration.md from the measurements, and draw a pair before and after its registration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cspadn.imaging.outlines import checkerboard, outline
from cspadn.imaging.windowing import Window, automatic_window, sampled, to_unit
from cspadn.io.images import read_in_process
from cspadn.registration import check_alignment, register
from cspadn.registration.placing import placed
from training.evaluation.registration import (
    LARGE_DEGREES,
    LARGE_MM,
    MOVES,
    SMALL_DEGREES,
    SMALL_MM,
    Checked,
    Measured,
)
from training.evaluation.registration_cases import distances, draw_move
from training.evaluation.tables import markdown

_CHOSEN_ON = (10, 11)  # heads on which levels and starts were chosen
_ATLAS_MOVES = 3
_BRAIN_MM = (-50.0, 0.0, 50.0)  # of the points at which transforms of the atlas are compared, about the middle of the volume


def page(registrations: Sequence[Measured], checks: Sequence[Checked], atlas: str) -> str:
    """Return the document."""
    own = [row for row in registrations if row.method == "cspadn"]
    parts = [
        "# How exact the registration is",
        _INTRODUCTION.format(cases=len(own), heads=len({row.head for row in own}), chosen=" and ".join(map(str, _CHOSEN_ON))),
        "## Error",
        _errors(own),
        _beside(registrations),
        "![A pair before and after its registration](pictures/registration.png)",
        "*MRI with an outline of the PET, and a checkerboard of both: as the headers place them (above), registered (below).*",
        "## Real pair",
        atlas,
        "## The check of the alignment",
        _check_text(checks),
        "## What this does not show",
        _LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_INTRODUCTION = (
    "Made by `make registration-report`, from {cases} cases of {heads} simulated heads. Each case has an MRI (T1, T2 or "
    "FLAIR, with slices of 1, 3 and 2 mm) and a PET (FDG, amyloid or FET, with slices of 2 or 8 mm). The head is rotated "
    "about a random axis and moved in a random direction between the two. Half of the PETs have a short field of view, "
    "which can miss a part of the head. The target registration error (TRE) of a case is the mean distance over the points "
    "of the brain between where the transform puts them and where they are. Levels and starts were chosen on heads "
    "{chosen} ([0023](adr/0023-registration.md)). Seconds are of processor time on one core."
)
_LIMITS = (
    "The simulated PET and MRI come from the same label map: the head does not bend at the neck, nothing moves during the "
    "scan, the MRI is not distorted, and a tissue has the same uptake everywhere but for noise. Errors on real pairs are "
    "larger. On the pair of the atlas two programs agree that the volumes as published are about 2 mm apart "
    "([0023](adr/0023-registration.md)); nobody knows the truth."
)


def _errors(own: Sequence[Measured]) -> str:
    (near_degrees, near_mm), (far_degrees, far_mm) = MOVES
    groups: list[tuple[str, Callable[[Measured], bool]]] = [
        (f"moves up to {near_degrees:g} degrees and {near_mm:g} mm", _is_near),
        (f"moves up to {far_degrees:g} degrees and {far_mm:g} mm", lambda row: not _is_near(row)),
        *[(f"MRI {name}", lambda row, name=name: row.contrast == name) for name in ("T1", "T2", "FLAIR")],
        *[(f"PET {name}", lambda row, name=name: row.tracer == name) for name in ("FDG", "amyloid", "FET")],
        *[(f"PET slices of {mm} mm", lambda row, mm=mm: row.slice_mm == mm) for mm in (2, 8)],
        ("short field of view", lambda row: row.cut),
        *[(f"head {number}", lambda row, number=number: row.head == number) for number in sorted({r.head for r in own})],
        ("all", lambda row: row in own),
    ]
    return markdown(
        ("cases", "number", "TRE median, mm", "TRE worst, mm", "worst point, mm", "seconds, median", "worst"),
        [_error_row(name, [row for row in own if chosen(row)]) for name, chosen in groups],
    )


def _is_near(row: Measured) -> bool:
    return row.degrees <= MOVES[0][0] and row.millimetres <= MOVES[0][1]


def _error_row(name: str, rows: Sequence[Measured]) -> list[str]:
    if not rows:
        return [name, "0", *["-"] * 5]
    errors, seconds = [row.error_mm for row in rows], [row.seconds for row in rows]
    numbers = np.median(errors), max(errors), max(row.worst_mm for row in rows)
    return [name, str(len(rows)), *(f"{number:.2f}" for number in numbers), f"{np.median(seconds):.1f}", f"{max(seconds):.1f}"]


def _beside(registrations: Sequence[Measured]) -> str:
    """Compare the methods on the cases that all of them have registered."""
    peers = [row for row in registrations if row.method != "cspadn"]
    if not peers:
        return "antspyx was not installed."
    keys = {_key(row) for row in peers}
    own = [row for row in registrations if row.method == "cspadn" and _key(row) in keys]
    rows = [_error_row("`cspadn register`", own), _error_row("antspyx, `Rigid`", peers)]
    head = ("the same cases", "number", "TRE median, mm", "TRE worst, mm", "worst point, mm", "seconds, median", "worst")
    return markdown(head, rows)


def _key(row: Measured) -> tuple[object, ...]:
    return row.head, row.contrast, row.tracer, row.slice_mm


def _check_text(checks: Sequence[Checked]) -> str:
    large, small = [row for row in checks if row.is_large], [row for row in checks if row.is_small]
    between = [row for row in checks if not row.is_large and not row.is_small]
    errors = [abs(row.found_mm - row.true_mm) for row in checks if np.isfinite(row.found_mm)]
    rows = [
        (f"at least {LARGE_MM:g} mm or {LARGE_DEGREES:g} degrees", *_flagged(large)),
        (f"below {SMALL_MM:g} mm and {SMALL_DEGREES:g} degrees", *_flagged(small)),
        ("between", *_flagged(between)),
    ]
    told = (
        f"The check measured {len(checks)} drawn misalignments of 0 to 20 mm of the same cases. It warns from {LARGE_MM:g} "
        f"mm or {LARGE_DEGREES:g} degrees on. The displacement that it finds differs from the true one by "
        f"{np.median(errors):.2f} mm (median; 95 %: {np.percentile(errors, 95):.2f} mm). It took "
        f"{np.median([row.seconds for row in checks]):.1f} seconds of processor time (median; longest: "
        f"{max(row.seconds for row in checks):.1f})."
    )
    return told + "\n\n" + markdown(("true misalignment", "number", "warned", "share", "not determined"), rows)


def _flagged(rows: Sequence[Checked]) -> tuple[str, ...]:
    count = sum(row.flagged for row in rows)
    share = f"{count / len(rows):.1%}" if rows else "-"
    return str(len(rows)), str(count), share, str(sum(not np.isfinite(row.found_mm) for row in rows))


def atlas_section(data: Path) -> str:
    """Register the pair of the atlas as published, and moved; and check it."""
    pet, mri = _atlas(data)
    given = register(pet, mri)
    checked = check_alignment(pet, mri)
    middle = np.array(mri.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in mri.GetSize()]))
    points = np.stack(np.meshgrid(*[_BRAIN_MM] * 3), axis=-1).reshape(-1, 3) + middle
    rows = []
    for seed in range(_ATLAS_MOVES):
        random = np.random.default_rng((22, seed))
        move = draw_move(random, middle, float(random.uniform(5, 30)), float(random.uniform(10, 60)))
        found = register(placed(pet, move), mri)
        back = sitk.CompositeTransform([move, found.transform])
        errors = [distances(back, other, points).mean() for other in (given.transform, sitk.Transform())]
        angle = 2 * np.degrees(np.arccos(min(1.0, abs(move.GetVersor()[3]))))
        rows.append((f"{angle:.0f}", f"{np.linalg.norm(move.GetTranslation()):.0f}", *(f"{error:.2f}" for error in errors)))
    told = (
        "The FDG-PET and the T1 of the Whole Brain Atlas, moved apart and registered again. The published volumes "
        f"themselves are {given.displacement_mm:.1f} mm and {given.rotation_degrees:.1f} degrees from where the "
        f"registration puts them; the check finds {checked.displacement_mm:.1f} mm and {checked.rotation_degrees:.1f} "
        "degrees, and does not warn."
    )
    head = (
        "rotated by, degrees",
        "moved by, mm",
        "mm from the registration of the published pair",
        "mm from the published position",
    )
    return told + "\n\n" + markdown(head, rows)


def _atlas(data: Path) -> tuple[sitk.Image, sitk.Image]:
    folder = data / "volumes" / "aanlib"
    return (
        read_in_process(folder / "PET_axial.nii.gz", "The PET"),
        read_in_process(folder / "MRI_axial.nii.gz", "The MRI"),
    )


def draw_picture(data: Path, path: Path) -> None:
    """Draw the atlas pair, moved, before and after the registration."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    pet, mri = _atlas(data)
    middle = np.array(mri.TransformContinuousIndexToPhysicalPoint([(count - 1) / 2 for count in mri.GetSize()]))
    apart = placed(pet, draw_move(np.random.default_rng(7), middle, 12, 25))
    windows = automatic_window(sampled(pet), "The PET"), automatic_window(sampled(mri), "The MRI")
    figure, axes = pyplot.subplots(2, 4, figsize=(12, 5.6))
    for row, image in zip(axes, (apart, register(apart, mri).placed(apart)), strict=True):
        for panel, (plane, height) in zip(row, _panels(image, mri, windows), strict=True):
            panel.imshow(plane, aspect=height)
            panel.set_axis_off()
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def _panels(pet: sitk.Image, mri: sitk.Image, windows: tuple[Window, Window]) -> list[tuple[np.ndarray, float]]:
    """Return pictures (H, W, 3) of an axial and a coronal plane, outlined and as a checkerboard, and the height of a pixel."""
    seen = to_unit(sitk.GetArrayFromImage(sitk.Resample(pet, mri)), windows[0])
    own = to_unit(sitk.GetArrayFromImage(mri), windows[1])
    steps = mri.GetSpacing()
    axial, coronal = own.shape[0] // 2, own.shape[1] // 2
    panels: list[tuple[np.ndarray, float]] = []
    planes = ((seen[axial], own[axial], 1.0), (seen[::-1, coronal], own[::-1, coronal], steps[2] / steps[0]))
    for uptake, tissue, height in planes:
        picture = np.repeat(tissue[..., np.newaxis], 3, axis=2)
        picture[outline(uptake, 0.3)] = (1, 0.6, 0)
        board = checkerboard(uptake, tissue, 24)
        panels += [(picture, height), (np.repeat(board[..., np.newaxis], 3, axis=2), height)]
    return panels
