"""How windows are told."""

from __future__ import annotations

import pytest

from cspadn.imaging.windowing import end_texts


@pytest.mark.parametrize(
    ("window", "texts"),
    [
        ((1.6712e-06, 8.1), ("0", "8.1")),
        ((-1e-9, 27112.8), ("0", "27112.8")),
        ((0, 27112.83), ("0", "27112.8")),
        ((0.00012, 0.00034), ("0.00012", "0.00034")),
        ((-1024, 3071), ("-1024", "3071")),
        ((0, 1234567), ("0", "1.23457e+06")),
        ((0, 0), ("0", "0")),
    ],
)
def test_ends_are_rounded_beside_each_other(window: tuple[float, float], texts: tuple[str, str]) -> None:
    assert end_texts(window) == texts
