"""``python -m cspadn``: the command line."""

import sys

from cspadn.cli import main

sys.exit(main())
