"""Units of volumes, as people write them: DICOM headers have codes such as BQML."""

from __future__ import annotations

_NAMES = {  # Units (0054,1001) in DICOM PS3.3, C.8.9.1.1.3, and codes and meanings in PS3.16, CID 84; in lower case
    "bqml": "Bq/ml",
    "becquerels/milliliter": "Bq/ml",
    "cnts": "counts",
    "{counts}": "counts",
    "counts": "counts",
    "cps": "counts/s",
    "{counts}/s": "counts/s",
    "counts per second": "counts/s",
    "propcnts": "in proportion to counts",
    "{propcounts}": "in proportion to counts",
    "proportional to counts": "in proportion to counts",
    "propcps": "in proportion to counts/s",
    "{propcounts}/s": "in proportion to counts/s",
    "proportional to counts per second": "in proportion to counts/s",
    "gml": "g/ml",
    "pcnt": "%",
    "percent": "%",
    "cm2": "cm²",
    "centimeter**2": "cm²",
    "cm2ml": "cm²/ml",
    "cm2/ml": "cm²/ml",
    "centimeter**2/milliliter": "cm²/ml",
    "1cm": "1/cm",
    "/cm": "1/cm",
    "/centimeter": "1/cm",
    "mlg": "ml/g",
    "milliliter/gram": "ml/g",
    "mlming": "ml/min/g",
    "milliliter/minute/gram": "ml/min/g",
    "mlminml": "ml/min/ml",
    "mlml": "ml/ml",
    "mgminml": "mg/min/ml",
    "milligrams/minute/milliliter": "mg/min/ml",
    "umolml": "µmol/ml",
    "umol/ml": "µmol/ml",
    "micromole/milliliter": "µmol/ml",
    "umolminml": "µmol/min/ml",
    "umol/min/ml": "µmol/min/ml",
    "micromole/minute/milliliter": "µmol/min/ml",
    "stddev": "standard deviations",
    "{suvbw}g/ml": "SUVbw",
    "g/ml{suvbw}": "SUVbw",
    "standardized uptake value body weight": "SUVbw",
    "cm2/ml{suvbsa}": "SUVbsa",
    "standardized uptake value body surface area": "SUVbsa",
    "g/ml{suvibw}": "SUVibw",
    "standardized uptake value ideal body weight": "SUVibw",
    "g/ml{suvlbm}": "SUVlbm",
    "standardized uptake value lean body mass (james)": "SUVlbm",
    "g/ml{suvlbm(james128)}": "SUVlbm (James, 128)",
    "standardized uptake value lean body mass (james 128 multiplier)": "SUVlbm (James, 128)",
    "g/ml{suvlbm(janma)}": "SUVlbm (Janma)",
    "standardized uptake value lean body mass (janma)": "SUVlbm (Janma)",
    "none": "",
}


def shown_units(units: str | None) -> str:
    """Return units for a person to read: Bq/ml for BQML. Others stay as they are; "" if they are not known.

    >>> shown_units("BQML"), shown_units("Bq/mL"), shown_units(None)
    ('Bq/ml', 'Bq/mL', '')
    """
    text = (units or "").strip()
    return _NAMES.get(text.casefold(), text)
