"""``cspadn info``: show versions and devices."""

from __future__ import annotations

import argparse
import json
import platform
from typing import Any

from cspadn import __version__


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the versions, the devices that compute, and the folder of the models; returns 0."""
    info = _info()
    if options.json:
        print(json.dumps(info, indent=2))
        return 0
    for name, value in info["versions"].items():
        print(f"{name:12}{value}")
    for device, name in info["devices"].items():
        print(f"{'device':12}{device} ({name})")
    print(f"{'models':12}{info['models']}")
    return 0


def _info() -> dict[str, Any]:
    import numpy
    import safetensors
    import SimpleITK as sitk
    import torch

    from cspadn.models.weights import models_folder
    from cspadn.runtime.device import available_devices

    versions = {
        "cspadn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "SimpleITK": sitk.Version.VersionString(),
        "safetensors": safetensors.__version__,
    }
    return {"versions": versions, "devices": available_devices(), "models": str(models_folder())}
