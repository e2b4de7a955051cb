"""Properties of fusions for any geometry and any intensities, with examples by hypothesis."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import cspadn
from cspadn.imaging.windowing import FUSED_MAXIMUM
from training.target import DETAIL_SIGMA
from volumes import blobs, volume

drawn = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
spacings = st.tuples(*(st.floats(0.3, 8) for _ in range(3)))
angles = st.tuples(*(st.floats(-180, 180) for _ in range(3)))


@st.composite
def placed(draw, seed: int) -> sitk.Image:
    """Draw a volume of any size, spacing, obliquity and handedness around the origin."""
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
        assert error.identifier in ("no-overlap", "overlap-too-small")  # noqa: PT017
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
@given(st.floats(1e-3, 1e4), st.floats(0, 1e3))
def test_units_of_the_pet_do_not_matter(factor: float, constant: float) -> None:
    """The constant is not negative, because the PET's window begins at 0 or above."""
    pet, mri = volume(blobs(seed=3)), volume(blobs(seed=4))
    scaled = sitk.Cast(pet, sitk.sitkFloat64) * factor + constant
    fused = [_array(cspadn.fuse(each, mri).image) for each in (pet, scaled)]
    tolerance = 1e-4 + 4e-6 * abs(constant) / factor / 100  # a constant beside little signal costs digits of float32
    assert np.abs(fused[0] - fused[1]).max() <= tolerance * FUSED_MAXIMUM


@drawn
@given(st.integers(0, 2**16), st.sampled_from(cspadn.settings.MODELS))
def test_a_pet_of_zeros_gives_the_structure_of_the_mri(seed: int, model: str) -> None:
    mri = volume(blobs(seed=seed))
    fused = cspadn.fuse(mri * 0, mri, cspadn.FusionSettings(model=model, device="cpu", pet_window=(0, 1))).image
    fused, mri = _array(fused), _array(mri)
    blur = (0, DETAIL_SIGMA, DETAIL_SIGMA)
    detail = [each - gaussian_filter(each, blur) for each in (fused, mri)]  # of the MRI the default shows this
    assert np.corrcoef(fused.ravel(), mri.ravel())[0, 1] > 0.85
    assert np.corrcoef(*(each.ravel() for each in detail))[0, 1] > 0.85


@drawn
@given(
    st.sampled_from([sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkUInt16, sitk.sitkInt32, sitk.sitkFloat32, sitk.sitkFloat64]),
    st.floats(0.5, 2),
)
def test_pixel_types_do_not_matter(kind: int, factor: float) -> None:
    """The values are whole numbers from 0 to 200, which every type can store."""
    pet, mri = (sitk.Round(volume(blobs(seed=seed)) * factor) for seed in (5, 6))
    fused = [_array(cspadn.fuse(sitk.Cast(pet, each), sitk.Cast(mri, each)).image) for each in (sitk.sitkFloat32, kind)]
    np.testing.assert_allclose(fused[0], fused[1], atol=1e-4 * FUSED_MAXIMUM)


anything = settings(drawn, max_examples=2 * settings().max_examples)
REAL = [
    *(sitk.sitkUInt8, sitk.sitkInt8, sitk.sitkUInt16, sitk.sitkInt16, sitk.sitkUInt32, sitk.sitkInt32, sitk.sitkUInt64),
    *(sitk.sitkInt64, sitk.sitkFloat32, sitk.sitkFloat64),
]
ODD = [np.nan, np.inf, -np.inf, 1e300, -1e300, 1e-300, 0.0]


def mostly(likely: st.SearchStrategy, rare: st.SearchStrategy) -> st.SearchStrategy:
    """Draw from the rare strategy once in six times; otherwise nearly all volumes would be refused."""
    return st.sampled_from([likely] * 5 + [rare]).flatmap(lambda each: each)


def three(each: st.SearchStrategy) -> st.SearchStrategy:
    return st.tuples(each, each, each)


windows = mostly(st.sampled_from([None, (0.0, 100.0), (-5.0, 0.3)]), st.tuples(st.floats(), st.floats()))


@st.composite
def directions(draw) -> np.ndarray:
    """Draw a direction matrix with permuted, flipped and possibly rotated axes."""
    turned = draw(st.one_of(st.just((0.0, 0.0, 0.0)), angles))
    turn = np.reshape(sitk.Euler3DTransform((0, 0, 0), *np.radians(turned)).GetMatrix(), (3, 3))
    return turn[:, draw(st.permutations(range(3)))] * draw(three(st.sampled_from([1, -1])))


@st.composite
def contents(draw) -> sitk.Image:
    """Draw voxels of any real type: a head, noise up to half of the type's range, or one value; also NaN and infinity."""
    size = draw(st.tuples(st.integers(1, 6), st.integers(1, 24), st.integers(1, 24)))
    kind, seed = draw(st.sampled_from(REAL)), draw(st.integers(0, 2**16))
    dtype, random = _array(sitk.Image(1, 1, 1, kind)).dtype, np.random.default_rng(seed)
    values = draw(st.sampled_from([blobs((6, 24, 24), seed), random.random((6, 24, 24)), np.full((6, 24, 24), 7)]))
    values = values[tuple(map(slice, size))].astype(float)
    if dtype.kind == "f":
        odd = random.random(size) < draw(mostly(st.sampled_from([0, 0.05]), st.sampled_from([0.5, 1])))
        values = np.where(odd, random.choice(ODD, size), values)
    elif values.max() < 1:
        values *= np.iinfo(dtype).max / 2
    with np.errstate(over="ignore"):
        return volume(values.astype(dtype))


@st.composite
def lying(draw) -> sitk.Image:
    """Draw a volume anywhere in space, but mostly around the origin."""
    image = draw(contents())
    image.SetSpacing(draw(mostly(three(st.floats(1, 3)), three(st.floats(1e-3, 1e3)))))
    image.SetDirection(draw(directions()).ravel().tolist())
    centre = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    shift = draw(mostly(three(st.floats(-1, 1)), three(st.floats(-1e6, 1e6))))
    image.SetOrigin((np.array(shift) - centre).tolist())
    return image


ways = st.builds(
    cspadn.FusionSettings,
    device=st.just("cpu"),
    grid=st.sampled_from(cspadn.settings.GRIDS),
    palette=st.sampled_from([None, *cspadn.palettes.PALETTES]),
    pet_window=windows,
    mri_window=windows,
)


@anything
@given(lying(), lying(), ways)
def test_any_volumes_are_fused_or_refused_in_one_sentence(
    pet: sitk.Image, mri: sitk.Image, how: cspadn.FusionSettings
) -> None:
    before = _state(pet), _state(mri)
    try:
        result = cspadn.fuse(pet, mri, how)
    except cspadn.errors.FusionError as error:
        assert str(error).isprintable()  # noqa: PT017
        assert str(error).endswith(".")  # noqa: PT017
    else:
        _check_fused(result, mri if how.grid == "mri" else pet, how)
    assert (_state(pet), _state(mri)) == before


def _geometry(image: sitk.Image) -> tuple:
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def _state(image: sitk.Image) -> tuple:
    return _array(image).tobytes(), image.GetPixelID(), image.GetMetaDataKeys(), _geometry(image)


def _check_fused(result: cspadn.FusionResult, owner: sitk.Image, how: cspadn.FusionSettings) -> None:
    assert _geometry(result.image) == _geometry(owner)
    values = _array(result.image)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert 0 <= values.min() <= values.max() <= FUSED_MAXIMUM
    assert (result.color is None) == (how.palette is None)
    if result.color is not None:
        assert _geometry(result.color) == _geometry(owner)
        assert result.color.GetPixelIDTypeAsString() == "vector of 8-bit unsigned integer"
        assert result.color.GetNumberOfComponentsPerPixel() == 3
