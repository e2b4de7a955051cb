"""Layouts and slice views, as the buttons of the panel ask for them: comparison, plot, the way back, colour or grey."""

from CSpADNFusionLib.messages import message
from CSpADNFusionLib.scene import comparison, layouts, result_display
from CSpADNFusionLib.scene.node_references import METRICS_ROLE


class ViewControl:
    """Show results in Slicer's views.

    :param ui: the widgets of the panel.
    :param parametersOf: function that returns the parameter node, or None while the panel has none.
    :param onTold: called with a sentence for the status line.
    """

    def __init__(self, ui, parametersOf, onTold):
        self._ui, self._parametersOf, self._onTold = ui, parametersOf, onTold
        self._comparison = comparison.Comparison()
        ui.compareButton.clicked.connect(self.onCompareButton)
        ui.backButton.clicked.connect(self.onBackButton)
        ui.plotButton.clicked.connect(self.onPlotButton)
        ui.greyRadioButton.toggled.connect(self.onGreyToggled)

    def update(self):
        """Show the selected volumes in the comparison if it is open, and enable the buttons."""
        if comparison.isShown():
            self._comparison.update(self._parametersOf())
        self._ui.plotButton.setEnabled(self._lastMetrics() is not None)
        self._ui.backButton.setEnabled(layouts.isOwn())

    def close(self):
        """Leave the layouts of the module, because another scene comes."""
        self._comparison.close()

    def showResult(self, fusedNode):
        """Show a result, in colour if there is a colour volume, at the slice and zoom that the reader has."""
        parameters = self._parametersOf()
        if not comparison.isShown():
            result_display.show(fusedNode, parameters.showGrey if parameters else False)

    def onCompareButton(self, _checked=False):
        """Open the comparison."""
        parameters = self._parametersOf()
        if not self._comparison.show(parameters):
            self._onTold(message("no-window-for-comparison"))
            return
        self._ui.backButton.setEnabled(True)
        if parameters.lastFusedVolume and not comparison.fusedNodeOf(parameters):
            self._onTold(message("result-outdated"))

    def onPlotButton(self, _checked=False):
        """Show the metrics of the last result as plots and table."""
        from CSpADNFusionLib.scene import metrics

        tableNode = self._lastMetrics()
        if tableNode is None:
            self._onTold(message("metrics-table-deleted"))
        elif not metrics.show(tableNode):
            self._onTold(message("no-window-for-plot"))
        else:
            self._ui.backButton.setEnabled(True)

    def onBackButton(self, _checked=False):
        """Return to the layout before the comparison or the plot."""
        layouts.back()
        self._ui.backButton.setEnabled(False)

    def onGreyToggled(self, grey):
        """Show the last result in grey, or in colour."""
        parameters = self._parametersOf()
        if parameters and grey != parameters.showGrey:
            parameters.showGrey = grey
            fused = parameters.lastFusedVolume
            if fused and not comparison.isShown() and result_display.isShown(fused):
                result_display.show(fused, grey)

    def _lastMetrics(self):
        """Return the metrics table of the last result, or None."""
        fusedNode = self._parametersOf().lastFusedVolume
        return fusedNode.GetNodeReference(METRICS_ROLE) if fusedNode else None
