"""Export a trained network: ``python -m training.export --run DIR --data DIR --output FILE.safetensors --description TEXT``.

Writes the weights and the model card beside them. The metrics in the card are measured here, on the validation pairs.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader

from cspadn import __version__
from cspadn.allocator import keep_freed_memory
from cspadn.errors import FusionError
from cspadn.weights import save_model
from training.config import config_from_dict
from training.data import PairDataset, read_pairs
from training.losses import fusion_loss
from training.train import CHECKPOINT, FusionTraining


def load_run(run: Path) -> tuple[FusionTraining, dict[str, Any]]:
    """The trained module in evaluation mode, and its checkpoint, from the output folder of a training run."""
    path = run / CHECKPOINT
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    module = FusionTraining(config_from_dict(checkpoint["hyper_parameters"], source=str(path)))
    module.load_state_dict(checkpoint["state_dict"])
    return module.eval(), checkpoint


@torch.inference_mode()
def measure(module: FusionTraining, data: Path, subset: str) -> dict[str, float]:
    """Means of the loss and its terms over the whole slices of a subset."""
    batches = DataLoader(PairDataset(read_pairs(data, subset)))
    rows = [fusion_loss(module(sources), sources, module.config.gamma) for sources in batches]
    return {name: round(float(torch.stack([row[name] for row in rows]).mean()), 6) for name in rows[0]}


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="output folder of training.train")
    parser.add_argument("--data", type=Path, required=True, help="the folder that it was trained on")
    parser.add_argument("--output", type=Path, required=True, help="weights to write, ending in .safetensors")
    parser.add_argument("--description", required=True, help="what the model is, in a sentence")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    try:
        module, checkpoint = load_run(options.run)
        metrics = {subset: measure(module, options.data, subset) for subset in ("train", "test_same_head")}
    except (OSError, ValueError, FusionError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 3
    card = save_model(
        module.network,
        options.output,
        version="1",
        description=options.description,
        date=datetime.now(timezone.utc).date().isoformat(),
        training=_training_record(module, checkpoint, options.data),
        metrics=metrics,
    )
    print(f"{options.output}: {card.sha256}")
    return 0


def _training_record(module: FusionTraining, checkpoint: dict[str, Any], data: Path) -> dict[str, Any]:
    """What the card says of the training."""
    config = f"training/configs/{module.config.name.removeprefix('cspadn-')}.yaml"
    command = ["python", "-m", "training.train", "--config", config, "--data", data.name, "--output", "DIR"]
    return {
        "command": shlex.join(command),
        "data": f"{data.name}, subset 'train': {len(read_pairs(data, 'train'))} PET/MRI slice pairs",
        "config": module.config.to_dict(),
        "steps": checkpoint["global_step"],
        "software": {"cspadn": __version__, "torch": torch.__version__, "lightning": lightning.__version__},
    }


if __name__ == "__main__":
    sys.exit(main())
