"""The bill of materials names the libraries inside SimpleITK."""

from __future__ import annotations

from pathlib import Path

import pytest

import sbom


def test_versions_are_read_from_the_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "_AHEAD", 64)
    (tmp_path / "binary").write_bytes(bytes(50) + b"libpng version 1.6.43.git\0" + bytes(500) + b"GDCM 3.2.5\0 expat_2.4.1")
    assert sbom.versions_in(tmp_path / "binary") == {"libpng": "1.6.43", "GDCM": "3.2.5", "expat": "2.4.1"}


def test_a_bill_is_completed() -> None:
    bill = {"bomFormat": "CycloneDX", "components": [{"name": "simpleitk", "version": "2.5"}, {"name": "numpy"}]}
    numpy, simple = sbom.complete(bill, {"GDCM": "3.2.5"})["components"]
    assert (numpy, simple["version"]) == ({"name": "numpy"}, "2.5")
    named = {each["name"]: each.get("version") for each in simple["components"]}
    assert (named["GDCM"], named["NrrdIO"]) == ("3.2.5", None)
    with pytest.raises(ValueError, match="SimpleITK"):
        sbom.complete({"components": []}, {})
