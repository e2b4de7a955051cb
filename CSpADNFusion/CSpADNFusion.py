"""The module CSpADNFusion: fuse a registered PET and MRI into one volume. Research use only, not for diagnosis.

Nothing heavy is imported at file scope: opening the module needs neither torch nor SimpleITK.
"""

import logging
import sys
import traceback
import unittest
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

from cspadn.errors import CancelledError, FusionError, InputError, MissingPackageError, UsageError
from cspadn.settings import DEFAULT_PALETTE, FusionSettings
from CSpADNFusionLib.parameters import CSpADNFusionParameterNode

RESOURCES = Path(__file__).resolve().parent / "Resources"
_DOUBLE_CLICK_SECONDS = 0.5  # the second click of one that starts a run is no wish to cancel it
_SETTLED_MILLISECONDS = 300  # after the last change of an input, as while a transform is dragged
_PACKAGES = ("CSpADNFusionLib", "cspadn")  # reloaded with the module


class CSpADNFusion(ScriptedLoadableModule):
    """What Slicer's module selector shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CSpA-DN PET/MRI Fusion")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Nuclear Medicine")]
        self.parent.dependencies = []
        self.parent.contributors = ["SlicerCSpADNFusion contributors"]
        self.parent.helpText = _(
            "Fuses a PET and an MRI volume of the same head, registered to each other, into one volume on the MRI's grid,"
            " with the CSpA-DN network. Research use only, not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "Implements CSpA-DN: Channel and Spatial Attention Dense Network for Fusing PET and MRI Images (Li et al., 2020)."
        )
        slicer.app.connect("startupCompleted()", onStartupCompleted)


def onStartupCompleted():
    """Add our layouts to those that a scene may ask for, and the shipped pair to the Sample Data module."""
    from CSpADNFusionLib import layouts, samples

    layouts.register()
    samples.registerSampleData(RESOURCES)


class CSpADNFusionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._observedInputs = []
        self._inputTimer = None
        self._lastInputs = {}
        self._starting = False
        self._device = None
        self._legend = None

    def setup(self):
        from CSpADNFusionLib.legend import LegendView
        from CSpADNFusionLib.panel import DeviceView, PairView, RunView, makeReachable

        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/CSpADNFusion.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = CSpADNFusionLogic()
        self._pair, self._run, self._device = PairView(self.ui), RunView(self.ui), DeviceView(self.ui, self.onDeviceChosen)
        self._legend = LegendView(self.ui)
        makeReachable(self.ui)
        self._observeScene()
        self._connectButtons()
        self.initializeParameterNode()

    def _observeScene(self):
        """While another scene comes in, the selectors are empty for a moment: that must not be taken for a choice."""
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneReplaced)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneReplaced)
        self._inputTimer = qt.QTimer()
        self._inputTimer.setSingleShot(True)
        self._inputTimer.setInterval(_SETTLED_MILLISECONDS)
        self._inputTimer.timeout.connect(self.onInputSettled)

    def _connectButtons(self):
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.ui.sampleDataButton.clicked.connect(self.onSampleDataButton)
        self.ui.petPaletteButton.clicked.connect(self.onPetPaletteButton)
        self.ui.compareButton.clicked.connect(self.onCompareButton)
        self.ui.plotButton.clicked.connect(self.onPlotButton)
        self.ui.exportButton.clicked.connect(self.onExportButton)
        self.ui.weightsButton.clicked.connect(self.onWeightsButton)
        self.ui.advancedCollapsibleButton.contentsCollapsed.connect(self.onAdvancedCollapsed)

    def cleanup(self):
        if self._device:  # else setup() failed
            self.logic.closeWorker()
            self._device.close()
            self._inputTimer.stop()
            self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onReload(self):
        """Reload the library with the module; torch stays."""
        for name in [name for name in sys.modules if name.split(".")[0] in _PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, _caller, _event):
        if self.logic.isFusing():
            self.logic.closeWorker()
            self._run.stop(_("Stopped: the scene was closed."))
        self.setParameterNode(None)

    def onSceneStartImport(self, _caller, _event):
        if not self.logic.isFusing():
            self._run.say("")  # what happened in another scene
        self.setParameterNode(None)

    def onSceneReplaced(self, _caller, _event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _caller, _event, node):
        """Of a node that goes away, Slicer's selectors would take the next one in the list in its place."""
        if self._parameterNode:
            self._parameterNode.forget(node)

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        """Show and observe another parameter node, or none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            node = self._parameterNode.parameterNode  # not the wrapper: the mixin never lets go of what it has observed
            self.removeObserver(node, vtk.vtkCommand.ModifiedEvent, self.onParametersModified)
        self._parameterNode = parameterNode
        self._lastInputs = {}
        self._pair.forget()
        self._observeInputs()
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            modified, last = vtk.vtkCommand.ModifiedEvent, -1.0  # after the wrapper has read the new values
            self.addObserver(parameterNode.parameterNode, modified, self.onParametersModified, priority=last)
            self.onParametersModified()

    def onParametersModified(self, _caller=None, _event=None):
        """Bring everything up to date that depends on the choices."""
        self._observeInputs()
        self._noticeOtherInputs()
        self._pair.show(self._inputs(), self._parameterNode)
        self._device.show(self._parameterNode.device)
        self._enableWidgets()
        self._showLegend()
        self._showCompared()
        self._checkCanApply()

    def _noticeOtherInputs(self):
        """A window chosen for one volume hardly fits another; nor does what was said of the last run."""
        parameters = self._parameterNode
        for name, node in (("pet", parameters.petVolume), ("mri", parameters.mriVolume)):
            last, self._lastInputs[name] = self._lastInputs.get(name), node.GetID() if node else None
            if last and last != self._lastInputs[name]:
                setattr(parameters, f"{name}WindowAutomatic", True)
                if not self.logic.isFusing():
                    self._run.say("")

    def _observeInputs(self):
        """Their position and voxels may change while selected. Without the mixin, which would keep deleted volumes."""
        parameters = self._parameterNode
        chosen = dict.fromkeys((parameters.petVolume, parameters.mriVolume)) if parameters else {}
        nodes = [node for node in chosen if node]
        if nodes == [node for node, _tags in self._observedInputs]:
            return
        for node, tags in self._observedInputs:
            for tag in tags:
                node.RemoveObserver(tag)
        events = slicer.vtkMRMLTransformableNode.TransformModifiedEvent, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        self._observedInputs = [(node, [node.AddObserver(event, self.onInputModified) for event in events]) for node in nodes]

    def onInputModified(self, _caller, _event):
        self._inputTimer.start()

    def onInputSettled(self):
        self._pair.forget()
        if self._parameterNode:
            self.onParametersModified()

    def _inputs(self):
        """PET and MRI node where both can be looked into, else None."""
        nodes = self._parameterNode.petVolume, self._parameterNode.mriVolume
        return nodes if self.logic.obstacle(*nodes) is None else None

    def onAdvancedCollapsed(self, collapsed):
        """What takes a moment is found out when somebody wants to see it."""
        if not collapsed and self._parameterNode:
            self._pair.show(self._inputs(), self._parameterNode)
            self._showLegend()
            self._device.search()

    def _enableWidgets(self):
        parameters, nodes = self._parameterNode, self._inputs()
        for name in ("pet", "mri"):
            for end in ("Lower", "Upper"):
                getattr(self.ui, f"{name}{end}SpinBox").setEnabled(parameters.window(name) is not None)
        self.ui.colorSelector.setEnabled(parameters.makeColor)
        self.ui.metricsSelector.setEnabled(parameters.makeMetrics)
        self.ui.modelComboBox.setEnabled(not parameters.weightsFile)
        self.ui.compareButton.setEnabled(nodes is not None)
        self.ui.petPaletteButton.setEnabled(nodes is not None)
        self.ui.plotButton.setEnabled(self._lastMetrics() is not None)
        self._enableExport()

    def _enableExport(self):
        """Its tooltip says why it cannot be pressed."""
        from CSpADNFusionLib import export

        obstacle = export.obstacle(self._parameterNode.lastFusedVolume)
        self.ui.exportButton.setEnabled(obstacle is None)
        self.ui.exportButton.setToolTip(
            obstacle or _("Write the last result as a derived DICOM series, in the study of the MRI")
        )

    def _showLegend(self):
        from CSpADNFusionLib.legend import windowOfLastResult

        parameters = self._parameterNode
        self._legend.show(parameters, self._pair.petWindow(parameters) or windowOfLastResult(parameters))

    def _showCompared(self):
        """The comparison follows what is selected; what the user has put into its views since stays."""
        from CSpADNFusionLib import comparison

        if comparison.isShown():
            comparison.update(self._parameterNode)

    def _lastMetrics(self):
        """The table of the last result, if it was measured."""
        from CSpADNFusionLib.roles import METRICS_ROLE

        fusedNode = self._parameterNode.lastFusedVolume
        return fusedNode.GetNodeReference(METRICS_ROLE) if fusedNode else None

    def _checkCanApply(self):
        """Apply turns into Cancel during a run; before it, its tooltip says why it cannot be pressed."""
        running = self.logic.isFusing()
        obstacle = None if running else self._obstacle()
        self.ui.applyButton.setText(_("Cancel") if running else _("Apply"))
        self.ui.applyButton.setEnabled(obstacle is None)
        self.ui.applyButton.setToolTip(obstacle or (_("Stop the fusion") if running else _("Fuse the two volumes")))

    def _obstacle(self):
        parameters = self._parameterNode
        nodes = parameters.petVolume, parameters.mriVolume, *parameters.outputs()
        return self.logic.obstacle(*nodes) or self._pair.obstacle() or self._windowObstacle() or self._weightsObstacle()

    def _windowObstacle(self):
        obstacles = {
            "pet": _("Choose a PET window whose lower end is below its upper end"),
            "mri": _("Choose an MRI window whose lower end is below its upper end"),
        }
        for name, obstacle in obstacles.items():
            lower, upper = self._parameterNode.window(name) or (0, 1)
            if lower >= upper:
                return obstacle
        return None

    def _weightsObstacle(self):
        file = self._parameterNode.weightsFile
        if not file or (file.endswith(".safetensors") and Path(file).is_file()):
            return None
        return _("Choose a weights file that exists, with the ending .safetensors, or none")

    def onDeviceChosen(self, device):
        if self._parameterNode:
            self._parameterNode.device = device

    def onSampleDataButton(self, _checked=False):
        from CSpADNFusionLib import samples

        with slicer.util.tryWithErrorDisplay(_("The sample data could not be loaded."), waitCursor=True):
            petNode, mriNode = samples.loadSamplePair(RESOURCES)
            with slicer.util.NodeModify(self._parameterNode):
                self._parameterNode.petVolume, self._parameterNode.mriVolume = petNode, mriNode
            self._showInViews(background=mriNode, foreground=petNode, foregroundOpacity=self._parameterNode.petOpacity)

    def _showInViews(self, **layers):
        """In Slicer's own views; the comparison has its own idea of what it shows."""
        from CSpADNFusionLib import comparison

        if not comparison.isShown():
            slicer.util.setSliceViewerLayers(**layers, fit=True)

    def onPetPaletteButton(self, _checked=False):
        from CSpADNFusionLib.nodes import showInPalette

        showInPalette(self._parameterNode.petVolume, self._parameterNode.palette)

    def onWeightsButton(self, _checked=False):
        title, kinds = _("Weights of a network"), _("Weights") + " (*.safetensors)"
        file = qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), title, self._parameterNode.weightsFile, kinds)
        file = file[0] if isinstance(file, tuple) else file  # PythonQt gives the name alone
        if file:
            self._parameterNode.weightsFile = file

    def onCompareButton(self, _checked=False):
        from CSpADNFusionLib import comparison

        if not comparison.show(self._parameterNode):
            self._run.say(_("There is no window to show the comparison in."))
        elif self._parameterNode.lastFusedVolume and not comparison.fusedNodeOf(self._parameterNode):
            self._run.say(_("PET or MRI is another one than was fused last, or was moved since then: press Apply to compare."))

    def onPlotButton(self, _checked=False):
        from CSpADNFusionLib import metrics

        tableNode = self._lastMetrics()
        if tableNode is None:
            self._run.say(_("The table of the last result is no longer in the scene."))
        elif not metrics.show(tableNode):
            self._run.say(_("There is no window to show the plot in."))

    def onExportButton(self, _checked=False):
        from CSpADNFusionLib.panel import waitCursor

        title = _("An empty folder for the files of the series")
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
        if not folder:
            return
        fusedNode = self._parameterNode.lastFusedVolume
        try:
            with waitCursor():
                count = self.logic.exportSeries(fusedNode, folder)
        except FusionError as error:
            self._run.log(str(error))
            slicer.util.errorDisplay(str(error))
        except Exception:
            logging.exception("CSpADNFusion: the series could not be written")
            text = _("The series could not be written: the details say why. Please report it.")
            slicer.util.errorDisplay(text, detailedText=traceback.format_exc())
        else:
            text = _("Exported: {name}, {count} files in {folder}")
            self._run.say(text.format(name=fusedNode.GetName(), count=count, folder=folder))

    def onApplyButton(self, _checked=False):
        if self.logic.isFusing():
            self._cancel()
        elif not self._starting:  # a question or an installation is open, in which this button is alive
            self._starting = True
            try:
                self._startFusion()
            except FusionError as error:
                self._showNotStarted(str(error))
            except Exception as error:
                logging.exception("CSpADNFusion: the fusion could not be started")
                self._showNotStarted(_("The fusion could not be started: {error}").format(error=error), traceback.format_exc())
            finally:
                self._starting = False
                self._afterRun()

    def _cancel(self):
        """The first press asks the worker to stop before its next slice; one that does not listen is ended by the second."""
        if self._run.seconds() < _DOUBLE_CLICK_SECONDS:
            return
        if self.logic.isCancelling():
            self.logic.closeWorker()
            self.onFailed("")
        else:
            self.logic.cancelFusion()
            self._run.say(_("Stopping... (press again to end it at once)"))

    def _showNotStarted(self, message, details=""):
        self._run.stop(_("Not started."))
        self._run.log(message)
        slicer.util.errorDisplay(message, **({"detailedText": details} if details else {}))

    def _startFusion(self):
        from CSpADNFusionLib.dependencies import ensureDependencies
        from CSpADNFusionLib.panel import waitCursor

        parameters = self._parameterNode
        if not self._mayReplace(parameters.outputs()):
            return
        if not ensureDependencies(self.resourcePath("requirements.txt")):
            self._run.say(_("Not started: what fusing needs was not installed. Press Apply to be asked again."))
            return
        self._device.showTorch()
        fused, color, table = parameters.outputs()
        with waitCursor():
            self.logic.startFusion(
                *(parameters.petVolume, parameters.mriVolume, fused, color),
                metricsTableNode=table,
                metrics=parameters.makeMetrics,
                onProgress=self._run.progress,
                onFinished=self.onFinished,
                onFailed=self.onFailed,
                onLog=self._run.log,
                **parameters.settings(),
            )
        self._run.start()
        self._scrollToStatus()

    def _scrollToStatus(self):
        """Where the panel is higher than its window, the progress would be out of sight."""
        area = self.parent
        while area and not hasattr(area, "ensureWidgetVisible"):
            area = area.parentWidget()
        if area:
            area.ensureWidgetVisible(self.ui.statusLabel)

    def _mayReplace(self, outputs):
        """Ask before anything is lost that a chosen output holds already."""
        full = [node.GetName() for node in outputs if node and holdsData(node)]
        text = _("This replaces what {names} holds. Go on?").format(names=", ".join(full))
        return not full or slicer.util.confirmOkCancelDisplay(text)

    def onFinished(self, fusedNode, warnings):
        """Say what was made, and show it: in colour, where both uptake and anatomy are seen, if there is a colour volume."""
        from CSpADNFusionLib.roles import COLOR_ROLE

        lines = [_("Done: {name}").format(name=fusedNode.GetName()), *self._meanLines(fusedNode), *warnings]
        self._run.stop("\n".join(lines))
        for line in lines:
            self._run.log(line)
        self._afterRun()
        self._showInViews(background=fusedNode.GetNodeReference(COLOR_ROLE) or fusedNode, foreground=None)

    def _meanLines(self, fusedNode):
        from CSpADNFusionLib import metrics, roles

        tableNode = fusedNode.GetNodeReference(roles.METRICS_ROLE)
        if tableNode is None:
            return []
        means = ", ".join(f"{name} {value:.3f}" for name, value in metrics.meanOf(tableNode).items())
        return [_("Mean of the slices: {means}").format(means=means)]

    def onFailed(self, message, details=""):
        self._run.stop(_("Failed.") if message else _("Cancelled."))
        self._afterRun()
        if message:
            self._run.log(message)
            slicer.util.errorDisplay(message, **({"detailedText": details} if details else {}))

    def _afterRun(self):
        if self._parameterNode:
            self._checkCanApply()


def holdsData(node):
    """Whether a volume has voxels, or a table columns."""
    if node.IsA("vtkMRMLTableNode"):
        return node.GetNumberOfColumns() > 0
    return node.GetImageData() is not None and node.GetImageData().GetNumberOfPoints() > 0


class CSpADNFusionLogic(ScriptedLoadableModuleLogic):
    """Fusion of nodes, for the panel, the console and scripts; needs no window.

    With ``petNode`` and ``mriNode`` two scalar volume nodes of the same head:

    >>> logic = CSpADNFusionLogic()
    >>> fusedNode = logic.fuse(petNode, mriNode, palette="PET-Heat", metrics=True)
    >>> fusedNode.GetName()
    'MRI-PET fused'
    >>> fusedNode.GetAttribute("CSpADNFusion.model")
    'cspadn'
    >>> fusedNode.GetNodeReference("CSpADNFusionColor").GetName()
    'MRI-PET fused color'
    >>> fusedNode.GetNodeReference("CSpADNFusionMetrics").GetName()
    'MRI-PET fused metrics'
    >>> logic.fuse(petNode, petNode)
    Traceback (most recent call last):
    cspadn.errors.InputError: Select two different volumes
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._worker = None

    def getParameterNode(self):
        parameters = CSpADNFusionParameterNode(super().getParameterNode())
        parameters.repair()
        return parameters

    def missingPackages(self):
        """Names of the packages that fusing needs and that cannot be imported here."""
        from CSpADNFusionLib.dependencies import missingPackages

        return missingPackages()

    def obstacle(self, petNode, mriNode, outputNode=None, colorOutputNode=None, metricsTableNode=None):
        """Why these nodes cannot be fused into these outputs, in a sentence; None where nothing is in the way."""
        return self._inputObstacle(petNode, mriNode) or self._outputObstacle(
            (petNode, mriNode), outputNode, colorOutputNode, metricsTableNode
        )

    def _inputObstacle(self, petNode, mriNode):
        if not petNode or not mriNode:
            return _("Select a PET and an MRI volume")
        if petNode is mriNode:
            return _("Select two different volumes")
        for node in (petNode, mriNode):
            if not holdsData(node):
                return _("The volume '{name}' holds no voxels: load it again, or choose another").format(name=node.GetName())
        return None

    def _outputObstacle(self, inputs, outputNode, colorOutputNode, metricsTableNode):
        if outputNode and outputNode in inputs:
            return _("Select an output volume that is not an input")
        if colorOutputNode and not colorOutputNode.IsA("vtkMRMLVectorVolumeNode"):
            return _("Select a vector volume for the colours")
        if colorOutputNode and colorOutputNode in (*inputs, outputNode):
            return _("Select a colour volume that is not an input and not the fused volume")
        if metricsTableNode and not metricsTableNode.IsA("vtkMRMLTableNode"):
            return _("Select a table for the metrics")
        return None

    def fuse(
        self, petNode, mriNode, outputNode=None, colorOutputNode=None, *, metricsTableNode=None, metrics=False,
        progress=None, cancelled=None, warned=None, **settings,
    ):  # fmt: skip
        """Fuse in this process and return the fused volume node.

        The result lies on the MRI's grid, under its parent transform, with values from 0 to 4095; with ``grid="pet"``, on the
        PET's and under its. It refers to its colour volume as "CSpADNFusionColor" and to its table as "CSpADNFusionMetrics".

        :param petNode, mriNode: scalar volume nodes, registered to each other, under any linear or non-linear transforms.
        :param outputNode: receives the result; default: a new node, named "<MRI>-<PET> fused".
        :param colorOutputNode: vector volume node that receives the fused volume in the hues of a PET palette; default: a new
            node with the setting ``palette``, else none.
        :param metricsTableNode: table node that receives the metrics of each slice; default: a new one with ``metrics``.
        :param metrics: whether to measure.
        :param progress: called with the slices done and the slices in all, while they are fused and again while measured.
        :param cancelled: asked before each slice; True stops.
        :param warned: called with each warning, a sentence; default: they go to Slicer's log.
        :param settings: fields of :class:`cspadn.FusionSettings`: model, device, grid, pet_window, mri_window, palette, half.
        :raises cspadn.errors.FusionError: with a sentence that says what is wrong; the scene is as it was. Of its subclasses:
            InputError (a volume), UsageError (a setting), ModelError (the weights), MissingPackageError (torch or safetensors
            is not installed), MemoryExhaustedError, CancelledError.
        """
        self._checkNodes(petNode, mriNode, outputNode, colorOutputNode, metricsTableNode)
        self._checkPackages()
        import cspadn
        from CSpADNFusionLib import nodes, worker

        chosen = self._settings(colorOutputNode, settings)
        place = nodes.placeOf(petNode, mriNode, chosen.grid)
        images = nodes.imagesFromVolumeNodes(petNode, mriNode, chosen.grid)
        result = cspadn.fuse(*images, chosen, progress=progress, cancelled=cancelled)
        rows = None
        if metrics or metricsTableNode:
            from cspadn.metrics import measure_fusion

            rows = measure_fusion(*images, result, progress=progress, cancelled=cancelled).to_rows()
        for warning in result.warnings:
            warned(warning) if warned else logging.warning(f"CSpADNFusion: {warning}")
        outcome = worker.Outcome(result.image, result.color, rows, result.provenance, result.warnings)
        return self._stored(outcome, place, outputNode, colorOutputNode, metricsTableNode)

    def startFusion(
        self, petNode, mriNode, outputNode=None, colorOutputNode=None, *, metricsTableNode=None, metrics=False,
        onProgress, onFinished, onFailed, onLog=None, **settings,
    ):  # fmt: skip
        """Fuse in a worker process and return at once; the same result as :meth:`fuse`.

        :param onProgress: called with the slices done, the slices in all, and the step ("Fusing" or "Measuring").
        :param onFinished: called with the fused volume node and a list of warnings.
        :param onFailed: called with a sentence for the user, "" where the run was cancelled, and the last lines of the
            worker's log. The scene is as it was.
        :param onLog: called with each line that the worker prints beside its progress.
        """
        if self._worker:
            raise UsageError(_("A fusion is running already: wait for it, or cancel it."))
        outputs = outputNode, colorOutputNode, metricsTableNode
        self._checkNodes(petNode, mriNode, *outputs)
        self._checkPackages()
        from CSpADNFusionLib import nodes, worker

        chosen = self._settings(colorOutputNode, settings)
        place = nodes.placeOf(petNode, mriNode, chosen.grid)

        def finished(outcome):
            self._worker = None
            try:
                fusedNode = self._stored(outcome, place, *outputs)
            except FusionError as error:
                onFailed(str(error), "")
            except Exception:
                logging.exception("CSpADNFusion: the result could not be stored")
                onFailed(
                    _("The result could not be put into the scene: the details say why. Please report it."),
                    traceback.format_exc(),
                )
            else:
                onFinished(fusedNode, outcome.warnings)

        def failed(message, log):
            self._worker = None
            onFailed(message, log)

        images = nodes.imagesFromVolumeNodes(petNode, mriNode, chosen.grid)
        callbacks = worker.Callbacks(onProgress, finished, failed, onLog or logging.info)
        self._worker = worker.FusionWorker(*images, chosen, bool(metrics or metricsTableNode), callbacks)

    def _stored(self, outcome, place, *outputs):
        """The fused node, which the panel now compares and plots, whoever made it."""
        from CSpADNFusionLib import results

        fusedNode = results.store(outcome, place, *outputs)
        self.getParameterNode().lastFusedVolume = fusedNode
        return fusedNode

    def _settings(self, colorOutputNode, settings):
        if colorOutputNode and settings.get("palette") is None:
            settings = {**settings, "palette": DEFAULT_PALETTE}
        return FusionSettings(**settings)

    def exportSeries(self, fusedNode, folder):
        """Write a fused volume as a derived DICOM series of the MRI's patient, study and frame of reference.

        :param fusedNode: the grey volume node that a fusion made, of an MRI that was loaded from Slicer's DICOM database.
        :param folder: path of the folder that receives the files: new, or empty.
        :returns: how many there are.
        :raises cspadn.errors.FusionError: with a sentence that says what is wrong; nothing is left in the folder.
        """
        from CSpADNFusionLib import export

        return export.exportSeries(fusedNode, folder)

    def isFusing(self):
        return self._worker is not None

    def isCancelling(self):
        """Whether a running worker was asked to stop."""
        return self._worker is not None and self._worker.isCancelled()

    def cancelFusion(self):
        """Ask a running worker to stop; onFailed("", ...) follows when it has."""
        if self._worker:
            self._worker.cancel()

    def closeWorker(self):
        """Stop a running worker at once; no callback follows."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _checkNodes(self, *nodes):
        if obstacle := self.obstacle(*nodes):
            raise InputError(obstacle)

    def _checkPackages(self):
        if missing := self.missingPackages():
            text = _("Fusion needs {packages}: press Apply in the module once, which installs what is missing.")
            raise MissingPackageError(text.format(packages=", ".join(missing)))


class CSpADNFusionTest(ScriptedLoadableModuleTest):
    """The self test that Slicer runs: the sample pair through the whole path, with the real model."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        for check in (self.test_SamplePair, self.test_Cancel):
            self.setUp()
            try:
                check()
            except unittest.SkipTest as skipped:
                self.delayDisplay(f"Skipped, since the model cannot run: {skipped}")
                return
        self.delayDisplay("Test passed")

    def _samplePair(self):
        """The two nodes; skips where the model cannot run."""
        from CSpADNFusionLib import samples

        if missing := CSpADNFusionLogic().missingPackages():
            self.skipTest(f"not installed: {', '.join(missing)}")
        return samples.loadSamplePair(RESOURCES)

    def test_SamplePair(self):
        petNode, mriNode = self._samplePair()
        self.delayDisplay("Fusing the sample pair")
        study = self._putIntoStudy(mriNode)
        fusedNode = CSpADNFusionLogic().fuse(petNode, mriNode, palette="PET-Heat", metrics=True)
        self._checkVoxels(fusedNode, mriNode)
        self._checkHierarchy(fusedNode, study)
        self.assertEqual(fusedNode.GetName(), f"{mriNode.GetName()}-{petNode.GetName()} fused")
        self.assertEqual(fusedNode.GetAttribute("CSpADNFusion.model"), "cspadn")
        self.assertEqual(len(fusedNode.GetAttribute("CSpADNFusion.model_sha256")), 64)
        self._checkMetrics(fusedNode.GetNodeReference("CSpADNFusionMetrics"))

    def _checkVoxels(self, fusedNode, mriNode):
        fused, mri = slicer.util.arrayFromVolume(fusedNode), slicer.util.arrayFromVolume(mriNode)
        self.assertEqual(fused.shape, mri.shape)
        self.assertGreaterEqual(fused.min(), 0)
        self.assertGreater(fused.max(), 1000)
        self.assertLessEqual(fused.max(), 4095)
        matrices = [vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()]
        for node, matrix in zip((fusedNode, mriNode), matrices, strict=True):
            node.GetIJKToRASMatrix(matrix)
        self.assertEqual(*(slicer.util.arrayFromVTKMatrix(matrix).tolist() for matrix in matrices))

    def _putIntoStudy(self, node):
        """The item of a new study with the node in it."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.CreateItem(study, node)
        return study

    def _checkHierarchy(self, fusedNode, study):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        outputs = [fusedNode, *(fusedNode.GetNodeReference(role) for role in ("CSpADNFusionColor", "CSpADNFusionMetrics"))]
        items = [hierarchy.GetItemByDataNode(node) for node in outputs]
        self.assertNotIn(hierarchy.GetInvalidItemID(), items)
        self.assertEqual([hierarchy.GetItemParent(item) for item in items], [study] * len(items))

    def _checkMetrics(self, tableNode):
        from CSpADNFusionLib import metrics

        self.assertGreater(tableNode.GetNumberOfRows(), 50)
        means = metrics.meanOf(tableNode)
        self.assertEqual(list(means), ["EN", "MI", "Qabf", "FMI_pixel", "FMI_dct", "SSIM"])
        self.assertTrue(all(0 < value < 8 for value in means.values()), means)
        self.assertEqual(len(metrics.chartsOf(tableNode)), 2)

    def test_Cancel(self):
        """A run that is cancelled at its second slice leaves nothing in the scene."""
        petNode, mriNode = self._samplePair()
        before = slicer.mrmlScene.GetNumberOfNodes()
        done = []
        with self.assertRaises(CancelledError):
            CSpADNFusionLogic().fuse(
                petNode, mriNode, progress=lambda count, _total: done.append(count), cancelled=lambda: len(done) > 1
            )
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        self.assertLess(len(done), 3)
