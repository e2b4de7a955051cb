"""Widget of the module: connects the panel with the parameter node and the logic."""

import sys
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from cspadn.settings import NO_REGISTRATION
from CSpADNFusionLib.logic import CSpADNFusionLogic
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel import settings
from CSpADNFusionLib.panel.alignment import AlignmentView
from CSpADNFusionLib.panel.device import DeviceView
from CSpADNFusionLib.panel.export_control import ExportControl
from CSpADNFusionLib.panel.inputs import InputObserver, InputsView
from CSpADNFusionLib.panel.legend import LegendView, windowOfLastResult
from CSpADNFusionLib.panel.pointer import PointerView
from CSpADNFusionLib.panel.preset_list import PresetList
from CSpADNFusionLib.panel.qt_helpers import fitHeights, makeKeyboardAccessible, plainText
from CSpADNFusionLib.panel.result import ResultView
from CSpADNFusionLib.panel.run import RunView
from CSpADNFusionLib.panel.run_control import RunControl
from CSpADNFusionLib.panel.view_control import ViewControl
from CSpADNFusionLib.panel.window_units import WindowUnits
from CSpADNFusionLib.scene import comparison, preselection, samples, slice_views
from CSpADNFusionLib.scene.node_references import registrationOf

_PACKAGES = ("CSpADNFusionLib", "cspadn")  # reloaded with the module


class CSpADNFusionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel of the module."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._lastInputs = {}
        self._deviceView = None

    def setup(self):
        """Create the panel. Slicer calls this once."""
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/CSpADNFusion.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = CSpADNFusionLogic()
        self._createParts()
        makeKeyboardAccessible(self.ui)
        self._observeScene()
        self._connectButtons()
        settings.explainMetrics(self.ui)
        self.initializeParameterNode()

    def _createParts(self):
        self._inputsView, self._runView, self._legendView = InputsView(self.ui), RunView(self.ui), LegendView(self.ui)
        self._inputObserver = InputObserver(self.onInputsChanged)
        self._alignmentView = AlignmentView(self.logic, self._inputsView.showAlignment)
        self._resultView = ResultView(self.ui, self._runView.showStatus)
        self._windowUnits = WindowUnits(self.ui.windowUnitsLabel)
        self._presetList = PresetList(self.ui, lambda: self._parameterNode, self._windowUnits.scaleOf)
        self._pointerView = PointerView(self.ui.pointerLabel, comparison.isShown)
        self._viewControl = ViewControl(self.ui, lambda: self._parameterNode, self._runView.showStatus)
        self._deviceView = DeviceView(self.ui, self.onDeviceChosen)
        self._exportControl = ExportControl(self.ui, self.logic, lambda: self._parameterNode, self._runView)
        self._runControl = RunControl(
            self.logic,
            self._runView,
            self.resourcePath("requirements.txt"),
            onInstalled=self._deviceView.showTorch,
            onStateChanged=self.onRunStateChanged,
            onFused=self.onFused,
        )

    def _observeScene(self):
        """Observe the scene: while it is replaced, the selectors are empty for a moment, which is not the user's choice."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReplaced)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReplaced)

    def _connectButtons(self):
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.ui.registerButton.clicked.connect(self.onRegisterButton)
        self.ui.undoButton.clicked.connect(self.onUndoButton)
        self.ui.sampleDataButton.clicked.connect(self.onSampleDataButton)
        self.ui.petPaletteButton.clicked.connect(self.onPetPaletteButton)
        self.ui.weightsButton.clicked.connect(self.onWeightsButton)
        self.ui.advancedCollapsibleButton.contentsCollapsed.connect(self.onAdvancedCollapsed)
        self.ui.windowsCollapsibleButton.contentsCollapsed.connect(self.onWindowsCollapsed)
        self.ui.metricsCollapsibleButton.contentsCollapsed.connect(lambda _collapsed: fitHeights(self.ui))

    def cleanup(self):
        """Stop everything that runs. Slicer calls this before the panel is deleted."""
        if self._deviceView:  # otherwise setup() has failed
            self.logic.closeWorker()
            self._deviceView.close()
            self._inputObserver.close()
            self._pointerView.close()
            self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """Show the parameters, with a first choice of volumes. Slicer calls this when the user switches to the module."""
        self.initializeParameterNode()
        self._preselect()

    def _preselect(self):
        parameters = self._parameterNode
        if parameters.petVolume and parameters.mriVolume:
            return
        petNode, mriNode = preselection.likelyPair()
        with slicer.util.NodeModify(parameters):
            if not parameters.petVolume and petNode is not parameters.mriVolume:
                parameters.petVolume = petNode
            if not parameters.mriVolume and mriNode is not parameters.petVolume:
                parameters.mriVolume = mriNode

    def exit(self):
        """Disconnect the parameters. Slicer calls this when the user switches to another module."""
        self.setParameterNode(None)

    def onReload(self):
        """Reload the packages of the module together with the module; torch stays loaded."""
        for name in [name for name in sys.modules if name.split(".")[0] in _PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # Scene

    def onSceneStartClose(self, _caller, _event):
        """Stop what is running, because its scene is going away."""
        wasBusy = self.logic.isBusy()
        self.logic.closeWorker()
        self._alignmentView.reset()
        self._resultView.forget()
        self._viewControl.close()
        self._runView.stop(message("stopped-with-scene") if wasBusy else "")
        self.ui.logTextEdit.clear()
        self.setParameterNode(None)

    def onSceneStartImport(self, _caller, _event):
        """Clear the status, which concerns another scene."""
        if not self.logic.isBusy():
            self._runView.showStatus("")
        self.setParameterNode(None)

    def onSceneReplaced(self, _caller, _event):
        """Show the parameters of the new scene."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _caller, _event, node):
        """Clear the selection of a node that is removed; Slicer's selectors would select the next node in the list."""
        if self._parameterNode:
            self._parameterNode.clearNode(node)

    # Parameters

    def initializeParameterNode(self):
        """Show and observe the parameter node of the scene."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        """Show and observe another parameter node, or None."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            node = self._parameterNode.parameterNode  # not the wrapper, which the mixin would keep alive
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = parameterNode
        self._lastInputs = {}
        self._inputsView.reset()
        self._observeInputs()
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            modified, last = vtk.vtkCommand.ModifiedEvent, -1.0  # after the wrapper has read the new values
            self.addObserver(parameterNode.parameterNode, modified, self.onParametersModified, priority=last)
            self.onParametersModified()

    def onParametersModified(self, _caller=None, _event=None):
        """Update everything that depends on the parameters."""
        self._observeInputs()
        self._checkLastInputs()
        self._showInputs()
        self._deviceView.show(self._parameterNode.device)
        self._resultView.show(self._parameterNode)
        self._enableWidgets()
        self._showLegend()
        self._viewControl.update()
        self._pointerView.observe(self._parameterNode.petVolume)
        self._checkCanApply()
        fitHeights(self.ui)

    def _showInputs(self):
        parameters, nodes = self._parameterNode, self._inputs()
        self._inputsView.show(nodes, parameters)
        overlapping = nodes if self._inputsView.obstacle() is None else None
        self._alignmentView.show(overlapping, parameters.skipAlignmentCheck)
        self.ui.sampleDataButton.setVisible(not parameters.petVolume and not parameters.mriVolume)

    def _checkLastInputs(self):
        """If another volume was selected, reset its window to automatic and clear the status of the last run."""
        parameters = self._parameterNode
        for name, node in (("pet", parameters.petVolume), ("mri", parameters.mriVolume)):
            last, self._lastInputs[name] = self._lastInputs.get(name), node.GetID() if node else None
            if last and last != self._lastInputs[name]:
                setattr(parameters, f"{name}WindowAutomatic", True)
                if not self.logic.isBusy():
                    self._runView.showStatus("")

    def _observeInputs(self):
        parameters = self._parameterNode
        chosen = dict.fromkeys((parameters.petVolume, parameters.mriVolume)) if parameters else {}
        self._inputObserver.observe([node for node in chosen if node])

    def onInputsChanged(self):
        """Update the panel after a selected volume was moved or its voxels have changed."""
        self._inputsView.reset()
        self._alignmentView.reset()
        if self._parameterNode:
            self.onParametersModified()

    def _inputs(self):
        """Return PET and MRI node if both are selected and hold voxels, otherwise None."""
        nodes = self._parameterNode.petVolume, self._parameterNode.mriVolume
        return nodes if self.logic.obstacle(*nodes) is None else None

    def onAdvancedCollapsed(self, collapsed):
        """Search for the devices, which takes a moment, when the user opens the section."""
        if not collapsed:
            self._deviceView.search()
        fitHeights(self.ui)

    def onWindowsCollapsed(self, collapsed):
        """Compute the automatic windows, which takes a moment, when the user opens the section."""
        if not collapsed and self._parameterNode:
            self._inputsView.show(self._inputs(), self._parameterNode)
            self._showLegend()

    def _enableWidgets(self):
        settings.enableWidgets(self.ui, self._parameterNode)
        nodes = self._inputs()
        self.ui.compareButton.setEnabled(nodes is not None)
        self.ui.petPaletteButton.setEnabled(nodes is not None)
        self.ui.beforeCheckBox.setEnabled(registrationOf(self._parameterNode.petVolume) is not None)
        self._exportControl.update()

    def _showLegend(self):
        parameters = self._parameterNode
        window = self._inputsView.petWindow(parameters)
        self._legendView.show(parameters, window or windowOfLastResult(parameters))
        if not self.ui.windowsCollapsibleButton.property("collapsed"):
            self._windowUnits.show(parameters.petVolume, window)
            self._presetList.show(parameters)

    def _checkCanApply(self):
        """Turn the button of what is running into Cancel; otherwise enable both, or explain in their tooltips why not."""
        fusing, busy = self.logic.isFusing(), self.logic.isBusy()
        registering = busy and not fusing
        nodes = self._parameterNode.petVolume, self._parameterNode.mriVolume
        self._enable(self.ui.applyButton, _("Apply"), _("Fuse the two volumes"), fusing, registering, self._obstacle)
        self._enable(
            *(
                self.ui.registerButton,
                _("Register PET to MRI"),
                _("Move the PET to where it fits the MRI best, by a transform"),
            ),
            *(registering, fusing, lambda: self.logic.obstacle(*nodes)),
        )
        self.ui.undoButton.setEnabled(not busy and registrationOf(nodes[0]) is not None)

    def _enable(self, button, text, tooltip, running, otherRunning, obstacleOf):
        """Show whether a button starts something, cancels it, or why it does neither."""
        obstacle = message("wait-for-run") if otherRunning else None if running else obstacleOf()
        button.setText(_("Cancel") if running else text)
        button.setEnabled(obstacle is None)
        button.setToolTip(plainText(obstacle or (_("Stop what is running") if running else tooltip)))

    def _obstacle(self):
        parameters = self._parameterNode
        nodes = parameters.petVolume, parameters.mriVolume, *parameters.outputs()
        registered = parameters.register != NO_REGISTRATION  # then it does not matter where they are
        return (
            self.logic.obstacle(*nodes)
            or (None if registered else self._inputsView.obstacle())
            or settings.obstacle(parameters)
        )

    # Buttons

    def onDeviceChosen(self, device):
        """Store the device that the user has chosen."""
        if self._parameterNode:
            self._parameterNode.device = device

    def onSampleDataButton(self, _checked=False):
        """Load the sample pair and select it."""
        self.ui.petSelector.setFocus()  # or the focus, and the panel, would jump when the button is hidden
        with slicer.util.tryWithErrorDisplay(message("sample-data-not-loaded"), waitCursor=True):
            petNode, mriNode = samples.loadSamplePair(Path(self.resourcePath("")).resolve())
            with slicer.util.NodeModify(self._parameterNode):
                self._parameterNode.petVolume, self._parameterNode.mriVolume = petNode, mriNode
            if not comparison.isShown():
                slice_views.show(mriNode, petNode, self._parameterNode.petOpacity, fit=True)
                slice_views.jumpTo(samples.HOT_LESION)

    def onPetPaletteButton(self, _checked=False):
        """Show the PET in the selected palette."""
        from CSpADNFusionLib.scene.palettes import showInPalette

        showInPalette(self._parameterNode.petVolume, self._parameterNode.palette)

    def onWeightsButton(self, _checked=False):
        """Let the user select a weights file."""
        title, kinds = _("Weights of a network"), _("Weights") + " (*.safetensors)"
        file = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, self._parameterNode.weightsFile, kinds)
        file = file[0] if isinstance(file, tuple) else file  # PythonQt returns the name only
        if file:
            self._parameterNode.weightsFile = file

    # Run

    def onApplyButton(self, _checked=False):
        """Start a fusion, or cancel the running one."""
        self._runControl.fuseOrCancel(self._parameterNode)

    def onRegisterButton(self, _checked=False):
        """Start a registration, or cancel the running one."""
        self._runControl.registerOrCancel(self._parameterNode)

    def onUndoButton(self, _checked=False):
        """Take the PET out of the transform of its registration."""
        self.logic.undoRegistration(self._parameterNode.petVolume)
        self._runView.showStatus(message("registration-undone"))
        self.onParametersModified()

    def onRunStateChanged(self):
        """Update the panel; the alignment, for example, is not measured during a run."""
        if self._parameterNode:
            self.onParametersModified()

    def onFused(self, fusedNode):
        """Show the result."""
        self._viewControl.showResult(fusedNode)
        if self._parameterNode:
            self._showMeasuredAlignment(fusedNode)

    def _showMeasuredAlignment(self, fusedNode):
        """Tell the alignment that the fusion has measured, instead of measuring it again."""
        nodes = self._inputs()
        if nodes and comparison.fusedNodeOf(self._parameterNode) is fusedNode:
            self._alignmentView.tellFused(nodes, fusedNode)
