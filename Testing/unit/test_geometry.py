"""Physical space: views of a volume, the conversion back, and resampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.errors import InputError
from cspadn.imaging import geometry
from cspadn.imaging.metadata import PADDING
from message_calls import raises
from volumes import blobs, volume

ORIENTATIONS = [
    "".join(letters) for order in itertools.permutations(("RL", "AP", "IS")) for letters in itertools.product(*order)
]


def _oblique(degrees: float) -> sitk.Image:
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    direction = [[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]
    return volume(blobs(), spacing=(0.9, 0.9, 1.5), origin=(-11.1, 7.7, 3.3), direction=direction)


@pytest.mark.parametrize("code", ["LPS", "PIR"])
def test_the_axial_view_keeps_the_metadata(code: str) -> None:
    """Most operations of SimpleITK drop metadata such as declared padding."""
    stored = sitk.DICOMOrient(_oblique(12), code)
    stored.SetMetaData(PADDING, "-2000.0 -2000.0")
    assert geometry.to_axial(stored).GetMetaData(PADDING) == "-2000.0 -2000.0"


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_every_stored_order_has_the_same_view_and_way_back(code: str) -> None:
    upright = _oblique(12)
    stored = sitk.DICOMOrient(upright, code)
    axial = geometry.to_axial(stored)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(axial), sitk.GetArrayFromImage(upright))
    voxels = sitk.GetArrayFromImage(axial)
    back, colors = sitk.Image(stored.GetSize(), sitk.sitkFloat32), sitk.Image(stored.GetSize(), sitk.sitkVectorFloat32, 2)
    for image in (back, colors):
        image.CopyInformation(stored)
    for first in range(0, len(voxels), 3):  # the last has fewer
        geometry.put_axial(voxels[first : first + 3], back, first)
        geometry.put_axial(np.stack([voxels, -voxels], axis=-1)[first : first + 3], colors, first)
    expected = sitk.GetArrayFromImage(stored)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(back), expected)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(colors), np.stack([expected, -expected], axis=-1))


def test_left_handed_orders_are_among_them() -> None:
    handedness = [
        np.linalg.det(np.reshape(sitk.DICOMOrient(_oblique(0), code).GetDirection(), (3, 3))) for code in ORIENTATIONS
    ]
    assert len(ORIENTATIONS) == 48
    assert sum(h < 0 for h in handedness) == 24


def test_resampling_is_in_physical_space() -> None:
    """A linear ramp in millimetres stays that ramp on any other grid, and is NaN beyond its field of view."""
    x = np.arange(10) * 3.0 - 5
    ramp = volume(np.broadcast_to(x, (4, 4, 10)).astype(np.float32), spacing=(3, 3, 3), origin=(-5, 0, 0))
    grid = volume(np.zeros((2, 2, 40), np.float32), spacing=(1, 1, 1), origin=(-12, 2, 2))
    values = sitk.GetArrayFromImage(geometry.resample(ramp, grid))
    points = np.arange(40) - 12.0
    inside = (points >= -5) & (points <= 22)
    np.testing.assert_allclose(values[1, 1, inside], points[inside], atol=1e-5)
    assert np.isnan(values[1, 1, points < -6.5]).all()


def test_thinned_grid_keeps_every_slice_and_its_place() -> None:
    grid = volume(np.zeros((7, 200, 100), np.uint8), spacing=(0.5, 0.7, 3), origin=(1, 2, 3))
    thin = geometry.thinned(grid)
    assert thin.GetSize() == (50, 50, 7)
    assert thin.GetOrigin() == grid.GetOrigin()
    np.testing.assert_allclose(thin.GetSpacing(), (1.0, 2.8, 3))


def test_orthogonal_axes_are_told_from_sheared_ones() -> None:
    assert geometry.has_orthogonal_axes(_oblique(33))
    sheared = volume(np.zeros((2, 2, 2)), direction=[[1, 0.2, 0], [0, 0.98, 0], [0, 0, 1]])
    assert not geometry.has_orthogonal_axes(sheared)


@pytest.mark.parametrize(
    ("image", "identifier"),
    [
        (sitk.Image(4, 4, sitk.sitkUInt8), "volume-two-dimensional"),
        (sitk.Image([4, 4, 4, 4], sitk.sitkUInt8), "volume-not-three-dimensional"),
        (sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3), "volume-not-scalar"),
        (sitk.Image([4, 4, 4], sitk.sitkComplexFloat32), "volume-complex"),
        (volume(np.zeros((2, 2, 2)), origin=(float("nan"), 0, 0)), "position-not-finite"),
        (volume(np.zeros((2, 2, 2)), direction=[[1, 1, 0], [0, 1e-9, 0], [0, 0, 1]]), "position-degenerate"),
    ],
)
def test_what_is_no_volume_is_refused(image: sitk.Image, identifier: str) -> None:
    with raises(InputError, identifier, volume="The PET"):
        geometry.check_volume(image, "The PET")


def test_beyond_the_field_of_view_the_nearest_voxel_goes_on() -> None:
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    slices = geometry.SlicesOnGrid(volume(values), volume(np.zeros((3, 4, 9), np.uint8), origin=(-2, 0, 0)))
    np.testing.assert_array_equal(slices.slab(1, 2)[0, :, :2], values[1, :, :1].repeat(2, axis=1))
    np.testing.assert_array_equal(slices.slab(1, 2)[0, :, 2:7], values[1])
    np.testing.assert_allclose(slices.weights(1, 2)[0, 0], [0, 0, 0.25, 0.5, 0.75, 0.5, 0.25, 0, 0])
