"""The pages for quality control: what they show, where the patient's left is, and how they behave in a browser."""

from __future__ import annotations

import base64
import dataclasses
import io
import itertools
import json
import math
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

import browsers
from cspadn import FusionSettings, fuse
from cspadn.cli import entry
from cspadn.errors import MissingPackageError, UsageError
from cspadn.fusion import FusionResult
from cspadn.imaging.color import legend
from cspadn.imaging.metadata import NAN_IS_OUTSIDE, NOTE
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window
from cspadn.metrics import TABLE_NAMES, SliceScores, VolumeScores, measure_volumes
from cspadn.metrics.registry import BY_NAME
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from cspadn.registration import Alignment, Registration
from cspadn.registration.placing import placed
from cspadn.report import lattice as lattice_module
from cspadn.report import templates
from cspadn.report.group_page import GroupRow, group_page, robust_z
from cspadn.report.key_slices import key_slices, slice_pictures, thumbnail
from cspadn.report.lattice import CUTS
from cspadn.report.pages import subject_page
from cspadn.report.plots import histogram
from cspadn.report.scene import BEYOND, Scene, scene_of
from cspadn.report.viewer import hottest_places, url_of, viewer_data
from message_calls import raises, says
from repository import ROOT
from volumes import volume

pytestmark = pytest.mark.usefixtures("one_reading_process")

SAMPLES = ROOT / "CSpADNFusion" / "Resources" / "SampleData"
SHOWN = (DEFAULT_PALETTE, "PET-DICOM")  # others differ in nothing but their table, which the tests of colours check
NASTY = "<script>alert('x')</script> & \"Ü\""
COSINE, SINE = math.cos(0.5), math.sin(0.5)
OBLIQUE = [[COSINE, -SINE, 0], [SINE * COSINE, COSINE * COSINE, -SINE], [SINE * SINE, COSINE * SINE, COSINE]]


def fused_by_hand(pet: sitk.Image, mri: sitk.Image, grid: str = "mri", warnings: tuple[str, ...] = ()) -> FusionResult:
    """Return the result of a network that copies one source, for values from 0 to 100."""
    image = sitk.Cast(mri if grid == "mri" else pet, sitk.sitkFloat32) * (FUSED_MAXIMUM / 100)
    provenance = {"grid": grid, "pet_window": [0.0, 100.0], "mri_window": [0.0, 100.0], "model_sha256": "0f" * 32}
    return FusionResult(image, provenance, list(warnings))


def page_of(pet: sitk.Image, mri: sitk.Image, scores: VolumeScores | None = None, *, title: str = "sub-01", **more) -> str:
    return subject_page(pet, mri, fused_by_hand(pet, mri, **more), scores, title=title)


def scene_by_hand(pet: sitk.Image, mri: sitk.Image, grid: str = "mri") -> Scene:
    result = fused_by_hand(pet, mri, grid)
    return scene_of(pet, mri, result.image, result.provenance, DEFAULT_PALETTE)


def stored_scene(page: str) -> dict:
    return json.loads(re.search(r'id="scene">(.*?)</script>', page)[1])


def stored_volume(page: str, name: str) -> np.ndarray:
    """Return a volume (z, y, x) of the page, decoded as its script does."""
    scene, slices = stored_scene(page), []
    tiles, (columns, rows, count) = scene["tiles"], scene["size"]
    for url in re.findall(rf'data-volume="{name}" src="data:image/webp;base64,([^"]+)"', page):
        atlas = np.asarray(Image.open(io.BytesIO(base64.b64decode(url))).convert("L"))
        grid = atlas.reshape(-1, tiles["height"], tiles["columns"], tiles["width"]).swapaxes(1, 2)
        slices.append(grid.reshape(-1, tiles["height"], tiles["width"])[: tiles["count"], :rows, :columns])
    return np.concatenate(slices)[:count]


def centre_of(levels: np.ndarray, lattice) -> np.ndarray:
    """Return the centre of the bright voxels, in LPS."""
    return np.argwhere(levels > 150).mean(axis=0)[::-1] * lattice.spacing + lattice.origin


def at_points(bright: list[tuple[float, float, float]], direction=None, spacing=(2, 2, 3)) -> sitk.Image:
    """Return a volume around the origin with a dim head, and a bright cube of 12 mm at each point (LPS)."""
    size = np.array([60, 60, 40])
    image = volume(np.zeros(size[::-1], np.float32), spacing, direction=direction)
    image.SetOrigin((-np.array(image.TransformContinuousIndexToPhysicalPoint(((size - 1) / 2).tolist()))).tolist())
    space = sitk.GetArrayFromImage(
        sitk.PhysicalPointSource(
            sitk.sitkVectorFloat64, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
        )
    )
    values = np.where(np.linalg.norm(space, axis=-1) < 55, 20.0, 0.0)
    for point in bright:
        values[(np.abs(space - point) <= 6).all(axis=-1)] = 100
    filled = sitk.GetImageFromArray(values.astype(np.float32))
    filled.CopyInformation(image)
    return filled


# Robust z-scores


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 100], [-1.349, -0.6745, 0, 0.6745, 65.4265]),
        ([5, 5, 5, 5, 9], [0, 0, 0, 0, 4 / (1.253314 * 0.8)]),  # the MAD is 0
        ([7, 7, 7], [0, 0, 0]),
        ([1, math.nan, 2, 3, math.inf], [-0.6745, math.nan, 0, 0.6745, math.nan]),
        ([math.nan, math.nan], [math.nan, math.nan]),
        ([], []),
    ],
)
def test_robust_z(values: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(robust_z(values), expected, rtol=1e-12)


# Where things are


@pytest.mark.parametrize("stored", ["LPS", "PIR"])
def test_sides_of_the_patient(stored: str) -> None:
    """Each picture shows a bright cube at the patient's left, front and top, however the volume is stored."""
    scene = scene_by_hand(at_points([]), sitk.DICOMOrient(at_points([(30, -20, 15)]), stored))
    where = {"axial": ("right", "top"), "coronal": ("right", "top"), "sagittal": ("left", "top")}
    for cut in CUTS:
        index = round(((30, -20, 15)[cut.axis] - scene.lattice.origin[cut.axis]) / scene.lattice.spacing[cut.axis])
        bright = slice_pictures(scene, cut, index, DEFAULT_PALETTE)["mri"] > 200
        rows, columns = bright.shape
        across, down = where[cut.name]
        assert bright[:, columns // 2 :].any() == (across == "right"), cut.name
        assert bright[: rows // 2].any() == (down == "top"), cut.name
        assert not bright[rows // 2 :].any(), cut.name
        assert {"right": cut.right, "left": cut.left}[across] in {"axial": "L", "coronal": "L", "sagittal": "A"}[cut.name]
        assert cut.top == {"axial": "A", "coronal": "S", "sagittal": "S"}[cut.name]


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_positions(direction) -> None:
    """The page shows structures at their position in the patient, for oblique volumes as well."""
    point = np.array([26.0, -18, 12])
    pet, mri = at_points([], direction), at_points([tuple(point)], direction)
    scene = scene_by_hand(pet, mri)
    assert scene.lattice.aligned == (direction is None)
    np.testing.assert_allclose(centre_of(scene.mri, scene.lattice), point, atol=1)
    page = page_of(pet, mri)
    np.testing.assert_allclose(centre_of(stored_volume(page, "mri"), scene.lattice), point, atol=1)
    assert ("The fused volume is oblique" in page) == (direction is not None)


def test_all_slices_of_the_volume_are_shown() -> None:
    """Aligned volumes are not interpolated: each stored voxel is one of the volume."""
    mri = at_points([(0, 0, 0)])
    lattice = scene_by_hand(mri, mri).lattice
    np.testing.assert_allclose(lattice.spacing, mri.GetSpacing())
    steps = (np.array(lattice.origin) - mri.GetOrigin()) / mri.GetSpacing()
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    assert np.prod(lattice.size) > 0.3 * mri.GetNumberOfPixels()
    np.testing.assert_allclose(stored_scene(page_of(mri, mri))["spacing"], mri.GetSpacing())


def test_a_volume_with_very_many_voxels(monkeypatch) -> None:
    monkeypatch.setattr(lattice_module, "MOST_VOXELS", 20_000)
    mri = at_points([(26, -18, 12)])
    scene = scene_by_hand(mri, mri)
    assert scene.mri.size < 30_000
    np.testing.assert_allclose(centre_of(scene.mri, scene.lattice), (26, -18, 12), atol=3)
    assert "smaller voxels than are shown" in page_of(mri, mri)


def test_a_volume_one_slice_wide() -> None:
    for place in range(3):
        size = [24, 24, 24]
        size[place] = 1
        image = sitk.Cast(sitk.Image(size, sitk.sitkUInt8) + 50, sitk.sitkInt16)
        image[0, 0, 0] = 100
        page = page_of(image, image)
        assert stored_scene(page)["size"] == size
        assert stored_volume(page, "mri").max() > 100


def test_empty_volumes_are_shown_whole() -> None:
    black = sitk.Image(20, 20, 20, sitk.sitkFloat32)
    page = page_of(black, black)
    assert stored_scene(page)["size"] == [20, 20, 20]
    assert stored_volume(page, "mri").max() == 0
    assert "Hottest places" not in page


def test_the_stored_pet_has_its_values() -> None:
    """Values are exact to 16 bits of the range, above the window as well."""
    values = np.random.default_rng(0).normal(50, 30, (12, 14, 16)).astype(np.float32)
    values[3, 4, 5] = 400
    pet = volume(values, (2, 3, 4), direction=OBLIQUE)
    scene = scene_by_hand(pet, sitk.Cast(pet > 0, sitk.sitkFloat32) * 60)
    data = viewer_data(scene, DEFAULT_PALETTE, "")
    facts = data["scene"]["pet"]
    halves = np.frombuffer(zlib.decompress(base64.b64decode(data["pet"])), np.uint8).reshape(2, -1).astype(np.uint16)
    codes = np.cumsum((halves[0] << 8 | halves[1]).reshape(facts["size"][::-1]), axis=2, dtype=np.uint16)
    stored = facts["lowest"] + facts["step"] * (codes - 1.0)
    matrix = np.array(facts["matrix"])
    place = np.array(pet.TransformIndexToPhysicalPoint((5, 4, 3)))
    x, y, z = np.rint(matrix[:, :3] @ place + matrix[:, 3]).astype(int)
    assert stored[z, y, x] == pytest.approx(400, abs=0.01)
    assert facts["step"] == pytest.approx(np.ptp(values) / 65534, rel=0.05)


def test_hottest_places() -> None:
    """The places are sorted by uptake, separate from each other, and within the head."""
    pet, mri = at_points([(30, -20, 15), (-30, 20, -15)]), at_points([])
    pet = pet + at_points([(30, -20, 15)]) * 0.2 + at_points([(54, 54, 50)])  # the last one is in the air
    found = hottest_places(scene_by_hand(pet, mri))
    np.testing.assert_allclose(found[0]["point"], (30, -20, 15), atol=3)
    np.testing.assert_allclose(found[1]["point"], (-30, 20, -15), atol=3)
    assert found[0]["value"] > found[1]["value"] >= 100
    distances = [np.linalg.norm(np.subtract(a["point"], b["point"])) for a, b in itertools.combinations(found, 2)]
    assert all(distance >= 25 for distance in distances)


# The field of view


def test_a_pet_that_covers_a_part() -> None:
    mri, pet = at_points([]), at_points([])[10:50, 10:50, 5:30]
    page = page_of(pet, mri)
    assert "Beyond the field of view of the PET, the fused pictures show the MRI alone." in page
    assert 'id="border"' in page
    scene = scene_by_hand(pet, mri)
    middle = (scene.marks & BEYOND)[scene.lattice.size[2] // 2] == 0
    rows, columns = np.flatnonzero(middle.any(axis=1)), np.flatnonzero(middle.any(axis=0))
    extent = np.array([len(columns), len(rows)]) * scene.lattice.spacing[:2]
    np.testing.assert_allclose(extent, 80, atol=2)  # 40 voxels of 2 mm
    pictures = slice_pictures(scene, CUTS[0], scene.lattice.size[2] // 2, DEFAULT_PALETTE)
    assert pictures["pet"][0, 0] == 0  # beyond, it is not white
    np.testing.assert_array_equal(pictures["blend"][0, 0], pictures["mri"][0, 0])


def test_a_pet_that_covers_all() -> None:
    page = page_of(at_points([]), at_points([]))
    assert 'id="border"' not in page
    assert "All subjects" not in page  # it was given no index


def test_the_grid_of_the_pet() -> None:
    pet, mri = at_points([]), at_points([])[10:50, 10:50, 5:30]
    page = page_of(pet, mri, grid="pet")
    assert "Beyond the field of view of the MRI, the fused pictures show the PET alone." in page
    assert "coordinates of the PET" in page


def test_holes_of_the_pet_are_background_unless_it_says_otherwise() -> None:
    mri = at_points([])
    values = sitk.GetArrayFromImage(mri)
    values[:, :, :28] = np.nan
    pet = sitk.GetImageFromArray(values)
    pet.CopyInformation(mri)
    result = fused_by_hand(mri, mri)
    assert not scene_of(pet, mri, result.image, result.provenance, DEFAULT_PALETTE).has_border
    pet.SetMetaData(NAN_IS_OUTSIDE, "1")
    scene = scene_of(pet, mri, result.image, result.provenance, DEFAULT_PALETTE)
    assert scene.has_border
    shown, seen = scene.pet_slice(CUTS[0], scene.lattice.size[2] // 2)
    assert set(np.unique(shown[~seen])) == {0}


# What the page says


def scores_of(**metrics: list[float]) -> VolumeScores:
    rows = [
        SliceScores(index, 3.0 * index, not math.isnan(values[0]), dict(zip(metrics, values, strict=True)))
        for index, values in enumerate(zip(*metrics.values(), strict=True))
    ]
    mean = {name: float(np.nanmean(values)) if np.isfinite(values).any() else math.nan for name, values in metrics.items()}
    return VolumeScores(rows, mean, Window(0, 1), Window(0, 1), Window(0, 1))


def test_what_is_written_is_escaped() -> None:
    pet, mri = at_points([]), at_points([])
    page = page_of(pet, mri, title=NASTY, warnings=(NASTY, "Second."))
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;Ü&#34;") == 3
    assert "2 warnings" in page


def test_facts_on_the_page() -> None:
    pet, mri = at_points([]), at_points([])
    result = fused_by_hand(pet, mri)
    page = subject_page(pet, mri, result, None, title="x", index="../a b#1.html")
    assert NOTE in page
    assert "The fused volume was not measured." in page
    assert "The fusion gave no warnings." in page
    shown = {"grid": "mri", "pet_window": "0, 100", "mri_window": "0, 100", "model_sha256": "0f" * 32}
    assert set(shown) == set(result.provenance)
    assert "Alignment: not determined (the check was skipped)" in page
    for name, value in shown.items():
        assert f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' in page
    assert 'href="../a%20b%231.html"' in page


@pytest.mark.parametrize(("millimetres", "verdict"), [(1.2, "Aligned"), (6.5, "Not aligned")])
def test_the_alignment_is_on_top(millimetres: float, verdict: str) -> None:
    pet, mri = at_points([]), at_points([])
    result = dataclasses.replace(fused_by_hand(pet, mri), alignment=Alignment(millimetres, 0.5))
    page = subject_page(pet, mri, result, None, title="x")
    assert f"{verdict}: PET and MRI are {millimetres} mm and 0.5° apart" in page
    assert ('class="badge alarm"' in page) == (verdict == "Not aligned")


def test_a_registered_pet_is_shown_before_and_after() -> None:
    """Before the registration, the PET was 9 mm further to the left."""
    pet, mri = at_points([(10, 0, 0)]), at_points([(10, 0, 0)])
    transform = sitk.TranslationTransform(3, (9.0, 0, 0))
    apart = placed(pet, transform.GetInverse())
    result = dataclasses.replace(fused_by_hand(pet, mri), registration=Registration(transform, 0.2, 9, 0, 1, 1))
    page = subject_page(apart, mri, result, None, title="x")
    assert "the PET was registered to the MRI, and moved by 9.0 mm and 0.0°" in page
    assert 'value="before"' in page
    assert 'value="before"' not in page_of(pet, mri)
    stored = stored_scene(page)
    now, then = (np.array(matrix) @ [10, 0, 0, 1] for matrix in (stored["pet"]["matrix"], stored["before"]))
    np.testing.assert_allclose(np.array(stored["pet"]["matrix"])[:, :3] @ (9, 0, 0), now - then, atol=1e-6)


def test_key_slices() -> None:
    """The key slices, for print and for browsers without scripts, have all pictures and the patient's sides."""
    page = page_of(at_points([]), at_points([]))
    names = re.findall(r"<figcaption>([^<]+)</figcaption>", page)
    assert names[:35] == ["PET", "MRI outlines on the PET", "MRI", "Fused, grey", "Fused, colour"] * 7
    labels = re.findall(r'class="slice">\s*<p>([^<]+)</p>', page)
    assert [label.split(",")[0] for label in labels] == ["Axial"] * 5 + ["Coronal", "Sagittal"]


def test_outlines_are_as_thin_for_large_voxels() -> None:
    """Large voxels do not let the outlines hide the PET: they are lines of the picture, not of the voxels."""
    shares = []
    for factor in (1, 3):
        mri = sitk.BinShrink(at_points([]), [factor] * 3)
        (url,) = key_slices(scene_by_hand(mri, mri), DEFAULT_PALETTE, ("outlines",))[2]["pictures"].values()
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")).astype(int)
        shares.append((picture[..., 0] - picture[..., 1] > 60).mean())
    assert shares[0] > 0.005
    assert shares[1] < 1.5 * shares[0]


def test_outlines_in_the_thumbnail_are_those_of_the_mri() -> None:
    """A hot place of the PET in the middle, a bright one of the MRI 30 mm to the left: on the right of the picture."""
    content = thumbnail(scene_by_hand(at_points([(0, 0, 0)]), at_points([(30, 0, 0)])), DEFAULT_PALETTE)
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    outlines = picture[:, picture.shape[1] // 2 :]
    side = outlines.shape[0]  # of the axial slice, the first of three: the head is round
    axial = outlines[:side, :side]
    _, columns = np.nonzero(axial[..., 2] - axial[..., 0] > 25)  # WebP blurs colours
    per_mm = side / 110
    assert len(columns) > 20
    assert abs(columns.mean() - (side / 2 + 30 * per_mm)) < 4
    assert np.ptp(columns) < 24 * per_mm
    assert axial[side // 2, side // 2].min() > 150
    assert axial[2, 2].max() < 30


def test_the_thumbnail_is_small() -> None:
    content = thumbnail(scene_by_hand(at_points([]), at_points([])), DEFAULT_PALETTE)
    assert len(content) < 12_000
    picture = Image.open(io.BytesIO(content))
    assert picture.height <= 96
    assert 3 * 96 < picture.width <= 6 * 100


@pytest.mark.parametrize("palette", [pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow) for name in PALETTES])
def test_the_legend_has_the_palette_and_the_window(palette: str) -> None:
    pet, mri = at_points([]), at_points([])
    result = fused_by_hand(pet, mri)
    result.provenance.update(pet_window=[-1.5, 25000.0], pet_units="BQML")
    page = subject_page(pet, mri, result, None, title="x", palette=palette)
    url = re.search(r'src="data:image/webp;base64,([^"]+)" alt="Legend: uptake from left to right', page)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url)))).astype(float)
    assert np.abs(pixels - legend(palette)).mean() < 6  # of WebP
    assert "<span>-1.5</span><span>&ge; 25000</span>" in page
    assert "uptake (Bq/ml) &rarr;" in page
    assert len(url) < 20_000


def test_metrics_on_the_page() -> None:
    """The scores contain a constant metric and slices that were not measured."""
    scores = scores_of(EN=[math.nan, 1.25, 1.25], SSIM=[math.nan, 0.5, 0.75])
    page = page_of(at_points([]), at_points([]), scores)
    assert "2 of 3 slices" in page
    assert '<td class="number">1.2500</td><td class="number">0.6250</td></tr>' in page
    assert ">nan" not in page
    nothing = page_of(at_points([]), at_points([]), scores_of(EN=[math.nan, math.nan]))
    assert "0 of 2 slices" in nothing


def test_no_two_elements_have_one_id_and_nothing_is_asked_for() -> None:
    page = page_of(at_points([]), at_points([])[10:50, 10:50, 5:30], scores_of(EN=[1, 2, 3], MI=[3, 2, 1]))
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 20
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert not re.search(r"url\((?!#)|@import", page)
    assert "default-src 'none'" in page


def test_the_users_settings_of_plots_neither_count_nor_change() -> None:
    values = np.arange(100.0)
    expected = histogram(values, (10, 90), label="PET", key="pet")
    with mpl.rc_context({"text.usetex": True, "font.size": 30}):
        assert histogram(values, (10, 90), label="PET", key="pet") == expected
        assert mpl.rcParams["font.size"] == 30


def test_importing_the_module_is_cheap() -> None:
    code = "import sys, cspadn.report; print(sorted({'numpy', 'SimpleITK', 'jinja2', 'matplotlib', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "CSpADNFusion")
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("module", "package"), [("jinja2", "jinja2"), ("PIL", "pillow")])
def test_a_missing_package_is_told(monkeypatch, module: str, package: str) -> None:
    monkeypatch.setattr(templates, "find_spec", lambda name: None if name == module else object())
    with raises(MissingPackageError, "report-package-missing", package=package):
        templates.check_packages()


# The group


def group(count: int = 8) -> list[GroupRow]:
    """Return rows of a group, with one outlier in SSIM and one failure."""
    rows = [
        GroupRow(
            f"sub-{index:02d}", "done", page=f"sub-{index:02d}.html", means={"EN": 5 + index / 10, "SSIM": 0.7}, seconds=9
        )
        for index in range(count)
    ]
    rows[1] = GroupRow("sub-01", "done", means={"EN": None, "SSIM": 0.2}, warnings=("Little overlap.",), seconds=20)
    return [*rows, GroupRow(NASTY, "failed", message="The PET is empty.")]


def pictured(count: int) -> list[GroupRow]:
    """Return rows with thumbnails and all columns, of which some are long, as cohorts have them."""
    picture = thumbnail(scene_by_hand(at_points([]), at_points([])), DEFAULT_PALETTE)
    figures = {"Apart (mm)": 0.31, "Moved (mm)": 12.25, "PET up to": 24940.0, "MRI up to": 332.9}
    means = dict.fromkeys(TABLE_NAMES, 0.4592)
    rows = [
        GroupRow(f"sub-{index:02}_ses-1_trc-FDG", "done", f"{index}.html", "", (), means, 13.8, figures, url_of(picture))
        for index in range(count)
    ]
    return [dataclasses.replace(rows[0], means={**means, "SSIM": 0.9}), *rows[1:]]


def cells_of(page: str) -> list[list[str]]:
    body = page[page.index("<tbody>", page.index('id="subjects"')) :]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body[: body.index("</tbody>")])
    return [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]


def test_group_page() -> None:
    page = group_page(group(), title=NASTY, told={"Software": "x < y"})
    cells = cells_of(page)
    assert "<script>alert" not in page
    assert "x &lt; y" in page
    assert NOTE in page
    assert cells[0][1:] == ["failed", "0", "-", "-", "-"]  # first, though it was given last
    assert cells[1] == ["sub-00", "done", "0", "5.0000", "0.7000", "9.0"]
    assert cells[2] == ["sub-01", "done", "1", "-", "◆ 0.2000", "20.0"]
    assert "The PET is empty." in page
    for count, name in ((8, "done"), (1, "failed"), (1, "with warnings"), (1, "with outliers")):
        assert f"<strong>{count}</strong> {name}" in page
    expected = -0.5 / (1.253314 * 0.5 / 8)
    assert f'title="robust z = {expected:+.1f}"' in page
    assert 'title="Little overlap."' in page
    foot = page[page.index("<tfoot>") :]
    assert re.findall(r'<td class="number">([\d.]+)</td>', foot) == ["5.4000", "0.7000", "9.0"]


def test_alignment_windows_and_pictures_of_a_group() -> None:
    figures = {"Apart (mm)": 0.5, "Moved (mm)": None, "PET up to": 25310.0, "MRI up to": 229.0}
    rows = [dataclasses.replace(row, figures=figures, picture="data:image/webp;base64,AA") for row in group()[:-1]]
    rows[3] = dataclasses.replace(rows[3], figures={**figures, "Apart (mm)": 9.25})
    page = group_page([*rows, group()[-1]], title="x", told={})
    cells = cells_of(page)
    assert cells[1][:7] == ["sub-00", "done", "0", "0.5", "25310", "229", "5.0000"]
    assert cells[4][3] == "◆ 9.25"
    assert page.count("<img") == 8
    assert "Moved" not in page


def test_few_subjects_have_no_outliers() -> None:
    page = group_page(group(4), title="Few", told={})
    assert f'title="{BY_NAME["SSIM"].explanation}"' in page
    assert "◆" not in page
    assert "No outliers are looked for in EN, SSIM: fewer than 5 subjects" in page


def test_names_cannot_hold_commands_to_a_terminal_or_turn_the_text() -> None:
    name = "sub-\x1b[2J\u202eevil\x9b\x00 fine Ü and 日本"
    page = group_page([dataclasses.replace(group()[0], name=name)], title=name, told={"Software": name})
    assert page.count(r"sub-\x1b[2J\u202eevil\x9b\x00 fine Ü and 日本") >= 3
    assert not set(page) & set("\x1b\u202e\x9b\x00")


def test_a_group_of_none() -> None:
    page = group_page([], title="None", told={})
    assert "<strong>0</strong> done" in page


# On the command line


@pytest.fixture
def files(pair, tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.nrrd" for name in ("pet", "mri", "fused")} | {"report": tmp_path / "page.html"}
    for name, image in zip(("pet", "mri"), pair, strict=True):
        sitk.WriteImage(image, str(paths[name]))
    return paths


def run(files: dict[str, Path], *more: str) -> int:
    names = [str(files[name]) for name in ("pet", "mri")]
    return entry.main(["fuse", *names, "-o", str(files["fused"]), "--report", str(files["report"]), "--device", "cpu", *more])


def test_a_page_has_its_palette_without_a_colour_volume(files: dict[str, Path], capsys) -> None:
    assert run(files, "--palette", "PET-Rainbow2") == 0
    assert "PET-Rainbow2" in files["report"].read_text(encoding="utf-8")
    assert not list(files["pet"].parent.glob("*color*"))
    assert run(files, "--palette", "PET-Future", "--overwrite") == 2
    assert says(capsys.readouterr().err, "setting-not-a-choice", setting="palette", value="PET-Future")


def test_the_command_line_writes_a_page(files: dict[str, Path], capsys) -> None:
    """The page has metrics, although no other option requests them."""
    assert run(files) == 0
    page = files["report"].read_text(encoding="utf-8")
    assert "<h1>fused.nrrd</h1>" in page
    assert "SSIM" in page
    assert "<td>mri.nrrd</td>" in page
    assert sorted(path.name for path in files["pet"].parent.iterdir()) == sorted(
        ["pet.nrrd", "mri.nrrd", "fused.nrrd", "fused.json", "page.html"]
    )
    assert run(files) == 2
    assert says(capsys.readouterr().err, "output-exists")


def test_no_output_without_the_page(files: dict[str, Path], monkeypatch, capsys) -> None:
    def full(*_: object) -> None:
        raise UsageError("The disk is full.")

    monkeypatch.setattr("cspadn.io.images.stage_text", full)
    assert run(files) == 2
    assert sorted(path.name for path in files["pet"].parent.iterdir()) == ["mri.nrrd", "pet.nrrd"]


def test_pages_that_cannot_be_are_told_before_the_work(files: dict[str, Path], monkeypatch, capsys) -> None:
    monkeypatch.setattr("cspadn.fusion.fuse", lambda *_args, **_options: pytest.fail("the work started"))
    with monkeypatch.context() as missing:
        missing.setattr(templates, "find_spec", lambda name: None if name == "matplotlib" else object())
        assert run(files) == 2
    assert says(capsys.readouterr().err, "report-package-missing", package="matplotlib")
    files["report"] = files["report"].with_suffix(".htm")
    assert run(files) == 2
    assert says(capsys.readouterr().err, "output-format", suffixes=".html")
    for name in ("pet", "mri", "fused"):
        files[name] = files[name].with_suffix(".png")
    assert run(files) == 2
    assert says(capsys.readouterr().err, "report-not-for-pictures")


# In a browser


@pytest.fixture(scope="module")
def browser():
    try:
        with browsers.browser() as running:
            yield running
    except FileNotFoundError as error:
        pytest.skip(str(error))


def write_pages(folder: Path) -> None:
    """Write the page of the sample pair, with a PET that covers a part of the head, and those of groups."""
    mri = sitk.ReadImage(str(SAMPLES / "SimulatedHead_T1.nrrd"))[::3, ::3, ::2]
    pet = sitk.ReadImage(str(SAMPLES / "SimulatedHead_FDG.nrrd"))[:, :, :40]
    result = fuse(pet, mri, FusionSettings(device="cpu"))
    result.provenance["pet_units"] = "Bq/ml"
    scores = measure_volumes(pet, mri, result.image, names=("EN", "SSIM"), fused_window=(0, FUSED_MAXIMUM))
    told = {
        "subject": subject_page(pet, mri, result, scores, title="sub-01 ses-2", index="group.html"),
        "group": group_page(group(12), title="Study", told={"Software": "cspadn"}),
        "pictured": group_page(pictured(12), title="Study", told={}),
        "large": group_page(group(700), title="Study", told={}),
    }
    for name, text in told.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def pages(once) -> dict[str, Path]:
    """Return the files of these pages."""
    return {file.stem: file for file in once("pages", write_pages).glob("*.html")}


@pytest.fixture
def opened(browser, pages) -> Iterator:
    """Return a function that opens a page by its name; fail if the console has a message or other files are requested."""
    said, asked, tabs = [], [], []

    def open_page(name: str, width: int = 1280, height: int = 800, script: str = ""):
        tab = browser.new_page(viewport={"width": width, "height": height})
        if script:
            tab.add_init_script(script)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tabs.append(tab)
        tab.goto(pages[name].as_uri())
        if name == "subject" and not script:
            tab.wait_for_selector("body.interactive", timeout=120_000)
            settle(tab)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data"}
    assert len([url for url in asked if url.startswith("file:")]) == len(tabs)


def settle(tab) -> None:
    """Wait until changes are drawn."""
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def drawn(tab, view: int = 0) -> np.ndarray:
    """Return the pixels of a view: (rows, columns, 3)."""
    url = tab.locator("canvas").nth(view).evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB")).astype(int)


def slice_numbers(tab) -> list[int]:
    return [int(label.split("slice ")[1].split(" ")[0]) for label in tab.locator(".under output").all_inner_texts()]


def point_at(tab, which: str) -> list[float]:
    """Return the position in LPS (mm) that the page shows for the pointer or the crosshair."""
    places = tab.locator(f"#{which}-place").inner_text().split(", ")
    return [float(place.split(" ")[0]) * (-1 if place[-1] in "RAI" else 1) for place in places]


def in_view(tab, view: int, across: float, down: float) -> tuple[float, float]:
    """Return the screen position at two fractions of the size of a view."""
    box = tab.locator("canvas").nth(view).bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def pet_value(place: list[float]) -> float:
    """Return the uptake of the sample at a position, computed independently of the page."""
    pet = sitk.ReadImage(str(SAMPLES / "SimulatedHead_FDG.nrrd"), sitk.sitkFloat64)[:, :, :40]
    grid = sitk.Image(1, 1, 1, sitk.sitkUInt8)
    grid.SetOrigin(place)
    return sitk.GetArrayFromImage(sitk.Resample(pet, grid, sitk.Transform(), sitk.sitkLinear, math.nan)).item()


SCREENS = pytest.mark.parametrize(("width", "height"), [(1366, 768), (1920, 1080)])


@SCREENS
def test_what_a_reader_needs_is_on_the_first_screen(opened, width: int, height: int) -> None:
    """The first screen has three large views in proportion, the alignment, the choice of pictures, and the values."""
    tab = opened("subject", width, height)
    for selector in ("#alignment", ".modes", "#opacity", "#at-pointer", "#at-crosshair", ".scale:not([hidden])"):
        box = tab.locator(selector).first.bounding_box()
        assert box["y"] >= 0, selector
        assert box["y"] + box["height"] <= height, selector
    boxes = [tab.locator("canvas").nth(view).bounding_box() for view in range(3)]
    assert all(box["y"] + box["height"] <= height for box in boxes)
    assert sum(box["width"] for box in boxes) > 0.9 * width
    assert min(box["height"] for box in boxes) > 0.5 * height
    assert "marks" not in tab.locator("body").inner_text()
    marks = tab.locator(".frame .mark").all_inner_texts()
    assert marks == ["A", "P", "R", "L", "S", "I", "R", "L", "S", "I", "A", "P"]


@SCREENS
def test_the_pointer_reads_the_uptake(opened, width: int, height: int) -> None:
    tab = opened("subject", width, height)
    for view, across, down in ((0, 0.4, 0.75), (1, 0.55, 0.75), (2, 0.5, 0.75)):
        tab.mouse.move(*in_view(tab, view, across, down))
        settle(tab)
        shown = tab.locator("#at-pointer").inner_text()
        assert shown.endswith(" Bq/ml"), (view, shown)
        value = float(shown.split(" ")[0])
        assert value == pytest.approx(pet_value(point_at(tab, "pointer")), rel=0.03)  # places have one decimal
        assert value > 0
    tab.mouse.move(*in_view(tab, 1, 0.5, 0.02))
    settle(tab)
    assert tab.locator("#at-pointer").inner_text() == "outside the field of view"


@SCREENS
def test_the_views_are_linked(opened, width: int, height: int) -> None:
    tab = opened("subject", width, height)
    before = slice_numbers(tab)
    tab.mouse.click(*in_view(tab, 0, 0.35, 0.6))  # axial: the coronal and the sagittal view follow
    settle(tab)
    after = slice_numbers(tab)
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert after[2] != before[2]
    assert np.abs(np.subtract(point_at(tab, "pointer"), point_at(tab, "crosshair"))[:2]).max() < 3  # half a voxel
    tab.mouse.wheel(0, 100)
    settle(tab)
    assert slice_numbers(tab) == [after[0] - 1, after[1], after[2]]
    tab.mouse.wheel(0, -300)
    settle(tab)
    assert slice_numbers(tab)[0] == after[0]
    assert tab.evaluate("window.scrollY") == 0
    assert float(tab.locator("#at-crosshair").inner_text().split(" ")[0]) == pytest.approx(
        pet_value(point_at(tab, "crosshair")), rel=0.02
    )


def test_zoom_keeps_the_place_under_the_pointer(opened) -> None:
    tab = opened("subject", 1366, 768)
    tab.mouse.move(*in_view(tab, 0, 0.3, 0.6))
    settle(tab)
    place, whole = point_at(tab, "pointer"), drawn(tab)
    tab.keyboard.down("Control")
    for _ in range(3):
        tab.mouse.wheel(0, -100)
    tab.keyboard.up("Control")
    settle(tab)
    tab.mouse.move(*in_view(tab, 0, 0.3001, 0.6))
    settle(tab)
    assert tab.locator("#zoom").inner_text() != "100 %"
    np.testing.assert_allclose(point_at(tab, "pointer"), place, atol=0.5)
    assert (drawn(tab) != whole).any()
    tab.get_by_role("button", name="Whole head").click()
    settle(tab)
    assert tab.locator("#zoom").inner_text() == "100 %"
    np.testing.assert_array_equal(drawn(tab), whole)


def test_by_keyboard(opened) -> None:
    tab = opened("subject", 1366, 768)
    before = slice_numbers(tab)
    tab.locator("canvas").first.focus()
    for key in ("PageUp", "ArrowLeft", "ArrowUp"):
        tab.keyboard.press(key)
    settle(tab)
    assert slice_numbers(tab) == [before[0] + 1, before[1] - 1, before[2] - 1]
    tab.keyboard.press("+")
    tab.keyboard.press("c")
    settle(tab)
    assert tab.locator("#zoom").inner_text() == "125 %"
    assert [label.split(",")[0] for label in tab.locator(".under output").all_inner_texts()] == ["PET", "MRI", "Fused"]
    tab.keyboard.press("4")
    assert tab.get_by_label("PET", exact=True).is_checked()
    tab.keyboard.press("h")
    settle(tab)
    assert slice_numbers(tab) != before
    slider = tab.get_by_role("slider", name="Axial slice, from feet to head").first
    slider.focus()
    slider.press("Home")
    settle(tab)
    assert set(slice_numbers(tab)) == {1}
    assert slider.get_attribute("aria-valuetext") == tab.locator(".under output").first.inner_text().split(": ")[1]


def test_pictures_differ_and_the_opacity_is_live(opened) -> None:
    tab = opened("subject", 1366, 768)
    tab.get_by_label("Crosshair").uncheck()
    seen = {}
    for mode in ("color", "fused", "blend", "pet", "mri", "outlines", "checker"):
        tab.locator(f"label[for=mode-{mode}]").click()
        settle(tab)
        seen[mode] = drawn(tab)
        legend = tab.locator(".scale:not([hidden])")
        assert legend.count() == 1
    assert all((seen[a] != seen[b]).any() for a, b in itertools.combinations(seen, 2))
    for mode in ("fused", "pet", "mri"):
        inner = seen[mode][60:-60, 60:-60]
        border = np.abs(inner - [25, 195, 214]).sum(axis=-1) < 150
        assert np.ptp(inner, axis=-1)[~border].mean() < 3  # grey
    tab.locator("label[for=mode-blend]").click()
    slider = tab.get_by_label("Opacity of the PET")
    for key, mode in (("Home", "mri"), ("End", None)):
        slider.press(key)
        settle(tab)
        shown = drawn(tab)
        if mode:
            np.testing.assert_array_equal(shown, seen[mode])
        else:
            assert np.abs(shown - seen["blend"]).mean() > 1


def test_the_border_of_the_field_of_view_can_be_hidden(opened) -> None:
    tab = opened("subject")
    tab.locator("label[for=mode-mri]").click()
    settle(tab)
    is_border = lambda: (np.abs(drawn(tab, 1) - [25, 195, 214]).max(axis=-1) < 60).sum()  # noqa: E731
    shown = is_border()
    tab.get_by_label("End of the PET's field of view").uncheck()
    settle(tab)
    assert shown > 100
    assert is_border() == 0


def test_outlines_are_lines_that_do_not_grow(opened) -> None:
    tab = opened("subject", 1366, 768)
    tab.get_by_label("Crosshair").uncheck()
    tab.locator("label[for=mode-outlines]").click()
    shares = []
    for zoom in range(3):
        if zoom:
            tab.keyboard.press("+")
            tab.keyboard.press("+")
        settle(tab)
        picture = drawn(tab)
        shares.append((np.abs(picture - [214, 32, 107]).max(axis=-1) < 60).mean())
    assert 0.12 > shares[0] > shares[1] > shares[2] > 0.002


@pytest.mark.parametrize("width", [1366, 1920, 800])
def test_the_help_opens_within_the_screen(opened, width: int) -> None:
    tab = opened("subject", width, 768)
    tab.get_by_text("Mouse and keys").click()
    box = tab.locator(".help dl").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= 768


def test_the_hottest_places(opened) -> None:
    tab = opened("subject", 1366, 768)
    buttons = tab.locator("[data-hottest]")
    assert 2 <= buttons.count() <= 5
    pressed = lambda: [each.get_attribute("aria-pressed") for each in buttons.all()].index("true")  # noqa: E731
    assert pressed() == 0  # where the page begins
    values = []
    for number in range(buttons.count()):
        buttons.nth(number).click()
        settle(tab)
        assert pressed() == number
        values.append(float(tab.locator("#at-crosshair").inner_text().split(" ")[0]))
        assert values[-1] == pytest.approx(float(buttons.nth(number).inner_text()), rel=0.15)  # at the nearest voxel
    assert max(values) > 0.8 * pet_window_end()


def pet_window_end() -> float:
    pet = sitk.GetArrayFromImage(sitk.ReadImage(str(SAMPLES / "SimulatedHead_FDG.nrrd")))
    return float(np.percentile(pet[pet > 0.1 * pet.max()], 99))


def test_a_browser_that_is_too_old_shows_the_key_slices(opened) -> None:
    tab = opened("subject", script="delete window.DecompressionStream")
    tab.wait_for_selector("#no-viewer:visible", timeout=60_000)
    assert tab.locator("#key-slices").is_visible()
    assert not tab.locator("#viewer").is_visible()


@pytest.mark.parametrize("name", ["subject", "group"])
@pytest.mark.parametrize("width", [1280, 800])
def test_nothing_is_wider_than_the_screen(opened, name: str, width: int) -> None:
    tab = opened(name, width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    cut = tab.evaluate(
        "[...document.querySelectorAll('th, td, button, h1, h2, figcaption')].filter(each => each.scrollWidth >"
        " each.clientWidth + 1 && getComputedStyle(each).display !== 'inline' && each.clientWidth).length"
    )
    assert cut == 0


@pytest.mark.parametrize(("width", "media"), [(1366, "screen"), (800, "screen"), (1031, "print")])  # 273 mm, as it is printed
def test_no_number_of_a_group_runs_into_the_next(opened, width: int, media: str) -> None:
    tab = opened("pictured", width)
    tab.emulate_media(media=media)
    assert tab.locator("#subjects img").first.is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    wide = tab.evaluate(
        "[...document.querySelectorAll('#subjects :is(th, td)')].filter(each => {"
        " const range = document.createRange(); range.selectNodeContents(each);"
        " const text = range.getBoundingClientRect(), cell = each.getBoundingClientRect();"
        " return text.width && (text.left < cell.left - 1 || text.right > cell.right + 1); }).map(each => each.textContent)"
    )
    assert wide == []


def _column(tab, index: int) -> list[str]:
    return tab.locator("#subjects tbody tr").evaluate_all(f"rows => rows.map(row => row.cells[{index}].textContent)")


def _sorted_state(tab) -> list[str]:
    return tab.locator("#subjects thead th").evaluate_all("cells => cells.map(cell => cell.getAttribute('aria-sort'))")


def test_sorting_by_click_and_by_keyboard(opened) -> None:
    tab = opened("group")
    assert _column(tab, 1)[0] == "failed"
    tab.get_by_role("button", name="EN").click()
    values = _column(tab, 3)
    assert values[-2:] == ["-", "-"]  # missing ones are last
    assert [float(value) for value in values[:-2]] == sorted(float(value) for value in values[:-2])
    assert _sorted_state(tab) == ["none"] * 3 + ["ascending"] + ["none"] * 2
    tab.get_by_role("button", name="EN").press("Enter")
    values = _column(tab, 3)
    assert values[-2:] == ["-", "-"]
    assert float(values[0]) == 6.1
    assert _sorted_state(tab)[3] == "descending"
    tab.get_by_role("button", name="SSIM").press("Space")
    assert _column(tab, 4)[0] == "◆ 0.2000"
    assert _column(tab, 0)[1:4] == ["sub-11", "sub-10", "sub-09"]  # equal ones stay in their order
    tab.get_by_role("button", name="Name").click()
    assert _column(tab, 0)[-2:] == ["sub-10", "sub-11"]


@SCREENS
def test_many_subjects_are_on_the_first_screen_of_a_group(opened, width: int, height: int) -> None:
    tab = opened("group", width, height)
    assert tab.locator("#subjects thead").bounding_box()["y"] < height / 2
    assert tab.locator("#subjects tbody tr").nth(4).bounding_box()["y"] < height


def test_the_filter(opened) -> None:
    tab = opened("group")
    tab.get_by_label("Name contains").fill("SUB-1")
    assert tab.locator("#subjects tbody tr:visible").count() == 2
    assert tab.get_by_role("status").inner_text() == "2 of 13 found"
    tab.get_by_role("button", name="EN").click()
    assert tab.locator("#subjects tbody tr:visible").count() == 2
    tab.get_by_label("Name contains").fill("")
    assert tab.locator("#subjects tbody tr:visible").count() == 13


def test_the_kinds_of_rows(opened) -> None:
    tab = opened("group")
    for kind, names in (
        ("failed", ["<script>alert('x')</script> & \"Ü\""]),
        ("with warnings", ["sub-01"]),
        ("with outliers", ["sub-01"]),
    ):
        tab.get_by_label("Show", exact=True).select_option(kind)
        assert tab.locator("#subjects tbody tr:visible th").all_inner_texts() == names
    tab.get_by_label("Show", exact=True).select_option("all")
    assert tab.locator("#subjects tbody tr:visible").count() == 13


def test_of_many_rows_the_first_are_shown_until_all_are_asked_for(opened) -> None:
    tab = opened("large")
    assert tab.locator("#subjects tbody tr:visible").count() == 500
    assert "the first 500 shown" in tab.get_by_role("status").inner_text()
    tab.get_by_role("button", name="EN").click()
    tab.get_by_role("button", name="EN").click()
    assert _column(tab, 3)[0] == "74.9000"  # sorted among all
    tab.get_by_role("button", name="Show all").click()
    assert tab.locator("#subjects tbody tr:visible").count() == 701
    tab.emulate_media(media="print")
    assert tab.locator("#subjects tbody tr:visible").count() == 701


def test_printed(opened) -> None:
    tab = opened("subject", 700)  # about the width of A4
    tab.emulate_media(media="print")
    assert not tab.get_by_role("slider").first.is_visible()
    assert tab.locator("#key-slices img").count() == 35
    assert tab.locator("#key-slices img").first.is_visible()
    told = tab.locator("#key-slices").inner_text()
    assert "Hottest places of the PET within the head, in Bq/ml: " in told
    assert tab.locator("[data-hottest]").first.get_attribute("title").split(";")[0] in told
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700
    assert tab.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.mark.ci
def test_without_scripts_the_key_slices_are_seen(browser, pages) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(pages["subject"].as_uri())
    assert tab.locator("#key-slices img").first.is_visible()
    assert tab.locator("#key-slices img").first.evaluate("image => image.naturalWidth") > 100
    assert tab.locator("input:visible").count() == 0
    context.close()
