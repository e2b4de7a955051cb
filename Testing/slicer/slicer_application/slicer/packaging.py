"""Python packages: read the list and ask the user as Slicer does, but never install anything."""

import importlib.metadata
from pathlib import Path

import slicer.util
from packaging.requirements import Requirement

from slicer_application import records


def load_requirements(path):
    """Read a requirements file; comments, empty lines and options of pip are skipped."""
    lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pip_check(requirement):
    """Tell whether an installed package satisfies one requirement."""
    requirement = Requirement(str(requirement))
    if requirement.marker and not requirement.marker.evaluate():
        return True
    try:
        return requirement.specifier.contains(importlib.metadata.version(requirement.name), prereleases=True)
    except importlib.metadata.PackageNotFoundError:
        return False


def pip_ensure(
    requirements, constraints=None, skip_packages=None, prompt_install=True, prompt_restart=True,
    requester=None, skip_in_testing=True, show_progress=True,
):  # fmt: skip
    """Record the request; if packages are missing ask, and raise RuntimeError when the user declines."""
    if isinstance(requirements, str):
        requirements = requirements.split()
    requirements = [requirements] if isinstance(requirements, Requirement) else list(requirements)
    missing = [str(requirement) for requirement in requirements if not pip_check(requirement)]
    records.pipRequests.append(
        {"requirements": [str(r) for r in requirements], "missing": missing, "requester": requester, "prompt": prompt_install}
    )
    if not missing or (skip_in_testing and slicer.app.testingEnabled()) or not prompt_install:
        return
    if not slicer.util.confirmOkCancelDisplay(f"{len(missing)} Python package(s) needed", detailedText="\n".join(missing)):
        raise RuntimeError("User declined package installation")
