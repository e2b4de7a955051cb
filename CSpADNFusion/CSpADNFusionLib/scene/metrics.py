"""Metrics of a fused volume as MRML nodes: a table of the slices, a table of their mean, and plots over the slices."""

from itertools import cycle

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from cspadn.metrics.registry import BY_NAME, TABLE_METRICS
from CSpADNFusionLib.scene import layouts

MEAN_ROLE, FIRST_CHART_ROLE, SECOND_CHART_ROLE = "CSpADNFusionMean", "CSpADNFusionChartBits", "CSpADNFusionChartShares"
_CHART_ROLE = "CSpADNFusionChart"
POSITION = "position_mm"
_LEGEND_SHARE = 0.4  # of the length of the curves, right of them
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # safe for colour blindness


def charts():
    """Return the charts by their roles: the title of the vertical axis, and the metrics with their colours.

    Metrics of one unit share a chart. The metrics layout shows the first two charts; a further unit has a chart of its own,
    which the module Plots can show.
    """
    groups = {}
    for metric in TABLE_METRICS:
        groups.setdefault(metric.unit, []).append(metric)
    plain = groups.pop("", [])
    units = list(groups)
    title = _("0 to 1") if max((metric.range[1] for metric in plain), default=1) <= 1 else _("no unit")
    roles = {FIRST_CHART_ROLE: units[0]} | {f"{_CHART_ROLE} {unit}": unit for unit in units[1:]}
    found = {role: (unit, _colored(groups[unit])) for role, unit in roles.items()}
    return {FIRST_CHART_ROLE: found.pop(FIRST_CHART_ROLE), SECOND_CHART_ROLE: (title, _colored(plain))} | found


def _colored(metrics):
    return list(zip(metrics, cycle(_COLORS), strict=False))


def updateMetricsNodes(tableNode, rows):
    """Fill a table node with a row for each slice, and update the nodes it refers to: the mean, the charts and their series.

    :param rows: rows of :meth:`cspadn.metrics.VolumeScores.to_rows`, as numbers or as text.
    """
    header, body, mean = rows[0], rows[1:-1], rows[-1]
    columns = [np.array([_number(row[i]) for row in body]) for i in range(len(header))]
    columns[0] = columns[0].astype(np.int64)
    _fill(tableNode, columns, header)
    meanNode = _referenced(tableNode, MEAN_ROLE, "vtkMRMLTableNode", _("{name} mean").format(name=tableNode.GetName()))
    _fillMean(meanNode, header[2:], [_number(value) for value in mean[2:]])
    position = columns[header.index(POSITION)]
    for role, (unit, series) in charts().items():
        _leaveRoomForLegend(_plot(tableNode, role, unit, series), position)


def meanOf(tableNode):
    """Return the mean of each metric by its name, from the nodes of :func:`updateMetricsNodes`."""
    table = tableNode.GetNodeReference(MEAN_ROLE).GetTable()
    return {table.GetValue(row, 0).ToString(): table.GetValue(row, 1).ToDouble() for row in range(table.GetNumberOfRows())}


def chartsOf(tableNode):
    """Return the chart nodes of a table; the metrics layout shows the first two."""
    return [chart for role in charts() if (chart := tableNode.GetNodeReference(role))]


def companionsOf(tableNode):
    """Return the other nodes of :func:`updateMetricsNodes`: the table of the mean, the charts and their series."""
    charts = chartsOf(tableNode)
    series = [chart.GetNthPlotSeriesNode(i) for chart in charts for i in range(chart.GetNumberOfPlotSeriesNodes())]
    return [tableNode.GetNodeReference(MEAN_ROLE), *charts, *series]


def show(tableNode):
    """Show the first two charts and the table in the metrics layout; return False if there is no main window."""
    if not layouts.show(layouts.METRICS):
        return False
    scene = slicer.mrmlScene
    for name, chart in zip((layouts.FIRST_PLOT, layouts.SECOND_PLOT), chartsOf(tableNode), strict=False):
        scene.GetSingletonNode(name, "vtkMRMLPlotViewNode").SetPlotChartNodeID(chart.GetID())
    scene.GetSingletonNode(layouts.TABLE, "vtkMRMLTableViewNode").SetTableNodeID(tableNode.GetID())
    return True


def _number(value):
    return float("nan") if value == "" else float(value)


def _fill(tableNode, columns, names):
    with slicer.util.NodeModify(tableNode):
        slicer.util.updateTableFromArray(tableNode, columns, list(names))
        for name in names:
            if name in BY_NAME:
                tableNode.SetColumnDescription(name, BY_NAME[name].explanation)
        tableNode.SetUseColumnTitleAsColumnHeader(True)
        tableNode.SetLocked(True)


def _fillMean(tableNode, names, values):
    with slicer.util.NodeModify(tableNode):
        tableNode.RemoveAllColumns()
        metric, mean, title = vtk.vtkStringArray(), vtk.vtkDoubleArray(), vtk.vtkStringArray()
        metric.SetName("metric")
        mean.SetName("mean")
        title.SetName("title")
        for name, value in zip(names, values, strict=True):
            metric.InsertNextValue(name)
            mean.InsertNextValue(value)
            title.InsertNextValue(BY_NAME[name].title if name in BY_NAME else "")
        for column in (metric, mean, title):
            tableNode.AddColumn(column)
        tableNode.SetUseColumnTitleAsColumnHeader(True)
        tableNode.SetLocked(True)


def _plot(tableNode, role, unit, series):
    title = f"{tableNode.GetName()} ({unit})"
    chart = _referenced(tableNode, role, "vtkMRMLPlotChartNode", title)
    with slicer.util.NodeModify(chart):
        chart.SetTitle(", ".join(metric.name for metric, _color in series))  # the name of the node is too long to be drawn
        chart.SetTitleFontSize(14)
        chart.SetLegendFontSize(12)
        chart.SetXAxisTitle(_("position towards the head (mm)"))
        chart.SetYAxisTitle(unit)
        for metric, color in series:
            seriesNode = _referenced(chart, metric.name, "vtkMRMLPlotSeriesNode", metric.name)
            seriesNode.SetName(metric.name)  # the text in the legend; other charts use it too
            seriesNode.SetDescription(metric.explanation)
            _draw(seriesNode, tableNode, metric.name, color)
            if not chart.HasPlotSeriesNodeID(seriesNode.GetID()):
                chart.AddAndObservePlotSeriesNodeID(seriesNode.GetID())
    return chart


def _leaveRoomForLegend(chart, position):
    """End the horizontal axis beyond the last slice: Slicer draws the legend in the upper right corner, over the curves."""
    finite = position[np.isfinite(position)]
    if finite.size < 2:
        chart.SetXAxisRangeAuto(True)
        return
    first, last = float(finite.min()), float(finite.max())
    chart.SetXAxisRangeAuto(False)
    chart.SetXAxisRange(first, last + _LEGEND_SHARE * (last - first))


def _draw(seriesNode, tableNode, metric, color):
    with slicer.util.NodeModify(seriesNode):
        seriesNode.SetAndObserveTableNodeID(tableNode.GetID())
        seriesNode.SetPlotType(seriesNode.PlotTypeScatter)
        seriesNode.SetXColumnName(POSITION)
        seriesNode.SetYColumnName(metric)
        seriesNode.SetMarkerStyle(seriesNode.MarkerStyleNone)
        seriesNode.SetLineWidth(2)
        seriesNode.SetColor(*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)))


def _referenced(node, role, className, name):
    """Return the node that another node refers to in a role; create it if there is none."""
    found = node.GetNodeReference(role)
    if found is None:
        found = node.GetScene().AddNewNodeByClass(className, node.GetScene().GenerateUniqueName(name))
        node.SetNodeReferenceID(role, found.GetID())
    return found
