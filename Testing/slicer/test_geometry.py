"""The geometry report fails where a bound is not kept."""

from __future__ import annotations

from pathlib import Path

import pytest

import geometry_report


@pytest.mark.slow
def test_the_report_fails_where_a_bound_is_not_kept(shared: Path) -> None:
    """Run some cases of ``make geometry-report`` on the real pair, and a wrong one."""
    pytest.importorskip("nilearn")
    pair = next(iter(geometry_report.pairs(shared / "data")))
    cases = [*geometry_report.pet_grids(pair), *geometry_report.oblique(pair)]
    assert len(cases) == 13
    assert all(map(geometry_report.kept, cases))
    exact = cases[0]
    assert not geometry_report.kept(exact._replace(fused=exact.fused + 1.0))
    control = next(case for case in cases if case.name == geometry_report.CONTROL)
    assert not geometry_report.kept(control._replace(fused=control.expected))
