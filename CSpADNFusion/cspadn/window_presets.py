"""The list of window presets of the PET, one per group of tracers. The panel offers them; docs/tutorial.md lists them.

A preset is no setting of its own: it is a pair of numbers for ``pet_window``, as ``cspadn fuse --suv --pet-window 0 15`` takes
them (docs/adr/0030). The records are plain data, so that reading them loads nothing heavy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Quantity = Literal["SUV", "SUVr"]
SUV: Quantity = "SUV"  # standardised uptake value by body weight, g/ml
SUVR: Quantity = "SUVr"  # ratio of SUVs, of a voxel and of a reference region

_RATIO = re.compile(r"suv ?r\b|suv ratio|uptake (value )?ratio|^\{?ratio\}?$")
_BY_WEIGHT = re.compile(r"^suv$|suv ?bw|^gml$|^g/ml$|standardi[sz]ed uptake value( \(?(by )?body weight\)?)?$")


@dataclass(frozen=True)
class WindowPreset:
    """A window of the PET that suits a tracer.

    Attributes:
        tracer: what the panel calls it.
        quantity: quantity of the window: SUV by body weight, or a ratio of SUVs.
        window: the values that are shown black and white.
        why: what lies where in the window.
        source: publication of the values from which the window was derived.
    """

    tracer: str
    quantity: Quantity
    window: tuple[float, float]
    why: str
    source: str


PRESETS = (  # in the order of the menu
    WindowPreset(
        "FDG",
        SUV,
        (0.0, 15.0),
        "the cerebellum, at 8.0 ± 2.2, lies in the middle",
        "Wang et al., Mol Imaging Biol 2007;9:83, doi:10.1007/s11307-006-0075-y",
    ),
    WindowPreset(
        "FET, FDOPA",
        SUV,
        (0.0, 4.0),
        "deep grey matter, at most at 1.6 ± 0.4 with FET, lies below the middle, and veins, at 2.3 ± 0.4, above it",
        "PLoS ONE 2020;15:e0230618, doi:10.1371/journal.pone.0230618",
    ),
    WindowPreset(
        "Amyloid",
        SUVR,
        (0.0, 2.5),
        "the cortex of young controls lies at 1.0, and of typical Alzheimer's disease at 2.1 (PiB, cerebellum)",
        "Klunk et al., Alzheimers Dement 2015;11:1, doi:10.1016/j.jalz.2014.07.003",
    ),
    WindowPreset(
        "Tau (flortaucipir)",
        SUVR,
        (0.0, 3.3),
        "the threshold of visual reads, 1.65 times the cerebellum, lies in the middle",
        "Fleisher et al., JAMA Neurol 2020;77:829, doi:10.1001/jamaneurol.2020.0528",
    ),
)


def quantity_of(units: str | None) -> Quantity | None:
    """Return the quantity that the units of a volume say, or None if they say neither.

    Args:
        units: code or meaning, as DICOM headers and other programs write them, such as GML, "{SUVbw}g/ml" or "SUVR".

    >>> quantity_of("{SUVbw}g/ml"), quantity_of("SUVR"), quantity_of("BQML")
    ('SUV', 'SUVr', None)
    """
    text = re.sub(r"[{}_\s]+", " ", units or "").strip().lower()
    if _RATIO.search(text):
        return SUVR
    return SUV if _BY_WEIGHT.search(text) else None
