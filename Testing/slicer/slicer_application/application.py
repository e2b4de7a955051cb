"""Starts the stand-in for the Slicer application, opens modules in it and runs its event loop."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import logging
import os
import sys
import tempfile
import time
import types
from pathlib import Path

import vtk

from slicer_application import records
from slicer_application.views import LayoutManager

HERE = Path(__file__).parent
_openWidgets: list = []


class Application:
    """`slicer.app`: what a scripted module asks of it; the rest is Qt's application."""

    applicationName = "Slicer"

    def __init__(self, qtApplication):
        self._qtApplication = qtApplication
        self._temporary = tempfile.TemporaryDirectory(prefix="Slicer-", ignore_cleanup_errors=True)
        self.temporaryPath = self.slicerHome = self._temporary.name
        self.testing = False  # a test sets True for what Slicer does under --testing: no message is ever shown
        self.hasMainWindow = True  # a test sets False for what Slicer is under --no-main-window
        self.startupCallbacks: list = []

    def __getattr__(self, name):
        return getattr(self._qtApplication, name)

    def connect(self, signal, callback):
        """Connect a function to the end of the startup; openModule calls it once."""
        if signal != "startupCompleted()":
            raise ValueError(f"The stand-in for Slicer has no signal {signal}")
        self.startupCallbacks.append(callback)

    def completeStartup(self):
        """Call what waits for the end of the startup."""
        while self.startupCallbacks:
            self.startupCallbacks.pop(0)()

    def layoutManager(self):
        """Return the layout manager; None without the main window, as in Slicer with --no-main-window."""
        return self.views if self.hasMainWindow else None

    def applicationLogic(self):
        """Return the application's MRML logic, which knows the logics of the slice views."""
        return self.views.applicationLogic

    def moduleManager(self):
        """Return what tells that a module is about to go away; here closeModules calls cleanup itself."""
        return types.SimpleNamespace(connect=lambda *_: None, disconnect=lambda *_: None)

    def testingEnabled(self):
        """Tell whether Slicer was started with --testing."""
        return self.testing

    def startupEnvironment(self):
        """Return the environment without what Slicer's launcher adds to it."""
        from PySide6.QtCore import QProcessEnvironment

        return QProcessEnvironment.systemEnvironment()


def start():
    """Create `slicer.app`, `slicer.mrmlScene`, `qt` and the rest; return slicer.app. Later calls change nothing."""
    import slicer

    if hasattr(slicer, "app"):
        return slicer.app
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    # Only now, after `import slicer`: the wheel would import all it finds in the folder and copy the names into `slicer`.
    slicer.__path__.append(str(HERE / "slicer"))
    sys.path.append(str(HERE))
    import qt

    slicer.app = Application(qt.QApplication.instance() or qt.QApplication(["Slicer"]))
    _ensureFont()
    slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
    from slicer_application import widgets

    slicer.qMRMLWidget, slicer.qMRMLNodeComboBox = widgets.qMRMLWidget, widgets.qMRMLNodeComboBox
    _replaceMessagesAndViews()
    newScene()
    return slicer.app


def newScene():
    """Put an empty scene with the default colour nodes in the place of slicer.mrmlScene."""
    import slicer

    slicer.mrmlScene = slicer.vtkMRMLScene()
    logic = slicer.vtkMRMLColorLogic()
    logic.SetMRMLScene(slicer.mrmlScene)
    logic.AddDefaultColorNodes()
    slicer.app.colorLogic = logic  # without its logic the scene forgets the colour nodes when it is closed
    slicer.mrmlScene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # as the module Colors does
    slicer.app.views = LayoutManager(slicer.mrmlScene)
    slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, _putIntoSubjectHierarchy)
    slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAboutToBeRemovedEvent, _takeFromSubjectHierarchy)
    return slicer.mrmlScene


@vtk.calldata_type(vtk.VTK_OBJECT)
def _putIntoSubjectHierarchy(scene, event, node):
    """In Slicer, the plugins of the subject hierarchy make an item for each node that holds data."""
    import slicer

    if any(node.IsA(f"vtkMRML{kind}Node") for kind in ("Volume", "Table", "PlotChart", "PlotSeries", "Transform")):
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if hierarchy and not node.GetHideFromEditors() and not scene.IsImporting():
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)


@vtk.calldata_type(vtk.VTK_OBJECT)
def _takeFromSubjectHierarchy(scene, event, node):
    """In Slicer, the plugins' logic does that, unless the scene is closed as a whole."""
    hierarchy = scene and scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")  # no scene: it is itself going away
    if hierarchy and node is not hierarchy and not scene.IsClosing() and (item := hierarchy.GetItemByDataNode(node)):
        hierarchy.RemoveItem(item, False, False)


def openModule(path):
    """Do what Slicer does from the discovery of a module to the moment when the user sees its panel; return its widget."""
    import qt
    import slicer

    path = Path(path).resolve()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    file = _importModule(name, path)
    parent = types.SimpleNamespace(path=str(path), name=name, icon=None, hidden=False)
    setattr(slicer.modules, name.lower(), parent)
    setattr(slicer.modules, name + "Instance", getattr(file, name)(parent))
    slicer.app.completeStartup()

    panel = slicer.qMRMLWidget()
    panel.setLayout(qt.QVBoxLayout())
    panel.isEntered = False
    panel.setMRMLScene(slicer.mrmlScene)
    panel.reload = lambda: _makeWidget(name, panel)
    parent.widgetRepresentation = lambda: panel
    _makeWidget(name, panel)
    enterModule(openWidget(name))
    panel.show()
    return openWidget(name)


def openWidget(name):
    """Return the widget of a module; another one after the module was reloaded."""
    import slicer

    return getattr(slicer.modules, name + "Widget")


def _makeWidget(name, panel):
    """Make the widget as the module's file, which may have been reloaded, says now."""
    import slicer

    _openWidgets[:] = [widget for widget in _openWidgets if widget.parent is not panel]
    widget = getattr(sys.modules[name], name + "Widget")(panel)
    setattr(slicer.modules, name + "Widget", widget)
    _openWidgets.append(widget)
    widget.setup()
    if panel.isEntered:
        enterModule(widget)


def enterModule(widget):
    """Switch to the module, as in Slicer's module selector."""
    widget.parent.isEntered = True
    if hasattr(widget, "enter"):
        widget.enter()


def exitModule(widget):
    """Switch from the module to another one."""
    widget.parent.isEntered = False
    if hasattr(widget, "exit"):
        widget.exit()


def closeModules():
    """Do what Slicer does with all open modules when it closes."""
    while _openWidgets:
        widget = _openWidgets.pop()
        if widget.parent.isEntered:
            exitModule(widget)
        widget.cleanup()
        widget.parent.close()
        widget.parent.deleteLater()


def processEvents(until=lambda: True, timeout=10.0):
    """Run the event loop until the function returns true; TimeoutError after `timeout` seconds."""
    import slicer

    end = time.monotonic() + timeout
    slicer.app.processEvents()
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"Nothing happened in {timeout} seconds")
        time.sleep(0.01)
        slicer.app.processEvents()


def _importModule(name, path):
    """Import a file under its own name, or take the one that is already imported."""
    if getattr(sys.modules.get(name), "__file__", None) != str(path):
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _ensureFont():
    """Without a font of the system Qt draws boxes for letters: take the font that comes with matplotlib."""
    import qt

    aliases = {"Monospace", "Sans Serif", "Serif"}  # Qt lists these even where no font stands behind them
    spec = importlib.util.find_spec("matplotlib")
    if set(qt.QFontDatabase.families()) <= aliases and spec and spec.origin:
        qt.QFontDatabase.addApplicationFont(str(Path(spec.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf"))
        qt.QApplication.setFont(qt.QFont("DejaVu Sans"))


def _replaceMessagesAndViews():
    """Replace slicer.util's message boxes by records, and record what is put into slice views; the rest is the real one."""
    import slicer.util

    real = slicer.util.setSliceViewerLayers
    signature = inspect.signature(real)

    @functools.wraps(real)
    def setSliceViewerLayers(*args, **kwargs):
        records.sliceViewerLayers.append(dict(signature.bind(*args, **kwargs).arguments))
        return real(*args, **kwargs)

    slicer.util.setSliceViewerLayers = setSliceViewerLayers
    slicer.util._messageDisplay = _messageDisplay
    import qt

    qt.QMessageBox.question = staticmethod(_question)


def _question(parent, title, text, buttons, default):
    """Record a question of Qt's own message box, with the button that Enter presses, and give the prepared answer."""
    import qt

    records.messages.append({"level": "info", "text": text, "windowTitle": title, "default": default})
    if not records.answers:
        raise AssertionError(f"No answer was prepared in records.answers for: {text}")
    return qt.QMessageBox.Yes if records.answers.pop(0) else qt.QMessageBox.No


def _messageDisplay(logLevel, text, testingReturnValue, mainWindowNeeded=False, parent=None, windowTitle=None, **kwargs):
    """Record a message box and give the answer that the test prepared; all message functions of slicer.util come here."""
    import qt
    import slicer

    level = logging.getLevelName(logLevel).lower()
    logging.log(logLevel, text)
    records.messages.append({"level": level, "text": text, "windowTitle": windowTitle, **kwargs})
    if slicer.app.testingEnabled():
        return testingReturnValue
    if kwargs.get("icon") != qt.QMessageBox.Question:
        return qt.QMessageBox.Ok
    if not records.answers:
        raise AssertionError(f"No answer was prepared in records.answers for: {text}")
    accepted = [b for b in (qt.QMessageBox.Ok, qt.QMessageBox.Yes) if kwargs["standardButtons"] & b]
    return accepted[0] if records.answers.pop(0) else qt.QMessageBox.Cancel
