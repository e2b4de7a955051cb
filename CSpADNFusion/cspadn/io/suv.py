"""Compute standardised uptake values (SUV) by body weight from the headers of a DICOM PET series."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cspadn.errors import InputError
from cspadn.io.dicom_tags import tag_numbers, tag_value
from cspadn.io.dicom_times import Moment, date_and_time, moment_of, needed
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DOSE, _HALF_LIFE, _WEIGHT = "RadionuclideTotalDose", "RadionuclideHalfLife", "PatientWeight"
_PLAUSIBLE = {_DOSE: (1e6, 1e10, "Bq"), _HALF_LIFE: (60.0, 1e6, "s"), _WEIGHT: (0.4, 500.0, "kg")}  # of patients
_MOST_HALF_LIVES = 10  # from the injection to the scan: less than a thousandth of the dose is left
_MOST_LATE = 1800.0  # seconds by which a dynamic scan may start before the injection
_DAY = 86400.0  # seconds
_LONG_LIVED = 21600.0  # seconds of a half-life from which scans follow days after the injection, so that its date matters

_PHILIPS, _PHILIPS_GROUP = "Philips PET Private Group", 0x7053
_SUV_SCALE, _ACTIVITY_SCALE = 0x00, 0x09  # elements: factors from counts to SUV by body weight, and to Bq/ml

# Seconds, from the Decay Data Evaluation Project, by mass number and symbol
_HALF_LIVES = {
    "11C": 1221.7,
    "13N": 597.9,
    "15O": 122.5,
    "18F": 6584.0,
    "64Cu": 45724.0,
    "68Ga": 4069.7,
    "82Rb": 76.1,
    "89Zr": 282280.0,
    "124I": 360806.0,
}
_ELEMENTS = {"carbon": "C", "nitrogen": "N", "oxygen": "O", "fluorine": "F", "copper": "Cu", "gallium": "Ga"}
_ELEMENTS |= {"rubidium": "Rb", "zirconium": "Zr", "iodine": "I"}
_SAME_NUCLIDE = 0.1  # relative difference of two half-lives


def suv_factor(headers: Sequence[Dataset], name: str) -> float:
    """Return the factor that converts the rescaled values of a series to SUV by body weight, in g/ml.

    For Bq/ml, it is the patient's weight in grams divided by the dose in Bq, decayed to the time to which the voxels are decay
    corrected. For the counts of Philips it is their SUV scale factor, or their activity scale factor times that. The rules are
    those of the QIBA profile FDG-PET/CT.

    Args:
        headers: of all files of one PET series.
        name: the volume's name in error messages.

    Raises:
        InputError: the volume is in other units or not decay corrected, a tag is missing or implausible, or the scan starts
            more than half an hour before the injection or more than ten half-lives after it. The message names the tag.
    """
    header = headers[0]
    units, scale = needed(header, "Units", name), 1.0
    if units == "CNTS":
        if direct := _philips_scale(header, _SUV_SCALE):
            return direct
        scale = _philips_scale(header, _ACTIVITY_SCALE)
    if units not in ("BQML", "CNTS") or not scale:
        raise InputError(message("suv-units", volume=name, units=units))
    for each in headers:
        needed(each, "RescaleSlope", name)
    tracer = needed(header, "RadiopharmaceuticalInformationSequence", name)[0]
    weight = _plausible(header, _WEIGHT, name)
    return scale * weight * 1000 / (_plausible(tracer, _DOSE, name) * _remaining_dose(headers, tracer, name))


def _philips_scale(header: Dataset, element: int) -> float:
    """Return a private factor of Philips; 0 if the header does not have it or it cannot be used."""
    try:
        value = header.private_block(_PHILIPS_GROUP, _PHILIPS)[element].value
        number = float(value.decode("ascii") if isinstance(value, bytes) else value)
    except Exception:  # missing, or damaged: pydicom converts values on access
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _plausible(dataset: Dataset, keyword: str, name: str) -> float:
    """Return a number of a tag; InputError, with the number, if no patient has it."""
    needed(dataset, keyword, name)
    value = tag_numbers(dataset, keyword, 1, name, positive=True)[0]
    low, high, unit = _PLAUSIBLE[keyword]
    if not low <= value <= high:
        raise InputError(message("suv-implausible", volume=name, tag=keyword, value=value, unit=unit, low=low, high=high))
    return value


def _remaining_dose(headers: Sequence[Dataset], tracer: Dataset, name: str) -> float:
    """Return the fraction of the injected dose that is left at the time to which the voxels are decay corrected.

    It is above 1 if a dynamic scan starts before the injection.
    """
    correction = tag_value(headers[0], "DecayCorrection", name)
    to_injection = correction == "ADMIN"  # the half-life then does not count, but a wrong one is a fault of the headers
    half_life = math.inf if to_injection and not tag_value(tracer, _HALF_LIFE, name) else _half_life(tracer, name)
    if to_injection:
        return 1.0
    if corrected := tag_value(headers[0], "DecayCorrectionDateTime", name):  # of enhanced PET
        reference = [moment_of(headers[0], str(corrected), "DecayCorrectionDateTime", name)]
    elif needed(headers[0], "DecayCorrection", name) == "START":
        reference = _scan_starts(headers, name)
    else:
        raise InputError(message("suv-decay-correction", volume=name, correction=correction))
    injection = _injection(headers[0], tracer, name)
    if half_life > _LONG_LIVED and not (injection.dated and all(each.dated for each in reference)):
        raise InputError(message("suv-day-unknown", volume=name, hours=half_life / 3600))
    passed = _seconds_after(injection, reference)
    if not -_MOST_LATE <= passed <= _MOST_HALF_LIVES * half_life:
        raise InputError(message("suv-scan-time", volume=name, seconds=passed, half_life=half_life))
    return math.pow(2, -passed / half_life)


def _half_life(tracer: Dataset, name: str) -> float:
    """Return the half-life in seconds, that of the nuclide if the headers only name it; InputError if the two differ."""
    nuclide = _nuclide(tracer)
    if nuclide in _HALF_LIVES and tag_value(tracer, _HALF_LIFE, name) in (None, ""):
        return _HALF_LIVES[nuclide]
    half_life = _plausible(tracer, _HALF_LIFE, name)
    expected = _HALF_LIVES.get(nuclide, half_life)
    if abs(half_life - expected) > _SAME_NUCLIDE * expected:
        raise InputError(message("suv-half-life", volume=name, seconds=half_life, nuclide=nuclide, expected=expected))
    return half_life


def _nuclide(tracer: Dataset) -> str:
    """Return the nuclide of a tracer, such as "18F", from texts such as "^18^Fluorine" and "F-18"; empty if it is unknown."""
    try:
        text = str(tracer.RadionuclideCodeSequence[0].CodeMeaning)
    except (AttributeError, IndexError, TypeError):
        return ""
    numbers, words = re.findall(r"\d+", text), re.findall(r"[A-Za-z]+", text)
    if len(numbers) != 1 or not words:
        return ""
    return str(numbers[0] + _ELEMENTS.get(words[0].lower(), words[0].capitalize()))


def _scan_starts(headers: Sequence[Dataset], name: str) -> list[Moment]:
    """Return the earlier of the series time and the first acquisition time, then the first acquisition time.

    The series time of reprocessed images is later than their acquisition.
    """
    series = date_and_time(headers[0], "SeriesDate", "SeriesTime", name)
    acquisitions = [date_and_time(header, "AcquisitionDate", "AcquisitionTime", name) for header in headers]
    series = series.near(acquisitions[0])
    first = min(each.near(series) for each in acquisitions)
    return [min(series, first), first]


def _injection(header: Dataset, tracer: Dataset, name: str) -> Moment:
    """Return the time of the injection; it may have no date."""
    if text := tag_value(tracer, "RadiopharmaceuticalStartDateTime", name):
        return moment_of(header, str(text), "RadiopharmaceuticalStartDateTime", name)
    time = needed(tracer, "RadiopharmaceuticalStartTime", name)
    return moment_of(header, str(time), "RadiopharmaceuticalStartTime", name, dated=False)


def _seconds_after(injection: Moment, starts: Sequence[Moment]) -> float:
    """Return the seconds from the injection to the first of some times that does not precede it, or else not by much.

    Without a date, the injection is the last one before the scan, or a little after its start.
    """
    passed = [start.since(injection) for start in starts]
    if not all(start.dated and injection.dated for start in starts):
        passed = [(seconds + _MOST_LATE) % _DAY - _MOST_LATE for seconds in passed]
    return next((seconds for least in (0.0, -_MOST_LATE) for seconds in passed if seconds >= least), passed[0])
