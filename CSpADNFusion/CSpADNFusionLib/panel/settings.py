"""Settings of a fusion in the panel: which widgets are enabled, and whether the settings can be used."""

from pathlib import Path

from slicer.i18n import tr as _

from cspadn.errors import UsageError
from cspadn.metrics.registry import TABLE_METRICS
from cspadn.settings import check_frames
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.parameters import parameterOf


def enableWidgets(ui, parameters):
    """Enable the widgets of the settings that take effect with the current parameters."""
    ends = {
        f"{parameterOf(setting)}{end}": window is not None
        for setting, window in parameters.windows().items()
        for end in ("Lower", "Upper")
    }
    for widget in vars(ui).values():
        name = widget.property("SlicerParameterName")
        if name in ends:
            widget.setEnabled(ends[name])
    ui.colorSelector.setEnabled(parameters.makeColor)
    ui.metricsSelector.setEnabled(parameters.makeMetrics)
    ui.modelComboBox.setEnabled(not parameters.weightsFile)


def explainMetrics(ui):
    """Say in a tooltip what each metric of the table measures."""
    lines = [_("Measure every fused slice as well, in a table with its mean and in plots")]
    ui.metricsCheckBox.setToolTip("\n".join([*lines, *(f"{metric.name}: {metric.explanation}" for metric in TABLE_METRICS)]))


def obstacle(parameters):
    """Return why the windows, the weights file or the frames cannot be used, or None if nothing prevents it."""
    return _windowObstacle(parameters) or _weightsObstacle(parameters) or _framesObstacle(parameters)


def _framesObstacle(parameters):
    frames = parameters.settings()["frames"]
    try:
        if frames is not None:
            check_frames(frames)
    except UsageError as error:
        return str(error)
    return None


def _windowObstacle(parameters):
    for setting, window in parameters.windows().items():
        if window and window[0] >= window[1]:
            name = setting.removesuffix("_window").replace("_", " ").upper()
            return message("window-not-in-order", name=name)
    return None


def _weightsObstacle(parameters):
    file = parameters.weightsFile
    if not file or (file.endswith(".safetensors") and Path(file).is_file()):
        return None
    return message("weights-file-unusable")
