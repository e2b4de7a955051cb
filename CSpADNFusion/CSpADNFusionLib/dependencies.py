"""The Python packages that fusing needs and Slicer does not have. Nothing is installed without the user's word."""

import importlib.util

import slicer
import slicer.packaging
from slicer.i18n import tr as _

TORCH_REQUIREMENT = ">=2.2"


def missingPackages():
    """Names of the packages that fusing needs and that cannot be imported here."""
    return [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]


def ensureDependencies(requirementsFile):
    """Make torch and the packages of ``requirementsFile`` importable, asking first; to be called on Apply only.

    :raises RuntimeError: torch is missing and cannot be had, or the user declined; the message says what to do.
    """
    if "torch" in missingPackages():
        _installTorch()
    slicer.packaging.pip_ensure(slicer.packaging.load_requirements(requirementsFile), requester="CSpADNFusion")


def _installTorch():
    try:
        import PyTorchUtils
    except ModuleNotFoundError:
        raise RuntimeError(
            _("Fusion needs PyTorch. Install the PyTorch extension (Extensions Manager), restart Slicer, and try again.")
        ) from None
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT) is None:
        raise RuntimeError(_("Fusion needs PyTorch, which was not installed. Press Apply to be asked again."))
