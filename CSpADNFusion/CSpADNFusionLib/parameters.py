"""The choices of the panel, typed."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTableNode, vtkMRMLVectorVolumeNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

from cspadn.settings import AUTOMATIC_DEVICE, DEFAULT_MODEL, DEFAULT_PALETTE, MODELS, PALETTES

GRIDS = ("MRI", "PET")


@parameterNodeWrapper
class CSpADNFusionParameterNode:
    """The choices of the panel, kept in the scene.

    petVolume, mriVolume - The two volumes, scalar.
    fusedVolume - The volume that receives the result; none: a new one is made.
    makeColor, colorVolume - Whether to make a colour volume, and which one receives it; none: a new one.
    makeMetrics, metricsTable - Whether to measure the slices, and which table receives the metrics; none: a new one.
    lastFusedVolume - What the last run made: the one to compare and to plot.
    palette - The hues of the colour volume.
    petOpacity - Of the PET over the MRI in the comparison's blend.
    model, weightsFile - A shipped model, and the file of one's own that is used in its place, if any.
    device - auto, or a device by torch's name.
    grid - Whose voxels the result has.
    petWindowAutomatic ... mriWindowUpper - The windows, in the units of the volumes.
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

    def forget(self, node):
        """Nothing is chosen where this node was."""
        for name in ("petVolume", "mriVolume", "fusedVolume", "colorVolume", "metricsTable", "lastFusedVolume"):
            if getattr(self, name) is node:
                setattr(self, name, None)

    def repair(self):
        """A scene may name a model or a palette that this version does not have: then the default."""
        for name, choices in (("model", MODELS), ("palette", PALETTES), ("grid", GRIDS)):
            if getattr(self, name) not in choices:
                setattr(self, name, self.default(name).value)

    def window(self, name):
        """The window of "pet" or "mri" as (lower, upper); None: automatic."""
        if getattr(self, f"{name}WindowAutomatic"):
            return None
        return getattr(self, f"{name}WindowLower"), getattr(self, f"{name}WindowUpper")

    def outputs(self):
        """Fused volume, colour volume, table: None where a new one is to be made, or none at all."""
        color = self.colorVolume if self.makeColor else None
        return self.fusedVolume, color, self.metricsTable if self.makeMetrics else None

    def settings(self):
        """As :class:`cspadn.FusionSettings` has them."""
        return {
            "model": self.weightsFile or self.model,
            "device": self.device,
            "grid": self.grid.lower(),
            "pet_window": self.window("pet"),
            "mri_window": self.window("mri"),
            "palette": self.palette if self.makeColor else None,
        }
