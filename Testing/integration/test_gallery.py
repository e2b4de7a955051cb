"""The pictures of the gallery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

import cspadn
from cspadn.palettes import DEFAULT_PALETTE, PALETTES
from training import gallery
from training.make_sample_data import COLD, DARK, HOT


def test_columns_show_one_slice_of_each_display(pair: tuple[sitk.Image, sitk.Image]) -> None:
    settings = cspadn.FusionSettings(palette=DEFAULT_PALETTE, device="cpu")
    shown = gallery.Shown.of(*pair, settings)
    result = cspadn.fuse(*pair, settings)
    columns = shown.columns(5)
    assert list(columns) == ["PET", "MRI", "slider, 50%", "fused, grey", "fused, colour"]
    np.testing.assert_allclose(columns["fused, grey"][..., 0], sitk.GetArrayFromImage(result.image)[5] / 4095, atol=1e-6)
    np.testing.assert_array_equal(np.rint(columns["fused, colour"] * 255), sitk.GetArrayFromImage(result.color)[5])
    np.testing.assert_allclose(columns["slider, 50%"], (columns["PET"] + columns["MRI"]) / 2, atol=1e-6)


def test_boxes_have_the_lesions_in_their_middle() -> None:
    grid = gallery.sample_pair()[1]
    shown = gallery.Shown(*[np.zeros(grid.GetSize()[::-1], np.float32)] * 3, np.zeros((*grid.GetSize()[::-1], 3)), grid)
    for lesion in (HOT, COLD, DARK):
        plane, row, column = shown.place(lesion)
        np.testing.assert_allclose(grid.TransformIndexToPhysicalPoint((column, row, plane)), lesion.centre, atol=1.01)
        rows, columns = shown.around(lesion)
        assert (rows.start + rows.stop, columns.start + columns.stop) == (2 * row, 2 * column)


def test_the_page_shows_every_picture_that_is_drawn() -> None:
    page = (Path(gallery.__file__).parents[1] / "docs" / "gallery.md").read_text(encoding="utf-8")
    drawn = set(Path(gallery.__file__).read_text(encoding="utf-8").split('"')) & {
        each for each in page.replace("(pictures/", "\n").replace(")", "\n").split("\n") if each.startswith("gallery-")
    }
    assert len(drawn) == page.count("![") == 5


def test_every_palette_has_a_row(pair: tuple[sitk.Image, sitk.Image], monkeypatch) -> None:
    shown = gallery.Shown.of(*pair, cspadn.FusionSettings(palette=DEFAULT_PALETTE, device="cpu"))
    monkeypatch.setattr(gallery.Shown, "place", lambda self, lesion: (5, 0, 0))
    rows = gallery._palettes(shown)
    assert [name for name, _ in rows] == [name.removeprefix("PET-") for name in PALETTES]
    assert {picture.shape for _, columns in rows for picture in columns.values()} == {(*shown.mri.shape[1:], 3)}
