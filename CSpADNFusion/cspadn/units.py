"""Units of volumes, as people write them: DICOM headers have codes such as BQML."""

from __future__ import annotations

_NAMES = {  # defined terms of Units (0054,1001) in DICOM PS3.3, C.8.9.1.1.3, and their meanings in PS3.16, CID 84
    "BQML": "Bq/ml",
    "Becquerels/milliliter": "Bq/ml",
    "CNTS": "counts",
    "Counts": "counts",
    "CPS": "counts/s",
    "Counts per second": "counts/s",
    "PROPCNTS": "in proportion to counts",
    "PROPCPS": "in proportion to counts/s",
    "GML": "g/ml",
    "PCNT": "%",
    "CM2": "cm²",
    "CM2ML": "cm²/ml",
    "1CM": "1/cm",
    "MLG": "ml/g",
    "MLMING": "ml/min/g",
    "MLMINML": "ml/min/ml",
    "MLML": "ml/ml",
    "MGMINML": "mg/min/ml",
    "UMOLML": "µmol/ml",
    "UMOLMINML": "µmol/min/ml",
    "STDDEV": "standard deviations",
    "{SUVbw}g/ml": "SUVbw",
    "Standardized Uptake Value body weight": "SUVbw",
    "NONE": "",
}
_BY_KEY = {name.casefold(): text for name, text in _NAMES.items()}


def shown_units(units: str | None) -> str:
    """Return units for a person to read: Bq/ml for BQML. Others stay as they are; "" if they are not known.

    >>> shown_units("BQML"), shown_units("Bq/mL"), shown_units(None)
    ('Bq/ml', 'Bq/mL', '')
    """
    text = (units or "").strip()
    return _BY_KEY.get(text.casefold(), text)
