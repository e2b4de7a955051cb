"""Buttons that write the last result as a DICOM study, into Slicer's database or into a folder."""

import logging
import traceback

import qt
import slicer
from slicer.i18n import tr as _

from cspadn.errors import FusionError
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.panel.qt_helpers import plainText, waitCursor
from CSpADNFusionLib.scene import dicom_export


class ExportControl:
    """Enable the buttons, and do what they say.

    :param ui: the widgets of the panel.
    :param logic: the ``CSpADNFusionLogic``.
    :param parametersOf: function that returns the parameter node, or None while the panel has none.
    :param runView: a :class:`CSpADNFusionLib.panel.run.RunView`, which tells the outcome.
    """

    def __init__(self, ui, logic, parametersOf, runView):
        self._ui, self._logic, self._parametersOf, self._runView = ui, logic, parametersOf, runView
        ui.databaseButton.clicked.connect(self.onDatabaseButton)
        ui.exportButton.clicked.connect(self.onExportButton)

    def update(self):
        """Enable the buttons, or explain in their tooltips why they are disabled."""
        fusedNode = self._parametersOf().lastFusedVolume
        obstacle = dicom_export.obstacle(fusedNode)
        text = _("Add the last result to Slicer's DICOM database, in the study of the MRI")
        self._enable(self._ui.databaseButton, obstacle or _databaseObstacle(fusedNode), text)
        text = _("Write the last result as derived DICOM series, in the study of the MRI, into a folder")
        self._enable(self._ui.exportButton, obstacle, text)

    def _enable(self, button, obstacle, text):
        button.setEnabled(obstacle is None)
        button.setToolTip(plainText(obstacle or text))

    def onDatabaseButton(self, _checked=False):
        """Add the last result to Slicer's DICOM database."""
        fusedNode = self._parametersOf().lastFusedVolume
        self._ui.databaseButton.setEnabled(False)  # Slicer answers to clicks while it imports: a second one would add it twice
        exported = self._written(lambda: self._logic.addStudyToDatabase(fusedNode))
        parameters = self._parametersOf()
        if parameters is None:
            return
        if exported and parameters.lastFusedVolume is fusedNode:  # the scene was not closed meanwhile
            self._runView.showStatus(message("study-added", name=fusedNode.GetName(), count=exported.count))
        self.update()

    def onExportButton(self, _checked=False):
        """Export the last result as a DICOM study into a folder that the user selects."""
        title = _("An empty folder for the files of the study")
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title)
        if not folder:
            return
        fusedNode = self._parametersOf().lastFusedVolume
        exported = self._written(lambda: self._logic.exportStudy(fusedNode, folder))
        if exported:
            text = message("study-exported", name=fusedNode.GetName(), count=exported.count, folder=folder)
            self._runView.showStatus(text)

    def _written(self, write):
        """Return what was written, after its notes were logged, or None after an error was shown."""
        try:
            with waitCursor():
                exported = write()
        except FusionError as error:
            self._runView.log(str(error))
            slicer.util.errorDisplay(plainText(error))
            return None
        except Exception:
            logging.exception("CSpADNFusion: the study could not be written")
            slicer.util.errorDisplay(message("study-not-written"), detailedText=traceback.format_exc())
            return None
        for note in exported.notes:
            self._runView.log(note)
        return exported


def _databaseObstacle(fusedNode):
    """Return why a result cannot be added to the database, though it can be exported, or None."""
    return dicom_export.databaseObstacle() or (message("study-in-database") if dicom_export.isInDatabase(fusedNode) else None)
