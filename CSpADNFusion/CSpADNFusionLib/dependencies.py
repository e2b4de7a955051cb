"""The Python packages that fusing needs and Slicer does not have. Nothing is installed without the user's word."""

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
    " minutes, in which Slicer does not respond.\n\nInstall it now?"
)


def missingPackages():
    """Names of the packages that fusing needs and that cannot be imported here."""
    return [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]


def ensureDependencies(requirementsFile):
    """Make torch and the packages of ``requirementsFile`` importable, asking first; to be called on Apply only.

    :raises cspadn.errors.MissingPackageError: one is missing and cannot be had, or the user declined; says what to do.
    """
    if "torch" in missingPackages():
        _installTorch()
    try:
        slicer.packaging.pip_ensure(slicer.packaging.load_requirements(requirementsFile), requester="CSpADNFusion")
    except (RuntimeError, subprocess.CalledProcessError) as error:
        raise MissingPackageError(_("Python packages are missing: {error}").format(error=error)) from error
    importlib.invalidate_caches()
    if missing := missingPackages():  # Slicer installs nothing while it is tested
        raise MissingPackageError(_("Fusion needs {packages}, not installed here.").format(packages=", ".join(missing)))


def _installTorch():
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise MissingPackageError(
            _("Fusion needs PyTorch. Install the PyTorch extension (Extensions Manager), restart Slicer, and try again.")
        ) from None
    if slicer.app.testingEnabled() or not slicer.util.confirmOkCancelDisplay(_QUESTION):
        raise MissingPackageError(_("Fusion needs PyTorch, which was not installed. Press Apply to be asked again."))
    try:
        torch = PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=TORCH_REQUIREMENT)
    except Exception as error:
        text = _("PyTorch could not be installed: {error}. The module PyTorch Utils has more choices.")
        raise MissingPackageError(text.format(error=error)) from error
    if torch is None:
        raise MissingPackageError(_("Fusion needs PyTorch, which was not installed. Press Apply to be asked again."))
