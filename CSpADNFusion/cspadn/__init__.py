"""PET/MRI fusion with CSpA-DN, the channel and spatial attention dense network. Research use only, not for diagnosis.

>>> import SimpleITK as sitk
>>> import cspadn
>>> result = cspadn.fuse(sitk.ReadImage("pet.nii.gz"), sitk.ReadImage("mri.nii.gz"))  # doctest: +SKIP
>>> sitk.WriteImage(result.image, "fused.nrrd")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cspadn.fusion import FusionResult, fuse, fuse_pictures
    from cspadn.registration import Registration, register
    from cspadn.settings import FusionSettings

__version__ = "1.0.0"
__all__ = ["FusionResult", "FusionSettings", "Registration", "__version__", "fuse", "fuse_pictures", "register"]
_MODULES = ("errors", "metrics", "models", "report")  # of docs/library.md


def __getattr__(name: str) -> Any:
    """Import the heavy parts (torch, SimpleITK) only when they are asked for."""
    if name == "FusionSettings":
        from cspadn.settings import FusionSettings

        return FusionSettings
    if name in ("FusionResult", "fuse", "fuse_pictures"):
        from cspadn import fusion

        return getattr(fusion, name)
    if name in ("Registration", "register"):
        from cspadn import registration

        return getattr(registration, name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module 'cspadn' has no attribute '{name}'")
