"""``fuse_batch.py`` in the stand-in for Slicer, as a process of its own: ``python batch_process.py ARGUMENTS``."""

from __future__ import annotations

import runpy
import sys

import stand_in


def main() -> None:
    """Entry point."""
    stand_in.enter()
    script = runpy.run_path(str(stand_in.LIBRARY / "Scripts" / "fuse_batch.py"), run_name="fuse_batch")
    stand_in.leave(script["main"](sys.argv[1:]))


if __name__ == "__main__":
    main()
