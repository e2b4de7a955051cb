"""Set-up of torch and the other packages that a fusion needs. Nothing is installed without the consent of the user."""

import importlib.util
import subprocess

import slicer
import slicer.packaging
from slicer.i18n import tr as _

from cspadn.errors import MissingPackageError

TORCH_REQUIREMENT = ">=2.2"
_QUESTION = _(
    "Fusion needs PyTorch, which is not installed yet.\n\nThe PyTorch extension will download and install it, with"
    " torchvision: about 200 MB for the processor alone, several GB where there is an NVIDIA graphics card. That takes some"
    " minutes.\n\nInstall it now?"
)


def missingPackages():
    """Return the names of the packages that a fusion needs and that cannot be imported here."""
    return [name for name in ("torch", "safetensors", "filelock") if importlib.util.find_spec(name) is None]


def ensureDependencies(requirementsFile):
    """Install torch and other missing packages after asking the user. Call this on Apply only.

    :param requirementsFile: path of a requirements file.
    :returns: False if the user declined.
    :raises cspadn.errors.MissingPackageError: a package is missing or too old, and cannot be installed.
    """
    if "torch" in missingPackages() and not _installTorch():
        return False
    _checkTorchVersion()
    requirements = slicer.packaging.load_requirements(requirementsFile)
    try:
        slicer.packaging.pip_ensure(requirements, requester="CSpADNFusion")
    except RuntimeError:  # the user declined
        return False
    except subprocess.CalledProcessError as error:
        names = ", ".join(str(requirement) for requirement in requirements)
        text = _("These Python packages could not be installed: {names}. Check the connection, and see Slicer's log.")
        raise MissingPackageError(text.format(names=names)) from error
    importlib.invalidate_caches()
    if missing := missingPackages():  # Slicer installs nothing while it is tested
        raise MissingPackageError(
            _("Fusion needs {packages}, which could not be installed: restart Slicer, and press Apply again.").format(
                packages=", ".join(missing)
            )
        )
    return True


def _checkTorchVersion():
    """Raise MissingPackageError if the installed torch, perhaps from another extension, is too old."""
    if not slicer.packaging.pip_check(f"torch{TORCH_REQUIREMENT}"):
        text = _(
            "This PyTorch is too old, fusing needs {version}: uninstall it in PyTorch Utils, restart Slicer, press Apply."
        )
        raise MissingPackageError(text.format(version=TORCH_REQUIREMENT))


def _installTorch():
    """Install torch through the PyTorch extension; return False if the user declined."""
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise MissingPackageError(
            _("Fusion needs PyTorch. Install the PyTorch extension (Extensions Manager), restart Slicer, and try again.")
        ) from None
    if slicer.app.testingEnabled():  # Slicer then answers every question with yes
        raise MissingPackageError(_("Fusion needs PyTorch, which is not installed while Slicer is tested."))
    if not slicer.util.confirmOkCancelDisplay(_QUESTION):
        return False
    try:
        return PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=TORCH_REQUIREMENT) is not None
    except Exception as error:
        text = _("PyTorch could not be installed: {error}. The module PyTorch Utils has more choices.")
        raise MissingPackageError(text.format(error=error)) from error
