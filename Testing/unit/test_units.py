"""Units as a person reads them."""

from __future__ import annotations

import pytest

from cspadn.units import shown_units


@pytest.mark.parametrize(
    ("units", "text"),
    [
        ("BQML", "Bq/ml"),
        (" bqml ", "Bq/ml"),
        ("Becquerels/milliliter", "Bq/ml"),
        ("CNTS", "counts"),
        ("GML", "g/ml"),
        ("{SUVbw}g/ml", "SUVbw"),
        ("NONE", ""),
        ("kBq/mL", "kBq/mL"),  # not one of DICOM's: as it is
        ("SUVR", "SUVR"),
        ("", ""),
        (None, ""),
    ],
)
def test_codes_are_shown_as_people_write_them(units: str | None, text: str) -> None:
    assert shown_units(units) == text
