"""Outlines of tissues and checkerboards."""

from __future__ import annotations

import numpy as np
import pytest

from cspadn.imaging.outlines import checkerboard, edges, outline, squares, tissue_levels, tissues


def _shells() -> np.ndarray:
    """Return three nested tissues of 0.3, 0.6 and 0.9 on a black background, with a little noise."""
    radius = np.hypot(*np.mgrid[-40:41, -40:41])
    plane = np.select([radius < 12, radius < 22, radius < 32], [0.9, 0.6, 0.3], 0)
    return np.clip(plane + 0.02 * np.random.default_rng(3).standard_normal(plane.shape), 0, 1).astype(np.float32)


def test_tissues_are_told_apart_by_the_valleys_between_them() -> None:
    plane = _shells()
    levels = tissue_levels(plane)
    assert levels[0] == pytest.approx(0.1)
    assert 0.35 < levels[1] < 0.55 < 0.65 < levels[2] < 0.85
    labels = tissues(plane[np.newaxis], levels, (1.0, 1.0))[0]
    assert [labels[40, column] for column in (40, 57, 67, 79)] == [3, 2, 1, 0]
    assert tissues(np.repeat(plane[np.newaxis], 5, axis=0), levels, (3.0, 1.0, 1.0))[2, 40, 40] == 3


def test_outlines_lie_where_tissues_meet() -> None:
    labels = tissues(_shells(), tissue_levels(_shells()), (1.0, 1.0))
    row = np.flatnonzero(edges(labels)[40, 40:])
    assert row == pytest.approx([11, 21, 31], abs=1)
    assert not edges(np.ones((4, 5), np.uint8)).any()
    assert edges(np.array([[[0, 1], [0, 1]]], np.uint8)).tolist() == [[[True, False], [True, False]]]


@pytest.mark.parametrize("plane", [np.zeros((9, 9), np.float32), np.full((9, 9), 0.5, np.float32)])
def test_a_flat_image_has_no_outlines(plane: np.ndarray) -> None:
    assert tissue_levels(plane) == (0.1,)
    assert not edges(tissues(plane, tissue_levels(plane), (1.0, 1.0))).any()


def test_a_checkerboard_takes_squares_in_turns_and_can_be_moved() -> None:
    first, second = np.zeros((6, 8), np.float32), np.ones((6, 8), np.float32)
    board = checkerboard(first, second, 2)
    assert board[0].tolist() == [0, 0, 1, 1, 0, 0, 1, 1]
    assert board[2].tolist() == [1, 1, 0, 0, 1, 1, 0, 0]
    assert np.array_equal(checkerboard(first, second, 2, (0, 2)), 1 - board)
    assert checkerboard(first, second, 2, (1, 0))[:, 0].tolist() == [1, 0, 0, 1, 1, 0]


def test_cubes_of_a_volume_alternate_along_each_axis() -> None:
    cubes = squares((4, 6, 8), (1, 2, 4), (0, 0, 0))
    assert cubes.shape == (4, 6, 8)
    assert cubes[0, 0, 0]
    assert not cubes[1, 0, 0]
    assert not cubes[0, 2, 0]
    assert not cubes[0, 0, 4]
    assert cubes[1, 2, 0]
    assert cubes.mean() == pytest.approx(0.5, abs=0.05)


def test_the_outline_of_a_level_is_its_rim() -> None:
    plane = np.zeros((7, 7), np.float32)
    plane[2:5, 2:5] = 1
    rim = outline(plane)
    assert rim.sum() == 8
    assert not rim[3, 3]
