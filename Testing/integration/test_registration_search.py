"""The parts of the registration, and the check of the alignment, on a head of ellipsoids."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from cspadn.registration import check_alignment
from cspadn.registration.head import Head
from cspadn.registration.placing import matrix_of, placed, transform_of
from cspadn.registration.search import COARSE, FINE, similarity_of
from cspadn.registration.similarity import Motion
from head_phantom import distance_mm, phantom_mri, phantom_pet, rigid
from message_calls import identifiers

MOVED = rigid((12, -20, 9), (25.0, -30, 40))


@pytest.fixture(scope="module")
def mri() -> sitk.Image:
    return phantom_mri()


@pytest.mark.parametrize("level", [COARSE, FINE])
def test_the_gradient_is_that_of_the_cost(mri: sitk.Image, level: object) -> None:
    similarity = similarity_of(Head.of(phantom_pet(), "PET"), Head.of(mri, "MRI"), level)
    at = np.array([4.0, -6, 3, 2, -3, 5])
    motion = Motion(at, np.array([3.0, 1, -2]))
    step = 0.5  # interpolation has kinks at the voxels: over some tenths of a mm they average out
    differences = [
        (similarity.cost(motion.changed(at + step * axis))[0] - similarity.cost(motion.changed(at - step * axis))[0])
        / (2 * step)
        for axis in np.eye(6)
    ]
    gradient = similarity.cost(motion)[1]
    assert np.corrcoef(gradient, differences)[0, 1] > 0.98
    assert np.abs(gradient - differences).max() < 0.2 * np.abs(differences).max()


def test_a_motion_is_the_transform_that_it_gives() -> None:
    motion = Motion(np.array([20.0, -11, 7, 3, -4, 5]), np.array([10.0, 20, -30]))
    places = np.random.default_rng(1).normal(0, 80, (20, 3))
    moved = np.array([motion.transform().TransformPoint(place) for place in places.tolist()])
    assert np.allclose((places - motion.centre) @ motion.matrix.T + motion.centre + motion.parameters[3:], moved)
    assert np.allclose(np.linalg.norm(moved - places, axis=1), motion.displacements(places))
    assert motion.degrees == pytest.approx(np.degrees(np.linalg.norm([20, 11, 7]) / 60))


def test_placing_a_volume_is_resampling_it(mri: sitk.Image) -> None:
    there = placed(mri, MOVED)
    assert there.GetSize() == mri.GetSize()
    assert np.array_equal(sitk.GetArrayViewFromImage(there), sitk.GetArrayViewFromImage(mri))
    ways = [sitk.Resample(mri, mri, MOVED), sitk.Resample(there, mri)]
    assert np.allclose(*map(sitk.GetArrayFromImage, ways), atol=0.5)
    assert distance_mm(transform_of(matrix_of(MOVED)), MOVED) < 1e-9


@pytest.mark.parametrize(
    ("degrees", "shift", "suspect"),
    [
        (0, (0, 0, 0), False),
        (1, (0.5, -0.5, 0.5), False),
        (0, (3, -2, 2), True),
        (6, (0, 0, 0), True),
        (8, (20, -25, 22), True),
    ],
)
def test_the_check_tells_registered_pairs_from_others(
    mri: sitk.Image, degrees: float, shift: tuple[float, float, float], suspect: bool
) -> None:
    truth = rigid((0, degrees, 0), shift)
    alignment = check_alignment(phantom_pet(truth, following=False), mri)
    assert alignment.is_suspect is suspect
    assert alignment.displacement_mm == pytest.approx(distance_mm(truth, sitk.Transform()), rel=0.3, abs=1.2)
    assert alignment.rotation_degrees == pytest.approx(degrees, abs=1)
    assert identifiers(alignment.warnings()) == (["pair-misaligned"] if suspect else [])


def test_the_check_says_why_it_found_nothing(mri: sitk.Image) -> None:
    small = phantom_pet()[:, :, :3]
    noise = sitk.GetImageFromArray(np.random.default_rng(0).random((50, 50, 50), np.float32))
    noise.SetSpacing((4, 4, 4))
    for pet in (small, noise):
        alignment = check_alignment(pet, mri)
        assert alignment.displacement_mm is None
        assert alignment.reason
        assert not alignment.is_suspect
        assert alignment.provenance() == {"alignment": f"not determined: {alignment.reason}"}
