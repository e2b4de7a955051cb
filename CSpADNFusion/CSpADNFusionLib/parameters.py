"""Typed parameter node of the module."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTableNode, vtkMRMLVectorVolumeNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from cspadn.settings import AUTOMATIC_DEVICE, DEFAULT_MODEL, MODELS

GRIDS = ("MRI", "PET")


@parameterNodeWrapper
class CSpADNFusionParameterNode:
    """Parameters of the module, stored in the scene.

    petVolume, mriVolume - The two input volumes, scalar.
    fusedVolume - The volume that receives the result; None for a new one.
    makeColor, colorVolume - Whether to create a colour volume, and which node receives it; None for a new one.
    makeMetrics, metricsTable - Whether to compute metrics of the slices, and which table receives them; None for a new one.
    lastFusedVolume - The result of the last run, which comparison, plot and export use.
    palette - The palette of the colour volume.
    petOpacity - Opacity of the PET over the MRI in the blend of the comparison.
    model, weightsFile - A shipped model, and a weights file that replaces it, if any.
    device - auto, or a device by torch's name.
    grid - The volume that defines the voxel grid of the result.
    petWindowAutomatic ... mriWindowUpper - The intensity windows, in the units of the volumes.
    """

    petVolume: vtkMRMLScalarVolumeNode
    mriVolume: vtkMRMLScalarVolumeNode
    fusedVolume: vtkMRMLScalarVolumeNode
    makeColor: bool = True
    colorVolume: vtkMRMLVectorVolumeNode
    makeMetrics: bool = True
    metricsTable: vtkMRMLTableNode
    lastFusedVolume: vtkMRMLScalarVolumeNode
    palette: Annotated[str, Choice(list(PALETTES))] = DEFAULT_PALETTE
    petOpacity: Annotated[float, WithinRange(0, 1)] = 0.5
    model: Annotated[str, Choice(list(MODELS))] = DEFAULT_MODEL
    weightsFile: str = ""
    device: str = AUTOMATIC_DEVICE
    grid: Annotated[str, Choice(list(GRIDS))] = GRIDS[0]
    petWindowAutomatic: bool = True
    petWindowLower: float = 0.0
    petWindowUpper: float = 1.0
    mriWindowAutomatic: bool = True
    mriWindowLower: float = 0.0
    mriWindowUpper: float = 1.0

    def clearNode(self, node):
        """Clear each parameter that refers to this node."""
        for name in ("petVolume", "mriVolume", "fusedVolume", "colorVolume", "metricsTable", "lastFusedVolume"):
            if getattr(self, name) is node:
                setattr(self, name, None)

    def repair(self):
        """Replace values of the scene that this version does not offer, such as a model or a palette, by the default."""
        for name, choices in (("model", MODELS), ("palette", PALETTES), ("grid", GRIDS)):
            if getattr(self, name) not in choices:
                setattr(self, name, self.default(name).value)

    def window(self, name):
        """Return the window of "pet" or "mri" as (lower, upper), or None if it is automatic."""
        if getattr(self, f"{name}WindowAutomatic"):
            return None
        return getattr(self, f"{name}WindowLower"), getattr(self, f"{name}WindowUpper")

    def outputs(self):
        """Return fused volume, colour volume and table; None for each that is to be created or is not wanted."""
        color = self.colorVolume if self.makeColor else None
        return self.fusedVolume, color, self.metricsTable if self.makeMetrics else None

    def settings(self):
        """Return the fields of :class:`cspadn.FusionSettings` as a dictionary."""
        return {
            "model": self.weightsFile or self.model,
            "device": self.device,
            "grid": self.grid.lower(),
            "pet_window": self.window("pet"),
            "mri_window": self.window("mri"),
            "palette": self.palette if self.makeColor else None,
        }
