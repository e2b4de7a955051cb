"""The inputs of an evaluation: images, weights, and the processes that share the work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cspadn.models.weights import list_models
from cspadn.settings import DEFAULT_MODEL
from training.baselines.ifcnn import WEIGHTS as IFCNN_WEIGHTS
from training.evaluation.pairs import SAME_HEAD, SECOND_SUBJECT, Pair, read_set
from training.evaluation.rows import Mapper, Row

PAPER_MODEL = "cspadn-paper"  # our model for the experiments of the paper
FUSED_BY_PEERS = Path("peers") / "fused" / "subject2"
_TFNET = "tfnet.safetensors"


@dataclass(frozen=True)
class Inputs:
    """Folders and processes of an evaluation.

    Attributes:
        data: folder with ``data/`` and ``peers/``.
        output: folder for the tables and figures.
        weights: folder with the weights of TFNet and, optionally, ``ablation/``.
        curves: folder with the training curves; it may be missing.
        mapper: a ``map`` that may share the tasks among processes.
    """

    data: Path
    output: Path
    weights: Path
    curves: Path
    mapper: Mapper

    @cached_property
    def same_head(self) -> list[Pair]:
        """Return the test pairs of the head that was used in the training."""
        return read_set(self.data / SAME_HEAD[0], SAME_HEAD[1])

    @cached_property
    def second_subject(self) -> list[Pair]:
        """Return the pairs of a head that no training has seen."""
        return read_set(self.data / SECOND_SUBJECT[0], SECOND_SUBJECT[1])

    def trained_rows(self) -> list[Row]:
        """Return the baselines with weights."""
        return [
            Row("IFCNN", "trained", str(self.data / IFCNN_WEIGHTS)),
            Row("TFNet", "trained", str(self.weights / _TFNET)),
        ]


def model_rows() -> list[Row]:
    """Return all installed models: the paper's first, the default last."""
    names = [card.name for card in list_models()]
    names.sort(key=lambda name: (name == DEFAULT_MODEL, name != PAPER_MODEL, name))
    return [Row(name, "model", name) for name in names]


def network_rows() -> list[Row]:
    """Return the networks of all installed models, without the postprocessing of the product."""
    return [Row(f"{row.name}, network alone", "network", row.source) for row in model_rows()]


RULE = (
    "The rows of the models show what the product writes: pixels that are black in both sources stay black, and values below "
    'the bounds are raised (decision 0020). No other row is treated in this way. The rows "network alone" show the models '
    "without these rules."
)
"""Said above each table that has such rows."""


def label(row: Row) -> str:
    """Return the name of the row, with a mark if it is one of our models."""
    return f"{row.name} (ours)" if row.kind == "model" else row.name


def span(pairs: list[Pair]) -> str:
    """Describe pairs, such as ``20 pairs (41056 to 41075)``."""
    return f"{len(pairs)} pairs ({pairs[0].name} to {pairs[-1].name})"
