"""The catalogue of all errors and warnings of the library; a file for each subject.

Each message has a short identifier that stays the same when its wording changes. docs/messages.md is generated from here.
"""

from cspadn.messages import (
    cohort,
    dicom,
    geometry,
    images,
    intensities,
    metrics,
    models,
    outputs,
    pairs,
    registration,
    running,
    settings,
    warnings,
)
from cspadn.messages.record import Catalogue, Message, Section, Sentence

__all__ = ["Catalogue", "Message", "Section", "Sentence", "message"]

message = Catalogue(
    images.SECTION,
    dicom.SERIES,
    dicom.SUV,
    geometry.SECTION,
    intensities.SECTION,
    registration.SECTION,
    settings.SECTION,
    settings.RESOURCES,
    models.SECTION,
    outputs.SECTION,
    outputs.DICOM,
    images.PICTURES,
    metrics.SECTION,
    pairs.SECTION,
    dicom.STUDIES,
    cohort.SECTION,
    cohort.PAIRS,
    cohort.CLUSTER,
    running.SECTION,
    warnings.SECTION,
    running.UNEXPECTED,
)
