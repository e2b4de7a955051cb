"""Find out whether two volumes are of one patient, without keeping what their headers say of the patient.

A volume carries a fingerprint of each identifying value: the same values have the same fingerprint. It is never written into
a result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cspadn.errors import InputError
from cspadn.imaging.metadata import PREFIX, value_of
from cspadn.messages import Sentence, message

if TYPE_CHECKING:
    import SimpleITK as sitk

PATIENT = PREFIX + "patient"  # metadata key
KEYWORDS = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")  # of DICOM
_ID, _ISSUER, _NAME, _BIRTH = KEYWORDS
_SHOWN = {_ID: "patient ID", _NAME: "patient name", _BIRTH: "birth date"}
_NOBODY = {"anon", "anonymous", "anonymized", "anonymised", "deidentified", "none", "noname", "removed", "unknown", "xxx"}
_LETTERS = 16  # of a fingerprint


def fingerprint(values: Mapping[str, object]) -> str:
    """Return the fingerprint of a patient, for the metadata of a volume; empty if nothing is known.

    Args:
        values: of DICOM tags, by :data:`KEYWORDS`; empty ones and those of nobody, such as "Anonymous", do not count.
    """
    known = {keyword: _plain(keyword, values.get(keyword)) for keyword in KEYWORDS}
    hashed = {key: hashlib.sha256(f"{key}:{text}".encode()).hexdigest()[:_LETTERS] for key, text in known.items() if text}
    return json.dumps(hashed) if hashed else ""


def _plain(keyword: str, value: object) -> str:
    text = "" if value is None else str(value).strip().casefold()
    if keyword == _NAME:
        text = " ".join(text.split("=")[0].replace("^", " ").split())
    elif keyword == _BIRTH:
        text = "".join(each for each in text if each.isdigit())
    return "" if text.replace("-", "").replace("_", "").replace(" ", "") in _NOBODY else text


def differences(one: str, other: str) -> tuple[list[str], list[str]]:
    """Return which values of two fingerprints differ, and which agree, in words; those that only one has do neither."""
    first, second = _parsed(one), _parsed(other)
    differing: list[str] = []
    agreeing: list[str] = []
    for keyword, shown in _SHOWN.items():
        if keyword in first and keyword in second:
            same = first[keyword] == second[keyword]
            if keyword == _ID and _ISSUER in first and _ISSUER in second:
                same = same and first[_ISSUER] == second[_ISSUER]
            (agreeing if same else differing).append(shown)
    return differing, agreeing


def _parsed(text: str) -> dict[str, str]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def check_patient(pet: sitk.Image, mri: sitk.Image) -> list[Sentence]:
    """Check that two volumes can be of one patient, as far as their series say who it is.

    Returns:
        A warning if one value differs: IDs differ between hospitals, and names change.

    Raises:
        InputError: two or more values differ.
    """
    differing, _ = differences(value_of(pet, PATIENT) or "", value_of(mri, PATIENT) or "")
    if len(differing) > 1:
        raise InputError(message("patients-differ", values=" and ".join(differing)))
    return [message("patient-uncertain", value=differing[0])] if differing else []
