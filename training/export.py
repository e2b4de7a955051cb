"""Export a trained network: ``python -m training.export --run DIR --data DATA --output FILE.safetensors --description TEXT``.

Write the weights and the model card beside them, with the fusion metrics of the validation pairs. TFNet is a baseline and not
a model of the extension: write its weights alone, as float16.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import numpy as np
import safetensors.torch
import SimpleITK as sitk
import torch
from torch import nn

from cspadn import FusionSettings, __version__, metrics
from cspadn.errors import InputError, UsageError
from cspadn.fusion import fuse_pictures
from cspadn.models.weights import WEIGHTS_SUFFIX, load_model, save_model
from cspadn.runtime.allocator import keep_freed_memory
from training.command import help_text
from training.command import run as run_command
from training.config import TFNET, TrainingConfig, config_from_dict, load_config
from training.data import Pair, read_pairs
from training.train import CHECKPOINT, FusionTraining, check_weights, fresh, pairs_folder, read_checkpoint, training_data

_CURVE = ("epoch", "step", "train_loss", "validation_loss")
PRESETS = Path(__file__).resolve().parent / "configs"


def load_run(run: Path) -> tuple[FusionTraining, dict[str, Any]]:
    """Load the trained module, in evaluation mode, and its checkpoint from the output folder of a training run.

    Raises:
        InputError: the checkpoint is missing or damaged, or its weights do not fit its options.
        ValueError: its options are not valid in this version.
    """
    path = run / CHECKPOINT
    checkpoint = read_checkpoint(path)
    module = FusionTraining(config_from_dict(checkpoint["hyper_parameters"], source=str(path)))
    check_weights(module, checkpoint["state_dict"], path)
    module.load_state_dict(checkpoint["state_dict"])
    return module.eval(), checkpoint


def measure(model: Path, pairs: Sequence[Pair]) -> dict[str, float]:
    """Fuse whole slices with a model file, in 8 bits as the product does, and return the mean of each metric."""
    settings = FusionSettings(model=str(model), device="cpu")
    scores = []
    for pair in pairs:
        pet, mri = (sitk.GetImageFromArray(np.rint(255 * source).astype(np.uint8)) for source in pair)
        fused = sitk.GetArrayFromImage(fuse_pictures(pet, mri, settings).image)
        scores.append(metrics.measure(sitk.GetArrayFromImage(pet), sitk.GetArrayFromImage(mri), fused))
    return {name: round(float(np.mean([row[name] for row in scores])), 4) for name in metrics.NAMES}


def export(run: Path, data: Path, output: Path, description: str, *, command: str = "", half: bool = False) -> None:
    """Write ``output`` and, except for TFNet, its card with the metrics of the validation pairs.

    Args:
        command: the training command for the card; default: ``training.train`` with the preset of the run.
        half: write float16 without metrics, for networks that the evaluation measures.

    Raises:
        UsageError: ``output`` does not end in ``.safetensors``, or the description is missing.
        InputError, ValueError: as :func:`load_run` and :func:`training.data.read_pairs`; or the run is not finished.
    """
    if output.suffix != WEIGHTS_SUFFIX:
        raise UsageError(f"The output {output} must end in {WEIGHTS_SUFFIX}.")
    module, checkpoint = load_run(run)
    if checkpoint["global_step"] < module.config.total_steps:
        done = f"{checkpoint['global_step']} of {module.config.total_steps} steps"
        raise InputError(f"The run {run} has done {done}: run its training command again to resume it.")
    network = module.network
    if module.config.architecture == TFNET:
        return save_half(network, output)
    if not description:
        raise UsageError("A model needs a --description for its card: describe it in one sentence.")
    card = {
        "version": "1",
        "description": description,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "training": _training_record(module, checkpoint, data, command or _command(module.config, data)),
    }
    if half:
        save_model(network.half(), output, **card, metrics={})
        return None
    with TemporaryDirectory() as folder:
        unmeasured = Path(folder) / output.name
        save_model(network, unmeasured, **card, metrics={})
        names = module.config.validation_subset
        measured = {", ".join(names): measure(unmeasured, read_pairs(pairs_folder(module.config, data), *names))}
    save_model(network, output, **card, metrics=measured)
    return None


def save_half(network: nn.Module, path: Path) -> None:
    """Write the weights as float16, to a temporary file that is then renamed."""
    content = safetensors.torch.save({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()})
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_curve(run: Path, path: Path) -> None:
    """Write the losses of each epoch as a CSV table; the validation loss is empty in epochs without validation.

    Raises:
        InputError: as :func:`training.train.read_checkpoint`.
    """
    checkpoint = read_checkpoint(run / CHECKPOINT)
    rows = [fresh(row, checkpoint["hyper_parameters"]["validate_every"]) for row in checkpoint["history"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _CURVE, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=help_text(__doc__))
    parser.add_argument("--run", type=Path, required=True, help="output folder of training.train")
    parser.add_argument("--data", type=Path, required=True, help="training data of the run")
    parser.add_argument("--output", type=Path, required=True, help="weights file to write, ending in .safetensors")
    parser.add_argument("--curve", type=Path, metavar="FILE.csv", help="also write the training curve to this file")
    parser.add_argument(
        "--description", default="", help="one sentence that describes the model, for its card; not needed for TFNet"
    )
    options = parser.parse_args(arguments)
    keep_freed_memory()
    return run_command("export", lambda: _export(options))


def _export(options: argparse.Namespace) -> None:
    export(options.run, options.data, options.output, options.description)
    if options.curve:
        write_curve(options.run, options.curve)
    print(f"{options.output}: {hashlib.sha256(options.output.read_bytes()).hexdigest()}")


def _command(config: TrainingConfig, data: Path) -> str:
    """Return the command that repeats the training: with the preset that has the options of the run, or else the run's own."""
    presets = (path for path in sorted(PRESETS.glob("*.yaml")) if load_config(path) == config)
    path = next((f"training/configs/{preset.name}" for preset in presets), "config.yaml")
    return shlex.join(["python", "-m", "training.train", "--config", path, "--data", data.name, "--output", "DIR"])


def _training_record(module: FusionTraining, checkpoint: dict[str, Any], data: Path, command: str) -> dict[str, Any]:
    """Return the field ``training`` of the card."""
    pairs, _, _ = training_data(module.config, data)
    names = [f"'{name}'" for name in module.config.train_subset]
    subsets = f"{'subset' if len(names) == 1 else 'subsets'} {', '.join(names)}"
    described = f"{data.name}, {subsets}: {len(pairs)} PET/MRI slice pairs"
    if heads := module.config.synthesis.heads:
        shares = module.config.synthesis
        described = (
            f"{data.name}: PET and MRI drawn from {len(heads)} label maps; {len(pairs)} real pairs (aanlib_pet_mri, "
            f"{subsets}; spect_mri, {len(shares.exams)} examinations) for {shares.real:.0%} of the patches; "
            f"{shares.flat:.0%} are flat"
        )
    start = {"start_sha256": load_model(module.config.start).card.sha256} if module.config.start else {}
    return {
        "command": command,
        **start,
        "data": described,
        "config": module.config.to_dict(),
        "steps": checkpoint["global_step"],
        "software": {"cspadn": __version__, "torch": torch.__version__, "lightning": lightning.__version__},
    }


if __name__ == "__main__":
    sys.exit(main())
