"""Write a fused pair as DICOM objects in the study of the MRI: docs/dicom.md says which, and docs/adr/0024 why.

Each object has a file of its own: :mod:`grey`, :mod:`color`, :mod:`blending` and :mod:`spatial_registration`. What they share
is in :mod:`headers`, and how they refer to PET and MRI in :mod:`references`. :func:`stage_study` writes them all.
"""

from cspadn.io.dicom_writer.sources import Sources, check_in_series, check_study_output, read_sources
from cspadn.io.dicom_writer.study import check_replaceable, missing_objects, stage_study

__all__ = [
    "Sources",
    "check_in_series",
    "check_replaceable",
    "check_study_output",
    "missing_objects",
    "read_sources",
    "stage_study",
]
