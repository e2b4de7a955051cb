"""Facts about the trainings, from the cards of our models and from the options of TFNet, whose weights have no card."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cspadn.errors import InputError
from cspadn.models.weights import CARD_SUFFIX, WEIGHTS_SUFFIX, ModelCard, load_model, models_folder, read_card
from training.config import load_config
from training.evaluation.rows import Row

SCALES = ("alpha", "beta")  # learned scales of the spatial and the channel attention
_CONFIGS = Path(__file__).resolve().parents[1] / "configs"
_OTHER_PLANES = "extra"  # the subset with the coronal and sagittal slices of the head of the first table

Options = dict[str, Any]  # as in TrainingConfig.to_dict; older cards have fewer


class Budget(NamedTuple):
    """The extent of a training: its steps, and the patches per step."""

    steps: int
    batch: int

    def __str__(self) -> str:
        return f"{self.steps:,} steps x {self.batch} = {self.steps * self.batch:,} patches"


def card_of(model: str) -> ModelCard:
    """Return the card of an installed model, by name, or of a weights file."""
    path = Path(model) if model.endswith(WEIGHTS_SUFFIX) else models_folder() / (model + WEIGHTS_SUFFIX)
    return read_card(path.with_suffix(CARD_SUFFIX))


def options_of(card: ModelCard) -> Options:
    """Return the training options of the model that its card records."""
    options: Options = card.training.get("config", {})
    return options


def options_by_name(name: str) -> Options:
    """Return the options of an installed model, or of the configuration of that name; empty if there is neither.

    Raises:
        InputError: the configuration is damaged.
    """
    if (models_folder() / (name + CARD_SUFFIX)).exists():
        return options_of(card_of(name))
    path = _CONFIGS / f"{name}.yaml"
    try:
        return load_config(path).to_dict() if path.exists() else {}
    except ValueError as error:
        raise InputError(str(error)) from None


def budget_of_card(card: ModelCard) -> Budget | None:
    """Return the budget; None if the card does not record it."""
    steps, batch = card.training.get("steps"), options_of(card).get("batch_size")
    return Budget(steps, batch) if steps and batch else None


def budget_of(row: Row) -> Budget | None:
    """Return the budget of our models, by their cards, and of TFNet, by its options; None for methods trained elsewhere."""
    if row.kind == "model":
        return budget_of_card(card_of(row.source))
    if row.name != "TFNet":
        return None
    options = options_by_name("tfnet")
    return Budget(options["epochs"] * options["steps_per_epoch"], options["batch_size"])


def budgets(rows: Iterable[Row]) -> str:
    """Return a line for each trained row."""
    return "\n".join(f"- {row.name}: {_budget_text(row)}" for row in rows if row.kind in ("trained", "model"))


def _budget_text(row: Row) -> str:
    budget = budget_of(row)
    return str(budget) if budget else "not told by its card" if row.kind == "model" else "published weights, not trained here"


def has_seen_other_planes(row: Row) -> bool:
    """Return whether one of our models was trained on other planes of the head of the first table."""
    if row.kind not in ("model", "network"):
        return False
    return _OTHER_PLANES in options_of(card_of(row.source)).get("train_subset", ())


def loss_text(options: Options) -> str:
    """Describe a loss, such as ``1 mse + 100 ssim``."""
    return " + ".join(f"{weight:g} {name}" for name, weight in options.get("loss", {}).items()) or "unknown"


def learned_scales(weights: str) -> dict[str, float]:
    """Return alpha and beta of a model; only those of attention modules that it has."""
    tensors = load_model(weights).network.state_dict()
    ends = {name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}
    return {scale: float(ends[scale]) for scale in SCALES if scale in ends}
