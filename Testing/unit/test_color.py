"""The colour tables of the palettes: distinguishable colours, and the basis of the observer's figures."""

from __future__ import annotations

import numpy as np
import pytest

from cspadn.imaging import color, oklab
from cspadn.palettes import BY_NAME, DEFAULT_PALETTE, PALETTES, REGISTRY
from training.evaluation import colors

HUED = tuple(palette.name for palette in REGISTRY if palette.table.chroma)
# Smallest CIEDE2000 of a tenth of uptake. The aim is 5; docs/adr/0018 says where these palettes fall short.
AIM, BELOW_AIM = 5, {"PET-Rainbow": 4.9, "PET-HotMetalBlue": 4.6, "PET-Heat": 3.3, "Heated": 4.9}
STEP = 25  # levels: the nearest to a tenth of the window
RISE = 3  # brightness levels by which a tenth of uptake raises the default's mixture: 0.15 of 0.76 of it
# Pairs (L, a, b) and their differences, from table 1 of Sharma, Wu and Dalal (2005).
SHARMA = (
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, -0.001, 2.49), (50.0, 0.0009, -2.49), 4.8045),
    ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
)
# Machado, Oliveira and Fernandes (2009), severity 1, for linear light.
BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def _lab(name: str) -> np.ndarray:
    """Return the displayed table in CIELAB."""
    return colors.cielab(np.rint(color.color_table(name) * 255) / 255)


@pytest.mark.parametrize(("first", "second", "difference"), SHARMA)
def test_ciede2000_is_the_published_one(first, second, difference) -> None:
    assert colors.ciede2000(np.array(first), np.array(second)) == pytest.approx(difference, abs=1e-4)
    assert colors.ciede2000(np.array(second), np.array(first)) == pytest.approx(difference, abs=1e-4)


def test_oklab_and_back() -> None:
    rgb = np.random.default_rng(0).random((100, 3))
    np.testing.assert_allclose(oklab.to_srgb(oklab.from_srgb(rgb)), rgb, atol=1e-6)
    np.testing.assert_allclose(oklab.from_srgb(rgb), oklab.from_srgb(rgb), atol=1e-12)
    np.testing.assert_allclose(oklab.from_srgb(np.array([1.0, 0.0, 0.0])), [0.628, 0.2249, 0.1258], atol=1e-3)  # Ottosson
    light, hue = np.array([0.628, 0.5]), np.array([np.arctan2(0.1258, 0.2249), 2.0])
    most = oklab.greatest_chroma(light, hue)
    assert most[0] == pytest.approx(0.2577, abs=2e-3)  # red is at the edge of sRGB


@pytest.mark.parametrize("name", PALETTES)
def test_black_stays_black_and_no_uptake_is_grey(name: str) -> None:
    table = color.color_table(name)
    assert table.shape == (256, 256, 3)
    assert 0 <= table.min() <= table.max() <= 1
    np.testing.assert_allclose(table[0], np.repeat(np.linspace(0, 1, 256)[:, None], 3, axis=1), atol=1e-6)
    zero = np.zeros((1, 2, 2), np.float32)
    assert not color.recolored(name, zero, zero, zero).any()


@pytest.mark.parametrize("name", PALETTES)
def test_lightness_rises_with_brightness_and_with_uptake(name: str) -> None:
    light = oklab.from_srgb(color.color_table(name))[..., 0]
    assert np.diff(light, axis=1).min() > 0
    assert np.diff(light[:, :128], axis=0).min() > -1e-3  # nearer to white, colours need room that no uptake does not


@pytest.mark.parametrize("name", PALETTES)
def test_the_table_has_no_contours(name: str) -> None:
    """The direction of change differs little between neighbouring levels, so the table adds no lines."""
    lab = oklab.from_srgb(color.color_table(name))[:, 12:]  # nearer to black the cube root is steep, as for all greys
    for axis in (0, 1):
        assert np.abs(np.diff(lab, n=2, axis=axis)).max() < 3.6e-3
        assert np.abs(np.diff(lab, axis=axis)).max() < 0.025


@pytest.mark.parametrize("name", HUED)
def test_each_tenth_of_the_uptake_can_be_seen(name: str) -> None:
    assert colors.smallest_step(name, _occurring()) >= BELOW_AIM.get(name, AIM)


def test_each_tenth_of_the_uptake_can_be_seen_at_any_brightness_of_the_default() -> None:
    where = np.zeros((256, 256), bool)
    where[:, 14:250] = True
    assert colors.smallest_step(DEFAULT_PALETTE, where) >= 4.9


def _occurring() -> np.ndarray:
    """The brightnesses range from dark grey to nearly white, as in heads, with some margin."""
    where = np.zeros((256, 256), bool)
    where[:, 38:205] = True
    return where


@pytest.mark.parametrize("kind", BLIND)
def test_the_default_is_safe_for_colour_blind_readers(kind: str) -> None:
    """At any brightness of the MRI, a tenth of uptake, which also raises the brightness by way of the fused value."""
    light = oklab.linear_light(color.color_table(DEFAULT_PALETTE)) @ np.array(BLIND[kind]).T
    lab = colors.cielab(_encoded(light))
    steps = colors.ciede2000(lab[:-STEP, :-RISE], lab[STEP:, RISE:])[:, 38:205]
    assert steps.min() >= 1.2
    assert np.percentile(steps, 5) >= 1.8
    alone = oklab.from_srgb(color.palette_of(DEFAULT_PALETTE))[:, 0]
    assert np.diff(alone).min() > 0


def _encoded(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_the_default_palette_is_perceptually_uniform() -> None:
    lab = oklab.from_srgb(color.palette_of(DEFAULT_PALETTE))
    steps = np.diff(lab[:, 0])
    assert steps.max() / steps.min() < 1.2  # lightness rises evenly


@pytest.mark.parametrize("name", HUED)
def test_the_hottest_uptake_keeps_its_hue(name: str) -> None:
    lab = oklab.from_srgb(color.color_table(name))
    chroma = np.hypot(lab[-1, :, 1], lab[-1, :, 2])
    assert chroma[25:230].min() > 0.05


def test_a_palette_without_hue_gives_the_fused_value_in_grey() -> None:
    random = np.random.default_rng(1)
    pet, mri, fused = random.random((3, 5, 10), np.float32)
    rgb = color.recolored("PET-MaximumIntensityProjection", pet, mri, fused)
    np.testing.assert_array_equal(rgb, np.rint(fused * 255).astype(np.uint8)[..., None].repeat(3, axis=-1))


@pytest.mark.parametrize("name", HUED)
def test_colours_are_interpolated_without_bands(name: str) -> None:
    ramp = np.linspace(0.1, 0.9, 20000, dtype=np.float32)[np.newaxis]
    still = np.full_like(ramp, 0.5)
    for pet, mri in ((ramp, still), (still, ramp)):
        rgb = color.recolored(name, pet, mri, mri).astype(int)
        assert np.abs(np.diff(rgb, axis=1)).max() <= 1


@pytest.mark.parametrize("name", HUED)
def test_the_uptake_can_be_read_back_from_the_table(name: str) -> None:
    shown = np.rint(color.color_table(name)[:, 25:230:5] * 255) / 255
    levels = np.linspace(0, 1, 256)[:, None]
    errors = np.abs(colors.read_back(name, shown) - levels)
    assert np.median(errors) <= 0.03
    assert np.percentile(errors, 95) <= 0.08


def test_the_legend_shows_uptake_across_and_brightness_up() -> None:
    table = color.color_table(DEFAULT_PALETTE)
    picture = color.legend(DEFAULT_PALETTE, 256)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture, table.transpose(1, 0, 2)[::-1] * 255, atol=0.51)
    small = color.legend(DEFAULT_PALETTE, 96, 40)
    assert small.shape == (40, 96, 3)
    np.testing.assert_array_equal(small[-1, 0], [0, 0, 0])
    np.testing.assert_array_equal(small[0, 0], [255, 255, 255])


def test_fine_detail_has_a_size_in_the_head() -> None:
    """The same head with pixels half as large has the same detail; flat and gently rising areas have none."""
    y, x = np.mgrid[:64, :64].astype(np.float32)
    spot = 0.4 + 0.1 * np.exp(-((y - 32) ** 2 + (x - 32) ** 2) / (2 * 1.3**2))
    fine_y, fine_x = np.mgrid[:128, :128].astype(np.float32) / 2
    fine_spot = 0.4 + 0.1 * np.exp(-((fine_y - 32) ** 2 + (fine_x - 32) ** 2) / (2 * 1.3**2))
    detail = color.fine_detail(spot)
    assert detail.max() == pytest.approx(color.fine_detail(fine_spot, (0.5, 0.5)).max(), abs=2e-3)
    assert 0.02 < detail.max() < 0.06
    assert np.abs(detail[:16, :16]).max() < 1e-4
    assert np.abs(color.fine_detail(x / 63)[:, 8:-8]).max() < 1e-5
    tall = color.fine_detail(spot, (1.0, 2.0))  # a spot of twice the width keeps more of its height
    assert detail.max() != pytest.approx(tall.max(), abs=1e-3)


def test_fine_detail_is_limited_and_slices_do_not_mix() -> None:
    slices = np.zeros((3, 32, 32), np.float32)
    slices[1, :, 16:] = 1
    detail = color.fine_detail(slices)
    assert np.abs(detail).max() <= 0.11
    assert not detail[[0, 2]].any()


def test_the_brightness_amplifies_fine_detail() -> None:
    design = BY_NAME[DEFAULT_PALETTE].table
    mri, fused, detail = (np.full((1, 4, 4), value, np.float32) for value in (0.4, 0.6, 0.05))
    expected = 0.4 + design.share * 0.2 + design.detail * 0.05
    np.testing.assert_allclose(color.brightness(DEFAULT_PALETTE, mri, fused, detail), expected, atol=1e-6)
    assert design.detail > 0
    assert f"{design.detail:.2f} fine detail" in color.brightness_text(DEFAULT_PALETTE)


def test_the_limits_of_the_chroma_are_rounded_as_by_scipy() -> None:
    from scipy import ndimage

    most = np.random.default_rng(5).random((40, 30))
    expected = ndimage.minimum_filter(most, [2 * reach + 1 for reach in color._REACH], mode="nearest")
    for axis, reach in enumerate(color._REACH):
        expected = ndimage.gaussian_filter1d(expected, reach / 2, axis=axis, mode="nearest", radius=reach)
    np.testing.assert_allclose(color._rounded(most), expected, rtol=1e-12)
