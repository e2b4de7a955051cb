"""Settings of a fusion in the panel: which widgets are enabled, and whether the settings can be used."""

from pathlib import Path

from CSpADNFusionLib.messages import message


def enableWidgets(ui, parameters):
    """Enable the widgets of the settings that take effect with the current parameters."""
    for name in ("pet", "mri"):
        for end in ("Lower", "Upper"):
            getattr(ui, f"{name}{end}SpinBox").setEnabled(parameters.window(name) is not None)
    ui.colorSelector.setEnabled(parameters.makeColor)
    ui.metricsSelector.setEnabled(parameters.makeMetrics)
    ui.modelComboBox.setEnabled(not parameters.weightsFile)


def obstacle(parameters):
    """Return why the windows or the weights file cannot be used, or None if nothing prevents it."""
    return _windowObstacle(parameters) or _weightsObstacle(parameters)


def _windowObstacle(parameters):
    obstacles = {"pet": message("pet-window-not-in-order"), "mri": message("mri-window-not-in-order")}
    for name, text in obstacles.items():
        lower, upper = parameters.window(name) or (0, 1)
        if lower >= upper:
            return text
    return None


def _weightsObstacle(parameters):
    file = parameters.weightsFile
    if not file or (file.endswith(".safetensors") and Path(file).is_file()):
        return None
    return message("weights-file-unusable")
