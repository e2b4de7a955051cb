"""Value of the PET below the mouse pointer, in the panel, and one cursor in all views of the comparison."""

import numpy as np
import qt
import slicer

from cspadn.units import shown_units
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene.node_contents import unitsOf


class PointerView:
    """Show the value of the selected PET below the pointer; in the comparison, Slicer's crosshair follows the pointer.

    :param label: widget that shows the sentence.
    :param isComparing: function that returns whether the comparison is shown.
    """

    def __init__(self, label, isComparing):
        self._label, self._isComparing = label, isComparing
        self._petNode = self._observed = self._modeBefore = None

    def observe(self, petNode):
        """Show values of this PET; None for no PET."""
        self._petNode = petNode
        crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode") if petNode else None
        if self._observed and self._observed[0] is not crosshair:
            self.close()
        if crosshair and not self._observed:
            event = slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent
            self._observed = crosshair, crosshair.AddObserver(event, self._onMoved)
        if not petNode:
            self._label.setText("")

    def close(self):
        """Stop observing, because the panel is going away."""
        if self._observed:
            self._observed[0].RemoveObserver(self._observed[1])
            self._observed = None

    def _onMoved(self, crosshair, _event):
        position = [0.0, 0.0, 0.0]
        inside = crosshair.GetCursorPositionRAS(position)
        self._label.setTextFormat(qt.Qt.PlainText)
        self._label.setText(self._textAt(position) if inside and self._petNode else "")
        self._link(crosshair, position if inside else None)

    def _link(self, crosshair, position):
        """Show the crosshair at the pointer in the comparison; elsewhere, give it the mode that it had."""
        if self._isComparing() and position:
            if self._modeBefore is None:
                self._modeBefore = crosshair.GetCrosshairMode()
            crosshair.SetCrosshairMode(crosshair.ShowBasic)
            crosshair.SetCrosshairRAS(position)
        elif self._modeBefore is not None:
            crosshair.SetCrosshairMode(self._modeBefore)
            self._modeBefore = None

    def _textAt(self, position):
        from CSpADNFusionLib.scene.transforms import ijkAtWorld

        voxels = slicer.util.arrayFromVolume(self._petNode)
        index = np.rint(ijkAtWorld(self._petNode, position)).astype(int)[::-1]
        if (index < 0).any() or (index >= voxels.shape).any():
            return ""
        return message("pet-below-pointer", value=float(voxels[tuple(index)]), units=shown_units(unitsOf(self._petNode)))
