"""The module CSpADNFusion: fuse a registered PET and MRI into one volume. Research use only, not for diagnosis.

Nothing heavy is imported at file scope: opening the module needs neither torch nor SimpleITK.
"""

import unittest
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

from cspadn.errors import CancelledError
from CSpADNFusionLib.logic import CSpADNFusionLogic
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.widget import CSpADNFusionWidget

# Slicer looks these classes up in this file.
__all__ = ["CSpADNFusion", "CSpADNFusionLogic", "CSpADNFusionTest", "CSpADNFusionWidget"]

RESOURCES = Path(__file__).resolve().parent / "Resources"


class CSpADNFusion(ScriptedLoadableModule):
    """Describe the module to Slicer."""

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
    """Register the layouts of the module, which a saved scene may use, the sample pair, and a plugin of the DICOM module."""
    from CSpADNFusionLib.scene import dicom_plugin, layouts, samples

    layouts.register()
    dicom_plugin.register()
    samples.registerSampleData(RESOURCES)
    scene = slicer.mrmlScene
    for event in (scene.EndImportEvent, scene.EndRestoreEvent):
        scene.AddObserver(event, onSceneLoaded)


def onSceneLoaded(scene, _event):
    """Restore the colours of the module's palettes, whether or not its panel was opened."""
    from CSpADNFusionLib.scene import palettes

    palettes.restoreColors(scene)


class CSpADNFusionTest(ScriptedLoadableModuleTest):
    """Fuse the sample pair with the shipped model. Slicer runs this self test."""

    def setUp(self):
        """Close the scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests, unless the model cannot run here."""
        for check in (self.test_SamplePair, self.test_Registration, self.test_Cancel):
            self.setUp()
            try:
                check()
            except unittest.SkipTest as skipped:
                self.delayDisplay(message("self-test-skipped", reason=skipped))
                return
        self.delayDisplay("Test passed")

    def _samplePair(self):
        """Load the sample pair and return both nodes; skip the test if the model cannot run here."""
        from CSpADNFusionLib.scene import samples

        if missing := CSpADNFusionLogic().missingPackages():
            self.skipTest(f"not installed: {', '.join(missing)}")
        return samples.loadSamplePair(RESOURCES)

    def test_SamplePair(self):
        """Check voxels, geometry, subject hierarchy, provenance and metrics of a fused volume."""
        petNode, mriNode = self._samplePair()
        self.delayDisplay("Fusing the sample pair")
        study = self._putIntoStudy(mriNode)
        fusedNode = CSpADNFusionLogic().fuse(petNode, mriNode, palette="PET-Heat", metrics=True)
        self._checkVoxels(fusedNode, mriNode)
        self._checkHierarchy(fusedNode, study)
        self.assertEqual(fusedNode.GetName(), f"Fused {mriNode.GetName()}-{petNode.GetName()}")
        self.assertEqual(fusedNode.GetAttribute("CSpADNFusion.model"), "cspadn")
        self.assertEqual(len(fusedNode.GetAttribute("CSpADNFusion.model_sha256")), 64)
        self._checkMetrics(fusedNode.GetNodeReference("CSpADNFusionMetrics"))
        self._checkRecoloring(fusedNode)
        self._checkComparison(petNode, mriNode, fusedNode)

    def _checkRecoloring(self, fusedNode):
        from CSpADNFusionLib.scene.color_legend import legendOf
        from CSpADNFusionLib.scene.recoloring import Recoloring

        colorNode = fusedNode.GetNodeReference("CSpADNFusionColor")
        before = slicer.util.arrayFromVolume(colorNode).copy()
        self.assertIsNone(Recoloring().apply(fusedNode, "PET-Rainbow", 0.5))
        self.assertFalse((slicer.util.arrayFromVolume(colorNode) == before).all())
        self.assertEqual(colorNode.GetAttribute("CSpADNFusion.palette"), "PET-Rainbow")
        self.assertIsNotNone(legendOf(colorNode))

    def _checkComparison(self, petNode, mriNode, fusedNode):
        """Open the comparison and go back, unless Slicer has no main window."""
        from CSpADNFusionLib.scene import comparison, layouts

        if slicer.app.layoutManager() is None:
            return
        before = layouts.shown()
        parameters = CSpADNFusionLogic().getParameterNode()
        parameters.petVolume, parameters.mriVolume, parameters.lastFusedVolume = petNode, mriNode, fusedNode
        shown = comparison.Comparison()
        self.assertTrue(shown.show(parameters))
        self.assertTrue(comparison.isShown())
        shown.close()
        self.assertEqual(layouts.shown(), before)

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
        """Put the node into a new study, and return the item of the study."""
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
        hierarchy.CreateItem(study, node)
        return study

    def _checkHierarchy(self, fusedNode, study):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        outputs = [fusedNode, *(fusedNode.GetNodeReference(role) for role in ("CSpADNFusionColor", "CSpADNFusionMetrics"))]
        items = [hierarchy.GetItemByDataNode(node) for node in outputs]
        self.assertNotIn(hierarchy.GetInvalidItemID(), items)
        folder = hierarchy.GetItemParent(items[0])
        self.assertEqual([hierarchy.GetItemParent(item) for item in items], [folder] * len(items))
        self.assertEqual(hierarchy.GetItemParent(folder), study)

    def _checkMetrics(self, tableNode):
        from cspadn.metrics.registry import BY_NAME, TABLE_NAMES
        from CSpADNFusionLib.scene import metrics

        self.assertGreater(tableNode.GetNumberOfRows(), 50)
        means = metrics.meanOf(tableNode)
        self.assertEqual(list(means), list(TABLE_NAMES))
        for name, value in means.items():
            lowest, highest = BY_NAME[name].range
            self.assertTrue(lowest < value < highest, (name, value))
        self.assertEqual(len(metrics.chartsOf(tableNode)), len(metrics.charts()))

    def test_Registration(self):
        """Check that the registration moves a displaced PET back, and that it can be undone."""
        petNode, mriNode = self._samplePair()
        self.delayDisplay("Registering the sample pair")
        displaced = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, 12.0)
        displaced.SetMatrixTransformToParent(matrix)
        petNode.SetAndObserveTransformNodeID(displaced.GetID())
        logic = CSpADNFusionLogic()
        transformNode = logic.register(petNode, mriNode)
        whole = vtk.vtkMatrix4x4()
        petNode.GetParentTransformNode().GetMatrixTransformToWorld(whole)
        self.assertIs(petNode.GetParentTransformNode(), transformNode)
        self.assertLess(abs(whole.GetElement(0, 3)), 3)
        logic.undoRegistration(petNode)
        self.assertIs(petNode.GetParentTransformNode(), displaced)

    def test_Cancel(self):
        """Check that a run cancelled at its second slice leaves nothing in the scene."""
        petNode, mriNode = self._samplePair()
        before = slicer.mrmlScene.GetNumberOfNodes()
        done = []
        with self.assertRaises(CancelledError):
            CSpADNFusionLogic().fuse(
                petNode, mriNode, progress=lambda count, _total: done.append(count), cancelled=lambda: len(done) > 1
            )
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        self.assertLess(len(done), 3)
