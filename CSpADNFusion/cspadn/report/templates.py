"""Templates of the pages, and the format of their numbers. Needs jinja2.

A page is a single file without references to others: it opens from the disk, without a network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from cspadn.errors import MissingPackageError
from cspadn.messages import message

MISSING = "-"
_PACKAGES = ("jinja2", "matplotlib", "PIL")
_PACKAGE = Path(__file__).resolve().parents[1]
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)  # commands to terminals; directions of writing


def check_packages() -> None:
    """Raise MissingPackageError if a package that pages need is not installed."""
    for name in _PACKAGES:
        if find_spec(name) is None:
            package = {"PIL": "pillow"}.get(name, name)
            raise MissingPackageError(message("report-package-missing", package=package))


def templates_folder() -> Path:
    """Return the folder of the templates: beside the package in the extension, inside it in a wheel."""
    beside = _PACKAGE.parent / "Resources" / "Report"
    return beside if beside.is_dir() else _PACKAGE / "Resources" / "Report"


def rendered(template: str, **values: object) -> str:
    """Fill a template with values, which are escaped, also what the name of a file may hold that is not text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from cspadn.imaging.metadata import NOTE

    loader = FileSystemLoader(templates_folder())
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_visible)
    return environment.get_template(template).render(note=NOTE, **values)


def _visible(value: object) -> object:
    """Return text with escapes for what cannot be seen; finished markup as it is."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _INVISIBLE.sub(lambda found: ascii(found[0])[1:-1], value)


def explanations(names: Iterable[str]) -> dict[str, str]:
    """Return explanations of metrics for tooltips; for a metric of another version, its name."""
    from cspadn.metrics.registry import BY_NAME

    return {name: BY_NAME[name].explanation if name in BY_NAME else name for name in names}


def number_text(value: float | None, digits: int = 4) -> str:
    """Format a number with the given decimals; return :data:`MISSING` if it is not a number."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
