"""Units of volumes, as people write them: DICOM headers have codes such as BQML."""

from __future__ import annotations

_NAMES = {  # Units (0054,1001) in DICOM PS3.3, C.8.9.1.1.3, and their meanings in PS3.16, CID 84; all in lower case
    "bqml": "Bq/ml",
    "becquerels/milliliter": "Bq/ml",
    "cnts": "counts",
    "counts": "counts",
    "cps": "counts/s",
    "counts per second": "counts/s",
    "propcnts": "in proportion to counts",
    "propcps": "in proportion to counts/s",
    "gml": "g/ml",
    "pcnt": "%",
    "cm2": "cm²",
    "cm2ml": "cm²/ml",
    "1cm": "1/cm",
    "mlg": "ml/g",
    "mlming": "ml/min/g",
    "mlminml": "ml/min/ml",
    "mlml": "ml/ml",
    "mgminml": "mg/min/ml",
    "umolml": "µmol/ml",
    "umolminml": "µmol/min/ml",
    "stddev": "standard deviations",
    "{suvbw}g/ml": "SUVbw",
    "standardized uptake value body weight": "SUVbw",
    "none": "",
}


def shown_units(units: str | None) -> str:
    """Return units for a person to read: Bq/ml for BQML. Others stay as they are; "" if they are not known.

    >>> shown_units("BQML"), shown_units("Bq/mL"), shown_units(None)
    ('Bq/ml', 'Bq/mL', '')
    """
    text = (units or "").strip()
    return _NAMES.get(text.casefold(), text)
