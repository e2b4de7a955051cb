"""What each attention module brings to the default model: its training with both modules, with one and with none.

The observer detects lesions in the grey volumes of every network: in whole slices, and in the same pixels as parts of slices
of three sizes, because attention is trained on patches and sees the whole slice in use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from training.evaluation.ablation import TOO_FEW, WITHOUT, variant_and_seed
from training.evaluation.cases import TASKS, Case
from training.evaluation.intervals import Spread, spread
from training.evaluation.observer import PATCH
from training.evaluation.reading import GREY_TASKS, fused_planes, read_lesions
from training.evaluation.rows import Mapper, Row
from training.evaluation.sizes import EXTENTS, REACH, shift, with_extent
from training.evaluation.tables import Section, listed, markdown, number, write_csv
from training.evaluation.trained import SCALES, budget_of, learned_scales

FOLDER = "attention"  # of the weights, and name of the page
WHOLE = "whole"
_TASKS = [TASKS[index] for index in GREY_TASKS]
_MEASURES = ("worst", *(task.name for task in _TASKS))
_DECIMALS = 3

Values = dict[str, dict[int, dict[str, float]]]  # by variant and seed: the measures


class _Task(NamedTuple):
    row: Row
    case: Case
    extent: str


def report(table: Sequence[Row], cases: Sequence[Case], sized: Sequence[Case], folder: Path, mapper: Mapper) -> Section:
    """Read every network, write ``attention.csv`` and return the page.

    Args:
        table: rows named VARIANT-SEED, as :func:`training.evaluation.ablation.rows` returns them.
        cases: the cases to read in whole slices.
        sized: the cases to read in slices of every size of :data:`EXTENTS`.
    """
    extents = [(WHOLE, cases), *((str(extent), [at_extent(case, extent) for case in sized]) for extent in EXTENTS)]
    tasks = [_Task(row, case, extent) for extent, of_extent in extents for row in table for case in of_extent]
    results = dict.fromkeys(((task.extent, task.row.name) for task in tasks), np.empty((0, len(_MEASURES))))
    for task, found in zip(tasks, mapper(measured, tasks), strict=True):
        key = task.extent, task.row.name
        results[key] = np.vstack([results[key], found])
    of_extents = {extent: _by_variant(table, extent, results) for extent, _ in extents}
    write_csv(
        folder / f"{FOLDER}.csv",
        ["slices", "attention", "seed", *_MEASURES],
        [
            [extent, variant, str(seed), *values.values()]
            for extent, of_variants in of_extents.items()
            for variant, of_seeds in of_variants.items()
            for seed, values in of_seeds.items()
        ],
    )
    return Section(FOLDER, "What attention brings to the default model", _body(table, cases, sized, of_extents))


def at_extent(case: Case, extent: int) -> Case:
    """Return the case in slices of ``extent`` pixels along each side, cut or continued by their mirror images.

    It keeps the places whose patches are inside the smallest of the :data:`EXTENTS`, farther from its border than convolutions
    reach: the same at every extent.
    """
    pet, mri = (np.stack([with_extent(plane, extent) for plane in planes]) for planes in (case.pet, case.mri))
    middle = (min(EXTENTS) - PATCH) // 2 - REACH
    middles = [length // 2 for length in case.pet.shape[1:]]

    def moved(places: NDArray[np.int64]) -> NDArray[np.int64]:
        inside = np.all(np.abs(places[:, 1:] - middles) < middle, axis=1)
        kept = places[inside]
        kept += [0, *(shift(length, extent) for length in case.pet.shape[1:])]
        return kept

    return replace(case, pet=pet, mri=mri, places=moved(case.places), background=moved(case.background))


def measured(task: _Task) -> NDArray[np.float64]:
    """Return the measures of one network on one case: the worst efficiency and that of each task."""
    planes = fused_planes(task.row, task.case, _TASKS)
    indices, reference, _ = read_lesions(task.case, planes, _TASKS)
    efficiency = (indices / reference)[0]
    return np.array([efficiency.min(), *efficiency])


def _by_variant(table: Sequence[Row], extent: str, results: dict[tuple[str, str], NDArray[np.float64]]) -> Values:
    found: Values = {}
    for row in table:
        variant, seed = variant_and_seed(row.name)
        means = results[extent, row.name].mean(axis=0)
        found.setdefault(variant, {})[seed] = dict(zip(_MEASURES, map(float, means), strict=True))
    return found


def _body(table: Sequence[Row], cases: Sequence[Case], sized: Sequence[Case], of_extents: dict[str, Values]) -> str:
    whole, of_sizes = of_extents[WHOLE], {extent: values for extent, values in of_extents.items() if extent != WHOLE}
    seeds = listed([str(seed) for seed in sorted({variant_and_seed(row.name)[1] for row in table})])
    budgets = " or ".join(sorted({str(budget_of(row) or "unknown") for row in table}))
    scales = {row.name: learned_scales(row.source) for row in table}
    parts = [
        "The default model's training with both attention modules, with only the spatial or only the channel module, and "
        f"with neither; nothing else differs. Each run: {budgets}. Seeds: {seeds}. The numerical observer "
        "([observer.md](observer.md)) detects lesions in the grey volumes, as the product makes them. The tables give the "
        "mean and standard deviation over the seeds.",
        "## Whole slices",
        f"{len(cases)} cases: {listed([case.name for case in cases])}. Worst: the mean over the cases of the efficiency in "
        "the worst of the four tasks. Alpha and beta: the learned scales of the spatial and the channel attention, for each "
        "seed.",
        _table(whole, scales),
        "The difference between runs with the same seed, and the 95 % confidence interval of its mean (Student's t).",
        _differences({WHOLE: whole}, _MEASURES),
        "## Small and large slices",
        f"{listed([case.name for case in sized])}: the middle {EXTENTS[0]} pixels alone, and continued to "
        f"{listed([str(extent) for extent in EXTENTS[1:]])} pixels, by the rest of the slice and then by mirror images. "
        "The lesions are the same in all sizes, so only what the network sees at a distance can make a difference. "
        "Efficiency in the worst task.",
        _sizes(of_sizes),
        _differences(of_sizes, ["worst"]),
    ]
    if intervals := len([*_compared({WHOLE: whole}, _MEASURES), *_compared(of_sizes, ["worst"])]):
        parts.append(
            "An interval describes the seeds, not other heads, and few seeds cannot show small effects. Of "
            f"{intervals} such intervals, {0.05 * intervals:.1f} would exclude 0 on average if attention changed nothing."
        )
    return "\n\n".join(parts)


def _table(values: Values, scales: dict[str, dict[str, float]]) -> str:
    lines = []
    for variant, of_seeds in values.items():
        learned = [
            ", ".join(number(scales[f"{variant}-{seed}"].get(scale), 2) for seed in of_seeds).strip(", ") for scale in SCALES
        ]
        lines.append([variant, *(_with_spread(of_seeds, measure) for measure in _MEASURES), *learned])
    return markdown(["attention", *_MEASURES, *SCALES], lines)


def _sizes(of_extents: dict[str, Values]) -> str:
    variants = list(next(iter(of_extents.values())))
    lines = [[variant, *(_with_spread(values[variant], "worst") for values in of_extents.values())] for variant in variants]
    return markdown(["attention", *(f"{extent} pixels" for extent in of_extents)], lines)


def _with_spread(of_seeds: dict[int, dict[str, float]], measure: str) -> str:
    return spread([values[measure] for values in of_seeds.values()]).text(_DECIMALS)


def _differences(of_extents: dict[str, Values], measures: Sequence[str]) -> str:
    """Return a table of the differences to no attention; a sentence if no two runs can be compared."""
    found = list(_compared(of_extents, measures))
    if not found:
        return TOO_FEW
    lines = [
        [
            f"{variant} - {WITHOUT}",
            extent if extent == WHOLE else f"{extent} pixels",
            measure,
            *(number(value, _DECIMALS) for value in (each.mean, each.lower, each.upper)),
            each.verdict,
        ]
        for variant, extent, measure, each in found
    ]
    return markdown(["difference", "slices", "measure", "mean", "95 % from", "to", "the interval"], lines)


def _compared(of_extents: dict[str, Values], measures: Sequence[str]) -> Iterator[tuple[str, str, str, Spread]]:
    for extent, values in of_extents.items():
        without = values.get(WITHOUT, {})
        for variant in (each for each in values if each != WITHOUT):
            shared = sorted(values[variant].keys() & without.keys())
            for measure in measures if len(shared) > 1 else ():
                yield variant, extent, measure, spread([values[variant][s][measure] - without[s][measure] for s in shared])
