"""The paper's ablation (figure 7) with numbers: the network with both attentions, with one alone, and with none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cspadn.metrics import Scores
from cspadn.network import ATTENTION
from cspadn.weights import CARD_SUFFIX, WEIGHTS_SUFFIX, read_card
from training.evaluation.inputs import Inputs, span
from training.evaluation.paper import draw_fused
from training.evaluation.rows import RANKED, Outcomes, Row, mean_scores
from training.evaluation.tables import Section, counted, listed, markdown, number, write_csv

FOLDER = "ablation"
WITH, WITHOUT = "both", "none"
_NAME = re.compile(rf"({'|'.join(ATTENTION)})-(\d+)")
_FIGURE_SLICES = 4

Means = dict[str, dict[int, Scores]]  # by variant and seed


def rows(folder: Path) -> list[Row]:
    """A row for each file VARIANT-SEED.safetensors; none where there is no such folder."""
    found = [path for path in folder.glob(f"*{WEIGHTS_SUFFIX}") if _NAME.fullmatch(path.stem)]
    found.sort(key=lambda path: (ATTENTION.index(_parts(path.stem)[0]), _parts(path.stem)[1]))
    return [Row(path.stem, "model", str(path)) for path in found]


def _parts(name: str) -> tuple[str, int]:
    variant, _, seed = name.rpartition("-")
    return variant, int(seed)


def report(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes) -> Section:
    """Write the table and figure 7, and say what attention changes."""
    means: Means = {}
    for row in table:
        variant, seed = _parts(row.name)
        means.setdefault(variant, {})[seed] = mean_scores(outcomes[row.name])
    differences = _differences(means)
    _write_table(inputs, means, differences)
    body = "\n\n".join([_intro(inputs, table, means), _table(means, differences), _verdict(differences)])
    return Section(FOLDER, "Experiment A: the ablation, figure 7", body + _figure(inputs, outcomes, differences))


def _differences(means: Means) -> dict[int, Scores]:
    """With attention less without, for each seed that has both."""
    with_, without = means.get(WITH, {}), means.get(WITHOUT, {})
    return {seed: {m: with_[seed][m] - without[seed][m] for m in RANKED} for seed in sorted(with_.keys() & without.keys())}


def _mean_and_spread(of_seeds: dict[int, Scores], measure: str) -> tuple[float, float]:
    """The mean over the seeds and their standard deviation, which is NaN for one seed."""
    values = [scores[measure] for scores in of_seeds.values()]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def _write_table(inputs: Inputs, means: Means, differences: dict[int, Scores]) -> None:
    parts = {**means, f"{WITH} - {WITHOUT}": differences} if differences else means
    lines: list[list[object]] = []
    for name, of_seeds in parts.items():
        lines += [[name, str(seed), *(scores[m] for m in RANKED)] for seed, scores in of_seeds.items()]
        spreads = [_mean_and_spread(of_seeds, m) for m in RANKED]
        lines += [
            [name, what, *values]
            for what, values in zip(("mean", "standard deviation"), zip(*spreads, strict=True), strict=True)
        ]
    write_csv(inputs.output / "ablation.csv", ["attention", "seed", *RANKED], lines)


def _intro(inputs: Inputs, table: Sequence[Row], means: Means) -> str:
    cards = [read_card(Path(row.source).with_suffix(CARD_SUFFIX)) for row in table]
    steps = sorted({str(card.training.get("steps", "an unknown number of")) for card in cards})
    seeds = counted(max(map(len, means.values())), "seed")
    return (
        "The paper's preset with both attention modules, with the spatial or the channel one alone, and with none: "
        f"{seeds} each, {' or '.join(steps)} steps. Mean and standard deviation over the seeds of the means over the "
        f"{span(inputs.same_head)}. The last row is the difference between runs of the same seed."
    )


def _table(means: Means, differences: dict[int, Scores]) -> str:
    parts = {**means, f"{WITH} − {WITHOUT}": differences} if differences else means  # noqa: RUF001
    lines = [[name, *(_with_spread(*_mean_and_spread(of_seeds, m)) for m in RANKED)] for name, of_seeds in parts.items()]
    return markdown(["attention", *RANKED], lines)


def _with_spread(mean: float, spread: float) -> str:
    return number(mean) if np.isnan(spread) else f"{number(mean)} ± {number(spread)}"


def _verdict(differences: dict[int, Scores]) -> str:
    """On which measures the difference is larger than its spread."""
    if len(differences) < 2:
        return "There are not enough seeds with and without attention to tell a difference from its spread."
    spreads = {m: _mean_and_spread(differences, m) for m in RANKED}
    better = [m for m, (mean, spread) in spreads.items() if mean > spread]
    worse = [m for m, (mean, spread) in spreads.items() if -mean > spread]
    rest = [m for m in RANKED if m not in better + worse]
    return (
        f"Attention raises by more than one standard deviation of the difference: {listed(better)}. "
        f"It lowers by more than that: {listed(worse)}. Within the spread: {listed(rest)}."
    )


def _figure(inputs: Inputs, outcomes: Outcomes, differences: dict[int, Scores]) -> str:
    """Figure 7, of the first seed that has both."""
    if not differences:
        return ""
    seed = min(differences)
    fused = {
        title: [each.fused for each in outcomes[f"{variant}-{seed}"]]
        for title, variant in (("without attention", WITHOUT), ("with attention", WITH))
    }
    draw_fused(inputs, "figure7.png", inputs.same_head, fused, _FIGURE_SLICES)
    return f"\n\n![Without and with attention](figure7.png)\n\n*Figure 7: without and with attention, seed {seed}.*"
