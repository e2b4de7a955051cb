"""Train a fusion network: ``python -m training.train --config CONFIG --data DATA --output DIR``.

Several processes share each batch with ``--devices N``, or under ``torchrun --nproc-per-node N -m training.train ...``.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import math
import os
import pickle
import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cspadn.errors import FusionError, InputError
from cspadn.imaging.windowing import from_network_range, to_network_range
from cspadn.models.weights import load_model
from cspadn.runtime.allocator import keep_freed_memory
from cspadn.runtime.device import resolve_device
from training.command import count, help_text, run
from training.config import TFNET, TrainingConfig, config_from_dict, load_config, networks
from training.data import EpochSampler, Pair, PairDataset, PatchDataset, SynthesisDataset, read_exam, read_pairs
from training.losses import fusion_loss, mse
from training.parallel import BatchNormSync, whole_batch
from training.pictures import PairPictures
from training.synthesis import Synthesis

CHECKPOINT = "last.ckpt"
_VALIDATION_SLICES = 16
_SCALES = (".alpha", ".beta")  # endings of the names of the attention's learned scales


class DivergedError(FusionError):
    """The loss or a weight is NaN or infinite. Continuing would overwrite the last good checkpoint."""

    exit_code = 3


def build_network(config: TrainingConfig) -> nn.Module:
    """Build the network of ``config.architecture``; it maps (N, 2, H, W) to (N, 1, H, W), both in [-1, 1]."""
    if config.architecture == TFNET:
        from training.baselines.tfnet import TFNet

        return TFNet()
    network = networks()[config.architecture].build(config.network)
    with torch.no_grad():
        for name, scale in network.named_parameters():
            if name.endswith(_SCALES):
                scale.fill_(config.attention_start)
    return network


class FusionTraining(lightning.LightningModule):
    """A network with its loss and optimiser."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.save_hyperparameters(config.to_dict())
        # Convolutions on CPUs and tensor cores use channels-last: this avoids copies. Torch's stubs lack this overload.
        self.network = build_network(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.data_sha256 = ""  # of the training pairs
        self.history: list[dict[str, float]] = []  # the values logged at the end of each epoch, stored in the checkpoint

    def forward(self, sources: Tensor) -> Tensor:
        """Fuse (N, 2, H, W) in [0, 1] to (N, 1, H, W) in [0, 1], in float32 even under mixed precision."""
        fused: Tensor = from_network_range(self.network(to_network_range(sources)).float())
        return fused

    def loss_terms(self, fused: Tensor, sources: Tensor) -> dict[str, Tensor]:
        """Return the scalars to log, including ``loss``, which is minimised; in float32 even under mixed precision.

        Args:
            fused: (N, 1, H, W) in [0, 1].
            sources: (N, 2 or 3, H, W) in [0, 1], PET, MRI and, where the loss has one, the target.
        """
        with _full_precision(sources.device):
            return fusion_loss(fused, sources, self.config.loss)

    def training_step(self, sources: Tensor) -> Tensor:
        fused, sources = whole_batch(self(sources[:, :2])), whole_batch(sources)
        terms = self.loss_terms(fused, sources)
        if self.global_step < self.config.mse_steps:
            terms["loss"] = sum(self.config.loss.values()) * mse(fused, sources[:, :2])
        if not bool(terms["loss"].isfinite()):
            raise self._diverged(f"The loss is {float(terms['loss'].detach())} at step {self.global_step + 1}")
        self.log_dict({f"train_{name}": term for name, term in terms.items()}, on_step=False, on_epoch=True, sync_dist=True)
        self.log("train_loss_step", terms["loss"], prog_bar=True, logger=False)
        return terms["loss"]

    def _diverged(self, what: str) -> DivergedError:
        return DivergedError(
            f"{what} of {self.config.total_steps}: the training has diverged. The checkpoint, if there is one, is of the last "
            "good epoch: start anew with a lower learning_rate."
        )

    def on_train_start(self) -> None:
        """Log the earlier epochs again: a run may have been killed between writing its checkpoint and its log."""
        for row in self.history:
            for log in self.loggers:
                log.log_metrics(row, step=int(row["step"]))

    def on_train_epoch_end(self) -> None:
        """Log the attention's scales and store the values of the epoch, before the checkpoint is written."""
        if not all(bool(tensor.isfinite().all()) for tensor in self.state_dict().values()):
            raise self._diverged(f"A weight is not a number after step {self.global_step}")
        scales = {name: scale for name, scale in self.named_parameters() if name.endswith(_SCALES)}
        self.log_dict({name.rpartition(".")[2]: scale.detach() for name, scale in scales.items()}, sync_dist=True)
        place = {"epoch": self.current_epoch, "step": self.global_step - 1}
        measured = {name: float(value) for name, value in self.trainer.callback_metrics.items() if not name.endswith("_step")}
        self.history.append(fresh(place | measured, self.config.validate_every))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"] = self.history
        checkpoint["data_sha256"] = self.data_sha256

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = checkpoint["history"]

    def validation_step(self, sources: Tensor) -> None:
        """Validate in float32, as in use: sums over a whole slice exceed the range of float16."""
        with _full_precision(sources.device):
            terms = self.loss_terms(self(sources[:, :2]), sources)
        self.log_dict({f"validation_{name}": term for name, term in terms.items()}, on_epoch=True, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self._parameter_groups(), lr=self.config.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups: the attention's scales have their own learning rate."""
        scales = [parameter for name, parameter in self.named_parameters() if name.endswith(_SCALES)]
        others = [parameter for name, parameter in self.named_parameters() if not name.endswith(_SCALES)]
        rate = self.config.learning_rate * self.config.attention_scale_rate
        return [{"params": others}, {"params": scales, "lr": rate}] if scales else [{"params": others}]

    def _rate_factor(self, step: int) -> float:
        """Compute a half cosine from 1 to ``final_learning_rate / learning_rate``."""
        final = self.config.final_learning_rate / self.config.learning_rate
        return final + (1 - final) * (1 + math.cos(math.pi * step / self.config.total_steps)) / 2


def fresh(row: dict[str, float], validate_every: int) -> dict[str, float]:
    """Return the values of an epoch without those of an earlier validation, which Lightning keeps repeating."""
    if (row["epoch"] + 1) % validate_every == 0:
        return row
    return {name: value for name, value in row.items() if not name.startswith("validation_")}


def _full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switch mixed precision off. On Apple's MPS there is none, and older versions of torch have no autocast there."""
    return nullcontext() if device.type == "mps" else torch.autocast(device.type, enabled=False)


def train(config: TrainingConfig, data: Path, output: Path, *, epochs: int | None = None, devices: int = 1) -> FusionTraining:
    """Train a network, or resume from ``output/last.ckpt`` if it exists.

    Args:
        data: as :func:`training.data.read_pairs` reads it.
        output: folder for ``last.ckpt`` (written after every epoch), ``config.yaml``, ``pictures/``, and the curves in
            ``logs/version_N/metrics.csv`` and, for TensorBoard, in ``tensorboard/``. Each start writes a new version, which
            contains the curve from the first epoch on.
        epochs: stop after this epoch, as an interruption would; the learning rate still follows the schedule of ``config``.
        devices: number of processes that share each batch, each on its own device; under torchrun its number is used.

    Raises:
        InputError: the data or the checkpoint cannot be read, or the model to start from has other layers.
        ModelError: the model to start from cannot be loaded.
        ValueError: the checkpoint belongs to a run with other options or pairs, or the processes cannot share a batch evenly.
        DivergedError: the loss or a weight became NaN or infinite.
    """
    pairs, patches, validation = training_data(config, data)
    lightning.seed_everything(config.seed, verbose=False)
    module = FusionTraining(config)
    module.data_sha256 = _fingerprint(pairs)
    if config.start:
        _start_from(module)
    resume = output / CHECKPOINT
    if resume.exists():
        _check_same_run(module, resume)
    place = _place(config, devices)
    pictures = PairPictures(validation.pairs, output / "pictures", config.pictures_every)
    trainer = _trainer(config, output, place, pictures, epochs)
    _record(config, output)
    sampler = EpochSampler(config.steps_per_epoch, config.batch_size, trainer.global_rank, trainer.world_size)
    trainer.fit(
        module,
        DataLoader(patches, batch_size=sampler.part, sampler=sampler),
        DataLoader(validation),
        ckpt_path=resume if resume.exists() else None,
        weights_only=True,
    )
    return module


def pairs_folder(config: TrainingConfig, data: Path) -> Path:
    """Return the folder of the real pairs: ``data``, or its subfolder ``aanlib_pet_mri`` if patches are synthesised."""
    return data / "aanlib_pet_mri" if config.synthesis.heads else data


def training_data(config: TrainingConfig, data: Path) -> tuple[list[Pair], Dataset[Tensor], PairDataset]:
    """Return the real pairs, the patches to train on, and the slices to validate on.

    Args:
        data: as :func:`training.data.read_pairs` reads it; with heads to synthesise from, a folder with ``label_maps``,
            ``aanlib_pet_mri`` (as for ``read_pairs``) and, where the options name exams, ``spect_mri``.

    Raises:
        InputError: a file of the data is missing or damaged.
    """
    if not config.synthesis.heads:
        pairs = read_pairs(data, *config.train_subset)
        patches = PatchDataset(pairs, config.patch_size, config.seed, config.augmentation, config.foreground)
        return pairs, patches, PairDataset(read_pairs(data, *config.validation_subset), config.least_pixels)
    options = config.synthesis
    pairs = read_pairs(pairs_folder(config, data), *config.train_subset)
    for exam in options.exams:
        pairs += read_exam(data / "spect_mri" / str(exam))
    real = PatchDataset(pairs, config.patch_size, config.seed, config.augmentation, config.foreground)
    synthesis = Synthesis(data / "label_maps", options.heads, config.seed, config.patch_size)
    validation = Synthesis(data / "label_maps", options.validation_heads, config.seed).slices(_VALIDATION_SLICES)
    return pairs, SynthesisDataset(synthesis, real, options.real, options.flat), PairDataset(validation, config.least_pixels)


def _start_from(module: FusionTraining) -> None:
    """Copy the weights of ``config.start``."""
    model = load_model(module.config.start)
    if model.card.network != module.config.network:
        raise InputError(
            f"The model {module.config.start} has other layers than the network of the options: change one of them."
        )
    module.network.load_state_dict(model.network.state_dict())


def _place(config: TrainingConfig, devices: int) -> dict[str, Any]:
    """Return device and number of processes as arguments of Lightning's trainer."""
    device = resolve_device("auto")
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", devices))  # LOCAL_WORLD_SIZE: only under torchrun
    nodes = int(os.environ["WORLD_SIZE"]) // devices if "LOCAL_WORLD_SIZE" in os.environ else 1
    processes = devices * nodes
    if processes < 1 or config.batch_size % processes:
        raise ValueError(f"batch_size is {config.batch_size}: {processes} processes cannot share it evenly.")
    place = {"accelerator": device.type, "devices": devices, "num_nodes": nodes, "precision": choose_precision(config, device)}
    if processes == 1:
        return place
    synced = {"sync_batchnorm": True} if device.type == "cuda" else {"plugins": [BatchNormSync()]}
    return {**place, **synced, "strategy": "ddp", "use_distributed_sampler": False}


@rank_zero_only
def _record(config: TrainingConfig, output: Path) -> None:
    """Write the options beside the checkpoint."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.yaml").write_text(yaml.safe_dump(config.to_dict(), sort_keys=False), encoding="utf-8")


def _trainer(
    config: TrainingConfig, output: Path, place: dict[str, Any], pictures: PairPictures, epochs: int | None
) -> lightning.Trainer:
    log = CSVLogger(output, name="logs", flush_logs_every_n_steps=1)
    return lightning.Trainer(
        **place,
        max_epochs=epochs or config.epochs,
        logger=[log, TensorBoardLogger(output, name="tensorboard", version=log.version)],
        callbacks=[
            RichProgressBar(),
            pictures,
            ModelCheckpoint(output, filename="last", enable_version_counter=False, save_on_train_epoch_end=True),
        ],
        check_val_every_n_epoch=config.validate_every,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def choose_precision(config: TrainingConfig, device: torch.device) -> Any:
    """Return Lightning's name of the precision: mixed on CUDA, except for ``32``; on the CPU, mixed only for ``bf16``."""
    if config.precision == "bf16" and device.type == "cpu":
        return "bf16-mixed"
    if config.precision == "32" or device.type != "cuda":
        return "32-true"
    return "bf16-mixed" if torch.cuda.get_device_capability(device) >= (8, 0) else "16-mixed"  # Ampere


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; InputError if it cannot be read or was not written by this training."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: give the output folder of a training run.") from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        raise InputError(f"{path} cannot be read: it is damaged or not a checkpoint.") from None
    if not isinstance(checkpoint, dict) or not {"hyper_parameters", "state_dict", "history"} <= set(checkpoint):
        raise InputError(f"{path} is not a checkpoint of this training: give the output folder of a training run.")
    return checkpoint


def check_weights(module: FusionTraining, weights: dict[str, Tensor], path: Path) -> None:
    """Raise InputError if the weights of the checkpoint ``path`` do not fit the layers of the module."""
    expected = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if {name: tensor.shape for name, tensor in weights.items()} != expected:
        raise InputError(f"{path} has another architecture than its options state: start a new training.")


def _check_same_run(module: FusionTraining, path: Path) -> None:
    """Raise ValueError if the checkpoint has other options: resuming would mix two runs and follow the old schedule."""
    checkpoint = read_checkpoint(path)
    saved = config_from_dict(checkpoint["hyper_parameters"], source=str(path)).to_dict()
    options = module.config.to_dict()
    if changed := sorted(name for name in options if saved[name] != options[name]):
        names = ", ".join(changed)
        raise ValueError(f"{path} belongs to a run with other options ({names}): choose another --output, or remove it.")
    check_weights(module, checkpoint["state_dict"], path)
    if checkpoint.get("data_sha256") != module.data_sha256:
        raise ValueError(f"{path} belongs to a run on other pairs: choose another --output, or give the data of that run.")


def _fingerprint(pairs: Sequence[Pair]) -> str:
    """Return the SHA-256 of the pairs, in their order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.tobytes())
    return digest.hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=help_text(__doc__))
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML file with the options, such as those in training/configs"
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with split.csv, pet/ and mri/; a CSV file that lists volumes; or a folder with label_maps/",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for checkpoints and logs; an unfinished run in it is resumed"
    )
    parser.add_argument("--devices", type=count, default=1, help="number of processes that share each batch (default: 1)")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    _quieten()
    return run("training", lambda: _train(options))


def _train(options: argparse.Namespace) -> None:
    module = train(load_config(options.config), options.data, options.output, devices=options.devices)
    rank_zero_only(print)(f"{options.output / CHECKPOINT}: all {module.config.total_steps} steps are done.")


def _quieten() -> None:
    """Silence Lightning's tips and warnings, so that an error is the only line on the terminal."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for remark in (".*Checkpoint directory.*not empty", ".*isinstance.treespec, LeafSpec", ".*does not have many workers"):
        warnings.filterwarnings("ignore", message=remark)


if __name__ == "__main__":
    sys.exit(main())
