"""Set-up of torch and the other packages that a fusion needs. Nothing is installed without the consent of the user."""

import importlib.util
import subprocess

import slicer
import slicer.packaging

from cspadn.errors import MissingPackageError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.questions import confirm

TORCH_REQUIREMENT = ">=2.2"


_PACKAGES = {"fusion": ("torch", "safetensors", "filelock"), "registration": ("filelock",)}


def missingPackages(task="fusion"):
    """Return the names of the packages that a task needs and that cannot be imported here.

    :param task: "fusion" or "registration".
    """
    return [name for name in _PACKAGES[task] if importlib.util.find_spec(name) is None]


def ensureDependencies(requirementsFile, task="fusion"):
    """Install torch, if the task needs it, and other missing packages after asking the user. Call this from a button only.

    :param requirementsFile: path of a requirements file.
    :param task: "fusion" or "registration".
    :returns: False if the user declined.
    :raises cspadn.errors.MissingPackageError: a package is missing or too old, and cannot be installed.
    """
    if task == "fusion":
        if "torch" in missingPackages() and not _installTorch():
            return False
        _checkTorchVersion()
    elif not missingPackages(task):
        return True
    requirements = slicer.packaging.load_requirements(requirementsFile)
    try:
        slicer.packaging.pip_ensure(requirements, requester="CSpADNFusion")
    except RuntimeError:  # the user declined
        return False
    except subprocess.CalledProcessError as error:
        names = ", ".join(str(requirement) for requirement in requirements)
        raise MissingPackageError(message("packages-not-installed", names=names)) from error
    importlib.invalidate_caches()
    if missing := missingPackages(task):  # Slicer installs nothing while it is tested
        raise MissingPackageError(message("packages-not-importable", packages=", ".join(missing)))
    return True


def _checkTorchVersion():
    """Raise MissingPackageError if the installed torch, perhaps from another extension, is too old."""
    if not slicer.packaging.pip_check(f"torch{TORCH_REQUIREMENT}"):
        raise MissingPackageError(message("torch-too-old", version=TORCH_REQUIREMENT))


def _installTorch():
    """Install torch through the PyTorch extension; return False if the user declined."""
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise MissingPackageError(message("torch-extension-missing")) from None
    if slicer.app.testingEnabled():  # Slicer then answers every question with yes
        raise MissingPackageError(message("torch-not-installed-in-tests"))
    if not confirm(message("install-torch")):
        return False
    try:
        return PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=TORCH_REQUIREMENT) is not None
    except Exception as error:
        raise MissingPackageError(message("torch-installation-failed", error=error)) from error
