"""Experiment A: Table I and figures 5 and 6 of the paper, on the 20 test pairs of the head used in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cspadn.metrics import NAMES, RESULT_NAMES, Scores
from training.evaluation.figures import draw_grid, draw_scores, head_box
from training.evaluation.inputs import PAPER_MODEL, RULE, Inputs, label, model_rows, network_rows, span
from training.evaluation.pairs import Levels, Pair, colored, some_of
from training.evaluation.rows import Outcomes, Row, mean_scores, trivial_rows
from training.evaluation.tables import Section, best_of, counted, markdown, number, write_csv
from training.evaluation.trained import budgets, has_seen_other_planes

TABLE_MEASURES = ("EN", "Qabf", "FMI_edge", "FMI_dct")
PUBLISHED = {  # Table I of the paper; its "FMI_pixel" is FMI_edge
    "GTF": (4.2897, 0.5562, 0.8453, 0.3256),
    "MSVD": (4.8821, 0.4776, 0.8578, 0.2841),
    "IFCNN": (4.8187, 0.6663, 0.8613, 0.3746),
    "TFNet": (5.4555, 0.3457, 0.8404, 0.2353),
    PAPER_MODEL: (5.5289, 0.7111, 0.8770, 0.3933),
}
FIVE = tuple(PUBLISHED)
SEEN = "has seen other planes of this head"
_FIGURE_SLICES = 5
_DECIMALS = 4


def rows(inputs: Inputs) -> list[Row]:
    """Return the five methods in the paper's order, the trivial ones, our other models, and the networks alone."""
    models = model_rows()
    five = [*trivial_rows("GTF", "MSVD"), *inputs.trained_rows(), *(row for row in models if row.name == PAPER_MODEL)]
    others = [row for row in models if row.name != PAPER_MODEL]
    return [
        *five,
        *trivial_rows("average", "maximum", "MRI only", "PET only", "Laplacian"),
        *others,
        *network_rows(),
    ]


def report(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes) -> Section:
    """Write the tables and figures, and report which method is first."""
    means = {name: mean_scores(of_pairs) for name, of_pairs in outcomes.items()}
    pairs = inputs.same_head
    _write_tables(inputs, table, outcomes, means)
    scores = {m: {label(row): _of_pairs(outcomes, row.name, m) for row in table if row.name in FIVE} for m in TABLE_MEASURES}
    draw_scores(inputs.output / "figure6.png", scores, f"pair, from {pairs[0].name} to {pairs[-1].name}")
    figure5 = {label(row): [each.fused for each in outcomes[row.name]] for row in table if row.name in FIVE}
    figure5 |= {label(row): [each.fused for each in outcomes[row.name]] for row in table[len(FIVE) :] if row.kind == "model"}
    draw_fused(inputs, "figure5.png", pairs, figure5, _FIGURE_SLICES)
    return Section("table1", "Experiment A: Table I, figures 5 and 6", _body(table, outcomes, means, pairs))


def _of_pairs(outcomes: Outcomes, name: str, measure: str) -> list[float]:
    return [outcome.scores[measure] for outcome in outcomes[name]]


def draw_fused(inputs: Inputs, name: str, pairs: list[Pair], fused: dict[str, list[Levels]], count: int) -> None:
    """Draw evenly spaced slices, cropped to the head: PET, MRI, and the fused luma of each row with the PET's chroma."""
    chosen = some_of(pairs, count)
    pictures = {"PET": [pairs[i].color for i in chosen], "MRI": [pairs[i].mri for i in chosen]}
    pictures |= {row: [colored(pairs[i], images[i]) for i in chosen] for row, images in fused.items()}
    box = head_box([np.maximum(pairs[i].pet, pairs[i].mri) for i in chosen])
    cropped = {row: [picture[box] for picture in line] for row, line in pictures.items()}
    draw_grid(inputs.output / name, cropped, [f"pair {pairs[i].name}" for i in chosen])


def _write_tables(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes, means: dict[str, Scores]) -> None:
    lines = [
        [row.name, _group(row), _note(row), *means[row.name].values(), *PUBLISHED.get(row.name, [None] * 4)] for row in table
    ]
    published = [f"{measure}_published" for measure in TABLE_MEASURES]
    write_csv(inputs.output / "table1.csv", ["method", "group", "note", *NAMES, *published], lines)
    write_pairs(inputs, "same_head_pairs.csv", inputs.same_head, outcomes)


def write_pairs(inputs: Inputs, name: str, pairs: list[Pair], outcomes: Outcomes) -> None:
    """Write the metrics of every pair and row."""
    lines = [
        [pair.name, row, *outcome.scores.values()]
        for row, of_pairs in outcomes.items()
        for pair, outcome in zip(pairs, of_pairs, strict=True)
    ]
    write_csv(inputs.output / name, ["pair", "method", *NAMES], lines)


def _group(row: Row) -> str:
    names = {"model": "ours", "network": "ours, network alone"}
    return "five methods" if row.name in FIVE else names.get(row.kind, "trivial")


def _note(row: Row) -> str:
    return SEEN if has_seen_other_planes(row) else ""


def _noted(row: Row) -> str:
    return f"{label(row)}, {_note(row)}" if _note(row) else label(row)


def _body(table: Sequence[Row], outcomes: Outcomes, means: dict[str, Scores], pairs: list[Pair]) -> str:
    intro = (
        f"Means over the {span(pairs)} of the subset `test_same_head`, each with the published value beside it; the authors "
        'chose their own pairs. The best of the five methods is bold. The paper\'s "FMI_pixel" is FMI_edge. The rows below '
        f"the five methods show how the measures rate trivial methods and our other models. {RULE}\n\nThese pairs do not test "
        "an unseen head: the training pairs come from the same head. The loss of the paper's model was chosen on the subset "
        "`gap`, between the training and the test pairs, after an earlier loss had been measured on these pairs; its "
        "learning rate was chosen on these pairs. The paper asks for nothing more. The second subject is an unseen "
        "head.\n\nThe default model was not chosen by this table: [a numerical observer](observer.md) chose the target that "
        "it learns, on simulated heads 10 and 11 (decision 0019). Its training used slices of this head in all three planes, "
        "but not these axial slices.\n\nThe training data of each trained row, by its own options; the budgets are not equal:"
    )
    figures = (
        "![The four measures on each pair](figure6.png)\n\n*Figure 6: the five methods on each pair.*\n\n"
        "![Five slices, fused by each method](figure5.png)\n\n*Figure 5: fused luma with the chroma of the PET's picture.*"
    )
    return "\n\n".join(
        [
            intro,
            budgets(table),
            _published_table(table, means),
            "\n".join(_verdicts(outcomes, means)),
            "All nine measures on the same pairs. They reward a copy of the MRI, so they are not used to choose a model or "
            "to support a claim.",
            _nine_measures(table, means),
            figures,
        ]
    )


def _published_table(table: Sequence[Row], means: dict[str, Scores]) -> str:
    five = {name: means[name] for name in FIVE if name in means}
    best = {measure: best_of(five, measure, _DECIMALS) for measure in TABLE_MEASURES}
    lines = []
    for row in table:
        cells = [_noted(row)]
        for measure, published in zip(TABLE_MEASURES, PUBLISHED.get(row.name, [None] * 4), strict=True):
            cells += [number(means[row.name][measure], bold=row.name in best[measure]), number(published)]
        lines.append(cells)
    return markdown(["method", *(head for measure in TABLE_MEASURES for head in (measure, "published"))], lines)


def _nine_measures(table: Sequence[Row], means: dict[str, Scores]) -> str:
    """Return the table of the nine measures, with a row per method."""
    lines = [[_noted(row), *(number(means[row.name][m]) for m in RESULT_NAMES)] for row in table]
    return markdown(["method", *RESULT_NAMES], lines)


def _verdicts(outcomes: Outcomes, means: dict[str, Scores]) -> list[str]:
    """Report for each measure whether the paper's model is first of the five, by how much, and on how many pairs."""
    return [f"- {measure}: {_verdict(measure, outcomes, means)}" for measure in TABLE_MEASURES if PAPER_MODEL in means]


def _verdict(measure: str, outcomes: Outcomes, means: dict[str, Scores]) -> str:
    rivals = [name for name in FIVE if name != PAPER_MODEL]
    rival = max(rivals, key=lambda name: means[name][measure])
    lead = means[PAPER_MODEL][measure] - means[rival][measure]
    ours = _of_pairs(outcomes, PAPER_MODEL, measure)
    others = zip(*(_of_pairs(outcomes, name, measure) for name in rivals), strict=True)
    won = sum(value > max(rest) for value, rest in zip(ours, others, strict=True))
    place = f"first of five, {lead:.4f} above {rival}" if lead > 0 else f"not first, {-lead:.4f} below {rival}"
    return f"{PAPER_MODEL} is {place}; it is first on {won} of {counted(len(ours), 'pair')}."
