"""The module CSpADNFusion: fuse a registered PET and MRI into one volume. Research use only, not for diagnosis.

Nothing heavy is imported at file scope: opening the module needs neither torch nor SimpleITK.
"""

import logging
from pathlib import Path

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

RESOURCES = Path(__file__).resolve().parent / "Resources"


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
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Add the shipped pair to the Sample Data module."""
    from CSpADNFusionLib import samples

    samples.registerSampleData(RESOURCES)


@parameterNodeWrapper
class CSpADNFusionParameterNode:
    """The choices of the panel, kept in the scene.

    petVolume - The PET, scalar.
    mriVolume - The MRI, scalar; the fused volume lies on its grid.
    fusedVolume - The volume that receives the result; none: a new one is made.
    """

    petVolume: vtkMRMLScalarVolumeNode
    mriVolume: vtkMRMLScalarVolumeNode
    fusedVolume: vtkMRMLScalarVolumeNode


class CSpADNFusionWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        panel = slicer.util.loadUI(self.resourcePath("UI/CSpADNFusion.ui"))
        self.layout.addWidget(panel)
        self.ui = slicer.util.childWidgetVariables(panel)
        panel.setMRMLScene(slicer.mrmlScene)
        self.logic = CSpADNFusionLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.applyButton.clicked.connect(self.onApplyButton)
        self.ui.progressBar.setVisible(False)
        self.initializeParameterNode()

    def cleanup(self):
        self.logic.closeWorker()
        self.removeObservers()

    def enter(self):
        self.initializeParameterNode()

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller, _event):
        self.logic.cancelFusion()
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller, _event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        """Show and observe another parameter node, or none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
        self._parameterNode = parameterNode
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._checkCanApply)
            self._checkCanApply()

    def _checkCanApply(self, _caller=None, _event=None):
        """Apply turns into Cancel during a run; before it, its tooltip says why it cannot be pressed."""
        running = self.logic.isFusing()
        parameters = self._parameterNode
        nodes = parameters.petVolume, parameters.mriVolume, parameters.fusedVolume
        obstacle = None if running else self.logic.obstacle(*nodes)
        self.ui.applyButton.setText(_("Cancel") if running else _("Apply"))
        self.ui.applyButton.setEnabled(obstacle is None)
        self.ui.applyButton.setToolTip(obstacle or (_("Stop the fusion") if running else _("Fuse the two volumes")))

    def onApplyButton(self, _checked=False):
        if self.logic.isFusing():
            self.logic.cancelFusion()
            self.ui.statusLabel.setText(_("Stopping..."))
            return
        with slicer.util.tryWithErrorDisplay(_("The volumes could not be fused."), waitCursor=True):
            self._startFusion()

    def _startFusion(self):
        from CSpADNFusionLib.dependencies import ensureDependencies

        ensureDependencies(self.resourcePath("requirements.txt"))
        parameters = self._parameterNode
        self.logic.startFusion(
            parameters.petVolume,
            parameters.mriVolume,
            parameters.fusedVolume,
            onProgress=self.onProgress,
            onFinished=self.onFinished,
            onFailed=self.onFailed,
        )
        self.ui.progressBar.setMaximum(0)  # busy, until the worker knows how many slices there are
        self._showRunning(True, _("Starting..."))

    def onProgress(self, done, total):
        self.ui.progressBar.setMaximum(total)
        self.ui.progressBar.setValue(done)
        self.ui.statusLabel.setText(_("{done} of {total} slices").format(done=done, total=total))

    def onFinished(self, fusedNode, warnings):
        self._showRunning(False, "\n".join([_("Done: {name}").format(name=fusedNode.GetName()), *warnings]))
        slicer.util.setSliceViewerLayers(background=fusedNode, foreground=None, fit=True)

    def onFailed(self, message):
        self._showRunning(False, _("Failed.") if message else _("Cancelled."))
        if message:
            slicer.util.errorDisplay(message)

    def _showRunning(self, running, status):
        self.ui.progressBar.setVisible(running)
        self.ui.statusLabel.setText(status)
        if self._parameterNode:
            self._checkCanApply()


class CSpADNFusionLogic(ScriptedLoadableModuleLogic):
    """Fusion of nodes, for the panel, the console and scripts; needs no window.

    >>> fusedNode = CSpADNFusionLogic().fuse(petNode, mriNode)  # doctest: +SKIP
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._worker = None

    def getParameterNode(self):
        return CSpADNFusionParameterNode(super().getParameterNode())

    def obstacle(self, petNode, mriNode, outputNode=None, colorOutputNode=None):
        """Why these nodes cannot be fused into these outputs, in a sentence; None where nothing is in the way."""
        if not petNode or not mriNode:
            return _("Select a PET and an MRI volume")
        if petNode is mriNode:
            return _("Select two different volumes")
        if outputNode and outputNode in (petNode, mriNode):
            return _("Select an output volume that is not an input")
        if colorOutputNode and not colorOutputNode.IsA("vtkMRMLVectorVolumeNode"):
            return _("Select a vector volume for the colours")
        if colorOutputNode and colorOutputNode in (petNode, mriNode, outputNode):
            return _("Select a colour volume that is not an input and not the fused volume")
        return None

    def fuse(self, petNode, mriNode, outputNode=None, colorOutputNode=None, **settings):
        """Fuse in this process and return the fused volume node.

        The result lies on the MRI's grid, under its parent transform, with values from 0 to 4095; with ``grid="pet"``, on the
        PET's and under its.

        :param petNode, mriNode: scalar volume nodes, registered to each other, under any linear or non-linear transforms.
        :param outputNode: receives the result; default: a new node, named "<MRI>-<PET> fused".
        :param colorOutputNode: vector volume node that receives the fused volume in the hues of a PET palette; default: a new
            node with the setting ``palette``, else none.
        :param settings: fields of :class:`cspadn.FusionSettings`, and ``progress`` and ``cancelled`` of :func:`cspadn.fuse`.
        :raises ValueError, cspadn.errors.FusionError: with a sentence that says what is wrong; the scene is as it was.
        :raises RuntimeError: torch or safetensors is not installed.
        """
        self._checkNodes(petNode, mriNode, outputNode, colorOutputNode)
        self._checkPackages()
        import cspadn
        from CSpADNFusionLib import nodes

        callbacks = {name: settings.pop(name, None) for name in ("progress", "cancelled")}
        chosen = self._settings(colorOutputNode, settings)
        place = nodes.placeOf(petNode, mriNode, chosen.grid)
        pet, mri = nodes.imagesFromVolumeNodes(petNode, mriNode, chosen.grid)
        result = cspadn.fuse(pet, mri, chosen, **callbacks)
        for warning in result.warnings:
            logging.warning(f"CSpADNFusion: {warning}")
        return self._store(result.image, result.color, result.provenance, place, outputNode, colorOutputNode)

    def startFusion(
        self, petNode, mriNode, outputNode=None, colorOutputNode=None, *, onProgress, onFinished, onFailed, **settings
    ):
        """Fuse in a worker process and return at once; the same result as :meth:`fuse`.

        :param onProgress: called with the slices done and the slices in all.
        :param onFinished: called with the fused volume node and a list of warnings.
        :param onFailed: called with a sentence for the user; "" where the run was cancelled. The scene is as it was.
        """
        if self._worker:
            raise RuntimeError(_("A fusion is running already."))
        self._checkNodes(petNode, mriNode, outputNode, colorOutputNode)
        from CSpADNFusionLib import nodes, worker

        chosen = self._settings(colorOutputNode, settings)
        place = nodes.placeOf(petNode, mriNode, chosen.grid)

        def finished(image, color, provenance, warnings):
            self._worker = None
            try:
                fusedNode = self._store(image, color, provenance, place, outputNode, colorOutputNode)
            except Exception as error:
                onFailed(str(error))
            else:
                onFinished(fusedNode, warnings)

        def failed(message):
            self._worker = None
            onFailed(message)

        images = nodes.imagesFromVolumeNodes(petNode, mriNode, chosen.grid)
        self._worker = worker.FusionWorker(*images, chosen, onProgress, finished, failed)

    def _settings(self, colorOutputNode, settings):
        from cspadn.settings import DEFAULT_PALETTE, FusionSettings

        if colorOutputNode:
            settings = {"palette": DEFAULT_PALETTE, **settings}
        return FusionSettings(**settings)

    def isFusing(self):
        return self._worker is not None

    def cancelFusion(self):
        """Ask a running worker to stop; onFailed("") follows when it has."""
        if self._worker:
            self._worker.cancel()

    def closeWorker(self):
        """Stop a running worker at once; no callback follows."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def _checkNodes(self, *nodes):
        if obstacle := self.obstacle(*nodes):
            raise ValueError(obstacle)

    def _checkPackages(self):
        from CSpADNFusionLib.dependencies import missingPackages

        if missing := missingPackages():
            text = _("Fusion needs {packages}: press Apply in the module once, which installs what is missing.")
            raise RuntimeError(text.format(packages=", ".join(missing)))

    def _store(self, image, color, provenance, place, outputNode, colorOutputNode):
        from CSpADNFusionLib import nodes

        for node in (outputNode, colorOutputNode):
            if node and node.GetScene() is None:
                raise RuntimeError(_("The output volume was deleted while the fusion ran: press Apply again."))
        fusedNode = outputNode or self._newNode("vtkMRMLScalarVolumeNode", place.fusedName)
        nodes.updateVolumeNodeFromFusion(fusedNode, image, place, provenance)
        if color is not None:
            colorNode = colorOutputNode or self._newNode("vtkMRMLVectorVolumeNode", f"{place.fusedName} color")
            nodes.updateVolumeNodeFromFusion(colorNode, color, place, provenance)
        return fusedNode

    def _newNode(self, className, name):
        return slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))


class CSpADNFusionTest(ScriptedLoadableModuleTest):
    """The self test that Slicer runs: the sample pair, fused through the logic."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_fuseSamplePair()

    def test_fuseSamplePair(self):
        import SampleData

        from CSpADNFusionLib import samples
        from CSpADNFusionLib.dependencies import missingPackages

        if missing := missingPackages():
            self.skipTest(f"not installed: {', '.join(missing)}")
        self.delayDisplay("Fusing the sample pair")
        registerSampleData()
        petNode, mriNode = (SampleData.SampleDataLogic().downloadSample(name) for name in (samples.PET, samples.MRI))
        fusedNode = CSpADNFusionLogic().fuse(petNode, mriNode)
        fused, mri = slicer.util.arrayFromVolume(fusedNode), slicer.util.arrayFromVolume(mriNode)
        self.assertEqual(fused.shape, mri.shape)
        self.assertGreater(fused.max(), 1000)
        self.assertLessEqual(fused.max(), 4095)
        self.assertEqual(fusedNode.GetName(), f"{mriNode.GetName()}-{petNode.GetName()} fused")
        self.delayDisplay("Test passed")
