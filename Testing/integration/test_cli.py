"""The command line: formats, exit codes, one clear line for bad input, and nothing left behind."""

from __future__ import annotations

import ast
import contextlib
import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn import fuse
from cspadn.cli import common, entry
from cspadn.errors import CancelledError, UsageError
from cspadn.imaging.windowing import FUSED_MAXIMUM
from cspadn.io.images import read_in_process
from cspadn.io.reader import VolumeReader
from cspadn.models.weights import DEFAULT_MODEL, list_models
from cspadn.palettes import PALETTES
from message_calls import says
from repository import ROOT
from volumes import blobs

pytestmark = pytest.mark.usefixtures("one_reading_process")


@pytest.fixture
def files(pair, tmp_path: Path) -> dict[str, Path]:
    """Return the small pair as files, and names for outputs."""
    paths = {name: tmp_path / f"{name}.nrrd" for name in ("pet", "mri", "fused")}
    for name, image in zip(("pet", "mri"), pair, strict=True):
        sitk.WriteImage(image, str(paths[name]))
    return paths


def _fuse(files: dict[str, Path], *more: str) -> int:
    return entry.main(["fuse", str(files["pet"]), str(files["mri"]), "-o", str(files["fused"]), "--device", "cpu", *more])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_formats(files: dict[str, Path], pair, tmp_path: Path, suffix: str) -> None:
    for name, image in zip(("pet", "mri"), pair, strict=True):
        files[name] = tmp_path / f"{name} in ünïcode{suffix}"
        sitk.WriteImage(image, str(files[name]))
    files["fused"] = tmp_path / f"fused{suffix}"
    assert _fuse(files) == 0
    fused, mri = sitk.ReadImage(str(files["fused"])), sitk.ReadImage(str(files["mri"]))
    assert fused.GetSize() == mri.GetSize()
    for get in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(fused, get)(), getattr(mri, get)(), atol=1e-5)  # NIfTI stores float32
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nrrd_keeps_the_geometry_exactly_and_the_provenance(files: dict[str, Path]) -> None:
    assert _fuse(files) == 0
    fused, mri = sitk.ReadImage(str(files["fused"])), sitk.ReadImage(str(files["mri"]))
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(fused, get)() == getattr(mri, get)(), get
    card = next(card for card in list_models() if card.name == DEFAULT_MODEL)
    assert fused.GetMetaData("CSpADNFusion.model_sha256") == card.sha256
    told = json.loads(files["fused"].with_suffix(".json").read_text())
    for name in ("pet", "mri"):
        assert told[f"{name}_sha256"] == hashlib.sha256(files[name].read_bytes()).hexdigest()
    assert "not for diagnosis" in fused.GetMetaData("CSpADNFusion.note")


def test_nifti_says_what_it_is_for(files: dict[str, Path], tmp_path: Path) -> None:
    files["fused"] = tmp_path / "fused.nii.gz"
    assert _fuse(files) == 0
    assert "Research use only" in sitk.ReadImage(str(files["fused"])).GetMetaData("ITK_FileNotes")


def test_half_precision_on_a_cpu_is_told(files: dict[str, Path], capfd) -> None:
    assert _fuse(files, "--half") == 0
    assert says(capfd.readouterr().err, "half-precision-ignored")
    assert sitk.ReadImage(str(files["fused"])).GetMetaData("CSpADNFusion.precision") == "float32"


@pytest.mark.slow
def test_the_whole_atlas_volume(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "volumes" / "aanlib"
    mri = sitk.ReadImage(str(folder / "MRI_axial.nii.gz"))
    names = [str(folder / "PET_axial.nii.gz"), str(folder / "MRI_axial.nii.gz")]
    assert entry.main(["fuse", *names, "-o", str(tmp_path / "fused.nrrd")]) == 0
    fused = sitk.ReadImage(str(tmp_path / "fused.nrrd"))
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(fused, get)() == getattr(mri, get)(), get
    assert sitk.GetArrayFromImage(fused).max() > 0.5 * FUSED_MAXIMUM


def _damage(files: dict[str, Path]) -> None:
    files["pet"].write_bytes(files["pet"].read_bytes()[:200])


def _not_an_image(files: dict[str, Path]) -> None:
    files["mri"].write_text("patient list", encoding="utf-8")


def _replace(name: str, image: sitk.Image):
    return lambda files: sitk.WriteImage(image, str(files[name]))


def _shift(files: dict[str, Path]) -> None:
    pet = sitk.ReadImage(str(files["pet"]))
    pet.SetOrigin((1000, 0, 0))
    sitk.WriteImage(pet, str(files["pet"]))


def _shear(files: dict[str, Path]) -> None:
    mri = sitk.ReadImage(str(files["mri"]))
    mri.SetDirection((1, 0.2, 0, 0, 0.98, 0, 0, 0, 1))
    sitk.WriteImage(mri, str(files["mri"]))
    files["fused"] = files["fused"].with_suffix(".nii")


BAD_INPUT = {
    "missing file": (lambda files: files["pet"].unlink(), [], 3, "image-missing", {"volume": "The PET"}),
    "truncated file": (_damage, [], 3, "header-impossible", {}),
    "not an image": (_not_an_image, [], 3, "format-unknown", {}),
    "folder without DICOM": (lambda files: files.update(pet=files["pet"].parent), [], 3, "dicom-none", {"volume": "The PET"}),
    "SUV of no series": (lambda files: None, ["--suv"], 3, "suv-needs-dicom", {"volume": "The PET"}),
    "DICOM of no series": (
        lambda files: files.update(fused=files["fused"].with_suffix("")),
        ["--dicom"],
        2,
        "dicom-output-needs-series",
        {},
    ),
    "unknown palette": (
        lambda files: None,
        ["--color", "color.nrrd", "--palette", "Pink"],
        2,
        "setting-not-a-choice",
        {"setting": "palette", "value": "Pink"},
    ),
    "palette without a file": (lambda files: None, ["--palette", "PET-Heat"], 2, "palette-without-output", {}),
    "sidecar exists": (
        lambda files: files["fused"].with_suffix(".json").write_text("{}", encoding="utf-8"),
        [],
        2,
        "output-exists",
        {},
    ),
    "two-dimensional": (
        _replace("mri", sitk.Image(9, 9, sitk.sitkUInt8) + 1),
        [],
        3,
        "volume-two-dimensional",
        {"volume": "The MRI"},
    ),
    "four-dimensional": (
        _replace("pet", sitk.Image([4, 4, 4, 3], sitk.sitkUInt8)),
        [],
        3,
        "frames-not-chosen",
        {"volume": "The PET", "count": 3},
    ),
    "multi-component": (
        _replace("pet", sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3)),
        [],
        3,
        "volume-not-scalar",
        {"volume": "The PET", "components": 3},
    ),
    "empty volume": (_replace("pet", sitk.Image([9, 9, 9], sitk.sitkUInt8)), [], 3, "volume-constant", {"volume": "The PET"}),
    "no overlap": (_shift, [], 3, "no-overlap", {}),
    "PNG and volume": (lambda files: files.update(pet=files["pet"].with_suffix(".png")), [], 3, "picture-and-volume", {}),
    "output folder missing": (
        lambda files: files.update(fused=Path("/nowhere/fused.nrrd")),
        [],
        2,
        "output-folder-missing",
        {"path": "/nowhere/fused.nrrd"},
    ),
    "output exists": (lambda files: files["fused"].write_text("precious", encoding="utf-8"), [], 2, "output-exists", {}),
    "output format": (lambda files: files.update(fused=files["fused"].with_suffix(".xyz")), [], 2, "output-format", {}),
    "unknown device": (lambda files: None, ["--device", "gpu9"], 2, "device-unavailable", {"device": "gpu9"}),
    "unknown model": (lambda files: None, ["--model", "best"], 4, "model-unknown", {"model": "best"}),
    "missing weights": (
        lambda files: None,
        ["--model", "best.safetensors"],
        4,
        "model-card-unreadable",
        {"path": "best.json"},
    ),
    "output is an input": (lambda files: files.update(fused=files["mri"]), ["--overwrite"], 2, "output-is-input", {}),
    "sheared axes in NIfTI": (_shear, [], 2, "axes-not-storable", {}),
    "reversed window": (
        lambda files: None,
        ["--pet-window", "9", "1"],
        2,
        "window-invalid",
        {"name": "PET", "lower": 9, "upper": 1},
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_clear_line_and_no_output(case: str, files: dict[str, Path], capfd) -> None:
    spoil, more, code, identifier, fields = BAD_INPUT[case]
    spoil(files)
    before = {path: path.read_bytes() for path in files["mri"].parent.iterdir()}
    assert _fuse(files, *more) == code
    output, errors = capfd.readouterr()
    assert output == ""
    assert errors.startswith("cspadn: ")
    assert errors.count("\n") == 1, errors
    assert says(errors, identifier, **fields)
    assert {path: path.read_bytes() for path in files["mri"].parent.iterdir()} == before


def test_overwrite_replaces(files: dict[str, Path]) -> None:
    files["fused"].write_text("old", encoding="utf-8")
    assert _fuse(files, "--overwrite") == 0
    assert sitk.ReadImage(str(files["fused"])).GetDimension() == 3


def test_wrong_usage_exits_2(capfd) -> None:
    with pytest.raises(SystemExit) as exit_info:
        entry.main(["fuse", "only-one.nrrd"])
    assert exit_info.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("cspadn fuse: error: ")
    assert line.endswith("MRI, -o/--output (see 'cspadn fuse --help')")


def test_an_unknown_palette_is_answered_with_the_names(files: dict[str, Path], capfd) -> None:
    assert _fuse(files, "--palette", "hot") == 2
    text = capfd.readouterr().err
    assert "hot" in text
    assert all(name in text for name in PALETTES)


@pytest.mark.parametrize("command", ["fuse", "register", "metrics", "cohort"])
def test_help_ends_with_an_example(command: str, capfd) -> None:
    with pytest.raises(SystemExit):
        entry.main([command, "--help"])
    example = " ".join(capfd.readouterr().out.split()).split("example: cspadn ")[1]
    assert entry._parser().parse_args(example.split()).command == command


def _events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_progress(files: dict[str, Path], capfd) -> None:
    assert _fuse(files, "--progress", "json") == 0
    events = _events(capfd.readouterr().out)
    assert [(e["done"], e["total"]) for e in events if e["event"] == "progress"] == [(i + 1, 8) for i in range(8)]
    windows = {
        name: json.loads(files["fused"].with_suffix(".json").read_text())[name] for name in ("pet_window", "mri_window")
    }
    assert events[-1] == {"event": "finished", "output": str(files["fused"]), **windows}


def test_output_and_windows_are_printed(files: dict[str, Path], capfd) -> None:
    assert _fuse(files, "--pet-window", "0", "2.5", "--mri-window", "-1", "3") == 0
    written, how = capfd.readouterr().out.splitlines()
    assert says(written, "fused-written", paths=f"{files['fused']}, {files['fused'].with_suffix('.json')}")
    assert says(how, "fused-how", windows="PET window 0 to 2.5, MRI window -1 to 3")
    assert says(how, "alignment-unknown")


def test_json_progress_tells_errors(files: dict[str, Path], capfd) -> None:
    files["pet"].unlink()
    assert _fuse(files, "--progress", "json") == 3
    (event,) = _events(capfd.readouterr().out)
    assert event["event"] == "error"
    assert event["code"] == 3
    assert event["identifier"] == "image-missing"
    assert says(event["message"], "image-missing", path=files["pet"])


def test_cancel_file(files: dict[str, Path], tmp_path: Path, capfd) -> None:
    (tmp_path / "stop").touch()
    assert _fuse(files, "--cancel-file", str(tmp_path / "stop")) == 130
    assert not files["fused"].exists()
    assert capfd.readouterr().err.count("\n") == 1


def test_json_progress_keeps_a_traceback_behind_its_sentence(files: dict[str, Path], monkeypatch, capfd) -> None:
    def unforeseen(*_args, **_kwargs):
        raise ValueError("odd")

    monkeypatch.setattr("cspadn.fusion.fuse", unforeseen)
    assert _fuse(files, "--progress", "json") == 1
    out, err = capfd.readouterr()
    assert [event["message"] for event in _events(out)] == ["Unexpected error (ValueError: odd): please report it."]
    assert "Traceback" in err


def test_a_worker_ends_with_its_folder(tmp_path: Path) -> None:
    """The worker ends at any time, not only between two slices."""
    folder = tmp_path / "private"
    folder.mkdir()
    code = (
        "import time; from pathlib import Path; from cspadn.cli import common;"
        f"watching = common.watching(Path({str(folder / 'cancel')!r})); watching.__enter__();"
        "print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    folder.rmdir()
    assert process.wait(timeout=20) == 130
    process.stdout.close()


def test_a_program_that_has_fused_outlives_the_folder(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    before = threading.active_count()
    assert _fuse(files, "--cancel-file", str(folder / "cancel")) == 0
    folder.rmdir()
    time.sleep(3 * common._WATCH_SECONDS)
    assert threading.active_count() <= before
    assert _fuse(files, "--cancel-file", str(folder / "cancel"), "--overwrite") == 2


def test_metrics_in_a_table_beside_the_volume(files: dict[str, Path], tmp_path: Path, capfd) -> None:
    from cspadn.metrics import TABLE_NAMES, measure_fusion

    table = tmp_path / "metrics.csv"
    assert _fuse(files, "--metrics", str(table), "--progress", "json") == 0
    steps = [(event["step"], event["done"]) for event in _events(capfd.readouterr().out) if event["event"] == "progress"]
    assert steps == [("Fusing", i + 1) for i in range(8)] + [("Measuring", i + 1) for i in range(8)]
    header, *rows, mean = list(csv.reader(table.open(encoding="utf-8")))
    assert header == ["slice", "position_mm", *TABLE_NAMES]
    images = [sitk.ReadImage(str(files[name])) for name in ("pet", "mri")]
    expected = measure_fusion(*images, fuse(*images))
    assert [int(row[0]) for row in rows] == [row.index for row in expected.slices if row.counted]
    assert mean[:2] == ["mean", ""]
    assert [float(value) for value in mean[2:]] == pytest.approx(list(expected.mean.values()), abs=1e-6)
    assert _fuse(files, "--metrics", str(table)) == 2
    assert _fuse(files, "--metrics", str(tmp_path / "metrics.txt"), "--overwrite") == 2


def test_no_table_without_its_volume(files: dict[str, Path], tmp_path: Path, monkeypatch) -> None:
    def no_table(*_arguments):
        raise UsageError("no space")

    monkeypatch.setattr("cspadn.io.images.stage_table", no_table)
    assert _fuse(files, "--metrics", str(tmp_path / "metrics.csv")) == 2
    assert not files["fused"].exists()
    assert not (tmp_path / "metrics.csv").exists()


def test_measuring_can_be_cancelled(pair) -> None:
    from cspadn.metrics import measure_fusion

    done: list[int] = []
    result = fuse(*pair)
    with pytest.raises(CancelledError):
        measure_fusion(*pair, result, progress=lambda count, _: done.append(count), cancelled=lambda: len(done) == 3)
    assert done == [1, 2, 3]


def test_keyboard_interrupt_exits_130(files: dict[str, Path], monkeypatch, capfd) -> None:
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("cspadn.fusion.fuse", interrupted)
    assert _fuse(files) == 130
    assert capfd.readouterr().err == "cspadn: Cancelled.\n"
    assert not files["fused"].exists()


@pytest.mark.parametrize("place", ["destructor", "callback of a weak reference"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_an_object_is_deleted_is_not_lost(
    files, number: signal.Signals, code: int, place: str, monkeypatch, capfd
) -> None:
    class Held:
        def __del__(self) -> None:
            if place == "destructor":
                signal.raise_signal(number)

    def fusing(*_args, **_kwargs):
        held = Held()
        reference = weakref.ref(held, lambda _: signal.raise_signal(number) if place != "destructor" else None)
        del held
        assert reference() is None
        time.sleep(60)

    hook = sys.unraisablehook
    monkeypatch.setattr("cspadn.fusion.fuse", fusing)
    assert _fuse(files) == code
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert sys.unraisablehook is hook


def test_other_errors_in_destructors_are_shown_as_ever(files, monkeypatch) -> None:
    class Held:
        def __del__(self) -> None:
            raise ValueError("held")

    def fusing(*_args, **_kwargs):
        Held()
        raise KeyboardInterrupt

    shown: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: shown.append(lost.exc_type))
    monkeypatch.setattr("cspadn.fusion.fuse", fusing)
    assert _fuse(files) == 130
    assert shown == [ValueError]


def test_a_full_disk_leaves_nothing(files: dict[str, Path], monkeypatch, capfd) -> None:
    def no_space(_image, name, **_options):
        Path(name).write_bytes(b"half")
        raise RuntimeError("no space left on device")

    monkeypatch.setattr(sitk, "WriteImage", no_space)
    before = set(files["mri"].parent.iterdir())
    assert _fuse(files) == 2
    assert says(capfd.readouterr().err, "output-incomplete", path=files["fused"])
    assert set(files["mri"].parent.iterdir()) == before


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_that_was_not_written_whole_is_noticed(files: dict[str, Path], suffix: str, monkeypatch, capfd) -> None:
    """ITK's writer does not report an incomplete file."""
    write = sitk.WriteImage

    def cut(image: sitk.Image, name: str, **options: object) -> None:
        write(image, name, **options)
        os.truncate(name, Path(name).stat().st_size - 20)

    monkeypatch.setattr(sitk, "WriteImage", cut)
    files["fused"] = files["fused"].with_suffix(suffix)
    before = set(files["mri"].parent.iterdir())
    assert _fuse(files) == 2
    assert says(capfd.readouterr().err, "output-incomplete", path=files["fused"])
    assert set(files["mri"].parent.iterdir()) == before


def test_an_output_that_is_a_link_into_no_folder_is_noticed_before_the_work(files: dict[str, Path], capfd) -> None:
    files["fused"].symlink_to(files["mri"].parent / "none" / "fused.nrrd")
    assert _fuse(files) == 2
    assert says(capfd.readouterr().err, "output-is-link", path=files["fused"])
    assert not (files["mri"].parent / "none").exists()


def test_messages_are_one_line_whatever_the_names(files: dict[str, Path], capfd) -> None:
    files["pet"] = files["pet"].with_name("a\n\x1b[2Jb.nrrd")
    assert _fuse(files, "--progress", "json") == 3
    told = capfd.readouterr()
    assert "a\\n\\x1b[2Jb.nrrd" in told.err
    assert says(told.err, "image-missing")
    assert told.err.count("\n") == 1
    assert json.loads(told.out)["message"] in told.err


@pytest.mark.parametrize(("step", "identifier"), [("ReadImage", "memory-to-read"), ("WriteImage", "memory-to-write")])
def test_no_memory_for_a_file_is_no_damage_and_no_full_disk(
    step: str, identifier: str, files: dict[str, Path], monkeypatch, capfd
) -> None:
    def no_memory(*_arguments, **_options):
        raise RuntimeError(f"Exception thrown in SimpleITK {step}: std::bad_alloc")

    monkeypatch.setattr(sitk, step, no_memory)
    monkeypatch.setattr(VolumeReader, "_start", lambda _: None)
    monkeypatch.setattr(VolumeReader, "read", lambda _, path, name, **options: read_in_process(path, name, **options))
    before = set(files["mri"].parent.iterdir())
    assert _fuse(files) == 5
    assert says(capfd.readouterr().err, identifier)
    assert set(files["mri"].parent.iterdir()) == before


def test_an_unwritable_folder_is_noticed_before_the_work(files: dict[str, Path], monkeypatch, capfd) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == files["fused"].parent and mode == os.W_OK))
    monkeypatch.setattr("cspadn.fusion.fuse", lambda *_args, **_options: pytest.fail("the work started"))
    assert _fuse(files) == 2
    assert says(capfd.readouterr().err, "output-folder-not-writable", path=files["fused"])


@pytest.mark.parametrize("output", ["fused.nrrd", "fused.json"])
def test_a_link_is_not_written_through(output: str, files: dict[str, Path], tmp_path: Path, capfd) -> None:
    target = tmp_path / "elsewhere"
    target.write_text('{"software": "CSpADNFusion"}', encoding="utf-8")
    (link := files["fused"].with_name(output)).symlink_to(target)
    assert _fuse(files, "--overwrite") == 2
    assert says(capfd.readouterr().err, "output-is-link", path=link)
    assert link.is_symlink()
    assert target.read_text() == '{"software": "CSpADNFusion"}'


@pytest.mark.parametrize(
    ("error", "code", "identifier", "fields"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2, "package-missing", {"package": "torch"}),
        (MemoryError(), 5, "memory-exhausted", {}),
        (
            ValueError("first line\nsecond line"),
            1,
            "unexpected-error-on-terminal",
            {"kind": "ValueError", "text": "first line"},
        ),
    ],
)
def test_what_nobody_foresaw_is_one_line_too(
    files: dict[str, Path], monkeypatch, capfd, error, code, identifier, fields
) -> None:
    def broken(*_args, **_options):
        raise error

    monkeypatch.setattr("cspadn.fusion.fuse", broken)
    assert _fuse(files) == code
    errors = capfd.readouterr().err
    assert says(errors, identifier, **fields)
    assert errors.count("\n") == 1
    assert not files["fused"].exists()


def test_a_worker_ends_with_its_application(files: dict[str, Path]) -> None:
    """If nobody reads the progress any more, the run stops without a message and leaves no output."""
    command = [sys.executable, "-m", "cspadn", "fuse", *(str(files[n]) for n in ("pet", "mri")), "-o", str(files["fused"])]
    process = subprocess.Popen(
        [*command, "--progress", "json"], cwd=ROOT / "CSpADNFusion", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    assert process.wait(timeout=120) == 130
    assert process.stderr.read() == b""
    assert not files["fused"].exists()


def test_progress_bar_on_a_terminal(files: dict[str, Path]) -> None:
    """A pseudo-terminal shows the progress bar; stdout contains only the two lines about the output."""
    pty = pytest.importorskip("pty")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "cspadn", "fuse", *(str(files[n]) for n in ("pet", "mri")), "-o", str(files["fused"])]
    parts = list[bytes]()

    def read_terminal() -> None:  # its buffer is small: unread, it would fill up and lose the end
        with contextlib.suppress(OSError):  # how Linux reports the end of a terminal
            while part := os.read(parent, 100_000):
                parts.append(part)

    reader = threading.Thread(target=read_terminal)
    reader.start()
    done = subprocess.run(command, stderr=child, stdout=subprocess.PIPE, cwd=ROOT / "CSpADNFusion", check=False)
    os.close(child)
    reader.join()
    os.close(parent)
    drawn = b"".join(parts).decode()
    assert done.returncode == 0
    assert done.stdout.decode().count(str(files["fused"])) == 1
    assert done.stdout.count(b"\n") == 2
    assert "8/8 slices" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", drawn)


def test_info_and_models(capfd) -> None:
    assert entry.main(["info", "--json"]) == 0
    info = json.loads(capfd.readouterr().out)
    assert info["versions"]["numpy"] == np.__version__
    assert "cpu" in info["devices"]
    assert entry.main(["models", "--json"]) == 0
    assert DEFAULT_MODEL in [card["name"] for card in json.loads(capfd.readouterr().out)]
    assert entry.main(["info"]) == 0
    assert entry.main(["models"]) == 0
    assert f"{DEFAULT_MODEL} 1 (default)" in capfd.readouterr().out


def test_a_process_looks_for_cyclic_garbage_rarely_and_not_at_exit() -> None:
    """But the collector of a program that calls the command stays as it was."""
    code = (
        "import atexit, gc, sys; from cspadn.cli import main; before = gc.get_threshold(); main(['models'])\n"
        "assert gc.get_threshold() == before\n"
        "atexit.register(lambda: print('frozen', gc.get_freeze_count() > 0))\n"
        "sys.argv[1:] = ['models']; main(); print('threshold', gc.get_threshold()[0] > before[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "CSpADNFusion")
    assert done.stdout.splitlines()[-2:] == ["threshold True", "frozen True"]


def test_help_needs_no_torch() -> None:
    """Importing the package and starting --help load no large package."""
    code = "import sys, cspadn, cspadn.cli; print(sorted({'torch', 'SimpleITK', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "CSpADNFusion")
    assert done.stdout.strip() == "[]"


HEAVY = {  # not brought by Slicer, or slow to import
    *("torch", "pydicom", "safetensors", "nibabel", "scipy", "filelock", "rich"),
    *("matplotlib", "jinja2", "PIL", "dask", "distributed", "ancpbids", "cryptography"),
}


def _modules() -> dict[str, Path]:
    library = ROOT / "CSpADNFusion"
    files = {file: file.relative_to(library).with_suffix("") for file in sorted((library / "cspadn").rglob("*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): file for file, name in files.items()}


def _defines_network(file: Path) -> bool:
    """Return whether a class derives from one of torch.nn, so that defining it needs torch."""
    classes = (node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef))
    return any(ast.unparse(base).startswith("nn.") for each in classes for base in each.bases)


NETWORKS = {name for name, file in _modules().items() if _defines_network(file)}


def _imports_at_file_scope(body: Iterable[ast.AST]) -> set[str]:
    """Return the full names of modules imported outside of functions, without blocks for type checkers."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found |= _imports_at_file_scope(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found |= _imports_at_file_scope(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("name", _modules())
def test_modules_import_heavy_packages_in_functions_only(name: str) -> None:
    """Only modules that define networks import torch at file scope, and no other module imports them there."""
    assert "cspadn.models.cspadn" in NETWORKS
    imported = _imports_at_file_scope(ast.parse(_modules()[name].read_text(encoding="utf-8")).body)
    heavy = {each.split(".")[0] for each in imported} & HEAVY
    assert heavy == ({"torch"} if name in NETWORKS else set())
    assert name in NETWORKS or not imported & NETWORKS


def test_modules_without_networks_load_no_heavy_package() -> None:
    """The modules that they import load none either, because Slicer may have no torch yet."""
    code = (
        "import importlib, sys; heavy = {'torch', 'pydicom', 'safetensors', 'nibabel'}\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not heavy & set(sys.modules), (name, heavy & set(sys.modules))\n"
    )
    light = [name for name in _modules() if name not in NETWORKS | {"cspadn.__main__"}]
    assert {"cspadn.fusion", "cspadn.io.dicom_writer", "cspadn.inference.slice_runner", "cspadn.models.weights"} <= set(light)
    done = subprocess.run([sys.executable, "-c", code, *light], capture_output=True, text=True, cwd=ROOT / "CSpADNFusion")
    assert done.returncode == 0, done.stderr


def test_colour_volume_and_sidecar(files: dict[str, Path], tmp_path: Path) -> None:
    color = tmp_path / "color.nrrd"
    files["fused"] = tmp_path / "fused.nii.gz"
    assert _fuse(files, "--color", str(color), "--palette", "PET-DICOM", "--grid", "pet", "--pet-window", "0", "90") == 0
    fused, rgb = sitk.ReadImage(str(files["fused"])), sitk.ReadImage(str(color))
    assert fused.GetSize() == rgb.GetSize() == sitk.ReadImage(str(files["pet"])).GetSize()
    assert rgb.GetNumberOfComponentsPerPixel() == 3
    told = json.loads((tmp_path / "fused.json").read_text(encoding="utf-8"))
    assert told["pet_source"] == "pet.nrrd"
    assert told["mri_source"] == "mri.nrrd"
    assert (told["grid"], told["palette"], told["pet_window"]) == ("pet", "PET-DICOM", [0, 90])
    assert told["model"] == DEFAULT_MODEL
    assert told["warnings"] == []


def test_colour_of_a_grey_pair_of_pictures(tmp_path: Path) -> None:
    for name, seed in (("pet", 1), ("mri", 2)):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32), np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / f"{name}.png"))
    files = {name: tmp_path / f"{name}.png" for name in ("pet", "mri", "fused")}
    assert _fuse(files, "--color", str(tmp_path / "color.png")) == 0
    assert sitk.ReadImage(str(tmp_path / "color.png")).GetNumberOfComponentsPerPixel() == 3
    assert sitk.ReadImage(str(files["fused"])).GetNumberOfComponentsPerPixel() == 1


def test_what_could_not_all_be_written_is_taken_away_again(
    files: dict[str, Path], tmp_path: Path, monkeypatch, capsys
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())

    def disk_is_full(image: sitk.Image, *_: object, **__: object) -> None:
        if image.GetNumberOfComponentsPerPixel() == 1:
            raise RuntimeError("no space")

    monkeypatch.setattr(sitk, "WriteImage", disk_is_full)
    assert _fuse(files, "--color", str(tmp_path / "color.nrrd")) == 2
    assert says(capsys.readouterr().err, "output-incomplete")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_compressed_file_without_its_end_is_refused(files: dict[str, Path], tmp_path: Path, capsys) -> None:
    """ITK reads the existing part and fills the rest with zeros, without an error."""
    files["mri"] = tmp_path / "mri.nii.gz"
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "mri.nrrd")), str(files["mri"]))
    content = files["mri"].read_bytes()
    files["mri"].write_bytes(content[: len(content) // 2])
    assert _fuse(files) == 3
    assert says(capsys.readouterr().err, "compressed-data-cut")
    assert not files["fused"].exists()


STORED = {
    "int16 with negative values": lambda path, values: sitk.WriteImage(
        sitk.GetImageFromArray((values - 60).astype(np.int16)), path
    ),
    "big-endian": lambda path, values: _write_nrrd(path, values, "float", ">f4", "big"),
    "slope and intercept": lambda path, values: _write_scaled(path, values),
}


def _write_nrrd(path: str, values: np.ndarray, kind: str, dtype: str, endian: str) -> None:
    size = " ".join(map(str, values.shape[::-1]))
    head = f"NRRD0004\ntype: {kind}\ndimension: 3\nsizes: {size}\nendian: {endian}\nencoding: raw\n"
    Path(path).write_bytes(head.encode() + b"\n" + values.astype(dtype).tobytes())


def _write_scaled(path: str, values: np.ndarray) -> None:
    """Write a NIfTI file with scl_slope and scl_inter, as nibabel does."""
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(values.T, np.diag([-1, -1, 1, 1]))
    image.header.set_data_dtype(np.int16)
    nibabel.save(image, path)
    assert nibabel.load(path).dataobj.slope < 0.1


@pytest.mark.parametrize("kind", STORED)
def test_however_the_values_are_stored(tmp_path: Path, kind: str) -> None:
    values = {name: np.rint(blobs(seed=seed)) for name, seed in (("pet", 1), ("mri", 2))}
    ending = ".nii" if "slope" in kind else ".nrrd"
    files = {name: tmp_path / f"{name}{ending}" for name in values} | {"fused": tmp_path / "fused.nrrd"}
    for name, array in values.items():
        STORED[kind](str(files[name]), array)
    assert _fuse(files) == 0
    expected = fuse(*(sitk.GetImageFromArray(array) for array in values.values())).image
    fused = sitk.GetArrayFromImage(sitk.ReadImage(str(files["fused"])))
    np.testing.assert_allclose(fused, sitk.GetArrayFromImage(expected), atol=2e-3 * FUSED_MAXIMUM)


def test_with_overwrite_nothing_is_lost_where_not_all_could_be_written(files: dict[str, Path], monkeypatch, capsys) -> None:
    sidecar = files["fused"].with_suffix(".json")
    assert _fuse(files) == 0
    before = files["fused"].read_bytes(), sidecar.read_bytes()

    def disk_is_full(image: sitk.Image, *_: object, **__: object) -> None:
        raise RuntimeError("no space")

    monkeypatch.setattr(sitk, "WriteImage", disk_is_full)
    assert _fuse(files, "--overwrite", "--model", "cspadn-paper") == 2
    assert (files["fused"].read_bytes(), sidecar.read_bytes()) == before
    monkeypatch.undo()
    assert _fuse(files, "--overwrite", "--model", "cspadn-paper") == 0
    assert json.loads(sidecar.read_text(encoding="utf-8"))["model"] == "cspadn-paper"


def test_the_sidecar_of_another_program_is_never_replaced(files: dict[str, Path], capsys) -> None:
    sidecar = files["fused"].with_suffix(".json")
    sidecar.write_text('{"RepetitionTime": 2.3}', encoding="utf-8")
    assert _fuse(files, "--overwrite") == 2
    assert says(capsys.readouterr().err, "sidecar-of-other-program", path=sidecar)
    assert "RepetitionTime" in sidecar.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are bytes")
def test_names_that_are_no_utf8_get_a_sentence(files: dict[str, Path], tmp_path: Path, capsys) -> None:
    files["pet"] = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.nrrd"))
    assert _fuse(files) == 3
    assert says(capsys.readouterr().err, "name-not-utf8")
