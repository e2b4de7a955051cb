"""``make screenshots``: the panel, from the real .ui, and the comparison, from MRML's own slice rendering, of the sample pair.

The plots of the metrics are VTK's charts of the MRML nodes, as in Slicer's own views. The pictures of the documents are from a
real Slicer instead.

screenshots.py all FOLDER               the panel in both themes and scales, the comparison, and the metrics
screenshots.py panel FILE.png light     the panel alone (or dark), in the scale of QT_SCALE_FACTOR
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "Testing" / "slicer"), str(ROOT / "Testing" / "tools"), str(ROOT / "CSpADNFusion")]

_MODULE_FILE = ROOT / "CSpADNFusion" / "CSpADNFusion.py"
_WIDTH = 420  # pixels
_TIMEOUT = 600
_CHART = (600, 400)  # pixels
_FIRST_ROW, _ROWS = 40, 8  # of the table, that are drawn


def main() -> None:
    """Entry point."""
    command, target, *rest = sys.argv[1:]
    if command == "panel":
        _draw_panel(Path(target), rest[0])
        return
    folder = Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    _draw_all(folder)
    print(f"Pictures: {folder.resolve()}")


def _draw_all(folder: Path) -> None:
    for theme in ("light", "dark"):
        for scale in (1, 2):
            file = folder / f"panel-{theme}-{scale}00.png"
            environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(scale)}
            subprocess.run([sys.executable, __file__, "panel", str(file), theme], check=True, env=environment)
    _fuse_and_compare(folder / "comparison.png", folder / "metrics.png")


def _open_panel():
    from slicer_application import application

    application.start()
    widget = application.openModule(_MODULE_FILE)
    widget.ui.sampleDataButton.click()
    return widget


def _draw_panel(file: Path, theme: str) -> None:
    from slicer_application import application

    application.start()
    _set_theme(theme)
    widget = _open_panel()
    widget.ui.advancedCollapsibleButton.setCollapsed(False)
    _wait_for_devices(widget)
    _grab(widget, file)
    application.closeModules()


def _wait_for_devices(widget) -> None:
    from message_calls import says
    from slicer_application import application

    application.processEvents(until=lambda: says(widget.ui.torchLabel.text(), "torch-and-devices"), timeout=_TIMEOUT)


def _grab(widget, file: Path) -> None:
    from slicer_application import application

    widget.parent.resize(_WIDTH, widget.parent.sizeHint().height())
    application.processEvents()
    widget.parent.grab().save(str(file))


def _wait_for_end(widget) -> None:
    from slicer_application import application, records

    application.processEvents(until=lambda: not widget.logic.isFusing(), timeout=_TIMEOUT)
    if records.texts("error"):
        raise SystemExit(records.texts("error")[0])


def _set_theme(theme: str) -> None:
    import qt

    qt.QApplication.setStyle("Fusion")
    window, text = ("#2b2b2b", "#e8e8e8") if theme == "dark" else ("#efefef", "#101010")
    palette = qt.QPalette(qt.QColor(window))  # derives the rest, light text on a dark window
    for role in (qt.QPalette.WindowText, qt.QPalette.Text, qt.QPalette.ButtonText):
        palette.setColor(qt.QPalette.Active, role, qt.QColor(text))
        palette.setColor(qt.QPalette.Inactive, role, qt.QColor(text))
        palette.setColor(qt.QPalette.Disabled, role, qt.QColor("#808080"))
    qt.QApplication.setPalette(palette)


def _fuse_and_compare(file: Path, metrics_file: Path) -> None:
    from slicer_application import application

    widget = _open_panel()
    from CSpADNFusionLib import comparisons

    widget.ui.metricsCheckBox.setChecked(True)
    widget.ui.applyButton.click()
    _wait_for_end(widget)
    for name in comparisons.COMPARISONS:
        widget.ui.comparisonComboBox.setCurrentText(name)
        widget.ui.compareButton.click()
        _draw_comparison(file.with_stem(f"{file.stem}-{name.split()[0].lower()}"))
    widget.ui.plotButton.click()
    _draw_metrics(metrics_file)
    application.closeModules()


def _draw_comparison(file: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    pictures = _rendered()
    rows = 1 if len(pictures) == 2 else 2
    columns = -(-len(pictures) // rows)
    size = 4 * columns, 4.2 * rows
    figure, axes = plt.subplots(rows, columns, figsize=size, facecolor="black", layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, pixels) in zip(axes.flat, pictures.items(), strict=False):
        axis.imshow(pixels, origin="lower", interpolation="nearest")
        axis.set_title(title, color="white")
    figure.savefig(file, dpi=100)


def _rendered():
    """What each slice view of the comparison shows, (rows, columns, RGBA)."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    from CSpADNFusionLib.scene import layouts

    pictures = {}
    for name in layouts.SLICE_VIEWS[layouts.shown()]:
        logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(name)
        logic.GetBlend().Update()
        image = logic.GetBlend().GetOutput()
        columns, rows, _ = image.GetDimensions()
        pictures[logic.GetSliceNode().GetLayoutLabel()] = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(
            rows, columns, -1
        )
    return pictures


def _draw_metrics(file: Path) -> None:
    """Draw what the metrics layout shows: two charts, and below them some rows of the table."""
    import slicer
    from PIL import Image

    from CSpADNFusionLib.scene import layouts

    def shown(view: str, kind: str):
        return slicer.mrmlScene.GetSingletonNode(view, f"vtkMRML{kind}ViewNode")

    plots = [shown(view, "Plot").GetPlotChartNodeID() for view in (layouts.FIRST_PLOT, layouts.SECOND_PLOT)]
    parts = [_drawn_chart(slicer.mrmlScene.GetNodeByID(plot), file) for plot in plots]
    table = _drawn_table(slicer.mrmlScene.GetNodeByID(shown(layouts.TABLE, "Table").GetTableNodeID()), file)
    picture = Image.new("RGB", (table.width, parts[0].height + table.height), "white")
    for place, part in zip(((0, 0), (parts[0].width, 0), (0, parts[0].height)), (*parts, table), strict=True):
        picture.paste(part, place)
    picture.save(file)


def _drawn_chart(node, file: Path):
    """Return the picture of a chart node; ``file`` is used meanwhile."""
    import vtk
    from PIL import Image

    chart = vtk.vtkChartXY()
    chart.SetTitle(node.GetTitle())
    chart.SetShowLegend(True)
    chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
    chart.GetLegend().SetLabelSize(node.GetLegendFontSize())
    for axis, title in ((vtk.vtkAxis.LEFT, node.GetYAxisTitle()), (vtk.vtkAxis.BOTTOM, node.GetXAxisTitle())):
        chart.GetAxis(axis).SetTitle(title)
    for index in range(node.GetNumberOfPlotSeriesNodes()):
        _add_line(chart, node.GetNthPlotSeriesNode(index))
    if not node.GetXAxisRangeAuto():
        chart.GetAxis(vtk.vtkAxis.BOTTOM).SetBehavior(vtk.vtkAxis.FIXED)
        chart.GetAxis(vtk.vtkAxis.BOTTOM).SetRange(node.GetXAxisRange())
    view, writer, capture = vtk.vtkContextView(), vtk.vtkPNGWriter(), vtk.vtkWindowToImageFilter()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetSize(*_CHART)
    view.GetScene().AddItem(chart)
    view.GetRenderer().SetBackground(1, 1, 1)
    window.Render()
    capture.SetInput(window)
    writer.SetInputConnection(capture.GetOutputPort())
    writer.SetFileName(str(file))
    writer.Write()
    return Image.open(file).convert("RGB")


def _add_line(chart, series) -> None:
    import vtk

    line = chart.AddPlot(vtk.vtkChart.LINE)
    names = (series.GetXColumnName(), series.GetYColumnName())
    table = vtk.vtkTable()
    for name in names:
        table.AddColumn(series.GetTableNode().GetTable().GetColumnByName(name))
    line.SetInputData(table, 0, 1)
    line.SetLabel(series.GetName())
    line.SetColorF(*series.GetColor())
    line.SetWidth(series.GetLineWidth())


def _drawn_table(node, file: Path):
    """Return the picture of some rows of a table node; ``file`` is used meanwhile."""
    import qt
    from PIL import Image

    table, rows = node.GetTable(), range(_ROWS)
    names = [table.GetColumnName(column) for column in range(table.GetNumberOfColumns())]
    widget = qt.QTableWidget(_ROWS, len(names))
    widget.setHorizontalHeaderLabels(names)
    for row in rows:
        for column in range(len(names)):
            widget.setItem(row, column, qt.QTableWidgetItem(f"{table.GetValue(row + _FIRST_ROW, column).ToDouble():.6g}"))
    widget.setVerticalHeaderLabels([str(row + _FIRST_ROW + 1) for row in rows])
    widget.resize(2 * _CHART[0], widget.horizontalHeader().sizeHint().height() + _ROWS * widget.rowHeight(0) + 4)
    widget.grab().save(str(file))
    return Image.open(file).convert("RGB")


if __name__ == "__main__":
    main()
