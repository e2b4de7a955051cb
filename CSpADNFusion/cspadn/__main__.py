"""``python -m cspadn``: the command line.

``python -m`` imports this package from the working folder first; the command ``cspadn`` does not.
"""

import sys

from cspadn.run_module import clean_module_path

clean_module_path(from_working_folder=True)

from cspadn.cli import main  # noqa: E402

sys.exit(main())
