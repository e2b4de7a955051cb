"""The command line, ``cspadn``."""

from cspadn.cli.entry import main

__all__ = ["main"]
