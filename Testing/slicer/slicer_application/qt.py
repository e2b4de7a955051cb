"""PythonQt's flat `qt` module on top of PySide6: the classes of Qt's core, gui and widgets parts, and QUiLoader."""

from PySide6 import QtCore, QtGui, QtWidgets

from slicer_application.widgets import QUiLoader  # noqa: F401

for part in (QtCore, QtGui, QtWidgets):
    # PySide6 loads a class when it is asked for: only dir() knows them all.
    globals().update({name: getattr(part, name) for name in dir(part) if not name.startswith("_")})

# Slicer wraps the lines of tool tips: whoever reads one back gets rich text.
_setToolTip = QtWidgets.QWidget.setToolTip
QtWidgets.QWidget.setToolTip = lambda self, text: _setToolTip(self, _richText(text))


def _richText(text):
    if not text or QtGui.Qt.mightBeRichText(text):
        return text
    return QtGui.Qt.convertFromPlainText(text, QtCore.Qt.WhiteSpaceNormal)


# PythonQt shows the object's name as the attribute `name`; slicer.util.childWidgetVariables depends on it.
QtCore.QObject.name = property(lambda self: self.objectName())
