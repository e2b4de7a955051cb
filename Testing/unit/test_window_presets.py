"""Window presets of tracers, and the quantity that the units of a volume say."""

from __future__ import annotations

import re

import pytest

from cspadn.imaging.windowing import check_window
from cspadn.window_presets import PRESETS, quantity_of
from repository import ROOT


@pytest.mark.parametrize(
    ("units", "quantity"),
    [
        ("GML", "SUV"),
        ("g/ml", "SUV"),
        ("{SUVbw}g/ml", "SUV"),
        ("g/ml{SUVbw}", "SUV"),
        ("SUVbw", "SUV"),
        ("Standardized Uptake Value body weight", "SUV"),
        ("SUVR", "SUVr"),
        ("{SUVr}", "SUVr"),
        ("Standardized Uptake Value ratio", "SUVr"),
        ("BQML", None),
        ("kBq/mL", None),
        ("CNTS", None),
        ("{SUVlbm}g/ml", None),
        ("Standardized Uptake Value lean body mass", None),
        ("1", None),
        ("", None),
        (None, None),
    ],
)
def test_the_quantity_of_units(units: str | None, quantity: str | None) -> None:
    assert quantity_of(units) == quantity


def test_presets_are_usable_windows_with_a_source() -> None:
    assert len({preset.tracer for preset in PRESETS}) == len(PRESETS)
    for preset in PRESETS:
        check_window(*preset.window, preset.tracer)
        assert re.search(r"doi:10\.\d{4,}/\S+$", preset.source), preset.tracer


def test_the_tutorial_lists_the_presets() -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for preset in PRESETS:
        lower, upper = preset.window
        assert f"| {preset.tracer} | {preset.quantity} {lower:g} to {upper:g} | {preset.why} | {preset.source} |" in text
