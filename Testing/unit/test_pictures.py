"""PNG pairs: fused luma and restored colour."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.fusion import fuse_pictures
from cspadn.imaging import color
from message_calls import raises


def _picture(pixels: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(pixels, isVector=pixels.ndim == 3)


@pytest.fixture
def pixels() -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    return {"grey": random.integers(0, 256, (24, 31), np.uint8), "color": random.integers(0, 256, (24, 31, 3), np.uint8)}


def test_luma_is_full_range_bt601() -> None:
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]])
    np.testing.assert_allclose(color.luma(rgb), [76.245, 149.685, 29.07, 255, 0])


def test_replacing_luma_keeps_chroma() -> None:
    random = np.random.default_rng(0)
    rgb = 0.4 + 0.2 * random.random((50, 3))  # every colour stays displayable
    new = 0.4 + 0.2 * random.random(50)
    changed = color.replace_luma(rgb, new, 1)
    np.testing.assert_allclose(color.luma(changed), new)
    np.testing.assert_allclose(changed - new[:, None], rgb - color.luma(rgb)[:, None])
    np.testing.assert_allclose(color.replace_luma(rgb, color.luma(rgb), 1), rgb, atol=1e-12)


def test_what_cannot_be_displayed_keeps_luma_and_hue() -> None:
    random = np.random.default_rng(3)
    rgb, new = 255 * random.random((500, 3)), 255 * random.random(500)
    new[:2] = 0, 255
    changed = color.replace_luma(rgb, new, 255)
    assert 0 <= changed.min() <= changed.max() <= 255
    np.testing.assert_allclose(color.luma(changed), new, atol=1e-9)
    before, after = rgb - color.luma(rgb)[:, None], changed - new[:, None]
    factor = (after * before).sum(1) / (before * before).sum(1)
    np.testing.assert_allclose(after, factor[:, None] * before, atol=1e-9)  # Cb and Cr by one factor: the same hue
    assert factor.min() >= 0
    assert (factor < 1 - 1e-9).sum() > 50
    at_the_edge = np.isclose(changed, 0, atol=1e-9).any(1) | np.isclose(changed, 255).any(1)
    assert (at_the_edge | np.isclose(factor, 1)).all()  # no more chroma is lost than must be


def test_grey_pair_gives_a_grey_picture(pixels) -> None:
    image = fuse_pictures(_picture(pixels["grey"]), _picture(pixels["grey"][::-1].copy())).image
    assert image.GetSize() == (31, 24)
    assert image.GetPixelID() == sitk.sitkUInt8


def test_color_of_the_pet_comes_back(pixels) -> None:
    image = fuse_pictures(_picture(pixels["color"]), _picture(pixels["grey"])).image
    assert image.GetNumberOfComponentsPerPixel() == 3
    plain = fuse_pictures(_picture(np.rint(color.luma(pixels["color"])).astype(np.uint8)), _picture(pixels["grey"])).image
    fused, grey = sitk.GetArrayFromImage(image).astype(float), sitk.GetArrayFromImage(plain)
    assert np.ptp(fused, axis=-1).max() > 50
    assert np.abs(color.luma(fused) - grey).max() <= 1


def test_grey_stored_as_rgb_and_alpha_and_16_bits_are_the_same_picture(pixels) -> None:
    grey, pet = pixels["grey"], _picture(pixels["grey"][:, ::-1].copy())
    forms = [
        grey,
        np.stack([grey] * 3, -1),
        np.stack([grey, grey, grey, np.full_like(grey, 9)], -1),
        grey.astype(np.uint16) * 257,
    ]
    first, *others = (sitk.GetArrayFromImage(fuse_pictures(pet, _picture(form)).image) for form in forms)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_sizes_must_match(pixels) -> None:
    with raises(InputError, "picture-sizes-differ", pet="31 x 24", mri="31 x 20"):
        fuse_pictures(_picture(pixels["grey"]), _picture(pixels["grey"][:20]))
