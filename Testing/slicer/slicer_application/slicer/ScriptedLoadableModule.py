"""The base classes of a scripted module: module, widget, logic and test."""

import sys
import unittest
from pathlib import Path

import qt
import slicer
import slicer.util

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]


class ScriptedLoadableModule:
    """Describes a module; `parent` carries the description and the path of the module's file."""

    def __init__(self, parent):
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = ""
        parent.categories = []
        parent.dependencies = []
        parent.contributors = []
        parent.helpText = ""
        parent.acknowledgementText = ""
        for extension in (".svg", ".png"):
            path = self.resourcePath(f"Icons/{self.moduleName}{extension}")
            if Path(path).is_file():
                parent.icon = qt.QIcon(path)
                break

    def resourcePath(self, filename):
        """Return the path of a file below the module's Resources folder."""
        return str(Path(self.parent.path).parent / "Resources" / filename)

    def getDefaultModuleDocumentationLink(self, docPage=None):
        """Return the sentence that links to the documentation."""
        return f"<p>For more information, see the online documentation of {docPage or self.moduleName}.</p>"

    def runTest(self, msec=100, **kwargs):
        """Run the test class of the module's file."""
        testClass = getattr(sys.modules[self.__module__], self.moduleName + "Test")
        testCase = testClass()
        testCase.messageDelay = msec
        testCase.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    """The module's panel; `parent` is the widget in which the application shows it."""

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()

    def resourcePath(self, filename):
        """Return the path of a file below the module's Resources folder."""
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self):
        """Build the panel; the application calls it once."""

    def onReload(self):
        """Reload the module's file and make its widget anew."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def cleanup(self):
        """Release what the panel holds; the application calls it before the module goes away."""


class ScriptedLoadableModuleLogic:
    """The module's work, and the parameter node that stores the user's choices in the scene."""

    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        """Return the module's parameter node; make it if the scene has none."""
        nodes = self.getAllParameterNodes()
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node:
                # Closing the scene empties the node, the singleton stays.
                node.SetAttribute("ModuleName", self.moduleName)
                return node
        elif nodes:
            return nodes[0]
        return slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self):
        """Return all parameter nodes of this module."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):
        """Return a new parameter node that is not yet in the scene."""
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's own tests."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # As in Slicer, "test" anywhere in the name makes a method a test: a helper must avoid the word.
        self.moduleTestNames = [name for name in dir(self) if "test" in name and callable(getattr(self, name))]

    def setUp(self):
        """Prepare one test."""

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        """Let the application catch up with the test."""
        slicer.util.delayDisplay(message, 100)

    def runTest(self):
        """Run all tests, one after the other."""
        self.setUpClass()
        for name in self.moduleTestNames:
            self.setUp()
            getattr(self, name)()
            self.tearDown()
        self.tearDownClass()
