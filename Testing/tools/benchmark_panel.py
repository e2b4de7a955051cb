"""``make panel-benchmark``: how long the module's file takes to import and its panel to open, each in a fresh process.

The stand-in for the application runs it, so Slicer's own part is not included. ``import slicer`` is timed separately.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 9
_CODE = f"""
import json, sys, time
sys.path[:0] = [{str(ROOT / "Testing" / "slicer")!r}, {str(ROOT / "CSpADNFusion")!r}]
start = time.perf_counter()
import slicer
base = time.perf_counter() - start
from slicer_application import application
application.start()
start = time.perf_counter()
import CSpADNFusion
imported = time.perf_counter() - start
setup = CSpADNFusion.CSpADNFusionWidget.setup
def timed(self):
    global opened
    start = time.perf_counter()
    setup(self)
    opened = time.perf_counter() - start
CSpADNFusion.CSpADNFusionWidget.setup = timed
application.openModule({str(ROOT / "CSpADNFusion" / "CSpADNFusion.py")!r})
print(json.dumps({{"import slicer": base, "import of the module's file": imported, "setup()": opened}}))
application.closeModules()
"""


def main() -> None:
    """Entry point."""
    runs = [run() for _ in range(RUNS)]
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {RUNS} fresh processes, ms:")
    for name in runs[0]:
        times = sorted(1000 * run[name] for run in runs)
        print(f"{name:30} median {statistics.median(times):7.1f}   {times[0]:7.1f} to {times[-1]:7.1f}")


def run() -> dict[str, float]:
    """One process: seconds of each step."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times


if __name__ == "__main__":
    main()
