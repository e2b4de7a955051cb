"""The decorator that turns a class of annotated names into a wrapper of a parameter node."""

import typing
import weakref

import qt
import slicer.util
import vtk

from .connectors import createGuiConnector
from .storage import Default, splitAnnotations, storageFor


class ParameterNodeMethods:
    """The methods of a wrapper; a parameter cannot have the name of one of them."""

    def _initialize(self, parameterNode):
        self.parameterNode = parameterNode
        self._connectors, self._observers, self._updatingGui = {}, {}, False
        self._values = {}
        self._readAll()
        # As in Slicer values are cached until the node tells that it changed, and the cache must not keep self alive.
        reference = weakref.ref(self)
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: reference()._readAll())
        weakref.finalize(self, parameterNode.RemoveObserver, tag).atexit = False

    def _readAll(self):
        node = self.parameterNode
        for name, (storage, _, default) in self.allParameters.items():
            if not storage.isIn(node, name):  # a new node, or one that lost its parameters when the scene was closed
                storage.write(node, name, default)
            self._values[name] = storage.read(node, name)

    def dataType(self, name):
        """Return the annotated type of a parameter."""
        return self.allParameters[name][1]

    def default(self, name):
        """Return the default of a parameter, as an annotation."""
        return Default(self.allParameters[name][2])

    def getValue(self, name):
        """Return the value of a parameter."""
        return self._values[name]

    def setValue(self, name, value):
        """Store the value of a parameter in the node."""
        storage = self.allParameters[name][0]
        with slicer.util.NodeModify(self.parameterNode):
            storage.write(self.parameterNode, name, value)
            self._values[name] = storage.read(self.parameterNode, name)

    def connectGui(self, gui):
        """Connect the widgets that have the property SlicerParameterName; return a tag for disconnectGui."""
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else gui.__dict__.values()
        named = {widget.property("SlicerParameterName"): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in named.items() if name})

    def connectParametersToGui(self, mapping):
        """Connect parameters, by name, to widgets; return a tag for disconnectGui."""
        unknown = set(mapping) - set(self.allParameters)
        if unknown:
            raise ValueError(f"Cannot find parameters with the names {sorted(unknown)}")
        connectors = {name: createGuiConnector(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag = len(self._connectors) and max(self._connectors) + 1
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(lambda name=name, connector=connector: self._guiChanged(name, connector))
        self._observers[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._nodeChanged)
        return tag

    def disconnectGui(self, guiTag):
        """Undo connectGui."""
        for connector in self._connectors.pop(guiTag, {}).values():
            connector.onChanged(None)
        if guiTag in self._observers:
            self.RemoveObserver(self._observers.pop(guiTag))

    def _guiChanged(self, name, connector):
        if not self._updatingGui:
            self.setValue(name, connector.read())

    def _nodeChanged(self, caller, event):
        if self._updatingGui:
            return
        self._updatingGui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in list(self._connectors.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updatingGui = False

    def StartModify(self):
        """Hold back the node's events; return what EndModify needs."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        """Send the events that were held back."""
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        """Observe the node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        """Stop observing the node."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        """Tell the observers that the node changed."""
        self.parameterNode.Modified()


def _default(classtype, name, storage, annotations):
    """Return the value after `=`, else that of a Default annotation, else that of the type."""
    given = [annotation.value for annotation in annotations if isinstance(annotation, Default)]
    return getattr(classtype, name, given[0] if given else storage.default())


def _makeProperty(name):
    """Return the property by which a parameter is read and written."""
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))


def _process(classtype):
    """Give the class its constructor, its methods and one property for each parameter."""
    parameters = {}
    for name, datatype in typing.get_type_hints(classtype, include_extras=True).items():
        storage = storageFor(datatype)
        parameters[name] = (storage, datatype, _default(classtype, name, storage, splitAnnotations(datatype)[1]))
        setattr(classtype, name, _makeProperty(name))
    for name, method in vars(ParameterNodeMethods).items():
        if callable(method):
            if hasattr(classtype, name):
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            setattr(classtype, name, method)
    classtype.allParameters = parameters
    classtype.__init__ = ParameterNodeMethods._initialize
    return classtype


def parameterNodeWrapper(classtype=None):
    """Decorate a class, as @parameterNodeWrapper or @parameterNodeWrapper()."""
    return _process if classtype is None else _process(classtype)
