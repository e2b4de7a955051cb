"""Catalogue of the messages of the Slicer side; a file for each subject. Texts are translated where they are written.

docs/messages.md is generated from here and from :mod:`cspadn.messages`.
"""

from cspadn.messages import Catalogue
from CSpADNFusionLib.messages import batch, dicom_export, inputs, installation, running

message = Catalogue(inputs.SECTION, installation.SECTION, running.SECTION, dicom_export.SECTION, batch.SECTION)
