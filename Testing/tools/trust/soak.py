"""Many fusions in one process: memory, file handles, threads, processes, nodes and observers must not grow.

``python soak.py COUNT WARM SIDE`` fuses volumes of 8 x SIDE x SIDE voxels as a script in Slicer's console does, with
``CSpADNFusionLogic.fuse`` in the stand-in, all outputs on. It prints JSON: what there was after WARM fusions, and what there
was at most after the last WARM ones.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

import numpy as np
import slicer
import stand_in


def main() -> None:
    """Entry point."""
    stand_in.enter()
    from CSpADNFusion import CSpADNFusionLogic

    count, warm, side = map(int, sys.argv[1:])
    logic, nodes, seen = CSpADNFusionLogic(), _volumes(side), []
    began = time.perf_counter()
    for number in range(1, count + 1):
        known = set(_ids())
        fused = logic.fuse(*nodes, metrics=True, palette="PET-Heat", device="cpu")
        assert fused.GetImageData() is not None
        _remove_new(known)
        slicer.app.processEvents()
        if number >= warm:
            seen.append(_state(nodes))
    last = {name: max(state[name] for state in seen[-warm:]) for name in seen[0]}
    print(json.dumps({"after_warm_up": seen[0], "at_the_end": last, "seconds": time.perf_counter() - began}))
    stand_in.leave(0)


def _volumes(side: int) -> list[slicer.vtkMRMLScalarVolumeNode]:
    generator = np.random.default_rng(0)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, count) for count in (8, side, side)), indexing="ij")
    inside = x**2 + y**2 + 0.5 * z**2 < 0.7
    nodes = []
    for name in ("PET", "MRI"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        slicer.util.updateVolumeFromArray(node, (inside * generator.random(inside.shape)).astype(np.float32))
        nodes.append(node)
    return nodes


def _ids() -> list[str]:
    scene = slicer.mrmlScene
    return [scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())]


def _remove_new(known: set[str]) -> None:
    """As a script does that has exported its result."""
    for identity in _ids():
        node = slicer.mrmlScene.GetNodeByID(identity)
        if identity not in known and node is not None and not node.GetSingletonTag():
            slicer.mrmlScene.RemoveNode(node)


def _state(nodes: list[slicer.vtkMRMLScalarVolumeNode]) -> dict[str, float]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return {
        "resident_mb": int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024,
        "file_handles": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(),
        "processes": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "nodes": slicer.mrmlScene.GetNumberOfNodes(),
        "observers": sum(_observers(node) for node in (slicer.mrmlScene, *nodes)),
        "temporary": len(list(Path(slicer.app.temporaryPath).iterdir())),
    }


def _observers(node: slicer.vtkMRMLNode) -> int:
    """As VTK prints them."""
    return len(re.findall(r"vtkObserver \(", str(node)))


if __name__ == "__main__":
    main()
