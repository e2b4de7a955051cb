"""Value of the PET below the mouse pointer in the slice views, in the panel."""

import numpy as np
import slicer

from CSpADNFusionLib.messages import message


class PointerView:
    """Show the value of the selected PET below the pointer, from Slicer's crosshair node.

    :param label: widget that shows the sentence.
    """

    def __init__(self, label):
        self._label, self._petNode, self._observed = label, None, None

    def observe(self, petNode):
        """Show values of this PET; None for no PET."""
        self._petNode = petNode
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode") if petNode else None
        if self._observed and self._observed[0] is not crosshair:
            self._observed[0].RemoveObserver(self._observed[1])
            self._observed = None
        if crosshair and not self._observed:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._observed = crosshair, crosshair.AddObserver(event, self._onMoved)
        if not petNode:
            self._label.setText("")

    def _onMoved(self, crosshair, _event):
        position = [0.0, 0.0, 0.0]
        inside = crosshair.GetCursorPositionRAS(position) and self._petNode
        self._label.setText(self._textAt(position) if inside else "")

    def _textAt(self, position):
        from CSpADNFusionLib.panel.input_summary import unitsOf
        from CSpADNFusionLib.scene.transforms import ijkAtWorld

        voxels = slicer.util.arrayFromVolume(self._petNode)
        index = np.rint(ijkAtWorld(self._petNode, position)).astype(int)[::-1]
        if (index < 0).any() or (index >= voxels.shape).any():
            return ""
        return message("pet-below-pointer", value=float(voxels[tuple(index)]), units=unitsOf(self._petNode) or "")
