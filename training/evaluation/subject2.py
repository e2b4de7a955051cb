"""Experiment B: the ranking on the second subject, whose head no training has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cspadn.errors import InputError
from cspadn.metrics import Scores
from cspadn.settings import DEFAULT_MODEL
from training.evaluation.inputs import FUSED_BY_PEERS, RULE, Inputs, label, model_rows, network_rows, span
from training.evaluation.intervals import RESAMPLES, RankSpread, resampled_ranks
from training.evaluation.paper import draw_fused, write_pairs
from training.evaluation.ranks import better_on, guest_ranks, mean_rank, ranks
from training.evaluation.rows import RANKED, Outcomes, Row, mean_scores, trivial_rows
from training.evaluation.tables import Section, listed, markdown, number, write_csv

_FIGURE_SLICES = 5
_BEST_PEERS = 2  # that are drawn, beside IFCNN
_DECIMALS = 4


def rows(inputs: Inputs) -> list[Row]:
    """The trivial rows, the images that peers made, the baseline of our training, our models, and their networks alone."""
    folder = inputs.data / FUSED_BY_PEERS
    given = [Row(path.name, "given", str(path)) for path in _folders(folder)]
    trivial = trivial_rows("maximum", "Laplacian", "average", "MRI only", "PET only", "overlay")
    tfnet = [row for row in inputs.trained_rows() if row.name == "TFNet"]
    return [*trivial, *given, *tfnet, *model_rows(), *network_rows()]


def _folders(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise InputError(f"The folder {folder} holds no fused images of other methods: check the folder of the data.")
    return found


def is_ranked(row: Row) -> bool:
    """The field and the default model. Rows that are neither would move the ranks of those that are."""
    if row.kind in ("model", "network"):
        return row.kind == "model" and row.name == DEFAULT_MODEL
    return row.kind == "given" or row.name not in ("PET only", "overlay", "TFNet")


def report(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes) -> Section:
    """Write the tables and the figure."""
    means = {name: mean_scores(of_pairs) for name, of_pairs in outcomes.items()}
    field = {row.name: means[row.name] for row in table if is_ranked(row)}
    places = ranks(field, RANKED)
    places |= {row.name: guest_ranks(means[row.name], field, RANKED) for row in table if not is_ranked(row)}
    ordered = sorted(table, key=lambda row: (not is_ranked(row), mean_rank(places[row.name])))
    spreads = resampled_ranks(outcomes, list(field), RANKED)
    _write_table(inputs, ordered, means, places, spreads)
    write_pairs(inputs, "subject2_pairs.csv", inputs.second_subject, outcomes)
    drawn = {label(row): [each.fused for each in outcomes[row.name]] for row in _drawn(ordered)}
    draw_fused(inputs, "subject2.png", inputs.second_subject, drawn, _FIGURE_SLICES)
    return Section("subject2", "Experiment B: the second subject", _body(inputs, ordered, means, places, spreads))


def _write_table(
    inputs: Inputs,
    ordered: Sequence[Row],
    means: dict[str, Scores],
    places: dict[str, Scores],
    spreads: Mapping[str, RankSpread],
) -> None:
    lines = [
        [
            row.name,
            "ours" if row.kind in ("model", "network") else "",
            "yes" if is_ranked(row) else "no",
            *(means[row.name][m] for m in RANKED),
            *(places[row.name][m] for m in RANKED),
            mean_rank(places[row.name]),
            *spreads.get(row.name, [None] * len(RankSpread._fields)),
        ]
        for row in ordered
    ]
    header = ["method", "ours", "ranked", *RANKED, *(f"{m}_rank" for m in RANKED), "mean_rank"]
    header += ["mean_rank_lower", "mean_rank_upper", "share_alone_first"]
    write_csv(inputs.output / "subject2.csv", header, lines)


def _drawn(ordered: Sequence[Row]) -> list[Row]:
    """The maximum, IFCNN, the peers with the best mean ranks, and ours."""
    peers = [row for row in ordered if row.kind == "given" and row.name != "IFCNN"][:_BEST_PEERS]
    first = [row for row in ordered if row.name in ("maximum", "IFCNN")]
    models = [row for row in model_rows() if row in ordered]
    return [*sorted(first, key=lambda row: row.name != "maximum"), *peers, *models]


def _body(
    inputs: Inputs,
    ordered: Sequence[Row],
    means: dict[str, Scores],
    places: dict[str, Scores],
    spreads: Mapping[str, RankSpread],
) -> str:
    count = sum(map(is_ranked, ordered))
    intro = (
        f"Means over the {span(inputs.second_subject)} of another head, with the rank on each measure in brackets. Ranks are "
        f"of these means before they are rounded to the {_DECIMALS} decimals printed; bold is rank 1. Ties share the mean of "
        f"their places. {count} rows are ranked: the peers' given images, the trivial rows of the field, and our default "
        f"model {DEFAULT_MODEL}. The rows below them are not ranked, among them the overlay, a formula of our own (decision "
        f"0008); their ranks are those that each would have as one row more. {RULE}\n\n"
        "No image of this head was used in a training, and no run was chosen by it. What the default model lacks here led to "
        "another one, which was measured here once and not taken (decision 0008)."
    )
    picture = "![Slices of the second subject, fused by several methods](subject2.png)"
    caption = (
        "*Fused luma with the chroma of the PET's picture: the maximum, IFCNN, the peers with the best mean ranks, ours.*"
    )
    verdict = "\n".join([*_default_verdict(ordered, places, spreads), *_against(ordered, means)])
    return "\n\n".join([intro, _table(ordered, means, places), verdict, picture, caption])


def _table(ordered: Sequence[Row], means: dict[str, Scores], places: dict[str, Scores]) -> str:
    ranked = [row.name for row in ordered if is_ranked(row)]
    first = {measure: min(places[name][measure] for name in ranked) for measure in RANKED}
    best = {(name, m) for name in ranked for m in RANKED if places[name][m] == first[m]}
    lines = []
    for row in ordered:
        own, name = places[row.name], f"**{label(row)}**" if row.kind == "model" else row.name
        cells = [f"{number(means[row.name][m], _DECIMALS, bold=(row.name, m) in best)} ({own[m]:g})" for m in RANKED]
        mean = f"{mean_rank(own):.2f}"
        lines.append([name, *cells, mean if is_ranked(row) else f"not ranked ({mean})"])
    return markdown(["method", *RANKED, "mean rank"], lines)


def _default_verdict(ordered: Sequence[Row], places: dict[str, Scores], spreads: Mapping[str, RankSpread]) -> list[str]:
    """The place of the default model, and how it and the best other row fare on resampled pairs."""
    field = [row.name for row in ordered if is_ranked(row)]
    if DEFAULT_MODEL not in field:
        return []
    own = mean_rank(places[DEFAULT_MODEL])
    best = next(name for name in field if name != DEFAULT_MODEL)
    place = 1 + sum(mean_rank(places[name]) < own for name in field)
    rival = f"the best other row is {best} with {mean_rank(places[best]):.2f}"
    ends = [f"from {spreads[name].lower:.2f} to {spreads[name].upper:.2f}" for name in (DEFAULT_MODEL, best)]
    return [
        f"- {DEFAULT_MODEL} has the mean rank {own:.2f}, place {place} of {len(field)}; {rival}.",
        f"- Drawn again from these pairs, with replacement, {RESAMPLES} times: 95 % of the mean ranks of {DEFAULT_MODEL} are "
        f"{ends[0]}, of {best} {ends[1]}; {DEFAULT_MODEL} is alone in the first place in "
        f"{spreads[DEFAULT_MODEL].first:.1%} of the draws. Neighbouring slices are alike, so that these intervals are too "
        "narrow; and they are of one head.",
    ]


def _against(ordered: Sequence[Row], means: dict[str, Scores]) -> list[str]:
    """Where each of our models is better than the maximum of PET and MRI, and than the overlay."""
    rivals = {"maximum": "the pixel maximum", "overlay": "the overlay"}
    won = {
        (row.name, text): better_on(means[row.name], means[rival], RANKED)
        for row in ordered
        if row.kind == "model"
        for rival, text in rivals.items()
    }
    return [
        f"- {name} is better than {text} on {len(on)} of {len(RANKED)} measures{': ' + listed(on) if on else ''}."
        for (name, text), on in won.items()
    ]
