"""Attributes that all objects of a derived study share: patient, study, equipment, derivation and trust."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from cspadn.imaging.metadata import NOTE
from cspadn.io.dicom_tags import tag_value
from cspadn.io.dicom_writer.sources import Sources

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MANUFACTURER, MODEL = "SlicerCSpADNFusion", "CSpADNFusion"
PRIVATE_SCHEME = "99CSPADN"
_PATIENT_AND_STUDY = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("PatientSize", "PatientWeight", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
)
_TRIAL = (
    *("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID"),
    *("ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID"),
    "ClinicalTrialTimePointDescription",
)
_TRIAL_MAY_BE_EMPTY = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
_SERIES = ("BodyPartExamined", "Laterality")
_PLACE = ("PositionReferenceIndicator", "PatientPosition", "AcquisitionDate", "AcquisitionTime")
_MAY_BE_EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    "ReferringPhysicianName",
)
_DEIDENTIFICATION = ("DeidentificationMethod", "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified")
_TEXT, _LONG_TEXT = 64, 1024  # characters of the types LO and ST


def item(**values: Any) -> Dataset:
    """Return a dataset with these values, by keyword."""
    from pydicom.dataset import Dataset

    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def number(value: float) -> str:
    """Format a DICOM decimal string: the nearest number that 16 characters hold."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(round(float(value), 12) + 0.0)


def copied(header: Dataset, keywords: tuple[str, ...], may_be_empty: tuple[str, ...] = ()) -> Dataset:
    """Return a dataset with the attributes that a header of the MRI has, and empty ones for those that must be present."""
    from pydicom.dataset import Dataset

    made = Dataset()
    for keyword in keywords:
        if keyword in header:
            tag_value(header, keyword, "The MRI")
            made[keyword] = header[keyword]
    for keyword in may_be_empty:
        if keyword not in made:
            setattr(made, keyword, None)
    return made


def new_object(sources: Sources, sop_class: str, modality: str, made: datetime, provenance: dict[str, Any]) -> Dataset:
    """Return an object of a new series in the MRI's study, without what its SOP class needs besides.

    Args:
        sources: headers of MRI and PET.
        sop_class: UID.
        modality: of the series.
        made: when the study is written, the same for all its objects.
        provenance: as in :class:`cspadn.FusionResult`.
    """
    from pydicom.uid import generate_uid

    new = copied(sources.mri[0], (*_PATIENT_AND_STUDY, *_SERIES), _MAY_BE_EMPTY)
    if "ClinicalTrialSponsorName" in sources.mri[0]:
        new.update(copied(sources.mri[0], _TRIAL, _TRIAL_MAY_BE_EMPTY))
    if not {*_SERIES} & {*new.dir()}:
        new.Laterality = ""  # it may be a paired part of the body: a reader should know that nobody said
    date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    new.SOPClassUID, new.Modality, new.SeriesInstanceUID = sop_class, modality, generate_uid(None)
    new.SeriesDate = new.ContentDate = new.InstanceCreationDate = date
    new.SeriesTime = new.ContentTime = new.InstanceCreationTime = time
    new.Manufacturer, new.ManufacturerModelName = MANUFACTURER, MODEL
    new.SoftwareVersions = _software(provenance)
    new.update(_trust(sources))
    new.ContributingEquipmentSequence = _equipment(sources, made, provenance)
    return new


def image_attributes(sources: Sources, provenance: dict[str, Any], more: str = "") -> Dataset:
    """Return what derived images share: frame of reference, place in the body, how they were made, and burned-in text.

    Args:
        more: a sentence for the derivation description.
    """
    mri = sources.mri[0]
    shared = copied(mri, _PLACE, ("PositionReferenceIndicator", "PatientPosition"))
    shared.FrameOfReferenceUID = frame_of_reference(sources)
    shared.DerivationDescription = _derivation(provenance, more)
    shared.DerivationCodeSequence = [
        code("FUSION", PRIVATE_SCHEME, "Fusion of PET and MRI by CSpA-DN"),
        code("113085", "DCM", "Spatial resampling"),
    ]
    shared.CodingSchemeIdentificationSequence = [
        item(CodingSchemeDesignator=PRIVATE_SCHEME, CodingSchemeName="Codes of CSpADNFusion"),
    ]
    shared.ImageComments = NOTE
    for keyword in ("BurnedInAnnotation", "RecognizableVisualFeatures"):
        if value := _weakest(sources, keyword):
            setattr(shared, keyword, value)
    shared.LossyImageCompression = "01" if "01" in _values(sources, "LossyImageCompression") else "00"
    return shared


def frame_of_reference(sources: Sources) -> str:
    """Return the frame of reference of the MRI; a new one if the MRI has none, the same in all objects of a study."""
    from pydicom.uid import generate_uid

    mri = sources.mri[0]
    return str(mri.get("FrameOfReferenceUID") or generate_uid(entropy_srcs=[mri.SeriesInstanceUID, "frame of reference"]))


def series_number(sources: Sources, thousands: int) -> int:
    """Return a number above those of the scanner's own series, which count from 1."""
    try:
        return 1000 * thousands + int(sources.mri[0].get("SeriesNumber") or 0) % 1000
    except (TypeError, ValueError):
        return 1000 * thousands


def plain(text: object, length: int = _TEXT) -> str:
    """Return a text that any character set can hold, cut to the length that its type allows."""
    return str(text).encode("ascii", "replace").decode().replace("\\", "/")[:length]


def _software(provenance: dict[str, Any]) -> str:
    return plain(provenance.get("software", MODEL))


def _trust(sources: Sources) -> Dataset:
    """Return whether the identity was removed: only if both series say so, and then how."""
    claimed = _values(sources, "PatientIdentityRemoved")
    if claimed == {"YES"}:
        return item(PatientIdentityRemoved="YES", **_given(sources.mri[0], _DEIDENTIFICATION))
    return item(PatientIdentityRemoved="NO") if claimed & {"YES", "NO"} else item()


def _given(header: Dataset, keywords: tuple[str, ...]) -> dict[str, Any]:
    return {keyword: value for keyword in keywords if (value := tag_value(header, keyword, "The MRI"))}


def _values(sources: Sources, keyword: str) -> set[str]:
    return {str(tag_value(header, keyword, "It") or "") for header in sources.headers}


def _weakest(sources: Sources, keyword: str) -> str:
    """Return YES if any image says so, NO only if all do, else nothing: what nobody has checked is not claimed."""
    values = _values(sources, keyword)
    return "YES" if "YES" in values else "NO" if values == {"NO"} else ""


def _derivation(provenance: dict[str, Any], more: str) -> str:
    """Describe model, grid and windows, in at most 1024 characters."""
    keys = ("model", "model_version", "model_sha256", "model_origin", "grid", "registration", "pet_window", "pet_units")
    facts = "; ".join(f"{name} {provenance[name]}" for name in (*keys, "mri_window") if name in provenance)
    return plain(f"PET and MRI fused by CSpA-DN. {NOTE} {more}{' ' if more else ''}{facts}", _LONG_TEXT)


def _equipment(sources: Sources, made: datetime, provenance: dict[str, Any]) -> list[Dataset]:
    """Return the scanners, as far as their series name them, and this software."""
    scanners = []
    for headers in sources.series:
        known = {name: value for name in _SCANNER if (value := str(tag_value(headers[0], name, "It") or ""))}
        if "Manufacturer" in known:
            purpose = [code("109101", "DCM", "Acquisition Equipment")]
            scanners.append(item(PurposeOfReferenceCodeSequence=purpose, **{name: plain(known[name]) for name in known}))
    own = item(
        PurposeOfReferenceCodeSequence=[code("109102", "DCM", "Processing Equipment")],
        Manufacturer=MANUFACTURER,
        ManufacturerModelName=MODEL,
        SoftwareVersions=_software(provenance),
        ContributionDateTime=made.strftime("%Y%m%d%H%M%S"),
        ContributionDescription="Fused PET and MRI",
    )
    return [*scanners, own]


_SCANNER = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")


def save(new: Dataset, path: Any) -> None:
    """Write an object as a DICOM file in explicit VR little endian."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    new.file_meta = FileMetaDataset()
    new.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    new.file_meta.MediaStorageSOPClassUID = new.SOPClassUID
    new.file_meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    new.save_as(path, enforce_file_format=True)
