"""SUV of DICOM PETs with headers of scanners, archives and anonymisation; each factor is computed by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from cspadn.errors import InputError
from cspadn.io import dicom_reader
from cspadn.io.suv import suv_factor
from dicom_files import write_series
from message_calls import raises
from volumes import small_pair

WEIGHT, DOSE, HALF_LIFE = 70_000, 185e6, 6586.2  # grams, Bq and seconds of the series
PASSED = 2700  # seconds from the injection (9:15) to the scan (10:00)
FACTOR = WEIGHT / (DOSE * 2 ** (-PASSED / HALF_LIFE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the files of a PET, which no test changes."""
    return write_series(tmp_path_factory.mktemp("series") / "pet", small_pair()[0], "PT")


@pytest.fixture
def headers(folder: Path) -> list[Dataset]:
    return dicom_reader.read_headers(folder, "The PET")


def _change(headers: list[Dataset], **values: object) -> list[Dataset]:
    """Set tags of all headers, or of the tracer if they belong there; None removes a tag."""
    for header in headers:
        tracer = header.RadiopharmaceuticalInformationSequence[0]
        for keyword, value in values.items():
            dataset = tracer if keyword.startswith("Radio") else header
            setattr(dataset, keyword, value)
            if value is None:
                delattr(dataset, keyword)
    return headers


def _philips(headers: list[Dataset], vr: str = "DS", **factors: object) -> list[Dataset]:
    for header in headers:
        header.Units = "CNTS"
        block = header.private_block(0x7053, "Philips PET Private Group", create=True)
        for element, value in zip((0x00, 0x09), factors.values(), strict=True):
            if value is not None:
                block.add_new(element, vr, value)
    return headers


def test_usual_factor(headers) -> None:
    assert suv_factor(headers, "The PET") == pytest.approx(FACTOR)


@pytest.mark.parametrize(
    ("keyword", "value", "unit"),
    [
        ("RadionuclideTotalDose", 370, "Bq"),  # MBq
        ("RadionuclideTotalDose", 370e3, "Bq"),  # kBq
        ("RadionuclideTotalDose", 370e9, "Bq"),
        ("PatientWeight", 70_000, "kg"),  # g
        ("PatientWeight", 0.07, "kg"),
        ("RadionuclideHalfLife", 1.83, "s"),  # h
        ("RadionuclideHalfLife", 6.6e6, "s"),  # ms
    ],
)
@pytest.mark.parametrize("correction", ["START", "ADMIN"])
def test_implausible_values_are_refused_with_the_value(headers, keyword: str, value: float, unit: str, correction) -> None:
    _change(headers, DecayCorrection=correction, **{keyword: value})
    with raises(InputError, "suv-implausible", tag=keyword, value=value, unit=unit) as caught:
        suv_factor(headers, "The PET")
    assert f"{value:g} {unit}" in str(caught.value)


@pytest.mark.parametrize(("dose", "weight"), [(8e6, 3.2), (3.7e7, 75), (2e9, 140)])
def test_children_and_large_doses_are_plausible(headers, dose: float, weight: float) -> None:
    _change(headers, RadionuclideTotalDose=dose, PatientWeight=weight)
    assert suv_factor(headers, "The PET") == pytest.approx(FACTOR * (weight * 1000 / WEIGHT) / (dose / DOSE))


@pytest.mark.parametrize("meaning", ["^18^Fluorine", "F-18", "18F", "Fluorine-18"])
def test_the_half_life_is_that_of_the_nuclide(headers, meaning: str) -> None:
    code = Dataset()
    code.CodeMeaning = meaning
    _change(headers, RadionuclideCodeSequence=[code])
    assert suv_factor(headers, "The PET") == pytest.approx(FACTOR)
    _change(headers, RadionuclideHalfLife=109.77)  # minutes
    with raises(InputError, "suv-half-life", seconds=109.77, nuclide="18F"):
        suv_factor(headers, "The PET")


@pytest.mark.parametrize("meaning", ["", "a tracer", "^18^Oxygen or ^15^Oxygen", "Technetium-99m"])
def test_unknown_nuclides_are_not_compared(headers, meaning: str) -> None:
    code = Dataset()
    code.CodeMeaning = meaning
    _change(headers, RadionuclideCodeSequence=[code])
    assert suv_factor(headers, "The PET") == pytest.approx(FACTOR)


@pytest.mark.parametrize("vr", ["DS", "UN"])
def test_counts_of_philips_are_scaled_by_its_factors(headers, vr: str) -> None:
    encoded = [b"0.00012345", b"0.6 "] if vr == "UN" else ["0.00012345", "0.6"]
    _philips(headers, vr, suv=encoded[0], activity=encoded[1])
    assert suv_factor(headers, "The PET") == pytest.approx(0.00012345)


@pytest.mark.parametrize("suv", [None, "0", ""])
def test_counts_of_philips_without_an_suv_factor_become_activity_first(headers, suv: str | None) -> None:
    _philips(headers, suv=suv, activity="0.6")
    assert suv_factor(headers, "The PET") == pytest.approx(0.6 * FACTOR)


@pytest.mark.parametrize("units", ["CNTS", "GML", "PROPCPS"])
def test_other_units_are_refused_by_their_name(headers, units: str) -> None:
    with raises(InputError, "suv-units", units=units):
        suv_factor(_change(headers, Units=units), "The PET")
    _philips(headers, suv="0", activity="0")
    with raises(InputError, "suv-units", units="CNTS"):
        suv_factor(headers, "The PET")


@pytest.mark.parametrize(
    ("times", "passed"),
    [
        ({"RadiopharmaceuticalStartTime": "100300"}, -180),  # a dynamic scan
        ({"RadiopharmaceuticalStartTime": "100300", "AcquisitionTime": "110000"}, 3420),  # the series was planned earlier
        ({"RadiopharmaceuticalStartTime": "233000", "SeriesTime": "003000", "AcquisitionTime": "003000"}, 3600),
        (  # after midnight, before the dates were removed
            {
                "SeriesDate": None,
                "AcquisitionDate": None,
                "RadiopharmaceuticalStartTime": "233000",
                "SeriesTime": "003000",
                "AcquisitionTime": "003000",
            },
            3600,
        ),
        ({"SeriesDate": None, "AcquisitionDate": None}, PASSED),
        ({"AcquisitionDate": None}, PASSED),
        ({"SeriesDate": None}, PASSED),
        ({"SeriesDate": "19991231", "SeriesTime": "235900", "AcquisitionTime": "000100", "AcquisitionDate": None}, 53040),
        ({"RadiopharmaceuticalStartDateTime": "19991231233000", "SeriesTime": "003000", "AcquisitionTime": "003000"}, 3600),
        ({"RadiopharmaceuticalStartDateTime": "20000101091500", "SeriesDate": None, "AcquisitionDate": None}, PASSED),
        ({"SeriesTime": "180000"}, PASSED),  # processed again
    ],
)
def test_the_time_since_the_injection(headers, times: dict[str, str | None], passed: int) -> None:
    factor = WEIGHT / (DOSE * 2 ** (-passed / HALF_LIFE))
    assert suv_factor(_change(headers, **times), "The PET") == pytest.approx(factor)


def test_long_lived_nuclides_are_scanned_days_after_the_injection(headers) -> None:
    _change(headers, RadiopharmaceuticalStartDateTime="19991229100000", RadionuclideHalfLife=282_240)
    assert suv_factor(headers, "The PET") == pytest.approx(WEIGHT / (DOSE * 2 ** (-259_200 / 282_240)))


@pytest.mark.parametrize(
    ("start", "seconds"),
    [("20000101104000", -2400), ("20000102091500", 2700 - 86400), ("19991231120000", 79200), ("19700101091500", 946687500)],
)
def test_times_that_no_scan_has_are_refused(headers, start: str, seconds: int) -> None:
    _change(headers, RadiopharmaceuticalStartDateTime=start)
    with raises(InputError, "suv-scan-time", seconds=seconds):
        suv_factor(headers, "The PET")


def test_enhanced_headers_name_the_time_of_the_correction(headers) -> None:
    _change(headers, DecayCorrectionDateTime="20000101091500", DecayCorrection=None)
    assert suv_factor(headers, "The PET") == pytest.approx(WEIGHT / DOSE)


@pytest.mark.parametrize("half_life", [282_240, 360_860, 45_721])
@pytest.mark.parametrize("missing", ["injection", "scan"])
def test_the_day_of_the_injection_counts_for_long_lived_nuclides(headers, half_life: float, missing: str) -> None:
    start = {} if missing == "injection" else {"RadiopharmaceuticalStartDateTime": "20000101091500"}
    dates = {} if missing == "injection" else {"SeriesDate": None, "AcquisitionDate": None}
    with raises(InputError, "suv-day-unknown", hours=half_life / 3600):
        suv_factor(_change(headers, RadionuclideHalfLife=half_life, **start, **dates), "The PET")


def test_the_half_life_of_a_named_nuclide_is_known(headers) -> None:
    code = Dataset()
    code.CodeMeaning = "^18^Fluorine"
    factor = suv_factor(_change(headers, RadionuclideHalfLife=None, RadionuclideCodeSequence=[code]), "The PET")
    assert factor == pytest.approx(WEIGHT / (DOSE * 2 ** (-PASSED / 6584.0)))


def test_voxels_that_refer_to_the_injection_need_no_half_life(headers) -> None:
    factor = suv_factor(_change(headers, RadionuclideHalfLife=None, DecayCorrection="ADMIN"), "The PET")
    assert factor == pytest.approx(WEIGHT / DOSE)


def test_times_and_dates_of_older_files(headers) -> None:
    old = {"RadiopharmaceuticalStartTime": "09:15:00", "SeriesDate": "2000.01.01", "SeriesTime": "10:00:00"}
    assert suv_factor(_change(headers, **old), "The PET") == pytest.approx(FACTOR)


def test_stored_values_are_not_taken_for_activity(headers) -> None:
    del headers[3].RescaleSlope
    with raises(InputError, "suv-tag-missing", tag="RescaleSlope"):
        suv_factor(headers, "The PET")
