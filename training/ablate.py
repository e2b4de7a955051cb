"""Run the ablation: ``python -m training.ablate --data DATA --output DIR [--seeds N ...]``.

Train the network with both attention modules, with each one alone and with none, once per seed, and export each network to
``training/weights/ablation``; :mod:`training.evaluate` measures them. Run the command again to resume an interrupted run.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from cspadn.models.cspadn import ATTENTION, NetworkConfig
from cspadn.models.weights import WEIGHTS_SUFFIX
from cspadn.runtime.allocator import keep_freed_memory
from training.command import help_text, run
from training.config import TrainingConfig, load_config
from training.export import export, write_curve
from training.train import train

HERE = Path(__file__).resolve().parent
CONFIG, WEIGHTS, CURVES = HERE / "configs" / "ablation.yaml", HERE / "weights" / "ablation", HERE / "curves" / "ablation"
SEEDS = (1, 2, 3)


def variant(base: TrainingConfig, attention: str, seed: int) -> TrainingConfig:
    """Return the options of one variant, which differ from ``base`` only in the attention and the seed."""
    network = NetworkConfig.from_dict({**base.network.to_dict(), "attention": attention})
    return replace(base, name=f"{attention}-{seed}", seed=seed, network=network)


def ablate(
    base: TrainingConfig, data: Path, output: Path, weights: Path, curves: Path, seeds: tuple[int, ...] = SEEDS, more: str = ""
) -> None:
    """Train and export every variant; skip those whose weights exist.

    Args:
        data: as :func:`training.data.read_pairs` reads it.
        output: folder of the runs, with a folder for each.
        weights: folder for ``ATTENTION-SEED.safetensors`` (float16) and their cards.
        curves: folder for the training curves ``ATTENTION-SEED.csv``.
        more: further arguments of the command that the cards name.

    Raises:
        InputError, ValueError, DivergedError: as :func:`training.train.train`.
    """
    weights.mkdir(parents=True, exist_ok=True)
    for config in (variant(base, attention, seed) for seed in seeds for attention in ATTENTION):
        target = weights / (config.name + WEIGHTS_SUFFIX)
        if target.exists():
            print(f"{target} exists and is kept: remove it, or choose another folder for the weights, to train it again.")
            continue
        train(config, data, output / config.name)
        description = (
            f"Ablation: attention '{config.network.to_dict()['attention']}', seed {config.seed}. For the evaluation alone."
        )
        command = f"python -m training.ablate --data {data.name} --output DIR --seeds {config.seed}{more}"
        export(output / config.name, data, target, description, command=command, half=True)
        write_curve(output / config.name, curves / f"{config.name}.csv")
        print(f"{target} was written.")


def _shown(path: Path) -> str:
    """Return a path as it is named in the clone, or its name alone, so that cards hold no folders of one machine."""
    path = path.resolve()
    return shlex.quote(path.relative_to(HERE.parent).as_posix() if path.is_relative_to(HERE.parent) else path.name)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.ablate", description=help_text(__doc__))
    parser.add_argument("--data", type=Path, required=True, help="training data, as for training.train")
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="folder for the weights (default: training/weights/ablation)"
    )
    parser.add_argument(
        "--curves", type=Path, default=CURVES, help="folder for the curves (default: training/curves/ablation)"
    )
    parser.add_argument(
        "--config", type=Path, default=CONFIG, help="options of the runs (default: training/configs/ablation.yaml)"
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=SEEDS, help="seeds to train here (default: 1 2 3); give each machine its own"
    )
    options = parser.parse_args(arguments)
    given = {"config": CONFIG, "weights": WEIGHTS, "curves": CURVES}
    more = "".join(f" --{name} {_shown(getattr(options, name))}" for name in given if getattr(options, name) != given[name])
    keep_freed_memory()
    return run(
        "ablation",
        lambda: ablate(
            load_config(options.config),
            options.data,
            options.output,
            options.weights,
            options.curves,
            tuple(options.seeds),
            more,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
