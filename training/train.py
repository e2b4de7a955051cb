"""Train CSpA-DN: ``python -m training.train --config CONFIG --data DIR --output DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.utils.data import DataLoader

from cspadn.allocator import keep_freed_memory
from cspadn.errors import FusionError
from cspadn.intensity import from_network_range, to_network_range
from cspadn.network import CSpADN
from training.config import TrainingConfig, load_config
from training.data import EpochSampler, PairDataset, PatchDataset, read_pairs
from training.losses import fusion_loss

CHECKPOINT = "last.ckpt"


class FusionTraining(lightning.LightningModule):
    """The network, its loss and its optimiser."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.save_hyperparameters(config.to_dict())
        self.network = CSpADN(config.network)
        self.history: list[dict[str, float]] = []  # what was logged at the end of each epoch, kept in the checkpoint

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse (N, 2, H, W) in [0, 1] to (N, 1, H, W) in [0, 1]."""
        fused: Tensor = from_network_range(self.network(to_network_range(sources)))
        return fused

    def training_step(self, sources: Tensor) -> Tensor:
        terms = fusion_loss(self(sources), sources, self.config.gamma)
        self.log_dict({f"train_{name}": term for name, term in terms.items()}, on_step=False, on_epoch=True)
        self.log("train_loss_step", terms["loss"], prog_bar=True, logger=False)
        return terms["loss"]

    def on_train_start(self) -> None:
        """Begin the log with the epochs before: a run may have been killed after its checkpoint and before its log."""
        for row in self.history:
            self.logger.log_metrics(row, step=int(row["step"]))  # type: ignore[union-attr]

    def on_train_epoch_end(self) -> None:
        """Log what attention has learned so far, and remember the epoch; the checkpoint is written after this."""
        if self.config.network.attention:
            names = ("spatial.alpha", "channel.beta")
            self.log_dict({name[8:]: self.network.attention.get_parameter(name) for name in names})
        place = {"epoch": self.current_epoch, "step": self.global_step - 1}
        measured = {name: float(value) for name, value in self.trainer.callback_metrics.items() if not name.endswith("_step")}
        self.history.append(place | measured)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]

    def validation_step(self, sources: Tensor) -> None:
        terms = fusion_loss(self(sources), sources, self.config.gamma)
        self.log_dict({f"validation_{name}": term for name, term in terms.items()}, on_epoch=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.config.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=self.config.total_steps, eta_min=self.config.final_learning_rate
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(config: TrainingConfig, data: Path, output: Path, *, epochs: int | None = None) -> FusionTraining:
    """Train, or go on from ``output/last.ckpt`` where there is one.

    Args:
        data: a folder as :func:`training.data.read_pairs` reads it; trains on the subset ``train``, validates on
            ``test_same_head``.
        output: receives ``last.ckpt`` after every epoch, ``config.yaml`` and ``logs/version_N/metrics.csv``, one version a
            start; the newest holds the curve from the first epoch on.
        epochs: stop after so many epochs in all, as an interruption would; the schedule stays that of ``config``.
    """
    patches = PatchDataset(read_pairs(data, "train"), config.patch_size, config.seed)
    sampler = EpochSampler(config.steps_per_epoch * config.batch_size)
    validation = PairDataset(read_pairs(data, "test_same_head"))
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.yaml").write_text(yaml.safe_dump(config.to_dict(), sort_keys=False), encoding="utf-8")
    lightning.seed_everything(config.seed, verbose=False)
    module = FusionTraining(config)
    trainer = lightning.Trainer(
        max_epochs=epochs or config.epochs,
        logger=CSVLogger(output, name="logs", flush_logs_every_n_steps=1),
        callbacks=[
            RichProgressBar(),
            ModelCheckpoint(output, filename="last", enable_version_counter=False, save_on_train_epoch_end=True),
        ],
        check_val_every_n_epoch=config.validate_every,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    resume = output / CHECKPOINT
    if resume.exists():
        _check_same_run(config, resume)
    trainer.fit(
        module,
        DataLoader(patches, batch_size=config.batch_size, sampler=sampler),
        DataLoader(validation),
        ckpt_path=resume if resume.exists() else None,
        weights_only=True,
    )
    return module


def _check_same_run(config: TrainingConfig, checkpoint: Path) -> None:
    """ValueError where the checkpoint is of other options: going on would mix two runs and follow the old schedule."""
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)["hyper_parameters"]
    options = config.to_dict()
    if changed := sorted(name for name in options if saved.get(name) != options[name]):
        names = ", ".join(changed)
        raise ValueError(f"{checkpoint} is of a run with other options ({names}): choose another --output, or remove it.")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="YAML file, as in training/configs")
    parser.add_argument("--data", type=Path, required=True, help="folder with split.csv, pet/ and mri/")
    parser.add_argument("--output", type=Path, required=True, help="folder for checkpoints and logs; resumes what it holds")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    try:
        train(load_config(options.config), options.data, options.output)
    except (OSError, ValueError, FusionError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
