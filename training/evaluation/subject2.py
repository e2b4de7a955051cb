"""Experiment B: the ranking on the second subject, whose head no training has seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspadn.errors import InputError
from cspadn.metrics import Scores
from cspadn.settings import DEFAULT_MODEL
from training.evaluation.inputs import FUSED_BY_PEERS, Inputs, label, model_rows, span
from training.evaluation.paper import draw_fused, write_pairs
from training.evaluation.ranks import better_on, guest_ranks, mean_rank, ranks
from training.evaluation.rows import RANKED, Outcomes, Row, mean_scores, trivial_rows
from training.evaluation.tables import Section, best_of, listed, markdown, number, write_csv

_FIGURE_SLICES = 5
_BEST_PEERS = 2  # that are drawn, beside IFCNN
_DECIMALS = 3


def rows(inputs: Inputs) -> list[Row]:
    """The trivial rows, the images that peers made, the baseline of our training, and our models."""
    folder = inputs.data / FUSED_BY_PEERS
    given = [Row(path.name, "given", str(path)) for path in _folders(folder)]
    trivial = trivial_rows("maximum", "Laplacian", "average", "MRI only", "PET only")
    return [*trivial, *given, *(row for row in inputs.trained_rows() if row.name == "TFNet"), *model_rows()]


def _folders(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise InputError(f"The folder {folder} holds no fused images of other methods: check the folder of the data.")
    return found


def is_ranked(row: Row) -> bool:
    """The field and the default model. Rows that are neither would move the ranks of those that are."""
    return row.name == DEFAULT_MODEL if row.kind == "model" else row.kind == "given" or row.name not in ("PET only", "TFNet")


def report(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes) -> Section:
    """Write the tables and the figure."""
    means = {name: mean_scores(of_pairs) for name, of_pairs in outcomes.items()}
    field = {row.name: means[row.name] for row in table if is_ranked(row)}
    places = ranks(field, RANKED)
    places |= {row.name: guest_ranks(means[row.name], field, RANKED) for row in table if not is_ranked(row)}
    ordered = sorted(table, key=lambda row: (not is_ranked(row), mean_rank(places[row.name])))
    _write_table(inputs, ordered, means, places)
    write_pairs(inputs, "subject2_pairs.csv", inputs.second_subject, outcomes)
    drawn = {label(row): [each.fused for each in outcomes[row.name]] for row in _drawn(ordered)}
    draw_fused(inputs, "subject2.png", inputs.second_subject, drawn, _FIGURE_SLICES)
    return Section("subject2", "Experiment B: the second subject", _body(inputs, ordered, means, places))


def _write_table(inputs: Inputs, ordered: Sequence[Row], means: dict[str, Scores], places: dict[str, Scores]) -> None:
    lines = [
        [
            row.name,
            "ours" if row.kind == "model" else "",
            "yes" if is_ranked(row) else "no",
            *(means[row.name][m] for m in RANKED),
            *(places[row.name][m] for m in RANKED),
            mean_rank(places[row.name]),
        ]
        for row in ordered
    ]
    header = ["method", "ours", "ranked", *RANKED, *(f"{m}_rank" for m in RANKED), "mean_rank"]
    write_csv(inputs.output / "subject2.csv", header, lines)


def _drawn(ordered: Sequence[Row]) -> list[Row]:
    """The maximum, IFCNN, the peers with the best mean ranks, and ours."""
    peers = [row for row in ordered if row.kind == "given" and row.name != "IFCNN"][:_BEST_PEERS]
    first = [row for row in ordered if row.name in ("maximum", "IFCNN")]
    models = [row for row in model_rows() if row in ordered]
    return [*sorted(first, key=lambda row: row.name != "maximum"), *peers, *models]


def _body(inputs: Inputs, ordered: Sequence[Row], means: dict[str, Scores], places: dict[str, Scores]) -> str:
    count = sum(map(is_ranked, ordered))
    intro = (
        f"Means over the {span(inputs.second_subject)} of another head, with the rank on each measure in brackets. Ties share "
        f"the mean of their places. {count} rows are ranked: the peers' given images, the trivial rows, and our default model "
        f"{DEFAULT_MODEL}. The rows below them are not ranked; their ranks are those that each would have as one row more."
    )
    picture = "![Slices of the second subject, fused by several methods](subject2.png)"
    caption = (
        "*Fused luma with the chroma of the PET's picture: the maximum, IFCNN, the peers with the best mean ranks, ours.*"
    )
    return "\n\n".join([intro, _table(ordered, means, places), _verdict(ordered, means, places), picture, caption])


def _table(ordered: Sequence[Row], means: dict[str, Scores], places: dict[str, Scores]) -> str:
    ranked = {row.name: means[row.name] for row in ordered if is_ranked(row)}
    best = {measure: best_of(ranked, measure, _DECIMALS) for measure in RANKED}
    lines = []
    for row in ordered:
        own, name = places[row.name], f"**{label(row)}**" if row.kind == "model" else row.name
        cells = [f"{number(means[row.name][m], _DECIMALS, bold=row.name in best[m])} ({own[m]:g})" for m in RANKED]
        mean = f"{mean_rank(own):.2f}"
        lines.append([name, *cells, mean if is_ranked(row) else f"not ranked ({mean})"])
    return markdown(["method", *RANKED, "mean rank"], lines)


def _verdict(ordered: Sequence[Row], means: dict[str, Scores], places: dict[str, Scores]) -> str:
    """The place of the default model, and where each of ours is better than the maximum of PET and MRI."""
    field = [row.name for row in ordered if is_ranked(row)]
    lines = []
    if DEFAULT_MODEL in field:
        own = mean_rank(places[DEFAULT_MODEL])
        best = min((name for name in field if name != DEFAULT_MODEL), key=lambda name: mean_rank(places[name]))
        place = 1 + sum(mean_rank(places[name]) < own for name in field)
        rival = f"the best other row is {best} with {mean_rank(places[best]):.2f}"
        lines.append(f"- {DEFAULT_MODEL} has the mean rank {own:.2f}, place {place} of {len(field)}; {rival}.")
    for row in (row for row in ordered if row.kind == "model"):
        won = better_on(means[row.name], means["maximum"], RANKED)
        lines.append(f"- {row.name} is better than the pixel maximum on {len(won)} of {len(RANKED)} measures: {listed(won)}.")
    return "\n".join(lines)
