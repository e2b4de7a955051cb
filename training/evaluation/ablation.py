"""The paper's ablation (figure 7) with numbers: the network with both attention modules, with one alone, and with none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cspadn.metrics import RESULT_NAMES, Scores
from cspadn.models.cspadn import ATTENTION
from cspadn.models.weights import WEIGHTS_SUFFIX
from training.evaluation.curves import find, read_curve
from training.evaluation.figures import Curve, draw_losses
from training.evaluation.inputs import Inputs, span
from training.evaluation.intervals import Spread, spread
from training.evaluation.pairs import Pair
from training.evaluation.paper import draw_fused
from training.evaluation.rows import Outcomes, Row, mean_scores
from training.evaluation.tables import Section, counted, listed, markdown, number, write_csv
from training.evaluation.trained import SCALES, Options, budget_of, card_of, learned_scales, loss_text, options_of

FOLDER = "ablation"
WITH, WITHOUT = "both", "none"
LOTTERY = "Qabf"  # printed for each seed
TOO_FEW = "There are too few seeds with and without attention to compare a difference with its spread."
_COLUMNS = (*RESULT_NAMES, *SCALES)  # of the CSV file
_NAME = re.compile(rf"({'|'.join(ATTENTION)})-(\d+)")
_FIGURE_SLICES = 4

_TRAP = (
    "The loss has a trap (decision 0003): where one source is black, omitting the other costs no more SSIM than showing it, "
    "so a run can end without the skull. Starting with MSE alone counteracts this. Where the seeds of one variant differ "
    f"widely in {LOTTERY}, some of them may have fallen into the trap; that is chance, not an effect of attention."
)

Means = dict[str, dict[int, Scores]]  # by variant, or contrast of two, and seed


class Findings(NamedTuple):
    """Measurements: the means of the variants, with the learned scales, and the differences to no attention."""

    means: Means
    differences: Means


def rows(folder: Path) -> list[Row]:
    """Return a row for each file VARIANT-SEED.safetensors; none if the folder does not exist."""
    found = [path for path in folder.glob(f"*{WEIGHTS_SUFFIX}") if _NAME.fullmatch(path.stem)]
    found.sort(key=lambda path: (ATTENTION.index(variant_and_seed(path.stem)[0]), variant_and_seed(path.stem)[1]))
    return [Row(path.stem, "model", str(path)) for path in found]


def variant_and_seed(name: str) -> tuple[str, int]:
    """Split the name of a row, such as ``both-1``."""
    variant, _, seed = name.rpartition("-")
    return variant, int(seed)


def find_curves(folder: Path) -> list[Path]:
    """Return the curves of the variants, from a subfolder of the folder of all curves."""
    return [path for path in find(folder / FOLDER) if _NAME.fullmatch(path.stem)]


def report(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes) -> Section:
    """Write the table and the figures, and report the effect of attention."""
    means: Means = {}
    for row in table:
        variant, seed = variant_and_seed(row.name)
        means.setdefault(variant, {})[seed] = mean_scores(outcomes[row.name]) | learned_scales(row.source)
    findings = Findings(means, _differences(means))
    _write_table(inputs, findings)
    parts = [_intro(inputs, table), _table(means), _contrasts(findings, inputs.same_head)]
    parts += [_curves(inputs, table), _figure(inputs, outcomes, findings)]
    return Section(FOLDER, "Experiment A: the ablation, figure 7", "\n\n".join(filter(None, parts)))


def _differences(means: Means) -> Means:
    """Return the values with attention minus those without, for each seed that has both."""
    without = means.get(WITHOUT, {})
    found = {
        f"{variant} - {WITHOUT}": {
            seed: _difference(of_seeds[seed], without[seed]) for seed in sorted(of_seeds.keys() & without)
        }
        for variant, of_seeds in means.items()
        if variant != WITHOUT
    }
    return {name: of_seeds for name, of_seeds in found.items() if of_seeds}


def _difference(scores: Scores, others: Scores) -> Scores:
    return {m: scores[m] - others[m] for m in RESULT_NAMES}


def _spread(of_seeds: dict[int, Scores], measure: str) -> Spread | None:
    """Return the spread over the seeds; None if no seed has the measure, such as alpha without spatial attention."""
    values = [scores[measure] for scores in of_seeds.values() if measure in scores]
    return spread(values) if values else None


def _write_table(inputs: Inputs, findings: Findings) -> None:
    """Write the values of every seed and their statistics; intervals only for differences."""
    lines: list[list[object]] = []
    for name, of_seeds in {**findings.means, **findings.differences}.items():
        lines += [[name, str(seed), *map(scores.get, _COLUMNS)] for seed, scores in of_seeds.items()]
        spreads = [_spread(of_seeds, m) or [None] * 4 for m in _COLUMNS]
        names = ["mean", "standard deviation", "95 % from", "95 % to"]
        kept = names if name in findings.differences else names[:2]
        lines += [[name, what, *(found[i] for found in spreads)] for i, what in enumerate(kept)]
    write_csv(inputs.output / "ablation.csv", ["attention", "seed", *_COLUMNS], lines)


def _intro(inputs: Inputs, table: Sequence[Row]) -> str:
    options = [options_of(card_of(row.source)) for row in table]
    seeds = listed([str(seed) for seed in sorted({variant_and_seed(row.name)[1] for row in table})])
    intro = (
        "The network with both attention modules, with only the spatial or only the channel module, and with neither; "
        f"nothing else differs. Loss: {_all_of(map(_loss, options))}. Each run: "
        f"{_all_of(str(budget_of(row) or 'unknown') for row in table)}. Seeds: {seeds}. The table gives the mean and standard "
        f"deviation, over the seeds, of the means over the {span(inputs.same_head)}; the mean over the seeds of alpha and "
        f"beta, the learned scales of the spatial and the channel attention; and {LOTTERY} of each seed."
    )
    return "\n\n".join(filter(None, [intro, trap(options)]))


def trap(options: Iterable[Options]) -> str:
    """Return a caution if a run was trained on the mean SSIM; otherwise an empty text."""
    return _TRAP if any("ssim" in each.get("loss", {}) for each in options) else ""


def _loss(options: Options) -> str:
    mse_only = options.get("mse_steps", 0)
    return loss_text(options) + (f", after {mse_only} steps of MSE alone" if mse_only else "")


def _all_of(texts: Iterable[str]) -> str:
    """Return the text if all runs share one; otherwise all texts."""
    return " or ".join(sorted(set(texts)))


def _table(means: Means) -> str:
    lines = [
        [
            name,
            *(found.text() if (found := _spread(of_seeds, m)) else "" for m in RESULT_NAMES),
            *(number(found.mean if (found := _spread(of_seeds, scale)) else None) for scale in SCALES),
            ", ".join(number(scores[LOTTERY]) for scores in of_seeds.values()),
        ]
        for name, of_seeds in means.items()
    ]
    return markdown(["attention", *RESULT_NAMES, *SCALES, f"{LOTTERY} of each seed"], lines)


def _contrasts(findings: Findings, pairs: Sequence[Pair]) -> str:
    """Describe the differences between runs of equal seeds, with their intervals and limits."""
    told = {name: of_seeds for name, of_seeds in findings.differences.items() if len(of_seeds) > 1}
    if not told:
        return TOO_FEW
    spreads = {(name, m): spread([s[m] for s in of_seeds.values()]) for name, of_seeds in told.items() for m in RESULT_NAMES}
    lines = [[*key, *map(number, found), found.verdict] for key, found in spreads.items()]
    header = ["difference", "measure", "mean", "standard deviation", "95 % from", "to", "the interval"]
    parts = [
        "The difference between runs with the same seed, its standard deviation over the seeds, and the 95 % confidence "
        "interval of its mean (Student's t with one degree of freedom fewer than seeds).",
        markdown(header, lines),
        _caution(told, len(spreads), pairs),
    ]
    return "\n\n".join(parts)


def _caution(told: Means, intervals: int, pairs: Sequence[Pair]) -> str:
    seeds = listed([str(count) for count in sorted({len(of_seeds) for of_seeds in told.values()})])
    return (
        f"{seeds} seeds cannot show small effects: an interval that contains 0 does not prove that attention has no effect. "
        f"An interval that excludes 0 is weak evidence on its own: with {len(RESULT_NAMES)} measures a false alarm is likely; "
        f"of {intervals} such intervals, {0.05 * intervals:.1f} would exclude 0 on average if attention changed nothing. The "
        f"pairs are not independent samples{_alikeness(pairs)}, so the findings hold for this head only."
    )


def _alikeness(pairs: Sequence[Pair]) -> str:
    """Return the least and greatest correlation of neighbouring slices."""
    images = [(a, b) for one, other in pairwise(pairs) for a, b in ((one.pet, other.pet), (one.mri, other.mri))]
    found = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in images if a.std() and b.std() and a.shape == b.shape]
    return f" (the grey levels of neighbouring slices correlate by {min(found):.2f} to {max(found):.2f})" if found else ""


def _curves(inputs: Inputs, table: Sequence[Row]) -> str:
    """Draw the mean training loss of each variant over its seeds, if there are curves."""
    of_variants: dict[str, list[Curve]] = {}
    for path in sorted(find_curves(inputs.curves), key=lambda path: ATTENTION.index(variant_and_seed(path.stem)[0])):
        of_variants.setdefault(variant_and_seed(path.stem)[0], []).append(read_curve(path)[0])
    if not of_variants:
        return ""
    mse_only = max(int(options_of(card_of(row.source)).get("mse_steps", 0)) for row in table)
    means = {f"{name}, {counted(len(found), 'seed')}": _mean_curve(found) for name, found in of_variants.items()}
    draw_losses(inputs.output / "ablation_curves.png", means, mse_only)
    caption = "*Training loss of each variant: mean over each epoch and over the seeds, drawn at the epoch's last step.*"
    return f"![Training loss of each variant](ablation_curves.png)\n\n{caption}"


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    """Average curves over the length of the shortest."""
    shortest = min(map(len, curves))
    mean: Curve = np.mean([curve[:shortest] for curve in curves], axis=0)
    return mean


def _figure(inputs: Inputs, outcomes: Outcomes, findings: Findings) -> str:
    """Draw figure 7 for the first seed that has both variants."""
    seeds = findings.differences.get(f"{WITH} - {WITHOUT}")
    if not seeds:
        return ""
    seed = min(seeds)
    fused = {
        title: [each.fused for each in outcomes[f"{variant}-{seed}"]]
        for title, variant in (("without attention", WITHOUT), ("with attention", WITH))
    }
    draw_fused(inputs, "figure7.png", inputs.same_head, fused, _FIGURE_SLICES)
    return f"![Without and with attention](figure7.png)\n\n*Figure 7: without and with attention, seed {seed}.*"
