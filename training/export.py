"""Export a trained network: ``python -m training.export --run DIR --data DATA --output FILE.safetensors --description TEXT``.

Of CSpA-DN it writes the weights and the model card beside them, with metrics that are measured here, on the pairs that it was
trained and validated on. Of TFNet, which is no model of the extension, it writes the weights alone, as float16.
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
from typing import Any

import lightning
import safetensors.torch
import torch
from torch import nn
from torch.utils.data import DataLoader

from cspadn import __version__
from cspadn.allocator import keep_freed_memory
from cspadn.errors import FusionError, UsageError
from cspadn.network import CSpADN
from cspadn.weights import WEIGHTS_SUFFIX, save_model
from training.config import config_from_dict
from training.data import PairDataset, read_pairs
from training.train import CHECKPOINT, FusionTraining, check_weights, read_checkpoint

_PLACE = ("epoch", "step")  # the first columns of a curve


def load_run(run: Path) -> tuple[FusionTraining, dict[str, Any]]:
    """The trained module in evaluation mode, and its checkpoint, from the output folder of a training run.

    Raises:
        InputError: there is no checkpoint, or it is damaged, or its weights are not those of its options.
        ValueError: its options are not those of this version.
    """
    path = run / CHECKPOINT
    checkpoint = read_checkpoint(path)
    module = FusionTraining(config_from_dict(checkpoint["hyper_parameters"], source=str(path)))
    check_weights(module, checkpoint["state_dict"], path)
    module.load_state_dict(checkpoint["state_dict"])
    return module.eval(), checkpoint


@torch.inference_mode()
def measure(module: FusionTraining, data: Path, subsets: Sequence[str]) -> dict[str, float]:
    """Means of the loss and its terms over the whole slices of some subsets."""
    batches = DataLoader(PairDataset(read_pairs(data, *subsets)))
    rows = [module.loss_terms(module(sources), sources) for sources in batches]
    return {name: round(float(torch.stack([row[name] for row in rows]).mean()), 6) for name in rows[0]}


def export(run: Path, data: Path, output: Path, description: str, *, half: bool = False) -> None:
    """Write ``output``, and its card where it is a CSpA-DN.

    Args:
        half: write float16, as for the networks of the experiments, which nobody but the evaluation loads.

    Raises:
        UsageError: ``output`` has another ending, or a model without description.
        InputError, ValueError: as :func:`load_run` and :func:`training.data.read_pairs`.
    """
    if output.suffix != WEIGHTS_SUFFIX:
        raise UsageError(f"The output {output} must end in {WEIGHTS_SUFFIX}.")
    module, checkpoint = load_run(run)
    network = module.network
    if not isinstance(network, CSpADN):
        return save_half(network, output)
    if not description:
        raise UsageError("A model needs a --description for its card: say in a sentence what it is.")
    if half:
        network.half().float()  # in place: what is measured is what is written
    subsets = (module.config.train_subset, module.config.validation_subset)
    metrics = {", ".join(names): measure(module, data, names) for names in subsets}
    save_model(
        network.half() if half else network,
        output,
        version="1",
        description=description,
        date=datetime.now(timezone.utc).date().isoformat(),
        training=_training_record(module, checkpoint, data),
        metrics=metrics,
    )
    return None


def save_half(network: nn.Module, path: Path) -> None:
    """Write the weights as float16, to a temporary name that is renamed."""
    content = safetensors.torch.save({name: tensor.half().contiguous() for name, tensor in network.state_dict().items()})
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)


def write_curve(run: Path, path: Path) -> None:
    """Write what a run logged at the end of each epoch as a CSV table; empty where nothing was validated.

    Raises:
        InputError: as :func:`training.train.read_checkpoint`.
    """
    history = read_checkpoint(run / CHECKPOINT)["history"]
    names = sorted({name for row in history for name in row} - set(_PLACE))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*_PLACE, *names])
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in history)


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="output folder of training.train")
    parser.add_argument("--data", type=Path, required=True, help="the data that it was trained on")
    parser.add_argument("--output", type=Path, required=True, help="weights to write, ending in .safetensors")
    parser.add_argument("--curve", type=Path, metavar="FILE.csv", help="also write the curve of the training here")
    parser.add_argument("--description", default="", help="what the model is, in a sentence; TFNet needs none")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    try:
        export(options.run, options.data, options.output, options.description)
        if options.curve:
            write_curve(options.run, options.curve)
    except (OSError, ValueError, FusionError) as error:
        print(f"export: {error}", file=sys.stderr)
        return 3
    print(f"{options.output}: {hashlib.sha256(options.output.read_bytes()).hexdigest()}")
    return 0


def _training_record(module: FusionTraining, checkpoint: dict[str, Any], data: Path) -> dict[str, Any]:
    """What the card says of the training."""
    names = [f"'{name}'" for name in module.config.train_subset]
    subsets = f"{'subset' if len(names) == 1 else 'subsets'} {', '.join(names)}"
    config = f"training/configs/{module.config.name.removeprefix('cspadn-')}.yaml"
    command = ["python", "-m", "training.train", "--config", config, "--data", data.name, "--output", "DIR"]
    return {
        "command": shlex.join(command),
        "data": f"{data.name}, {subsets}: {len(read_pairs(data, *module.config.train_subset))} PET/MRI slice pairs",
        "config": module.config.to_dict(),
        "steps": checkpoint["global_step"],
        "software": {"cspadn": __version__, "torch": torch.__version__, "lightning": lightning.__version__},
    }


if __name__ == "__main__":
    sys.exit(main())
