"""What holds for any geometry and any intensities: drawn by hypothesis."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cspadn
from conftest import blobs, volume
from cspadn.intensity import FUSED_MAXIMUM

drawn = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
spacings = st.tuples(*(st.floats(0.3, 8) for _ in range(3)))
angles = st.tuples(*(st.floats(-180, 180) for _ in range(3)))


@st.composite
def placed(draw, seed: int) -> sitk.Image:
    """A volume of any size, spacing, obliquity and handedness, about the origin of space."""
    size = draw(st.tuples(st.integers(1, 9), st.integers(12, 24), st.integers(12, 24)))
    spacing = draw(spacings)
    turn = np.reshape(sitk.Euler3DTransform((0, 0, 0), *np.radians(draw(angles))).GetMatrix(), (3, 3))
    if draw(st.booleans()):
        turn[:, draw(st.integers(0, 2))] *= -1
    image = volume(blobs((max(size[0], 3), *size[1:]), seed)[: size[0]] + 0.0, spacing, direction=turn)
    centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    image.SetOrigin((-np.array(centre)).tolist())
    return image


def _array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


CHOSEN = {"device": "cpu", "model": "cspadn-paper", "pet_window": (0.0, 100.0), "mri_window": (0.0, 100.0)}


@drawn
@given(placed(1), placed(2), st.sampled_from(["mri", "pet"]))
def test_any_geometry_gives_the_grid_and_finite_values(pet: sitk.Image, mri: sitk.Image, grid: str) -> None:
    before = _array(pet), _array(mri)
    try:
        result = cspadn.fuse(pet, mri, cspadn.FusionSettings(grid=grid, palette="PET-Heat", **CHOSEN))
    except cspadn.errors.InputError as error:
        assert "overlap" in str(error) or "covers only" in str(error)  # noqa: PT017
        return
    owner = mri if grid == "mri" else pet
    for image in (result.image, result.color):
        for get in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(image, get)() == getattr(owner, get)()
    values = _array(result.image)
    assert np.isfinite(values).all()
    assert 0 <= values.min() <= values.max() <= FUSED_MAXIMUM
    for image, voxels in zip((pet, mri), before, strict=True):
        np.testing.assert_array_equal(_array(image), voxels)


@drawn
@given(st.floats(1e-3, 1e4), st.floats(-1e3, 1e3))
def test_units_of_the_pet_do_not_matter(factor: float, constant: float) -> None:
    pet, mri = volume(blobs(seed=3)), volume(blobs(seed=4))
    scaled = sitk.Cast(pet, sitk.sitkFloat64) * factor + constant
    fused = [_array(cspadn.fuse(each, mri).image) for each in (pet, scaled)]
    tolerance = 1e-4 + 4e-6 * abs(constant) / factor / 100  # a constant beside little signal costs digits of float32
    assert np.abs(fused[0] - fused[1]).max() <= tolerance * FUSED_MAXIMUM


@drawn
@given(st.integers(0, 2**16), st.sampled_from(["cspadn", "cspadn-paper"]))
def test_a_pet_of_zeros_gives_the_structure_of_the_mri(seed: int, model: str) -> None:
    mri = volume(blobs(seed=seed))
    fused = cspadn.fuse(mri * 0, mri, cspadn.FusionSettings(model=model, device="cpu", pet_window=(0, 1))).image
    correlation = np.corrcoef(_array(fused).ravel(), _array(mri).ravel())[0, 1]
    assert correlation > 0.97


@drawn
@given(
    st.sampled_from([sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16, sitk.sitkInt32, sitk.sitkFloat32, sitk.sitkFloat64]),
    st.floats(0.5, 2),
)
def test_pixel_types_do_not_matter(kind: int, factor: float) -> None:
    """Whole numbers from 0 to 200, so that every type holds them."""
    pet, mri = (sitk.Round(volume(blobs(seed=seed)) * factor) for seed in (5, 6))
    fused = [_array(cspadn.fuse(sitk.Cast(pet, each), sitk.Cast(mri, each)).image) for each in (sitk.sitkFloat32, kind)]
    np.testing.assert_allclose(fused[0], fused[1], atol=1e-4 * FUSED_MAXIMUM)
