"""Slicer's own widgets, as far as the module's .ui file uses them, and the loader of .ui files that knows them."""

from __future__ import annotations

import weakref
from xml.etree import ElementTree

import shiboken6
import vtk
from PySide6.QtCore import Property, QBuffer, QByteArray, QRect, Qt, Signal
from PySide6.QtUiTools import QUiLoader as PySideUiLoader
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)


class ctkCollapsibleButton(QAbstractButton):
    """A titled section; a click on the title shows or hides what is in it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, text="", parent=None):
        super().__init__(parent if isinstance(text, str) else text)
        self.setText(text if isinstance(text, str) else "")
        self._collapsed, self._hiddenByCollapse = False, []
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._titleHeight(), 0, 0)
        self.clicked.connect(lambda: self.setCollapsed(not self._collapsed))

    def _titleHeight(self):
        return self.fontMetrics().height() + 10

    def setCollapsed(self, collapsed):
        """Hide the contents, or show again what was hidden that way."""
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self._hideChildren() if collapsed else self._showChildren()
        self.setMaximumHeight(self._titleHeight() if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    def _hideChildren(self):
        # What was already hidden stays out of the list, so that opening the section does not show it.
        children = self.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
        self._hiddenByCollapse += [child for child in children if not child.isHidden()]
        for child in self._hiddenByCollapse:
            child.setVisible(False)

    def _showChildren(self):
        for child in self._hiddenByCollapse:
            child.setVisible(True)
        self._hiddenByCollapse = []

    def showEvent(self, event):
        """Hide what the .ui file put into the section after it set `collapsed`."""
        super().showEvent(event)
        if self._collapsed:
            self._hideChildren()

    def hitButton(self, position):
        """Take clicks on the title alone."""
        return position.y() < self._titleHeight()

    def paintEvent(self, event):
        """Draw the title as a button with an arrow."""
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), self._titleHeight())
        option.text = self.text()
        icon = QStyle.StandardPixmap.SP_ArrowRight if self._collapsed else QStyle.StandardPixmap.SP_ArrowDown
        option.icon, option.iconSize = self.style().standardIcon(icon), self.iconSize()
        QStylePainter(self).drawControl(QStyle.ControlElement.CE_PushButton, option)

    collapsed = Property(bool, lambda self: self._collapsed, setCollapsed)


class ctkSliderWidget(QWidget):
    """A slider with a spin box beside it, for decimal numbers."""

    valueChanged = Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider, self._spinBox, self._step = QSlider(Qt.Orientation.Horizontal), QDoubleSpinBox(), 1.0
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._spinBox)
        self._spinBox.setRange(0, 99)
        self._spinBox.valueChanged.connect(self._spinBoxChanged)
        self._slider.valueChanged.connect(lambda steps: self._spinBox.setValue(steps * self._step))

    def setRange(self, minimum, maximum):
        """Set the ends of the slider."""
        self._spinBox.setRange(minimum, maximum)
        self._slider.setRange(round(minimum / self._step), round(maximum / self._step))

    def setValue(self, value):
        """Move the slider."""
        self._spinBox.setValue(value)

    def _setStep(self, step):
        self._step = step
        self._spinBox.setSingleStep(step)
        self.setRange(self._spinBox.minimum(), self._spinBox.maximum())

    def _spinBoxChanged(self, value):
        wasBlocked = self._slider.blockSignals(True)
        self._slider.setValue(round(value / self._step))
        self._slider.blockSignals(wasBlocked)
        self.valueChanged.emit(value)

    _getValue = lambda self: self._spinBox.value()  # noqa: E731
    value = Property(float, _getValue, setValue)
    singleStep = Property(float, lambda self: self._step, _setStep)
    minimum = Property(
        float, lambda self: self._spinBox.minimum(), lambda self, end: self.setRange(end, self._spinBox.maximum())
    )
    maximum = Property(
        float, lambda self: self._spinBox.maximum(), lambda self, end: self.setRange(self._spinBox.minimum(), end)
    )


class qMRMLWidget(QWidget):
    """A widget that knows the scene and passes it on to the widgets that its .ui file connects to it."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        """Return the scene."""
        return self._scene

    def setMRMLScene(self, scene):
        """Set the scene."""
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


def _plain(kind, name, initial):
    """Return a property that only stores a value and refreshes the list."""

    def write(self, value):
        setattr(self, name, value)
        self._refresh()

    return initial, Property(kind, lambda self: getattr(self, name), write)


class qMRMLNodeComboBox(QWidget):
    """Selects a node of the scene. Without a scene it is disabled and empty."""

    currentNodeChanged = Signal(object)
    nodeAddedByUser = Signal(object)

    # The defaults of the real widget. The options are properties alone: PythonQt has no setter methods for them.
    _noneEnabled, noneEnabled = _plain(bool, "_noneEnabled", False)
    _addEnabled, addEnabled = _plain(bool, "_addEnabled", True)
    _removeEnabled, removeEnabled = _plain(bool, "_removeEnabled", True)
    _renameEnabled, renameEnabled = _plain(bool, "_renameEnabled", False)
    _showChildNodeTypes, showChildNodeTypes = _plain(bool, "_showChildNodeTypes", True)
    _selectNodeUponCreation, selectNodeUponCreation = _plain(bool, "_selectNodeUponCreation", True)
    _noneDisplay, noneDisplay = _plain(str, "_noneDisplay", "None")
    _baseName, baseName = _plain(str, "_baseName", "")
    _nodeTypes, nodeTypes = _plain("QStringList", "_nodeTypes", ())

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._observations, self._requestedID, self._refreshing = None, [], "", False
        self._comboBox = QComboBox(self)
        self._comboBox.setFocusProxy(self)  # so that the tab key passes over it: as in Slicer
        self._comboBox.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)  # also upwards: as in Slicer
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._comboBox)
        self._refresh()
        self._comboBox.currentIndexChanged.connect(self._indexChanged)
        self.setEnabled(False)

    def mrmlScene(self):
        """Return the scene."""
        return self._scene

    def setMRMLScene(self, scene):
        """List the nodes of a scene; a node that was set before is selected now."""
        if scene is self._scene:
            return
        self._stopObserving()
        self._scene = scene
        self._refresh()
        if self._requestedID:
            self.setCurrentNodeID(self._requestedID)
        self._requestedID = ""
        self.setEnabled(scene is not None)

    def nodes(self):
        """Return the nodes that can be selected, in the order of the scene."""
        scene = self._scene
        everything = [scene.GetNthNode(i) for i in range(scene.GetNumberOfNodes())] if scene else []
        return [node for node in everything if self._accepts(node)]

    def _accepts(self, node):
        return not node.GetHideFromEditors() and self._isOfItsTypes(node)

    def _isOfItsTypes(self, node):
        if self._showChildNodeTypes:
            return not self._nodeTypes or any(node.IsA(name) for name in self._nodeTypes)
        return not self._nodeTypes or node.GetClassName() in self._nodeTypes

    def nodeCount(self):
        """Return the number of nodes that can be selected."""
        return len(self.nodes())

    @property
    def currentNodeID(self):
        """The ID of the selected node, or an empty text."""
        return self._comboBox.currentData() or ""

    def currentNode(self):
        """Return the selected node or None."""
        return self._scene.GetNodeByID(self.currentNodeID) if self._scene and self.currentNodeID else None

    def setCurrentNode(self, node):
        """Select a node, or nothing."""
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, nodeID):
        """Select a node by its ID. An ID that is not listed selects nothing, also where `noneEnabled` is false."""
        if self._scene is None:
            self._requestedID = nodeID
        index = self._comboBox.findData(nodeID) if nodeID else -1
        self._comboBox.setCurrentIndex(0 if index < 0 and self._noneEnabled else index)

    def addNode(self, nodeType=None):
        """Add a node as the user does with "Create new ..."."""
        node = self._scene.CreateNodeByClass(nodeType or self._nodeTypes[0])
        node.UnRegister(None)
        node.SetName(self._scene.GetUniqueNameByString(self._baseName or node.GetDefaultNodeNamePrefix()))
        self._scene.AddNode(node)
        if self._selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        """Remove the selected node from the scene."""
        self._scene.RemoveNode(self.currentNode())

    def _stopObserving(self):
        for observed, tag in self._observations:
            observed.RemoveObserver(tag)
        self._observations = []

    def _observe(self, nodes):
        """Follow the scene, and the names of its listed nodes."""
        self._stopObserving()
        scene = self._scene
        # The scene outlives this widget and must neither hold it nor call it when it is gone.
        reference = weakref.ref(self)

        def refresh(caller, event):
            if reference() is not None and shiboken6.isValid(reference()):
                reference()._refresh()

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def refreshForItsTypes(caller, event, node):  # of the other nodes there are many, as the tables of colours
            if reference() is not None and shiboken6.isValid(reference()) and reference()._isOfItsTypes(node):
                reference()._refresh()

        watched = [(node, vtk.vtkCommand.ModifiedEvent, refresh) for node in nodes]
        if scene:
            watched += [(scene, event, refreshForItsTypes) for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent)]
            watched += [(scene, scene.EndCloseEvent, refresh)]
        self._observations = [(each, each.AddObserver(event, called)) for each, event, called in watched]
        if scene:
            self._observations.append((scene, scene.AddObserver(scene.EndImportEvent, self._makeEmptied(), 1.0)))

    def _makeEmptied(self):
        """When a scene was added, Slicer's selectors are filled anew, and nothing is selected: before anyone else is told."""
        reference = weakref.ref(self)

        def empty(caller, event):
            if reference() is not None and shiboken6.isValid(reference()):
                reference()._empty()

        return empty

    def _empty(self):
        self._refresh()
        self.setCurrentNodeID("")

    def _refresh(self):
        """List the nodes again and keep the selection; when its node is gone the next or the last one takes its place."""
        box, oldID = self._comboBox, self.currentNodeID
        oldRow, oldCount = box.currentIndex(), box.count()
        nodes = self.nodes()
        rows = ([(self._noneDisplay, "")] if self._noneEnabled else []) + [(node.GetName(), node.GetID()) for node in nodes]
        self._refreshing = True
        box.clear()
        for text, nodeID in rows:
            box.addItem(text, nodeID)
        ids = [nodeID for _, nodeID in rows]
        if oldID:
            row = ids.index(oldID) if oldID in ids else min(oldRow, len(ids) - 1)
        else:
            # A list that was empty selects its first row; one from which the user chose nothing stays so.
            row = 0 if rows and (self._noneEnabled or oldCount == 0) else -1
        box.setPlaceholderText(f"Select a {self._nodeTypes[0].removeprefix('vtkMRML') if self._nodeTypes else 'node'}")
        box.setCurrentIndex(row)
        self._refreshing = False
        self._observe(nodes)
        if self.currentNodeID != oldID:
            self.currentNodeChanged.emit(self.currentNode())

    def _indexChanged(self, *_):
        if not self._refreshing:
            self.currentNodeChanged.emit(self.currentNode())


CUSTOM_WIDGETS = (ctkCollapsibleButton, ctkSliderWidget, qMRMLWidget, qMRMLNodeComboBox)


class QUiLoader(PySideUiLoader):
    """Loads a .ui file with Slicer's widgets in it."""

    def __init__(self, parent=None):
        super().__init__(parent)
        for widget in CUSTOM_WIDGETS:
            self.registerCustomWidget(widget)

    def load(self, device, parent=None):
        """Return the top widget of an opened file, connected as its <connections> say."""
        root = ElementTree.fromstring(bytes(device.readAll()))
        known = {widget.__name__ for widget in CUSTOM_WIDGETS}
        unknown = {element.text for element in root.iterfind("customwidgets/customwidget/class")} - known
        if unknown:
            # Qt would put an empty widget in its place without a word.
            raise RuntimeError(f"The stand-in for Slicer has no widgets of the types {sorted(unknown)}")
        sceneConnections = self._takeSceneConnections(root)
        buffer = QBuffer()
        buffer.setData(QByteArray(ElementTree.tostring(root)))
        buffer.open(QBuffer.OpenModeFlag.ReadOnly)
        top = super().load(buffer, parent)
        for widget in (top, *top.findChildren(QWidget)):
            widget.setToolTip(widget.toolTip())  # as Slicer changes it
        for sender, receiver in sceneConnections:
            self._named(top, sender).mrmlSceneChanged.connect(self._named(top, receiver).setMRMLScene)
        return top

    @staticmethod
    def _takeSceneConnections(root):
        """Take out the connections that carry a scene: Qt cannot make them with signals and slots written in Python."""
        found = []
        connections = root.find("connections")
        for element in list(connections) if connections is not None else []:
            if element.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)":
                if element.findtext("slot") != "setMRMLScene(vtkMRMLScene*)":
                    raise RuntimeError(f"A scene cannot be connected to {element.findtext('slot')}")
                found.append((element.findtext("sender"), element.findtext("receiver")))
                connections.remove(element)
        return found

    @staticmethod
    def _named(top, name):
        widget = top if top.objectName() == name else top.findChild(QWidget, name)
        if widget is None:
            raise RuntimeError(f"The .ui file connects {name}, which it does not have")
        return widget
