"""Layouts and slice views: MRML's own logics, without windows."""

from __future__ import annotations

from types import SimpleNamespace


class LayoutManager:
    """`slicer.app.layoutManager()`: makes the slice views that a layout asks for, as MRML logics that render offscreen."""

    def __init__(self, scene):
        import slicer
        import vtk

        self._scene = scene
        self._sliceLogics = vtk.vtkCollection()
        self.applicationLogic = slicer.vtkMRMLApplicationLogic()
        self.applicationLogic.SetMRMLScene(scene)
        self.applicationLogic.SetSliceLogics(self._sliceLogics)
        self._bars: dict = {}
        self._layoutLogic = slicer.vtkMRMLLayoutLogic()
        self._layoutLogic.SetMRMLScene(scene)
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def layoutLogic(self):
        """Return the logic that has the layout node."""
        return self._layoutLogic

    def mrmlSliceLogics(self):
        """Return the logics of all slice views."""
        return self._sliceLogics

    def sliceWidget(self, name):
        """Return the bar of a slice view that is shown, with its label; None for another name."""
        return self._bars.get(name)

    def setLayout(self, layout):
        """Show a layout."""
        self._layoutLogic.GetLayoutNode().SetViewArrangement(layout)
        views = self._layoutLogic.GetViewNodes()
        for index in range(views.GetNumberOfItems()):
            view = views.GetItemAsObject(index)
            if view.IsA("vtkMRMLSliceNode") and self.applicationLogic.GetSliceLogic(view) is None:
                self._addSliceView(view)
                self._bars[view.GetLayoutName()] = _barOf(view.GetLayoutLabel())

    def _addSliceView(self, view, size=256):
        import slicer

        view.SetDimensions(size, size, 1)
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self.applicationLogic)
        logic.SetMRMLScene(self._scene)
        logic.SetSliceNode(view)
        self._sliceLogics.AddItem(logic)


def _barOf(text):
    """Return the bar above a slice view: Slicer shortens the label to two letters where the bar is narrow."""
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QSpinBox, QWidget

    bar, label = QWidget(), QLabel(text or "")
    label.setObjectName("ViewLabel")
    label.setMinimumWidth(label.fontMetrics().horizontalAdvance("XX"))
    layout, box = QHBoxLayout(bar), QSpinBox()
    for each in (label, QSlider(Qt.Orientation.Horizontal), box):
        layout.addWidget(each)
    slider = SimpleNamespace(setSpinBoxVisible=box.setVisible)  # of ctkSliderWidget
    bar.sliceController = lambda: SimpleNamespace(sliceOffsetSlider=lambda: slider)
    return bar
