"""Run the corpus of the fuzzer and its findings without the fuzzer; check that the fuzzer finds a planted fault."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import SimpleITK as sitk

from repository import LIBRARY, STAND_IN, TOOLS

if sys.platform != "linux":
    pytest.skip("the targets bound memory as Linux does", allow_module_level=True)

import resource

from fuzz import targets

CORPUS = TOOLS / "fuzz" / "corpus"
INPUTS = sorted(CORPUS.glob("*/*"))
PLANTED = """
def careful(data):
    data.decode(errors="ignore")

def careless(data):
    if data[:1] == b"F":
        if data[1:2] == b"U":
            raise KeyError

TARGETS = {"careful": careful, "careless": careless}
"""
Target = Callable[[bytes], None]


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    if request.param == "progress":
        request.getfixturevalue("slicer_app")
    return targets.TARGETS[request.param]


inputs = [pytest.param(path.parent.name, path, id=f"{path.parent.name}-{path.name}") for path in INPUTS]


@pytest.mark.parametrize(("target", "file"), inputs, indirect=["target"])
def test_what_was_found_stays_mended(target: Target, file: Path) -> None:
    target(file.read_bytes())


def test_every_target_has_inputs_which_are_small() -> None:
    assert {path.parent.name for path in INPUTS} == set(targets.TARGETS)
    assert max(path.stat().st_size for path in INPUTS) < 2500


READERS = [
    ("weights", "whole", "cspadn.models.weights.load_model"),
    ("card", "whole", "cspadn.models.weights.read_card"),
    ("pairs", "plain", "cspadn.cohort.sources.PairList.pairs"),
    ("settings", "all", "cspadn.imaging.windowing.check_window"),
    ("arguments", "all", "cspadn.cli.common.settings_of"),
    ("progress", "run", "CSpADNFusionLib.worker.pair_worker.PairWorker._onEvent"),
    ("volume", "mha", "cspadn.io.header_checks.check_voxels"),
    ("dicom", "mri", "cspadn.io.dicom_reader.stack_of"),
]


@pytest.mark.parametrize(("target", "name", "reader"), READERS, indirect=["target"])
def test_another_exception_is_a_finding(target: Target, name: str, reader: str, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(reader, fail)
    with pytest.raises(KeyError):
        target((CORPUS / target.__name__ / name).read_bytes())


def test_what_takes_much_memory_is_a_finding(monkeypatch) -> None:
    monkeypatch.setattr("cspadn.models.weights.read_card", lambda _: bytearray(2**31))
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(MemoryError):
        targets.card(b"")
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_what_takes_long_is_a_finding(monkeypatch) -> None:
    monkeypatch.setattr(targets, "_SECONDS", 0)
    with pytest.raises(AssertionError, match="it took"):
        targets.card(b"")


@pytest.mark.parametrize("target", ["progress"], indirect=True)
def test_what_slicer_could_not_show_is_a_finding(target: Target, monkeypatch) -> None:
    monkeypatch.setattr("CSpADNFusionLib.worker.pair_worker._shown", lambda text: text)
    with pytest.raises(UnicodeEncodeError):
        target((CORPUS / "progress" / "half-a-character").read_bytes())


@pytest.mark.parametrize("target", ["volume"], indirect=True)
def test_voxels_of_unused_memory_are_a_finding(target: Target, monkeypatch) -> None:
    fillings = iter((1, 2))

    def invented(*_: object) -> sitk.Image:
        return sitk.Image(2, 2, 2, sitk.sitkUInt8) + next(fillings)

    monkeypatch.setattr("cspadn.io.formats.nifti.read_with_itk", invented)
    with pytest.raises(AssertionError, match="not those of the file"):
        target((CORPUS / "volume" / "nii").read_bytes())


def test_many_pairs_of_one_name_are_named_at_once() -> None:
    targets.pairs(b"pet,mri\n" + b"PET,MRI\n" * 3000)


def test_the_largest_network_that_a_card_may_ask_for_is_not_made() -> None:
    """The network would have terabytes. The case is not in the corpus, because it takes a second."""
    card = json.loads((CORPUS / "weights" / "whole").read_bytes().splitlines()[0])
    wide = {name: 1024 if type(value) is int else value for name, value in card["network"].items()}
    targets.weights(json.dumps({**card, "network": wide}).encode() + b"\n{}\n")


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_the_fuzzer_finds_a_planted_fault(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED, encoding="utf-8")
    places = os.pathsep.join(map(str, (tmp_path, TOOLS, STAND_IN, LIBRARY)))
    command = [sys.executable, "-m", "fuzz.run", "--seconds", "600", "--runs", "200000"]
    command += ["--folder", str(tmp_path / "out"), "--module", "planted"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    careful, careless, found, total = done.stdout.splitlines()
    assert careful.endswith(" 0 findings")
    assert int(re.search(r"(\d+) runs", careful)[1]) > 1000
    assert careless.endswith(" 1 findings")
    assert Path(found.strip()).read_bytes().startswith(b"FU")
    assert total.endswith("1 findings")
