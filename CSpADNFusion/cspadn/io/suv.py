"""Compute standardised uptake values (SUV) by body weight from the headers of a DICOM PET series."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cspadn.errors import InputError
from cspadn.io.dicom_tags import tag_numbers, tag_value
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DATE_TIME = re.compile(r"(\d{10}(?:\d\d){0,2})(?:\.\d+)?")
_DOSE = "RadionuclideTotalDose"
_LEAST_DOSE = 1e-6  # fraction of the injected dose that must remain at the scan


def suv_factor(headers: Sequence[Dataset], name: str) -> float:
    """Return the factor that converts Bq/ml to SUV by body weight, in g/ml.

    The factor is the patient's weight in grams divided by the dose in Bq. The dose is decayed to the time to which the voxels
    are decay corrected. The rules are those of the QIBA profile FDG-PET/CT.

    Args:
        headers: of all files of one PET series.
        name: the volume's name in error messages.

    Raises:
        InputError: the volume is not in Bq/ml or not decay corrected, a tag is missing, or the scan does not start within one
            day after the injection. The message names the tag.
    """
    header = headers[0]
    tracer = _needed(header, "RadiopharmaceuticalInformationSequence", name)[0]
    for dataset, keyword in ((header, "PatientWeight"), (tracer, _DOSE), (tracer, "RadionuclideHalfLife")):
        _needed(dataset, keyword, name)
    weight = tag_numbers(header, "PatientWeight", 1, name, positive=True)[0]
    dose = tag_numbers(tracer, _DOSE, 1, name, positive=True)[0]
    if (units := _needed(header, "Units", name)) != "BQML":
        raise InputError(message("suv-units", volume=name, units=units))
    correction = _needed(header, "DecayCorrection", name)
    if correction == "ADMIN":  # the voxels are corrected to the injection
        return weight * 1000 / dose
    if correction != "START":
        raise InputError(message("suv-decay-correction", volume=name, correction=correction))
    return weight * 1000 / (dose * _remaining_dose(headers, tracer, name))


def _remaining_dose(headers: Sequence[Dataset], tracer: Dataset, name: str) -> float:
    """Return the fraction of the injected dose that is left when the scan starts."""
    passed = (_scan_start(headers, name) - _injection(headers[0], tracer, name)).total_seconds()
    if not 0 <= passed < timedelta(days=1).total_seconds():
        raise InputError(message("suv-scan-time", volume=name, seconds=passed))
    half_life = tag_numbers(tracer, "RadionuclideHalfLife", 1, name, positive=True)[0]
    remaining = math.pow(2, -passed / half_life)
    if remaining < _LEAST_DOSE:
        raise InputError(message("suv-half-life", volume=name))
    return remaining


def _needed(dataset: Dataset, keyword: str, name: str) -> Any:
    """Return the value of a tag; InputError if it is missing or empty."""
    value = tag_value(dataset, keyword, name)
    if value is None or value == "" or value == []:
        raise InputError(message("suv-tag-missing", volume=name, tag=keyword))
    return value


def _scan_start(headers: Sequence[Dataset], name: str) -> datetime:
    """Return the earlier of the series time and the first acquisition time.

    The series time of reprocessed images is later than their acquisition.
    """
    series = _moment(headers[0], "SeriesDate", "SeriesTime", name)
    return min(series, *(_moment(header, "AcquisitionDate", "AcquisitionTime", name) for header in headers))


def _injection(header: Dataset, tracer: Dataset, name: str) -> datetime:
    """Return the time of the injection; without a date, the date of the series."""
    if text := tracer.get("RadiopharmaceuticalStartDateTime"):
        zone = str(header.get("TimezoneOffsetFromUTC") or "")
        return _parsed(str(text).removesuffix(zone) if zone else str(text), "RadiopharmaceuticalStartDateTime", name)
    time = _needed(tracer, "RadiopharmaceuticalStartTime", name)
    return _parsed(f"{_needed(header, 'SeriesDate', name)}{time}", "RadiopharmaceuticalStartTime", name)


def _moment(header: Dataset, date: str, time: str, name: str) -> datetime:
    """Return the date and time of two tags."""
    return _parsed(f"{_needed(header, date, name)}{_needed(header, time, name)}", time, name)


def _parsed(text: str, keyword: str, name: str) -> datetime:
    """Parse YYYYMMDDHH[MM[SS[.FFFFFF]]], without the fractions; InputError on anything else, such as an offset from UTC."""
    match = _DATE_TIME.fullmatch(text.strip())
    try:
        return datetime.strptime(f"{match[1]:0<14}" if match else "", "%Y%m%d%H%M%S")
    except ValueError:
        raise InputError(message("suv-time-invalid", volume=name, tag=keyword)) from None
