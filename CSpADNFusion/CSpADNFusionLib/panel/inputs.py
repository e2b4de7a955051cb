"""Inputs in the panel: summary line, automatic windows, and observation of the selected volumes."""

import math

import qt
import slicer
import vtk

from cspadn.errors import FusionError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.qt_helpers import showWhole, waitCursor

_SETTLED_MILLISECONDS = 300  # delay after the last change of an input, for example while a transform is dragged


class InputsView:
    """Show a summary of the selected pair, and its automatic windows in the fields of the windows."""

    def __init__(self, ui):
        self._ui = ui
        self._summary = self._alignment = ""
        self.reset()

    def reset(self):
        """Discard what is known of the inputs, because they have changed."""
        self._described = self._windowed = self._obstacle = None

    def obstacle(self):
        """Return why the shown pair cannot be fused, as far as a quick check shows, or None if nothing prevents it."""
        return self._obstacle

    def petWindow(self, parameters):
        """Return the window of the PET (lower, upper), chosen or automatic; None if it is not computed yet."""
        if parameters.petWindowAutomatic and (self._windowed is None or self._windowed != self._described):
            return None
        return parameters.petWindowLower, parameters.petWindowUpper

    def show(self, nodes, parameters):
        """Show a pair.

        :param nodes: PET and MRI node, or None if they cannot be fused.
        :param parameters: the parameter node, which receives the automatic windows.
        """
        state = (*(node.GetID() for node in nodes), parameters.grid) if nodes else None
        if not nodes:
            self._obstacle = None
            self._describeAs(message("panel-select-pair"))
        elif state != self._described:
            self._describe(nodes, parameters.grid.lower())
        self._described = state
        automatic = parameters.petWindowAutomatic or parameters.mriWindowAutomatic
        # Computing windows takes a moment, so it is done only while their fields are visible.
        if nodes and automatic and state != self._windowed and not self._ui.windowsCollapsibleButton.property("collapsed"):
            self._windowed = state
            self._showWindows(nodes, parameters)

    def _describe(self, nodes, grid):
        from CSpADNFusionLib.panel import input_summary

        try:
            self._describeAs(input_summary.pairText(*nodes, grid))
            self._obstacle = input_summary.obstacle(*nodes)
        except FusionError as error:
            self._describeAs(str(error))
            self._obstacle = str(error)

    def showAlignment(self, text):
        """Show a sentence on the alignment below the summary of the pair; empty for none."""
        self._alignment = text
        self._write()

    def _describeAs(self, text):
        self._summary = text
        self._write()

    def _write(self):
        showWhole(self._ui.pairLabel, "\n".join(filter(None, (self._summary, self._alignment))))

    def _showWindows(self, nodes, parameters):
        from CSpADNFusionLib.panel import input_summary

        try:
            with waitCursor():
                windows = input_summary.automaticWindows(*nodes, parameters.grid.lower())
        except FusionError as error:
            self._describeAs(str(error))
            return
        with slicer.util.NodeModify(parameters):
            for name, window in zip(("pet", "mri"), windows, strict=True):
                if getattr(parameters, f"{name}WindowAutomatic"):
                    self._showWindow(name, window, parameters)

    def _showWindow(self, name, window, parameters):
        for end, value in zip(("Lower", "Upper"), window, strict=True):
            getattr(self._ui, f"{name}{end}SpinBox").setDecimals(decimalsOf(window))
            setattr(parameters, f"{name}Window{end}", float(value))


class InputObserver:
    """Call a function after the selected volumes were moved or got other voxels, once the changes have settled.

    It does not use the mixin of VTK observations, which would keep deleted volumes alive.

    :param onChanged: function without arguments.
    """

    def __init__(self, onChanged):
        self._observed, self._geometries = [], {}
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLED_MILLISECONDS)
        self._timer.timeout.connect(onChanged)

    def observe(self, nodes):
        """Observe these volume nodes, and no others.

        :param nodes: list without duplicates.
        """
        if nodes == [node for node, _tags in self._observed]:
            return
        for node, tags in self._observed:
            for tag in tags:
                node.RemoveObserver(tag)
        events = slicer.vtkMRMLTransformableNode.TransformModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        self._observed = [
            (
                node,
                [
                    *(node.AddObserver(event, self._onModified) for event in events),
                    node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onNodeModified),
                ],
            )
            for node in nodes
        ]
        self._geometries = {node.GetID(): _geometryOf(node) for node in nodes}

    def close(self):
        """Stop the timer, because the panel is going away."""
        self._timer.stop()

    def _onModified(self, _caller, _event):
        self._timer.start()

    def _onNodeModified(self, node, _event):
        """Look whether origin, spacing or directions have changed, for which MRML has no event of their own."""
        geometry = _geometryOf(node)
        if self._geometries.get(node.GetID()) != geometry:
            self._geometries[node.GetID()] = geometry
            self._timer.start()


def _geometryOf(node):
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return [matrix.GetElement(row, column) for row in range(3) for column in range(4)]


def decimalsOf(window):
    """Return how many decimals show the ends of a window to about four digits of its width."""
    width = max(window[1] - window[0], 1e-9)
    return min(12, max(1, 3 - math.floor(math.log10(width))))
