"""The pages for quality control: what they show, where the patient's left is, and how they behave in a browser."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
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
from cspadn.metrics import SliceScores, VolumeScores, measure_volumes
from cspadn.metrics.registry import BY_NAME
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from cspadn.registration import Registration
from cspadn.registration.placing import placed
from cspadn.report import pages as pages_module
from cspadn.report.pages import GroupRow, group_page, robust_z, subject_page
from cspadn.report.planes import CUTS, MOST_SLICES, views_of
from cspadn.report.plots import histogram
from message_calls import raises, says
from repository import ROOT
from volumes import volume

SAMPLES = ROOT / "CSpADNFusion" / "Resources" / "SampleData"
SHOWN = (DEFAULT_PALETTE, "PET-DICOM")  # others differ in nothing but their table, which the tests of colours check
NASTY = "<script>alert('x')</script> & \"Ü\""
COSINE, SINE = math.cos(0.5), math.sin(0.5)
OBLIQUE = [[COSINE, -SINE, 0], [SINE * COSINE, COSINE * COSINE, -SINE], [SINE * SINE, COSINE * SINE, COSINE]]


def fused_by_hand(pet: sitk.Image, mri: sitk.Image, grid: str = "mri", warnings: tuple[str, ...] = ()) -> FusionResult:
    """What a network that copies one source would make of values from 0 to 100."""
    image = sitk.Cast(mri if grid == "mri" else pet, sitk.sitkFloat32) * (FUSED_MAXIMUM / 100)
    provenance = {"grid": grid, "pet_window": [0.0, 100.0], "mri_window": [0.0, 100.0], "model_sha256": "0f" * 32}
    return FusionResult(image, provenance, list(warnings))


def page_of(pet: sitk.Image, mri: sitk.Image, scores: VolumeScores | None = None, *, title: str = "sub-01", **more) -> str:
    return subject_page(pet, mri, fused_by_hand(pet, mri, **more), scores, title=title)


def strips(page: str, picture: str) -> dict[str, np.ndarray]:
    """By plane, the slices of one picture, decoded from the page: (slices, rows, columns), or RGB in (..., 3)."""
    found = {}
    for plane in ("axial", "sagittal", "coronal"):
        section = page[page.index(f'aria-labelledby="{plane}"') :]
        rows = int(re.search(r"--rows: (\d+)", section)[1])
        url = re.search(rf'src="data:image/webp;base64,([^"]+)" alt="{re.escape(picture)}, {plane}"', section)[1]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url))).convert("L"))
        found[plane] = pixels.reshape(-1, rows, pixels.shape[1])
    return found


def labels_of(page: str, plane: str) -> list[str]:
    text = re.search(rf'aria-labelledby="{plane}" data-labels="([^"]*)"', page)[1]
    return json.loads(text.replace("&#34;", '"'))


def at_points(bright: list[tuple[float, float, float]], direction=None, spacing=(2, 2, 3)) -> sitk.Image:
    """A volume around the origin of space with a dim head, and a bright cube of 12 mm at each point (LPS)."""
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
    """A bright cube at the patient's left, front and top is where the marks say, however the volume is stored."""
    mri = sitk.DICOMOrient(at_points([(30, -20, 15)]), stored)
    page = page_of(at_points([]), mri)
    where = {"axial": ("right", "top"), "sagittal": ("left", "top"), "coronal": ("right", "top")}
    for (plane, sides), cut in zip(where.items(), CUTS, strict=True):
        slices = strips(page, "MRI")[plane].astype(float)
        slices[slices < 200] = 0
        brightest = slices[slices.sum(axis=(1, 2)).argmax()]
        rows, columns = brightest.shape
        assert brightest[:, columns // 2 :].any() == (sides[0] == "right"), plane
        assert brightest[: rows // 2].any() == (sides[1] == "top"), plane
        assert brightest[rows // 2 :].sum() == 0, plane
        section = page[page.index(f'aria-labelledby="{plane}"') :]
        marks = dict(re.findall(r'<span class="mark (\w+)" aria-hidden="true">(\w)</span>', section)[:4])
        assert marks == {"top": cut.top, "bottom": cut.bottom, "left": cut.left, "right": cut.right}
        assert marks[sides[0]] in {"axial": "L", "sagittal": "A", "coronal": "L"}[plane]
        assert marks["top"] in {"axial": "A", "sagittal": "S", "coronal": "S"}[plane]


@pytest.mark.parametrize("direction", [None, OBLIQUE], ids=["aligned", "oblique"])
def test_positions_and_distances(direction) -> None:
    """Slices are where they say, and pixels as large as they say, in the patient's planes; oblique volumes as well."""
    first, second = np.array([26.0, -18, 12]), np.array([-22.0, 20, -14])
    pet, mri = at_points([], direction), at_points([tuple(first), tuple(second)], direction)
    result = fused_by_hand(pet, mri)
    for plane in views_of(pet, mri, result.image, result.provenance).planes:
        across = {"axial": (0, 1), "sagittal": (1, 2), "coronal": (0, 2)}[plane.cut.name]
        centres = []
        for point in (first, second):
            near = np.abs(np.array(plane.positions) - point[plane.cut.axis]).argmin()
            assert abs(plane.positions[near] - point[plane.cut.axis]) <= plane.step / 2 + 1e-6
            centres.append(np.argwhere(plane.mri[near] > 0.6).mean(axis=0)[::-1] * plane.pixel)
        expected = (first - second)[list(across)] * ([1, 1] if plane.cut.name == "axial" else [1, -1])
        np.testing.assert_allclose(centres[0] - centres[1], expected, atol=1.5)
        assert (plane.every is None) == (direction is not None)


def test_slices_are_those_of_the_volume() -> None:
    """Of aligned volumes no slice is interpolated across: each so-many-th is shown, as the labels say."""
    mri = at_points([(0, 0, 0)])
    result = fused_by_hand(mri, mri)
    for plane in views_of(mri, mri, result.image, result.provenance).planes:
        axis = plane.cut.axis
        steps = (np.array(plane.positions) - mri.GetOrigin()[axis]) / mri.GetSpacing()[axis]
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
        np.testing.assert_allclose(np.diff(steps), plane.every)
        assert 1 < len(plane.positions) <= MOST_SLICES
    page = page_of(mri, mri)
    assert "Every 3rd slice of the fused volume, 6 mm apart." in page
    assert labels_of(page, "axial")[0].endswith(f"mm I (feet), slice 1 of {len(labels_of(page, 'axial'))}")
    assert re.match(r"[\d.]+ mm L \(left\)", labels_of(page, "sagittal")[-1])


def test_a_volume_one_slice_wide() -> None:
    for place in range(3):
        size = [24, 24, 24]
        size[place] = 1
        image = sitk.Cast(sitk.Image(size, sitk.sitkUInt8) + 50, sitk.sitkInt16)
        image[0, 0, 0] = 100
        page = page_of(image, image)
        name = next(cut.name for cut in CUTS if cut.axis == place)
        assert labels_of(page, name) == ["0.0 mm, slice 1 of 1"]
        assert strips(page, "MRI")[name].max() > 100


def test_empty_volumes_are_shown_whole() -> None:
    black = sitk.Image(20, 20, 20, sitk.sitkFloat32)
    assert strips(page_of(black, black), "MRI")["axial"].max() == 0


# The field of view


def test_a_pet_that_covers_a_part() -> None:
    mri, pet = at_points([]), at_points([])[10:50, 10:50, 5:30]
    page = page_of(pet, mri)
    assert "Where the field of view of the PET ends" in page
    assert "the MRI was kept" in page
    assert page.count('class="outline"') == 3 * 3
    assert 'id="outline"' in page
    result = fused_by_hand(pet, mri)
    axial = views_of(pet, mri, result.image, result.provenance).planes[0]
    border = axial.border[len(axial.border) // 2]
    rows, columns = np.flatnonzero(border.any(axis=1)), np.flatnonzero(border.any(axis=0))
    np.testing.assert_allclose(np.array([np.ptp(columns), np.ptp(rows)]) * axial.pixel, 80, atol=2)  # 40 voxels of 2 mm
    assert not border[rows[0] + 2 : rows[-1] - 1, columns[0] + 2 : columns[-1] - 1].any()
    shown = strips(page, "PET (inverted grey)")["axial"]
    assert shown[:, shown.shape[1] // 2, 0].max() < 20  # beyond, it is not white


def test_a_pet_that_covers_all() -> None:
    page = page_of(at_points([]), at_points([]))
    assert "covers all that is shown here" in page
    assert 'id="outline"' not in page
    assert "All subjects" not in page  # it was given no index


def test_the_grid_of_the_pet() -> None:
    pet, mri = at_points([]), at_points([])[10:50, 10:50, 5:30]
    page = page_of(pet, mri, grid="pet")
    assert "Where the field of view of the MRI ends" in page
    assert "the PET was kept" in page


def test_holes_of_the_pet_are_background_unless_it_says_otherwise() -> None:
    mri = at_points([])
    values = sitk.GetArrayFromImage(mri)
    values[:, :, :28] = np.nan
    pet = sitk.GetImageFromArray(values)
    pet.CopyInformation(mri)
    result = fused_by_hand(mri, mri)
    assert not any(plane.border.any() for plane in views_of(pet, mri, result.image, result.provenance).planes)
    pet.SetMetaData(NAN_IS_OUTSIDE, "1")
    axial = views_of(pet, mri, result.image, result.provenance).planes[0]
    assert axial.border.any()
    assert set(np.unique(axial.pet[~axial.pet_seen])) == {0}


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
    for name, value in shown.items():
        assert f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' in page
    assert 'href="../a%20b%231.html"' in page


_NAMES = ["PET (inverted grey)", "MRI", "Blend", "Fused, grey", "Fused, colour"]
_COMPARED = ["PET with outlines of the MRI", "Checkerboard of PET and MRI"]


def test_pictures_of_each_plane() -> None:
    names = re.findall(r"<figcaption>([^<]+)</figcaption>", page_of(at_points([]), at_points([])))
    assert names == [*_NAMES, *_COMPARED] * 3


def test_a_registered_pet_is_shown_before_and_after() -> None:
    """Before, it was 9 mm further to the left."""
    pet, mri = at_points([(10, 0, 0)]), at_points([(10, 0, 0)])
    transform = sitk.TranslationTransform(3, (9.0, 0, 0))
    apart = placed(pet, transform.GetInverse())
    result = replace(fused_by_hand(pet, mri), registration=Registration(transform, 0.2, 9, 0, 1, 1))
    page = subject_page(apart, mri, result, None, title="x")
    names = re.findall(r"<figcaption>([^<]+)</figcaption>", page)
    assert names == [*_NAMES, "PET before the registration, with outlines of the MRI", *_COMPARED] * 3
    for plane in views_of(pet, mri, result.image, result.provenance, before=apart).planes:
        if plane.cut.name != "sagittal":
            before, after = (np.argwhere(np.nan_to_num(unit) > 0.5)[:, 2].mean() for unit in (plane.pet_before, plane.pet))
            assert (before - after) * plane.pixel == pytest.approx(9, abs=1)


@pytest.mark.parametrize("palette", [pytest.param(name, marks=() if name in SHOWN else pytest.mark.slow) for name in PALETTES])
def test_the_legend_has_the_palette_and_the_window(palette: str) -> None:
    pet, mri = at_points([]), at_points([])
    result = fused_by_hand(pet, mri)
    result.provenance.update(pet_window=[-1.5, 25000.0], pet_units="BQML")
    page = subject_page(pet, mri, result, None, title="x", palette=palette)
    url = re.search(r'src="data:image/webp;base64,([^"]+)" alt="Legend: uptake from left to right', page)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url)))).astype(float)
    assert np.abs(pixels - legend(palette)).mean() < 6  # of WebP
    assert "<span>-1.5</span><span>25000</span>" in page
    assert "uptake (BQML) &rarr;" in page
    assert len(url) < 20_000


def test_metrics_on_the_page() -> None:
    """A constant one, and slices that were not measured."""
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
    monkeypatch.setattr(pages_module, "find_spec", lambda name: None if name == module else object())
    with raises(MissingPackageError, "report-package-missing", package=package):
        pages_module.check_packages()


# The group


def group(count: int = 8) -> list[GroupRow]:
    """One of which is an outlier in SSIM, and one failed."""
    rows = [
        GroupRow(
            f"sub-{index:02d}", "done", page=f"sub-{index:02d}.html", means={"EN": 5 + index / 10, "SSIM": 0.7}, seconds=9
        )
        for index in range(count)
    ]
    rows[1] = GroupRow("sub-01", "done", means={"EN": None, "SSIM": 0.2}, warnings=("Little overlap.",), seconds=20)
    return [*rows, GroupRow(NASTY, "failed", message="The PET is empty.")]


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


def test_few_subjects_have_no_outliers() -> None:
    page = group_page(group(4), title="Few", told={})
    assert f'title="{BY_NAME["SSIM"].explanation}"' in page
    assert "◆" not in page
    assert "No outliers are looked for in EN, SSIM: fewer than 5 subjects" in page


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
    """With metrics, which nothing else asked for."""
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
        missing.setattr(pages_module, "find_spec", lambda name: None if name == "matplotlib" else object())
        assert run(files) == 1
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


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """The page of the sample pair, of which the PET is cut to a part, and that of a group."""
    folder = tmp_path_factory.mktemp("pages")
    mri = sitk.ReadImage(str(SAMPLES / "SimulatedHead_T1.nrrd"))[::3, ::3, ::2]
    pet = sitk.ReadImage(str(SAMPLES / "SimulatedHead_FDG.nrrd"))[:, :, :40]
    result = fuse(pet, mri, FusionSettings(device="cpu"))
    scores = measure_volumes(pet, mri, result.image, names=("EN", "SSIM"), fused_window=(0, FUSED_MAXIMUM))
    told = {
        "subject": subject_page(pet, mri, result, scores, title="sub-01 ses-2", index="group.html"),
        "group": group_page(group(12), title="Study", told={"Software": "cspadn"}),
        "large": group_page(group(700), title="Study", told={}),
    }
    files = {name: folder / f"{name}.html" for name in told}
    for name, text in told.items():
        files[name].write_text(text, encoding="utf-8")
    return files


@pytest.fixture
def opened(browser, pages) -> Iterator:
    """Opens a page by its name; fails in the end if the console said anything, or anything but the file was asked for."""
    said, asked, opened_urls, tabs = [], [], [], []

    def open_page(name: str, width: int = 1280):
        tab = browser.new_page(viewport={"width": width, "height": 800})
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tabs.append(tab)
        opened_urls.append(pages[name].as_uri())
        tab.goto(opened_urls[-1])
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [
        pages_url for pages_url in asked if "file://" in pages_url
    ]
    assert len([url for url in asked if url.startswith("file://")]) == len(tabs)


def test_the_slider_moves_all_pictures_of_its_plane(opened) -> None:
    tab = opened("subject")
    plane, other = tab.locator(".plane").nth(0), tab.locator(".plane").nth(1)
    tops = "images => images.map(image => image.getBoundingClientRect().top - image.parentElement.getBoundingClientRect().top)"
    before, others = (each.locator(".view img").evaluate_all(tops) for each in (plane, other))
    label = plane.locator("output").inner_text()
    slider = plane.get_by_role("slider", name="Axial slice, from feet to head")
    slider.focus()
    slider.press("ArrowRight")
    height = plane.locator(".view").first.evaluate("view => view.getBoundingClientRect().height")
    after = plane.locator(".view img").evaluate_all(tops)
    assert len(after) == 5 + 3 + 2 + 2  # the border on three, the outlines on one, and the second of the checkerboard
    np.testing.assert_allclose(np.subtract(before, after), height, atol=0.5)
    assert other.locator(".view img").evaluate_all(tops) == others
    assert plane.locator("output").inner_text() != label
    assert slider.get_attribute("aria-valuetext") == plane.locator("output").inner_text()
    slider.press("End")
    labels = json.loads(plane.get_attribute("data-labels"))
    assert plane.locator("output").inner_text() == labels[-1]


def test_the_outline_can_be_hidden(opened) -> None:
    tab = opened("subject")
    assert tab.locator(".outline").first.is_visible()
    tab.get_by_label("Show the border").uncheck()
    assert not tab.locator(".outline").first.is_visible()
    assert tab.locator(".sprite").first.is_visible()


def test_the_outlines_of_the_mri_can_be_hidden_and_the_checkerboard_moved(opened) -> None:
    tab = opened("subject")
    assert tab.locator(".tissues").first.is_visible()
    tab.get_by_label("Show the outlines").uncheck()
    assert not tab.locator(".tissues").first.is_visible()
    board = tab.locator(".board").first
    before = board.screenshot()
    tab.get_by_label("Move the checkerboard").fill("100")
    assert board.screenshot() != before


def test_pictures_are_seen_and_have_their_shape(opened) -> None:
    tab = opened("subject")
    shapes = tab.locator(".view").evaluate_all(
        """views => views.map(view => {
            const styles = getComputedStyle(view);
            const expected = styles.getPropertyValue("--columns") / styles.getPropertyValue("--rows");
            return [view.clientWidth / view.clientHeight, expected, view.querySelector("img").naturalWidth];
        })"""
    )
    assert len(shapes) == 21
    for shown, expected, loaded in shapes:
        assert shown == pytest.approx(expected, rel=0.02)
        assert loaded > 0


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


def test_the_filter(opened) -> None:
    tab = opened("group")
    tab.get_by_label("Name contains").fill("SUB-1")
    assert tab.locator("#subjects tbody tr:visible").count() == 2
    assert tab.get_by_role("status").inner_text() == "2 of 13 found"
    tab.get_by_role("button", name="EN").click()
    assert tab.locator("#subjects tbody tr:visible").count() == 2
    tab.get_by_label("Name contains").fill("")
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
    assert tab.locator(".sprite").first.is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700
    kept = tab.locator(".plane").evaluate_all("planes => planes.map(plane => getComputedStyle(plane).breakInside)")
    assert kept == ["avoid"] * 3
    assert tab.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_without_scripts_the_middle_slices_are_seen(browser, pages) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(pages["subject"].as_uri())
    assert tab.locator("input[type=range]:visible").count() == 0
    style = tab.locator(".plane").first.get_attribute("style")
    slice_, count = (int(re.search(rf"--{name}: (\d+)", style)[1]) for name in ("slice", "count"))
    assert slice_ == count // 2 > 0
    assert f"slice {slice_ + 1} of {count}" in tab.locator("output").first.inner_text()
    context.close()
