"""Another palette or weight of the PET for the colour volume of a result, without fusing again."""

import re

import SimpleITK as sitk
import slicer

from cspadn.errors import FusionError
from cspadn.imaging.color import brightness_text
from cspadn.imaging.metadata import PREFIX
from cspadn.settings import FusionSettings
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene import color_legend, volumes
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, MRI_ROLE, PALETTE, PET_ROLE, PET_WEIGHT, RELATIVE_POSITIONS
from CSpADNFusionLib.scene.transforms import relativePositions


class Recoloring:
    """Colour results anew. What that needs is kept for the last one, since computing it takes a moment."""

    def __init__(self):
        self._key = self._sources = None

    def forget(self):
        """Release the memory, because another scene comes."""
        self._key = self._sources = None

    def apply(self, fusedNode, palette, weight):
        """Colour the colour volume of a result.

        :param fusedNode: the fused volume node, with a colour volume.
        :param palette: one of :data:`cspadn.palettes.PALETTES`.
        :param weight: of the PET, from 0 to 1.
        :returns: None, or a sentence that says why it is not possible.
        """
        if text := obstacle(fusedNode):
            return text
        try:
            image = self._sourcesOf(fusedNode).colored(palette, weight)
        except FusionError as error:
            return str(error)
        colorNode = fusedNode.GetNodeReference(COLOR_ROLE)
        slicer.util.updateVolumeFromArray(colorNode, sitk.GetArrayViewFromImage(image))
        for node in (fusedNode, colorNode):
            node.SetAttribute(PALETTE, palette)
            node.SetAttribute(PET_WEIGHT, str(weight))
            node.SetAttribute(f"{PREFIX}color_brightness", brightness_text(palette))
        color_legend.update(fusedNode)
        return None

    def _sourcesOf(self, fusedNode):
        key = fusedNode.GetID(), fusedNode.GetImageData().GetMTime(), fusedNode.GetAttribute(RELATIVE_POSITIONS)
        if key != self._key:
            self._key, self._sources = key, _sources(fusedNode)
        return self._sources


def obstacle(fusedNode):
    """Return why the colours of a result cannot be changed, or None if nothing prevents it."""
    pet, mri = (fusedNode.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE))
    if not pet or not mri or not fusedNode.GetNodeReference(COLOR_ROLE):
        return message("recolouring-needs-inputs")
    gridNode = pet if _settingsOf(fusedNode).grid == "pet" else mri
    if fusedNode.GetAttribute(RELATIVE_POSITIONS) != relativePositions(pet, gridNode, mri):
        return message("recolouring-after-move")
    return None


def _sources(fusedNode):
    from cspadn.imaging.recoloring import ColorSources

    settings = _settingsOf(fusedNode)
    nodes = (fusedNode.GetNodeReference(role) for role in (PET_ROLE, MRI_ROLE))
    images = volumes.imagesFromVolumeNodes(*nodes, settings.grid, settings.frames)
    fused = volumes.imageFromVolumeNode(fusedNode)
    return ColorSources.of(*images, fused, settings)


def _settingsOf(fusedNode):
    provenance = volumes.provenanceOf(fusedNode)
    windows = {name: tuple(provenance[name]) for name in ("pet_window", "mri_window")}
    frames = _framesOf(provenance.get("frames"))
    return FusionSettings(grid=provenance.get("grid", FusionSettings.grid), frames=frames, **windows)


def _framesOf(text):
    """Return the frames as the settings give them, of the text in the provenance, such as "mean of 2 to 5 of 10"."""
    numbers = re.findall(r"\d+", text or "")
    if not numbers:
        return None
    return f"{numbers[0]}:{numbers[1]}" if text.startswith("mean") else numbers[0]
