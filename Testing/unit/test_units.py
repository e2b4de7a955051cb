"""Units as a person reads them."""

from __future__ import annotations

import pytest
from pydicom.sr import codes

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


def test_each_code_of_dicom_is_shown_like_its_meaning() -> None:
    known = [getattr(codes.cid84, name) for name in codes.cid84.dir()]
    assert len(known) >= 20
    for code in known:
        assert shown_units(code.value) == shown_units(code.meaning) != code.meaning, code
