"""Plugin for Slicer's DICOM module that takes the objects of an exported study that hold no image.

Slicer would try to read the presentation state and the registration as volumes: whoever loads the patient again would be asked
whether to load them in spite of a warning, and then be told that they could not be loaded.
"""

import slicer
from slicer.i18n import tr as _

_NAME = "CSpADNFusionDICOMPlugin"  # in Slicer's settings of the DICOM module
_MODALITIES = ("PR", "REG")
_MANUFACTURER = "0008,0070"
_CONFIDENCE = 0.95  # more than that of the plugins for volumes


def register():
    """Register the plugin, if Slicer has its DICOM module."""
    try:
        from DICOMLib import DICOMLoadable, DICOMPlugin
    except ImportError:
        return
    if not hasattr(slicer.modules, "dicomPlugins"):
        slicer.modules.dicomPlugins = {}
    slicer.modules.dicomPlugins[_NAME] = _pluginClass(DICOMPlugin, DICOMLoadable)


def _pluginClass(DICOMPlugin, DICOMLoadable):
    class CSpADNFusionDICOMPlugin(DICOMPlugin):
        """Take presentation states and registrations that this module has written. Nothing of them is shown in Slicer."""

        def __init__(self):
            super().__init__()
            self.loadType = _("PET/MRI fusion")
            self.tags["manufacturer"] = _MANUFACTURER

        def examineForImport(self, fileLists):
            """Return what can be loaded of some series."""
            return [loadable for files in fileLists for loadable in self.examineFiles(files)]

        def examineFiles(self, files):
            """Return one item for a series of this kind, otherwise none."""
            from cspadn.io.dicom_writer.headers import MANUFACTURER

            values = {name: slicer.dicomDatabase.fileValue(files[0], self.tags[name]) for name in ("modality", "manufacturer")}
            if values["modality"] not in _MODALITIES or values["manufacturer"] != MANUFACTURER:
                return []
            loadable = DICOMLoadable()
            loadable.files = files
            loadable.name = slicer.dicomDatabase.fileValue(files[0], self.tags["seriesDescription"])
            loadable.tooltip = _("For other DICOM viewers")
            loadable.selected = True
            loadable.confidence = _CONFIDENCE
            return [loadable]

        def load(self, _loadable):
            """Return that there was no error: the object is for other viewers."""
            return True

    return CSpADNFusionDICOMPlugin
