"""A study in a real archive: sent, found, fetched, compared and rendered."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from archive import PROGRAMS, Archive, running_archive
from browsers import browser
from cspadn.imaging.color import recolored
from cspadn.registration.placing import matrix_of
from dicom_files import STUDY
from dicom_studies import errors_in, needs, to_one, write_sources, write_study
from head_phantom import phantom_mri, phantom_pet, rigid

pytestmark = [needs(*PROGRAMS), pytest.mark.ci]
SERIES = {"PT", "MR", "grey", "color", "registration", "blending"}


MOVED = rigid((4, -3, 6), (9, -7, 12))
SPACING = (5.0, 5.0, 5.0)


def write_what_is_sent(folder: Path) -> None:
    """Write two series, PT and MR, and a derived study of a registered PET, made without the network."""
    pet, mri = (to_one(each) for each in (phantom_pet(MOVED, (6.0, 6.0, 6.0)), phantom_mri(SPACING)))
    sources = write_sources(folder, (pet * 80, mri * 900))
    levels = [sitk.GetArrayFromImage(each) for each in (sitk.Resample(pet, mri, MOVED), mri)]
    fused = np.mean(levels, axis=0)
    images = (
        sitk.GetImageFromArray(fused * np.float32(4095)),
        sitk.GetImageFromArray(recolored("Heated", *levels, fused), isVector=True),
    )
    for each in images:
        each.CopyInformation(mri)
    write_study(folder / "out", sources, images, registration="rigid", registration_matrix=matrix_of(MOVED))


@pytest.fixture(scope="module")
def sent(once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """Return a folder with these series."""
    return once("sent", write_what_is_sent)


@pytest.fixture(scope="module")
def archive(sent: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Return an archive that has received all series."""
    with running_archive(tmp_path_factory.mktemp("archive")) as running:
        running.send(sent)
        yield running


def objects(folder: Path) -> dict[str, pydicom.Dataset]:
    """Return all objects below a folder by their UIDs."""
    read = (pydicom.dcmread(path) for path in folder.rglob("*") if path.is_file())
    return {each.SOPInstanceUID: each for each in read}


def test_the_archive_takes_and_finds_every_object(archive: Archive, sent: Path) -> None:
    expected = objects(sent)
    assert set(archive.instances()) == set(expected)
    found = archive.find(
        "SERIES", f"StudyInstanceUID={STUDY}", "Modality", "SeriesInstanceUID", "NumberOfSeriesRelatedInstances"
    )
    modalities = Counter(re.findall(r"\(0008,0060\) CS \[(\w+) *\]", found))
    assert modalities == {"PT": 1, "MR": 3, "REG": 1, "PR": 1}
    assert "4711" in archive.find("STUDY", "PatientID=4711", "StudyInstanceUID")


def test_what_is_fetched_is_what_was_sent(archive: Archive, sent: Path, tmp_path: Path) -> None:
    """Compare every attribute, and thus every voxel and position, of every object."""
    archive.fetch(STUDY, tmp_path / "got")
    expected, found = objects(sent), objects(tmp_path / "got")
    assert set(found) == set(expected)
    for uid, each in found.items():
        assert each == expected[uid], expected[uid].SeriesDescription
        if "PixelData" in each:
            np.testing.assert_array_equal(each.pixel_array, expected[uid].pixel_array)


@needs("dciodvfy")
@pytest.mark.parametrize("name", ["grey", "color"])
def test_a_fetched_series_is_valid_and_in_its_place(name: str, archive: Archive, sent: Path, tmp_path: Path) -> None:
    """SimpleITK places it where the MRI is."""
    archive.fetch(STUDY, tmp_path / "got")
    uid = pydicom.dcmread(sent / "out" / name / "0001.dcm").SeriesInstanceUID
    files = [path for path in (tmp_path / "got").iterdir() if pydicom.dcmread(path).SeriesInstanceUID == uid]
    assert errors_in(files) == []
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "got"), str(uid)))
    image, mri = reader.Execute(), phantom_mri(SPACING)
    for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(image, get)(), getattr(mri, get)(), atol=1e-5)


def test_slices_are_rendered_as_they_are_meant(archive: Archive, sent: Path) -> None:
    """The grey slice fills the range from black to white by its window, and the colours are those of the file."""
    image = pytest.importorskip("PIL.Image")
    names = archive.instances()
    for name in ("grey", "color"):
        files = sorted((sent / "out" / name).iterdir())
        middle = pydicom.dcmread(files[len(files) // 2])
        answer = archive.get(f"/instances/{names[middle.SOPInstanceUID]}/rendered", "image/png")
        shown = np.asarray(image.open(io.BytesIO(answer))).astype(float)
        expected = middle.pixel_array / 4095 * 255 if name == "grey" else middle.pixel_array
        assert shown.shape == expected.shape
        assert np.abs(shown - expected).max() <= (1.5 if name == "grey" else 0)
        assert shown.max() > 100


def test_the_web_viewer_shows_both_series(archive: Archive, sent: Path, tmp_path: Path) -> None:
    """In Chromium, the grey series appears in grey, and the other one in colour."""
    image = pytest.importorskip("PIL.Image")
    if not archive.has_viewer:
        pytest.skip("not installed: orthanc-webviewer")
    series = {each["MainDicomTags"]["SeriesInstanceUID"]: each["ID"] for each in json.loads(archive.get("/series?expand"))}
    try:
        with browser() as running:
            for name in ("grey", "color"):
                uid = pydicom.dcmread(sent / "out" / name / "0001.dcm").SeriesInstanceUID
                page = running.new_page(viewport={"width": 800, "height": 600})
                page.goto(f"{archive.url}/web-viewer/app/viewer.html?series={series[uid]}")
                page.wait_for_function(
                    "document.querySelector('canvas')?.getContext('2d').getImageData(0, 0, 1, 1).data[3] > 0"
                )
                page.mouse.move(400, 300)
                for _ in range(len(list((sent / "out" / name).iterdir())) // 2):  # to a slice in the middle
                    page.mouse.wheel(0, 100)
                    page.wait_for_timeout(50)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=tmp_path / f"{name}.png")
                shown = np.asarray(image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
                middle = shown[150:450, 250:550]
                assert middle.max() > 100
                colored = (np.ptp(middle, axis=-1) > 60).mean()
                assert (colored > 0.02) == (name == "color"), colored
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_all_kinds_are_there(sent: Path) -> None:
    assert {path.parent.name for path in sent.rglob("*") if path.is_file()} == SERIES
