"""``fuse_batch.py`` in the stand-in for Slicer, as a process of its own: ``python batch_process.py ARGUMENTS``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

TESTING = Path(__file__).resolve().parent.parent
LIBRARY = TESTING.parent / "CSpADNFusion"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(TESTING), str(LIBRARY)]

import slicer  # noqa: E402

from slicer_application import application  # noqa: E402


def main() -> None:
    """Entry point."""
    application.start()
    application.newScene()
    application.openModule(str(LIBRARY / "CSpADNFusion.py"))
    application.closeModules()
    script = LIBRARY / "Scripts" / "fuse_batch.py"
    code = compile(script.read_text(encoding="utf-8"), str(script), "exec")
    names: dict[str, object] = {"__name__": "fuse_batch", "__file__": str(script)}
    exec(code, names)
    status = names["main"](sys.argv[1:])  # type: ignore[operator]
    sys.stdout.flush()
    slicer.app._temporary.cleanup()
    os._exit(status)  # as Slicer's exit does, without the interpreter's end


if __name__ == "__main__":
    main()
