"""Training and evaluation of the models that CSpADNFusion ships. Not part of the extension."""

import sys
from importlib.util import find_spec

_PACKAGES = (
    "lightning",
    "matplotlib",
    "nibabel",
    "PIL",
    "scipy",
    "tensorboard",
    "torchmetrics",
    "yaml",
)  # the extra "training"
# As python -m training.NAME, whose imports would fail with a traceback.
if sys.argv[0] == "-m" and (_missing := [name for name in _PACKAGES if find_spec(name) is None]):
    print(
        f"training: {', '.join(_missing)} {'is' if len(_missing) == 1 else 'are'} not installed. "
        "In a clone of the repository: pip install '.[training]'.",
        file=sys.stderr,
    )
    sys.exit(2)
