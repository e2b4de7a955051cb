"""Experiment B: nine measures of all methods on the second subject, a head that no training has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cspadn.errors import InputError
from cspadn.metrics import RESULT_NAMES, Scores
from training.evaluation.inputs import FUSED_BY_PEERS, RULE, Inputs, label, model_rows, network_rows, span
from training.evaluation.paper import FIVE, draw_fused, write_pairs
from training.evaluation.rows import Outcomes, Row, mean_scores, trivial_rows
from training.evaluation.tables import Section, listed, markdown, number, write_csv

_FIGURE_SLICES = 4
_TIE = 1e-9  # smaller differences are rounding
_GROUPS = {  # by kind of row
    "method": "trivial",
    "given": "image of another method",
    "trained": "baseline",
    "model": "model",
    "network": "network alone",
}


def rows(inputs: Inputs) -> list[Row]:
    """Return trivial rows, images of other methods, the baseline trained here, the models, and their networks alone."""
    folder = inputs.data / FUSED_BY_PEERS
    given = [Row(path.name, "given", str(path)) for path in _folders(folder)]
    trivial = trivial_rows("MRI only", "PET only", "average", "maximum", "Laplacian")
    tfnet = [row for row in inputs.trained_rows() if row.name == "TFNet"]
    return [*trivial, *given, *tfnet, *model_rows(), *network_rows()]


def _folders(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not found:
        raise InputError(f"The folder {folder} contains no fused images of other methods: check the data folder.")
    return found


def report(inputs: Inputs, table: Sequence[Row], outcomes: Outcomes) -> Section:
    """Write the tables and the figure; the rows keep their order."""
    means = {name: mean_scores(of_pairs) for name, of_pairs in outcomes.items()}
    lines = [[row.name, _GROUPS[row.kind], *(means[row.name][m] for m in RESULT_NAMES)] for row in table]
    write_csv(inputs.output / "subject2.csv", ["method", "group", *RESULT_NAMES], lines)
    write_pairs(inputs, "subject2_pairs.csv", inputs.second_subject, outcomes)
    drawn = {label(row): [each.fused for each in outcomes[row.name]] for row in table if _is_drawn(row)}
    draw_fused(inputs, "subject2.png", inputs.second_subject, drawn, _FIGURE_SLICES)
    return Section("subject2", "Experiment B: the second subject", _body(inputs, table, means))


def _is_drawn(row: Row) -> bool:
    """Return whether a row is drawn: trivial fusions, methods of Table I, and models; the sources are drawn separately."""
    return row.kind == "model" or row.name in (*FIVE, "average", "maximum", "Laplacian")


def _body(inputs: Inputs, table: Sequence[Row], means: Mapping[str, Scores]) -> str:
    intro = (
        f"Means over the {span(inputs.second_subject)} of another head. No training used an image of this head, and no model "
        f"was chosen by it. {RULE}\n\nThese measures reward a copy of the MRI{_copy(means)}. They are therefore not used to "
        "choose a model or to support a claim; models are judged by what [a numerical observer](observer.md) can still "
        "detect."
    )
    picture = "![Slices of the second subject, fused by several methods](subject2.png)"
    caption = "*Fused luma with the chroma of the PET's picture: trivial fusions, the methods of Table I, and the models.*"
    return "\n\n".join([intro, _table(table, means), picture, caption])


def _copy(means: Mapping[str, Scores]) -> str:
    """List the measures on which no row exceeds the MRI alone."""
    most = {m: max(scores[m] for scores in means.values()) for m in RESULT_NAMES}
    led = [m for m in RESULT_NAMES if means["MRI only"][m] >= most[m] - _TIE]
    return f': on {listed(led)} no row exceeds "MRI only", which shows nothing of the PET' if led else ""


def _table(table: Sequence[Row], means: Mapping[str, Scores]) -> str:
    names = {row.name: f"**{label(row)}**" if row.kind == "model" else row.name for row in table}
    lines = [[names[row.name], *(number(means[row.name][m]) for m in RESULT_NAMES)] for row in table]
    return markdown(["method", *RESULT_NAMES], lines)
