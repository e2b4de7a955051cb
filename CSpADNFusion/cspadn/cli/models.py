"""``cspadn models``: list the shipped models."""

from __future__ import annotations

import argparse
import json

from cspadn.settings import DEFAULT_MODEL


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print name, version, description, hash and date of each model; returns 0."""
    from cspadn.models.weights import list_models

    cards = list_models()
    if options.json:
        print(json.dumps([card.to_dict() for card in cards], indent=2))
        return 0
    for card in cards:
        default = " (default)" if card.name == DEFAULT_MODEL else ""
        print(f"{card.name} {card.version}{default}: {card.description}\n    SHA-256 {card.sha256}, {card.date}")
    return 0
